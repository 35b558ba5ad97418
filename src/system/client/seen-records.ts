/**
 * Which records were read before, by writer and sequence. Bounded: of each writer the last records, and the writers that were read of
 * last. A record comes again soon or never: a writer has fewer records unanswered than are remembered of it.
 */
import { windowPerWriterMax, windowWritersMax } from '../../core/protocol/chunk-calls.ts';

const perWriterMax = 2 * windowPerWriterMax;

export class SeenRecords {
  /** Each in the order read. */
  readonly #byWriter = new Map<number, Set<number>>();
  #lastWriter: number | undefined;

  /** @returns false if it was added before. */
  add(writer: number, sequence: number): boolean {
    const own = this.#touch(writer);
    if (own.has(sequence)) return false;
    own.add(sequence);
    if (own.size > perWriterMax) dropOldest(own);
    return true;
  }

  #touch(writer: number): Set<number> {
    let own = this.#byWriter.get(writer);
    if (own !== undefined && this.#lastWriter === writer) return own;
    own ??= new Set();
    this.#byWriter.delete(writer);
    this.#byWriter.set(writer, own);
    this.#lastWriter = writer;
    if (this.#byWriter.size > windowWritersMax) dropOldest(this.#byWriter);
    return own;
  }
}

function dropOldest(of: { keys(): Iterable<number>; delete(key: number): boolean }): void {
  for (const oldest of of.keys()) {
    of.delete(oldest);
    return;
  }
}
