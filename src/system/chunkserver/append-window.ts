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
import { SequenceRows } from '../storage/sequence-rows.ts';

export interface Landed<Owner> {
  readonly offset: number;
  /** The mutation that carries the record, while it is under way. */
  readonly owner: Owner | undefined;
}

interface Owned {
  readonly isSettled: boolean;
}

/** Records that one mutation carries: sequences from … to, the last one included. */
interface Carried<Owner> {
  readonly from: number;
  to: number;
  readonly owner: Owner;
}

interface Writer<Owner> {
  readonly id: number;
  readonly landed: SequenceRows;
  /** Mutations that were under way when the last one came, in the order in which they came: nothing else is kept of them. */
  readonly carried: Carried<Owner>[];
  /** No sequence up to this one is remembered any more, unless it is in `landed`. */
  forgottenTo: number;
}

export class AppendWindow<Owner extends Owned> {
  readonly #version: number;
  readonly #writersMax: number;
  readonly #writers = new Map<number, Writer<Owner>>();
  #last: Writer<Owner> | undefined;
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
      if (writer.landed.count >= windowPerWriterMax)
        writer.forgottenTo = Math.max(writer.forgottenTo, writer.landed.lowest - 1);
    }
  }

  /**
   * `forgotten`: it may have been carried out, nobody can tell any more.
   * @param since the lowest version under which it was sent before, if it was
   */
  find(writer: number, sequence: number, since: number | undefined): Landed<Owner> | 'forgotten' | undefined {
    const own = this.#last?.id === writer ? this.#last : this.#writers.get(writer);
    const at = own?.landed.find(sequence);
    if (own !== undefined && at !== undefined)
      return { offset: own.landed.offsetAt(at), owner: ownerOf(own, sequence) };
    if (own !== undefined && sequence <= own.forgottenTo) return 'forgotten';
    if (since === undefined || since > this.#forgottenVersion) return undefined;
    return own === undefined || sequence < own.landed.lowest ? 'forgotten' : undefined;
  }

  add(writer: number, sequence: number, offset: number, owner: Owner | undefined): void {
    const own = this.#last?.id === writer ? this.#last : this.#touch(writer);
    const dropped = own.landed.put(sequence, offset, 0);
    if (dropped !== undefined) own.forgottenTo = Math.max(own.forgottenTo, dropped);
    if (owner !== undefined) noteCarried(own.carried, sequence, owner);
  }

  #touch(writer: number): Writer<Owner> {
    const own = this.#writers.get(writer) ?? makeWriter(writer);
    this.#writers.delete(writer);
    this.#writers.set(writer, own);
    this.#last = own;
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

function makeWriter<Owner>(id: number): Writer<Owner> {
  return { id, landed: new SequenceRows(windowPerWriterMax), carried: [], forgottenTo: -1 };
}

function ownerOf<Owner extends Owned>({ carried }: Writer<Owner>, sequence: number): Owner | undefined {
  return carried.find(({ from, to, owner }) => !owner.isSettled && from <= sequence && sequence <= to)?.owner;
}

function noteCarried<Owner extends Owned>(carried: Carried<Owner>[], sequence: number, owner: Owner): void {
  const last = carried.at(-1);
  if (last !== undefined && last.owner === owner && last.to + 1 === sequence) {
    last.to = sequence;
    return;
  }
  let settled = 0;
  while (settled < carried.length && carried[settled]!.owner.isSettled) settled += 1;
  if (settled > 0) carried.splice(0, settled);
  carried.push({ from: sequence, to: sequence, owner });
}
