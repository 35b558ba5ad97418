/** Middle and spread of a few runs. */

/** The middle one, or the mean of the two in the middle. @throws for no values */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Linear between the two nearest. @param fraction 0 … 1 */
export function percentile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw new Error('no runs: there is no figure');
  const sorted = values.toSorted((a, b) => a - b);
  const at = fraction * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}
