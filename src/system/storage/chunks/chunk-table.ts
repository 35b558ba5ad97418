/**
 * One row for each chunk of the server, off the heap: what an inventory asks for, and where the whole metadata lies. A
 * million chunks take some 80 MB. Open addressing with linear probing; a removed row is closed up, so no tombstones pile up.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../../core/base/brand.ts';
import type { ChunkInfo } from '../chunk-store.ts';
import type { Slot } from './slabs.ts';

/** Where a chunk's metadata record lies in the metadata log. */
export interface RecordPlace {
  readonly segment: number;
  readonly offset: number;
  readonly bytes: number;
}

interface Columns {
  /** 0: the row is free. */
  readonly handles: Float64Array;
  readonly versions: Float64Array;
  readonly serials: Float64Array;
  readonly lengths: Float64Array;
  /** 0: there is no record yet. */
  readonly segments: Uint32Array;
  readonly offsets: Uint32Array;
  readonly recordBytes: Uint32Array;
  /** 0: the record names no slot. */
  readonly slabs: Uint32Array;
  readonly slots: Uint16Array;
  readonly marks: Uint8Array;
}

const initialRows = 1024;
const maxLoad = 0.7;

export class ChunkTable {
  #rows = initialRows;
  #columns = makeColumns(initialRows);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(handle: ChunkHandle): boolean {
    return this.#find(handle) >= 0;
  }

  info(handle: ChunkHandle): ChunkInfo | undefined {
    const row = this.#find(handle);
    if (row < 0) return undefined;
    const { versions, serials, lengths } = this.#columns;
    return {
      handle: asSmall(handle) as ChunkHandle,
      version: asSmall(versions[row]!) as ChunkVersion,
      lengthBytes: asSmall(lengths[row]!),
      serial: asSmall(serials[row]!) as MutationSerial,
    };
  }

  place(handle: ChunkHandle): RecordPlace | undefined {
    const row = this.#find(handle);
    if (row < 0) return undefined;
    const { segments, offsets, recordBytes } = this.#columns;
    const segment = segments[row]!;
    return segment === 0 ? undefined : { segment, offset: offsets[row]!, bytes: recordBytes[row]! };
  }

  /** The one that the record names. */
  slot(handle: ChunkHandle): Slot | undefined {
    const row = this.#find(handle);
    const slab = row < 0 ? 0 : this.#columns.slabs[row]!;
    return slab === 0 ? undefined : { slab, index: this.#columns.slots[row]! };
  }

  /** Makes the row or overwrites it; the record that it has stays. */
  put(info: ChunkInfo): void {
    this.#rowOf(info);
  }

  /** The same, and this is its record now. @returns the bytes of the one before; 0: there was none */
  putRecord(info: ChunkInfo, place: RecordPlace, slot: Slot | undefined): number {
    const row = this.#rowOf(info);
    const { segments, offsets, recordBytes, slabs, slots } = this.#columns;
    const before = segments[row] === 0 ? 0 : recordBytes[row]!;
    segments[row] = place.segment;
    offsets[row] = place.offset;
    recordBytes[row] = place.bytes;
    slabs[row] = slot?.slab ?? 0;
    slots[row] = slot?.index ?? 0;
    return before;
  }

  /** The record has been written again elsewhere. */
  move(handle: ChunkHandle, place: RecordPlace): void {
    const row = this.#find(handle);
    if (row < 0) return;
    const { segments, offsets, recordBytes } = this.#columns;
    segments[row] = place.segment;
    offsets[row] = place.offset;
    recordBytes[row] = place.bytes;
  }

  delete(handle: ChunkHandle): void {
    let hole = this.#find(handle);
    if (hole < 0) return;
    this.#size--;
    const { handles } = this.#columns;
    const mask = this.#rows - 1;
    for (let next = (hole + 1) & mask; handles[next] !== 0; next = (next + 1) & mask) {
      const home = this.#home(handles[next]!);
      // The row may move back into the hole unless its home lies behind the hole.
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      copyRow(this.#columns, next, this.#columns, hole);
      hole = next;
    }
    clearRow(this.#columns, hole);
  }

  /** A mark for one pass over the table (the scan at start). */
  mark(handle: ChunkHandle): void {
    const row = this.#find(handle);
    if (row >= 0) this.#columns.marks[row] = 1;
  }

  isMarked(handle: ChunkHandle): boolean {
    const row = this.#find(handle);
    return row >= 0 && this.#columns.marks[row] === 1;
  }

  /** All handles, in no order. */
  handles(): Float64Array {
    const all = new Float64Array(this.#size);
    let at = 0;
    for (const handle of this.#columns.handles) if (handle !== 0) all[at++] = handle;
    return all;
  }

  /** Of the chunks whose records are in this segment, in no order. */
  handlesIn(segment: number): readonly ChunkHandle[] {
    const { handles, segments } = this.#columns;
    const found: ChunkHandle[] = [];
    for (let row = segments.indexOf(segment); row >= 0; row = segments.indexOf(segment, row + 1)) {
      found.push(asSmall(handles[row]!) as ChunkHandle);
    }
    return found;
  }

  /** Of all records. */
  *slots(): Iterable<Slot> {
    const { slabs, slots } = this.#columns;
    for (let row = 0; row < slabs.length; row++) {
      if (slabs[row] !== 0) yield { slab: slabs[row]!, index: slots[row]! };
    }
  }

  #rowOf({ handle, version, serial, lengthBytes }: ChunkInfo): number {
    assert(handle > 0, 'chunk handles begin at 1');
    let row = this.#find(handle);
    if (row < 0) row = this.#claim(handle);
    const { versions, serials, lengths } = this.#columns;
    versions[row] = version;
    serials[row] = serial;
    lengths[row] = lengthBytes;
    return row;
  }

  #home(handle: number): number {
    const low = handle >>> 0;
    const high = (handle / 0x1_0000_0000) >>> 0;
    const mixed = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1);
    return (mixed ^ (mixed >>> 15)) & (this.#rows - 1);
  }

  #find(handle: number): number {
    const { handles } = this.#columns;
    const mask = this.#rows - 1;
    for (let row = this.#home(handle); ; row = (row + 1) & mask) {
      if (handles[row] === handle) return row;
      if (handles[row] === 0) return -1;
    }
  }

  #claim(handle: number): number {
    if (this.#size + 1 > this.#rows * maxLoad) this.#grow();
    const row = this.#freeRow(handle);
    this.#columns.handles[row] = handle;
    this.#size++;
    return row;
  }

  #freeRow(handle: number): number {
    const mask = this.#rows - 1;
    let row = this.#home(handle);
    while (this.#columns.handles[row] !== 0) row = (row + 1) & mask;
    return row;
  }

  #grow(): void {
    const before = this.#columns;
    const rows = this.#rows;
    this.#rows = rows * 2;
    this.#columns = makeColumns(this.#rows);
    const { handles } = before;
    for (let row = 0; row < rows; row++) {
      const handle = handles[row]!;
      if (handle !== 0) copyRow(before, row, this.#columns, this.#freeRow(handle));
    }
  }
}

/**
 * The same number. What comes out of an array of doubles is a double to the engine, and the first one in a field that had small
 * integers only makes it throw away all that it has compiled for such objects.
 */
function asSmall(n: number): number {
  return n <= 0x3fff_ffff ? n | 0 : n;
}

function makeColumns(rows: number): Columns {
  return {
    handles: new Float64Array(rows),
    versions: new Float64Array(rows),
    serials: new Float64Array(rows),
    lengths: new Float64Array(rows),
    segments: new Uint32Array(rows),
    offsets: new Uint32Array(rows),
    recordBytes: new Uint32Array(rows),
    slabs: new Uint32Array(rows),
    slots: new Uint16Array(rows),
    marks: new Uint8Array(rows),
  };
}

function copyRow(from: Columns, source: number, to: Columns, target: number): void {
  to.handles[target] = from.handles[source]!;
  to.versions[target] = from.versions[source]!;
  to.serials[target] = from.serials[source]!;
  to.lengths[target] = from.lengths[source]!;
  to.segments[target] = from.segments[source]!;
  to.offsets[target] = from.offsets[source]!;
  to.recordBytes[target] = from.recordBytes[source]!;
  to.slabs[target] = from.slabs[source]!;
  to.slots[target] = from.slots[source]!;
  to.marks[target] = from.marks[source]!;
}

function clearRow(columns: Columns, row: number): void {
  columns.handles[row] = 0;
  columns.segments[row] = 0;
  columns.slabs[row] = 0;
  columns.marks[row] = 0;
}
