/**
 * Reading one segment of the metadata log: batches of frames, each ended by a `committed` frame. A server has a million frames, so
 * they are walked with a cursor and not kept.
 */
import type { Crc32 } from '../../../core/base/env.ts';
import {
  type Committed,
  checkSegmentHeader,
  frameHeaderBytes,
  frameKinds,
  readCommitted,
  segmentHeaderBytes,
} from './metadata-frame.ts';

export interface Batch {
  /** [start, end) within the segment. */
  readonly start: number;
  readonly end: number;
  readonly committed: Committed;
  /** Every frame's payload has its checksum. */
  readonly isSound: boolean;
}

/** The frame that a cursor stands on; valid until the cursor moves. */
export interface Frame {
  /** Of its header within the segment. */
  readonly offset: number;
  readonly kind: number;
  readonly handle: number;
  /** Header included. */
  readonly bytes: number;
  readonly isSound: boolean;
  payload(): Uint8Array;
}

export class SegmentContent {
  readonly batches: readonly Batch[];
  /** Why the segment does not end with its last batch; undefined when it does. */
  readonly broken: string | undefined;
  readonly #bytes: Uint8Array;
  readonly #crc32: Crc32;

  /** @throws CairnError WRONG_FORMAT */
  constructor(bytes: Uint8Array, segment: number, path: string, crc32: Crc32) {
    this.#bytes = bytes;
    this.#crc32 = crc32;
    const badHeader = checkSegmentHeader(bytes, segment, path, crc32);
    const batches: Batch[] = [];
    this.batches = batches;
    this.broken = badHeader ?? this.#findBatches(batches);
  }

  *frames(batch: Batch): Generator<Frame> {
    const cursor = new Cursor(this.#bytes, this.#crc32);
    for (let at = batch.start; at < batch.end; at += cursor.bytes) {
      cursor.moveTo(at);
      if (cursor.kind !== frameKinds.committed) yield cursor;
    }
  }

  #findBatches(batches: Batch[]): string | undefined {
    const cursor = new Cursor(this.#bytes, this.#crc32);
    let start = segmentHeaderBytes;
    let isSound = true;
    for (let at = start; at < this.#bytes.length; at += cursor.bytes) {
      if (!cursor.moveTo(at)) return `there is no frame at ${at}`;
      if (cursor.kind !== frameKinds.committed) {
        isSound &&= cursor.isSound;
        continue;
      }
      if (!cursor.isSound) return `the frame that ends a batch at ${at} fails its checksum`;
      const end = at + cursor.bytes;
      batches.push({ start, end, committed: readCommitted(cursor.payload()), isSound });
      start = end;
      isSound = true;
    }
    return start === this.#bytes.length ? undefined : 'its last batch does not end';
  }
}

class Cursor implements Frame {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #crc32: Crc32;
  offset = 0;
  kind = 0;
  handle = 0;
  bytes = 0;
  isSound = false;

  constructor(bytes: Uint8Array, crc32: Crc32) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#crc32 = crc32;
  }

  /** @returns false when there is no frame to believe. */
  moveTo(at: number): boolean {
    const view = this.#view;
    if (at + frameHeaderBytes > this.#bytes.length) return false;
    if (view.getUint32(at + 20, true) !== this.#crc32(this.#bytes.subarray(at, at + 20))) return false;
    this.offset = at;
    this.bytes = frameHeaderBytes + view.getUint32(at, true);
    if (at + this.bytes > this.#bytes.length) return false;
    this.kind = view.getUint32(at + 4, true);
    this.handle = view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 0x1_0000_0000;
    this.isSound = view.getUint32(at + 16, true) === this.#crc32(this.payload());
    return true;
  }

  payload(): Uint8Array {
    return this.#bytes.subarray(this.offset + frameHeaderBytes, this.offset + this.bytes);
  }
}
