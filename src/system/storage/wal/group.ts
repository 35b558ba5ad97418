/** Records that are written with one write: laid one after another while the group before is still on its way to the disk. */
import { assert } from '../../../core/base/assert.ts';
import type { Crc32 } from '../../../core/base/env.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import { linkPayloadBytes, recordBytes, recordHeadBytes, stampHead } from './format.ts';

export interface Waiter {
  readonly place: LogPlace;
  readonly resolve: (place: LogPlace) => void;
  readonly reject: (cause: unknown) => void;
}

const initialBytes = 64 * 1024;
/** A buffer that grew beyond this is left to the collector instead of being used again. */
const reusableMaxBytes = 8 * 1024 * 1024;
const spareBuffersMax = 3;

/** Buffers of written groups, to be filled again. */
export class BufferPool {
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  take(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(initialBytes);
  }

  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (this.#spare.length < spareBuffersMax && buffer.length <= reusableMaxBytes) this.#spare.push(buffer);
  }
}

export class Group {
  readonly segment: number;
  /** Where in the segment it begins. */
  readonly offset: number;
  /** It is the first of its segment: begins with the link and the preamble. */
  readonly opensSegment: boolean;
  readonly waiters: Waiter[] = [];
  /** The bytes of this group and of all before it in the log must be durable before the waiters learn of it. */
  sync = false;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  constructor(segment: number, offset: number, opensSegment: boolean, buffer: Uint8Array<ArrayBuffer>) {
    this.segment = segment;
    this.offset = offset;
    this.opensSegment = opensSegment;
    this.#bytes = buffer;
    this.#view = new DataView(buffer.buffer);
  }

  get length(): number {
    return this.#length;
  }
  get end(): number {
    return this.offset + this.#length;
  }
  get buffer(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Lays a record, all but what `stamp` fills in. An empty payload makes a mark. */
  add(payload: Uint8Array, crc32: Crc32): void {
    const at = this.#length;
    const end = at + recordBytes(payload.length);
    if (end > this.#bytes.length) this.#grow(end);
    this.#view.setUint32(at, payload.length, true);
    this.#view.setUint32(at + 8, crc32(payload), true);
    this.#bytes.set(payload, at + recordHeadBytes);
    const payloadEnd = at + recordHeadBytes + payload.length;
    if (payloadEnd < end) this.#bytes.fill(0, payloadEnd, end);
    this.#length = end;
  }

  /** The link record; `preambleEnd` is an offset in this segment, `previousEnd` one in the segment before. */
  addLink(previousEnd: number, preambleEnd: number, crc32: Crc32): void {
    assert(this.opensSegment && this.#length === 0, 'a link is the first record of its segment');
    const payload = new Uint8Array(linkPayloadBytes);
    const view = new DataView(payload.buffer);
    view.setUint32(0, previousEnd, true);
    view.setUint32(4, preambleEnd, true);
    this.add(payload, crc32);
  }

  /** Completes all heads: `synced` is the offset in this segment before which everything is durable now. */
  stamp(seed: number, synced: number): void {
    let at = 0;
    while (at < this.#length) {
      stampHead(this.#view, at, seed, this.offset + at, synced);
      at += recordBytes(this.#view.getUint32(at, true));
    }
  }

  #grow(need: number): void {
    const bytes = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
