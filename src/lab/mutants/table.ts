/** The outcome for people. */
import type { NotApplicable } from './mutant.ts';
import type { Verdict } from './trial.ts';

export function tableOf(verdicts: readonly Verdict[], notApplicable: readonly NotApplicable[]): readonly string[] {
  const killed = verdicts.filter(({ killedBy }) => killedBy !== undefined);
  const survivors = verdicts.filter(({ killedBy }) => killedBy === undefined);
  const width = Math.max(...verdicts.map(({ mutant }) => mutant.id.length));
  return [
    `${'mutant'.padEnd(width)}  ${'killed by'.padEnd(22)} ${'seeds'.padStart(6)} ${'seconds'.padStart(8)}  the bug, and where it was seen`,
    ...verdicts.map(({ mutant: { id, bug, seen }, killedBy, seeds, seconds }) => {
      const by = killedBy ?? 'SURVIVED';
      return `${id.padEnd(width)}  ${by.padEnd(22)} ${String(seeds).padStart(6)} ${seconds.toFixed(1).padStart(8)}  ${bug} (${seen})`;
    }),
    '',
    `${killed.length} of ${verdicts.length} killed`,
    ...(survivors.length === 0 ? [] : [`survived: ${survivors.map(({ mutant }) => mutant.id).join(', ')}`]),
    '',
    'Not applicable:',
    ...notApplicable.map(({ bug, seen, why }) => `  ${bug} (${seen}): ${why}`),
  ];
}
