/**
 * What makes appends exactly-once: for each writer, where the records of its last appends lie, those under way included. The
 * primary's copy; it is loaded from the store when a lease begins and keeps what the store keeps: of each writer the highest sequences.
 *
 * What is not in it was either not appended, or forgotten since. A mutation that is sent for the first time was not appended. One that was sent
 * before, under some version, can have been forgotten only if a writer was under that version or later; then, as the frames of a
 * writer come in order, it can be one of those that were forgotten only if all that is remembered of its writer came after it.
 */
import { windowPerWriterMax, windowWritersMax } from '../../core/protocol/chunk-calls.ts';
import { forgottenWriter, type WindowEntry } from '../storage/chunk-store.ts';

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
  readonly #version: number;
  readonly #writersMax: number;
  readonly #writers = new Map<number, Writer<Owner>>();
  #lastWriter: number | undefined;
  /** The highest version under which a writer was forgotten; 0: none was. */
  #forgottenVersion = 0;

  /** @param version of the lease */
  constructor(version: number, entries: readonly WindowEntry[] = [], writersMax: number = windowWritersMax) {
    this.#version = version;
    this.#writersMax = writersMax;
    for (const { writer, sequence, offset } of entries) {
      if (writer === forgottenWriter) this.#forgottenVersion = Math.max(this.#forgottenVersion, sequence);
      else this.add(writer, sequence, offset, undefined);
    }
    for (const writer of this.#writers.values()) {
      if (writer.landed.size >= windowPerWriterMax)
        writer.forgottenTo = Math.max(writer.forgottenTo, lowest(writer) - 1);
    }
  }

  /**
   * `forgotten`: it may have been carried out, nobody can tell any more.
   * @param since the lowest version under which it was sent before, if it was
   */
  find(writer: number, sequence: number, since: number | undefined): Landed<Owner> | 'forgotten' | undefined {
    const own = this.#writers.get(writer);
    const landed = own?.landed.get(sequence);
    if (landed !== undefined) return landed;
    if (own !== undefined && sequence <= own.forgottenTo) return 'forgotten';
    if (since === undefined || since > this.#forgottenVersion) return undefined;
    return own === undefined || sequence < lowest(own) ? 'forgotten' : undefined;
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
    if (this.#writers.size > this.#writersMax) {
      for (const oldest of this.#writers.keys()) {
        this.#writers.delete(oldest);
        this.#forgottenVersion = Math.max(this.#forgottenVersion, this.#version);
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
