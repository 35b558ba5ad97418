/**
 * What makes appends exactly-once: for each writer, where the records of its last appends lie, those under way included. The
 * primary's copy; it is loaded from the store when a lease begins and keeps what the store keeps: of each writer the highest sequences.
 */
import { windowPerWriterMax, windowWritersMax } from '../../core/protocol/chunk-calls.ts';
import type { WindowEntry } from '../storage/chunk-store.ts';

export interface Landed<Owner> {
  readonly offset: number;
  /** The mutation that carries the record; undefined when it was held before the lease began. */
  readonly owner: Owner | undefined;
}

interface Writer<Owner> {
  readonly landed: Map<number, Landed<Owner>>;
  /** No sequence up to this one is remembered any more, unless it is in `landed`. */
  forgottenTo: number;
}

export class AppendWindow<Owner> {
  readonly #writers = new Map<number, Writer<Owner>>();
  #lastWriter: number | undefined;

  constructor(entries: readonly WindowEntry[] = []) {
    for (const entry of entries) this.add(entry.writer, entry.sequence, entry.offset, undefined);
    for (const writer of this.#writers.values()) {
      if (writer.landed.size >= windowPerWriterMax)
        writer.forgottenTo = Math.max(writer.forgottenTo, lowest(writer) - 1);
    }
  }

  /** `forgotten`: the record may have been appended, nobody can tell any more. */
  find(writer: number, sequence: number): Landed<Owner> | 'forgotten' | undefined {
    const own = this.#writers.get(writer);
    if (own === undefined) return undefined;
    return own.landed.get(sequence) ?? (sequence <= own.forgottenTo ? 'forgotten' : undefined);
  }

  add(writer: number, sequence: number, offset: number, owner: Owner | undefined): void {
    const own = this.#touch(writer);
    own.landed.set(sequence, { offset, owner });
    if (own.landed.size >= 2 * windowPerWriterMax) forgetLowest(own);
  }

  #touch(writer: number): Writer<Owner> {
    let own = this.#writers.get(writer);
    if (own !== undefined && this.#lastWriter === writer) return own;
    own ??= { landed: new Map(), forgottenTo: -1 };
    this.#writers.delete(writer);
    this.#writers.set(writer, own);
    this.#lastWriter = writer;
    if (this.#writers.size > windowWritersMax) {
      for (const oldest of this.#writers.keys()) {
        this.#writers.delete(oldest);
        break;
      }
    }
    return own;
  }
}

function lowest<Owner>(writer: Writer<Owner>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const sequence of writer.landed.keys()) if (sequence < least) least = sequence;
  return least;
}

function forgetLowest<Owner>(writer: Writer<Owner>): void {
  const sequences = [...writer.landed.keys()].sort((a, b) => a - b);
  for (const sequence of sequences.slice(0, sequences.length - windowPerWriterMax)) {
    writer.landed.delete(sequence);
    writer.forgottenTo = sequence;
  }
}
