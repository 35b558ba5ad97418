/** Window entries as they travel: records that lie one after another share one run. */
import { recordsPerMutationMax, type WindowRun } from '../../core/protocol/chunk-calls.ts';
import type { WindowEntry } from '../storage/chunk-store.ts';

export function runsOf(entries: readonly WindowEntry[]): readonly WindowRun[] {
  const runs: { writer: number; firstSequence: number; offset: number; lengths: number[] }[] = [];
  let end = 0;
  for (const { writer, sequence, offset, lengthBytes } of entries) {
    const last = runs[runs.length - 1];
    const continues =
      last !== undefined &&
      last.writer === writer &&
      last.firstSequence + last.lengths.length === sequence &&
      end === offset &&
      last.lengths.length < recordsPerMutationMax;
    if (continues) last.lengths.push(lengthBytes);
    else runs.push({ writer, firstSequence: sequence, offset, lengths: [lengthBytes] });
    end = offset + lengthBytes;
  }
  return runs;
}

export function entriesOf(runs: readonly WindowRun[]): readonly WindowEntry[] {
  const entries: WindowEntry[] = [];
  for (const { writer, firstSequence, offset, lengths } of runs) {
    let at = offset;
    for (let i = 0; i < lengths.length; i++) {
      const lengthBytes = lengths[i]!;
      entries.push({ writer, sequence: firstSequence + i, offset: at, lengthBytes });
      at += lengthBytes;
    }
  }
  return entries;
}

/** The entries that both have, alike. */
export function commonEntries(a: readonly WindowEntry[], b: readonly WindowEntry[]): readonly WindowEntry[] {
  const inB = new Set(b.map(keyOf));
  return a.filter((entry) => inB.has(keyOf(entry)));
}

/** Which record, and where. */
export function keyOf({ writer, sequence, offset, lengthBytes }: WindowEntry): string {
  return `${writer}:${sequence}:${offset}:${lengthBytes}`;
}
