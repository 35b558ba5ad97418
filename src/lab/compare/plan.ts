/** What will be done, and how long that takes: said before it begins. */
import type { Experiment, LabOptions } from './experiment.ts';

export function planLines(experiments: readonly Experiment[], options: LabOptions): string[] {
  const rows = experiments.map(({ name, expected }) => {
    const { rounds, secondsEach, secondsOnce } = expected(options);
    return { name, rounds, seconds: secondsOnce + rounds * secondsEach };
  });
  const lines = rows.map(
    ({ name, rounds, seconds }) =>
      `  ${name.padEnd(22)} ${rounds} ${rounds === 1 ? 'round ' : 'rounds'}  about ${minutes(seconds)} min`,
  );
  const all = rows.reduce((sum, { seconds }) => sum + seconds, 0);
  return [
    'The plan, on an idle machine:',
    ...lines,
    ...(rows.length > 1 ? [`  in all about ${minutes(all)} min`] : []),
  ];
}

function minutes(seconds: number): string {
  return (seconds / 60).toFixed(1);
}
