/**
 * What half a copy knows of appends. It is equal to its source up to some place, and as it was behind that. Of a writer it knows all records that lie
 * whole in what it has, and none that it has not: each is found if it is sent again, or is taken as new. Where that cannot be told, since the copy knew
 * records of this writer that the source does not, all of the writer counts as forgotten.
 */
import { windowPerWriterMax } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { forgottenMark, forgottenWriter, type WindowEntry } from '../storage/chunk-store.ts';
import { commonEntries, keyOf } from './window-runs.ts';

export class HalfWindow {
  /** Of the source, but for writers that count as forgotten. */
  readonly #known: readonly WindowEntry[];
  /** Those of them that the copy has from before. */
  readonly #before: ReadonlySet<WindowEntry>;
  readonly #marks: readonly WindowEntry[];

  /** @param version of both, the higher one: nothing that either has was sent under a later one. */
  constructor(source: readonly WindowEntry[], target: readonly WindowEntry[], version: number) {
    const ofSource = new Set(source.map(keyOf));
    const firsts = firstsOf(source);
    // What is before the first that the source knows it has forgotten since.
    const isStrange = (entry: WindowEntry) =>
      entry.writer !== forgottenWriter &&
      !ofSource.has(keyOf(entry)) &&
      entry.sequence >= (firsts.get(entry.writer)?.sequence ?? 0);
    const strange = new Set(target.filter(isStrange).map(({ writer }) => writer));
    const isFull = [...firsts.values()].some(({ count }) => count >= windowPerWriterMax);
    const marked = [...source, ...target].filter(({ writer }) => writer === forgottenWriter);
    const versions = [...marked.map(({ sequence }) => sequence), ...(strange.size > 0 || isFull ? [version] : [])];
    this.#marks = versions.length === 0 ? [] : [forgottenMark(Math.max(...versions))];
    this.#known = source.filter(({ writer }) => writer !== forgottenWriter && !strange.has(writer));
    this.#before = new Set(commonEntries(this.#known, target));
  }

  /** Of a copy that is equal to its source up to there. A resize, which has no bytes, is done when all is. */
  upTo(equalBytes: number): readonly WindowEntry[] {
    const has = (entry: WindowEntry) =>
      this.#before.has(entry) || (entry.lengthBytes > 0 && endOf(entry) <= equalBytes);
    return [...this.#marks, ...this.#known.filter(has)];
  }

  /**
   * Where a copy that has `lengthBytes` may end next, near `reach`: not within records that it has not yet. That is before them, or behind them if the copy
   * would be no longer then. Records that were cut off since may lie across others: where no place is outside of all within a packet, it is `reach`.
   */
  endNear(reach: number, lengthBytes: number): number {
    let end = reach;
    for (let cut = this.#cutAt(end); cut.length > 0; cut = this.#cutAt(end)) {
      const behind = cut.filter(({ offset }) => offset > lengthBytes);
      const lowest = behind.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY);
      if (behind.length === 0) return this.#endBehind(end, lengthBytes) ?? reach;
      end = lowest;
    }
    return end;
  }

  #endBehind(from: number, lengthBytes: number): number | undefined {
    let end = from;
    for (let cut = this.#cutAt(end); cut.length > 0; cut = this.#cutAt(end))
      end = cut.reduce((most, entry) => Math.max(most, endOf(entry)), end);
    return end <= lengthBytes + packetMaxBytes ? end : undefined;
  }

  /** Records that the copy has not yet, and would have in part if it ended there. */
  #cutAt(end: number): readonly WindowEntry[] {
    return this.#known.filter((entry) => entry.offset < end && endOf(entry) > end && !this.#before.has(entry));
  }
}

/** The lowest sequence of each writer, and how many there are. */
function firstsOf(
  entries: readonly WindowEntry[],
): ReadonlyMap<number, { readonly sequence: number; readonly count: number }> {
  const firsts = new Map<number, { sequence: number; count: number }>();
  for (const { writer, sequence } of entries) {
    const known = firsts.get(writer);
    firsts.set(writer, { sequence: Math.min(sequence, known?.sequence ?? sequence), count: (known?.count ?? 0) + 1 });
  }
  return firsts;
}

function endOf({ offset, lengthBytes }: WindowEntry): number {
  return offset + lengthBytes;
}
