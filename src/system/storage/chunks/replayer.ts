/**
 * The first of two passes over the journal at start. This one only computes what each chunk is, and which pieces of redo still belong to it: a cut, a
 * removal or a new chunk of the same handle makes older pieces void, and they must not be written over what came later. The
 * second (restore.ts) looks at every block that the journal speaks of and writes only where the file does not already hold what it should.
 */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { ByteReader } from '../../../core/base/bytes.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import type { ChunkCache } from './chunk-cache.ts';
import { blockCount, type ChunkState } from './chunk-state.ts';
import type { Replayed } from './journal.ts';
import { type MutatedRecord, type ReplacedRecord, readJournalRecord } from './journal-record.ts';
import { Redo } from './redo.ts';

/** What the journal says about one chunk. */
export interface Recovered {
  readonly state: ChunkState;
  readonly redo: Redo;
}

export interface Replay {
  readonly chunks: ReadonlyMap<ChunkHandle, Recovered>;
  readonly removed: ReadonlySet<ChunkHandle>;
  /** Changed by the journal, but what they were before is not known. */
  readonly incomplete: ReadonlySet<ChunkHandle>;
  readonly lastChange: number;
}

export class Replayer {
  readonly #cache: ChunkCache;
  readonly #chunks = new Map<ChunkHandle, Recovered>();
  readonly #removed = new Set<ChunkHandle>();
  readonly #incomplete = new Set<ChunkHandle>();
  #lastChange = 0;

  constructor(cache: ChunkCache) {
    this.#cache = cache;
  }

  run(payloads: readonly Replayed[], from: LogPlace | undefined): Replay {
    for (const { payload, place } of payloads) {
      if (from !== undefined && isBefore(place, from)) continue;
      const reader = new ByteReader(payload);
      while (reader.remaining > 0) this.#apply(reader);
    }
    return {
      chunks: this.#chunks,
      removed: this.#removed,
      incomplete: this.#incomplete,
      lastChange: this.#lastChange,
    };
  }

  #apply(reader: ByteReader): void {
    const { change, record } = readJournalRecord(reader);
    this.#lastChange = Math.max(this.#lastChange, change);
    if (record.kind === 'segmentStarted' || this.#has(record.handle, change)) return;
    if (record.kind === 'mutated') this.#mutated(record);
    else if (record.kind === 'replaced') this.#replaced(record);
    else this.#remove(record.handle);
    const recovered = this.#chunks.get(record.handle);
    if (recovered !== undefined) recovered.state.change = change;
  }

  /**
   * The checkpoint already has it: changes went on while it was written. A chunk has at most one record in a batch, or else its records
   * overwrite whole blocks and are committed together.
   */
  #has(handle: ChunkHandle, change: number): boolean {
    const known = this.#chunks.get(handle)?.state ?? this.#cache.get(handle);
    return known !== undefined && !this.#chunks.has(handle) && change <= known.change;
  }

  #mutated(record: MutatedRecord): void {
    const { handle, lengthBefore, lengthAfter, firstBlock } = record;
    if (this.#incomplete.has(handle)) return;
    const recovered = this.#find(handle) ?? (lengthBefore === 0 ? this.#add(record) : undefined);
    if (recovered === undefined) {
      this.#incomplete.add(handle);
      return;
    }
    const { state, redo } = recovered;
    state.reserve(Math.max(blockCount(lengthAfter), blockCount(state.lengthBytes)));
    for (let i = 0; i < record.checksums.length; i++) state.checksums[firstBlock + i] = record.checksums[i]!;
    redo.mutated(record);
    this.#settle(state, record, lengthAfter, state.checksums.slice(0, blockCount(lengthAfter)));
    state.window.add(record.window, record.version);
  }

  #replaced(record: ReplacedRecord): void {
    this.#incomplete.delete(record.handle);
    const { state, redo } = this.#find(record.handle) ?? this.#add(record);
    const lengthBefore = state.lengthBytes;
    this.#settle(state, record, record.lengthBytes, record.checksums.slice());
    state.window.replace(record.window, record.version);
    redo.replaced(record, lengthBefore);
  }

  #remove(handle: ChunkHandle): void {
    const recovered = this.#find(handle);
    if (recovered !== undefined) this.#cache.remove(recovered.state);
    this.#chunks.delete(handle);
    this.#incomplete.delete(handle);
    this.#removed.add(handle);
  }

  #settle(
    state: ChunkState,
    record: MutatedRecord | ReplacedRecord,
    lengthBytes: number,
    checksums: Uint32Array<ArrayBuffer>,
  ): void {
    const grown = lengthBytes - state.lengthBytes;
    state.version = record.version;
    state.serial = record.serial;
    state.settle(lengthBytes, checksums);
    this.#cache.changed(state, grown);
  }

  #find(handle: ChunkHandle): Recovered | undefined {
    const known = this.#chunks.get(handle);
    if (known !== undefined) return known;
    const state = this.#cache.get(handle);
    return state === undefined ? undefined : this.#keep(state);
  }

  #add(record: MutatedRecord | ReplacedRecord): Recovered {
    const { handle, version, serial } = record;
    return this.#keep(this.#cache.add({ handle, version, serial, lengthBytes: 0 }));
  }

  #keep(state: ChunkState): Recovered {
    const recovered = { state, redo: new Redo() };
    this.#chunks.set(state.handle, recovered);
    return recovered;
  }
}

function isBefore(place: LogPlace, other: LogPlace): boolean {
  return place.segment < other.segment || (place.segment === other.segment && place.offset < other.offset);
}
