/**
 * What time of day it is, as the masters agree. A clock can be wrong by any amount; what is thrown away when its time has come must not go by one
 * alone. So most of the voters are asked, and of what they say, the leader's own clock included, the middle counts: a minority of wrong clocks
 * does not move it beyond the right ones. Of two, where one was not heard, it is the earlier.
 */

/**
 * @param own time of day here, ms since 1970
 * @param others how each other voter is asked
 * @returns undefined when too few have answered to tell
 */
export async function agreedTime(
  own: () => number,
  others: readonly (() => Promise<number>)[],
): Promise<number | undefined> {
  const answers = await Promise.allSettled(others.map((ask) => ask()));
  const told = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const times = [own(), ...told].sort((a, b) => a - b);
  if (2 * times.length <= others.length + 1) return undefined;
  return times[Math.floor((times.length - 1) / 2)];
}
