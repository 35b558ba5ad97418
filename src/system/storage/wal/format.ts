/**
 * The bytes of the write-ahead log: segment headers, record heads, the check that ties a record to its place.
 * Grammar and a worked example: docs/formats/write-ahead-log.md.
 */
import { assert } from '../../../core/base/assert.ts';
import type { Crc32 } from '../../../core/base/env.ts';

export const formatVersion = 1;
/** ASCII "CAIRNLOG". */
const magic = [0x43, 0x41, 0x49, 0x52, 0x4e, 0x4c, 0x4f, 0x47] as const;

export const segmentHeaderBytes = 64;
const headerChecksumAt = 60;
/** length, synced, checksum of the payload, check of the head. */
export const recordHeadBytes = 16;
/** The first record of each segment: where the one before ends, where the preamble of this one ends. */
export const linkPayloadBytes = 8;
const linkRecordBytes = recordHeadBytes + linkPayloadBytes;
/** Where the first record after the link lies. */
export const firstRecordOffset = segmentHeaderBytes + linkRecordBytes;
/** A single payload holds 1 … `recordMaxBytes` bytes. */
export const recordMaxBytes = 256 * 1024 * 1024;
const wordBytes = 4;

export function segmentName(segment: number): string {
  return `${String(segment).padStart(16, '0')}.wal`;
}

/** The segment that a file name stands for; undefined for other files. */
export function segmentOfName(name: string): number | undefined {
  return /^[0-9]{16}\.wal$/.test(name) ? Number(name.slice(0, 16)) : undefined;
}

/** What a payload of `lengthBytes` takes in the log: head, payload, padding to a multiple of four. */
export function recordBytes(lengthBytes: number): number {
  return recordHeadBytes + ((lengthBytes + wordBytes - 1) & -wordBytes);
}

export interface SegmentHeader {
  readonly formatVersion: number;
  readonly segment: number;
  /** Drawn when the log is made; the same in all its segments, so that records of another log do not pass. */
  readonly logId: number;
}

export function encodeSegmentHeader(segment: number, logId: number, crc32: Crc32): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint32(8, formatVersion, true);
  setU53(view, 16, segment);
  setU53(view, 24, logId);
  view.setUint32(headerChecksumAt, crc32(bytes.subarray(0, headerChecksumAt)), true);
  return bytes;
}

/** Undefined when it is not a sound header of any format version (the checksum keeps its place in all of them). */
export function decodeSegmentHeader(bytes: Uint8Array, crc32: Crc32): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, segmentHeaderBytes);
  if (magic.some((byte, i) => bytes[i] !== byte)) return undefined;
  if (view.getUint32(headerChecksumAt, true) !== crc32(bytes.subarray(0, headerChecksumAt))) return undefined;
  return { formatVersion: view.getUint32(8, true), segment: getU53(view, 16), logId: getU53(view, 24) };
}

function setU53(view: DataView, at: number, n: number): void {
  assert(Number.isSafeInteger(n) && n >= 0, 'a u53 is a safe integer ≥ 0', { n });
  view.setUint32(at, n >>> 0, true);
  view.setUint32(at + 4, Math.floor(n / 0x1_0000_0000), true);
}

function getU53(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

// ------------------------------------------------------------- the check of a head

/** One word into a 32-bit hash (MurmurHash3's step): a change of any one word always changes the result. */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** What the heads of all records of a segment begin their check with. */
export function segmentSeed(segment: number, logId: number): number {
  let h = mix(0, logId | 0);
  h = mix(h, (logId / 0x1_0000_0000) | 0);
  h = mix(h, segment | 0);
  return mix(h, (segment / 0x1_0000_0000) | 0);
}

/** Ties a head to its log, segment and offset, so that stale and misdirected records never pass. Never 0: zeros are no record. */
function headCheck(seed: number, offset: number, length: number, synced: number, checksum: number): number {
  return finish(mix(mix(mix(mix(seed, offset), length), synced), checksum)) || 1;
}

/** Fills in what of a head was not known before its turn to be written came. */
export function stampHead(view: DataView, at: number, seed: number, offset: number, synced: number): void {
  const check = headCheck(seed, offset, view.getUint32(at, true), synced, view.getUint32(at + 8, true));
  view.setUint32(at + 4, synced, true);
  view.setUint32(at + 12, check, true);
}

// ------------------------------------------------------------- reading one segment

/** One segment in memory, with what is needed to tell its records from everything else. */
export class SegmentImage {
  readonly segment: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #seed: number;
  readonly #crc32: Crc32;

  constructor(bytes: Uint8Array, segment: number, logId: number, crc32: Crc32) {
    this.bytes = bytes;
    this.segment = segment;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#seed = segmentSeed(segment, logId);
    this.#crc32 = crc32;
  }

  /** The length of the payload at `offset` if a whole, sound record lies there (0: a mark), else undefined. */
  recordAt(offset: number): number | undefined {
    if (!this.#headAt(offset)) return undefined;
    const length = this.#view.getUint32(offset, true);
    const end = offset + recordBytes(length);
    if (end > this.bytes.length) return undefined;
    for (let i = offset + recordHeadBytes + length; i < end; i++) if (this.bytes[i] !== 0) return undefined;
    return this.#crc32(this.payloadAt(offset, length)) === this.#view.getUint32(offset + 8, true) ? length : undefined;
  }

  payloadAt(offset: number, length: number): Uint8Array {
    return this.bytes.subarray(offset + recordHeadBytes, offset + recordHeadBytes + length);
  }

  link(): { readonly previousEnd: number; readonly preambleEnd: number } | undefined {
    if (this.recordAt(segmentHeaderBytes) !== linkPayloadBytes) return undefined;
    const at = segmentHeaderBytes + recordHeadBytes;
    return { previousEnd: this.#view.getUint32(at, true), preambleEnd: this.#view.getUint32(at + 4, true) };
  }

  /** Where the sound records end that the segment begins with, and up to where their heads say that it was durable. */
  soundPart(): { readonly end: number; readonly durableEnd: number } {
    let end = segmentHeaderBytes;
    let durableEnd = segmentHeaderBytes;
    for (;;) {
      const length = this.recordAt(end);
      if (length === undefined) return { end, durableEnd };
      durableEnd = Math.max(durableEnd, this.#view.getUint32(end + 4, true));
      end += recordBytes(length);
    }
  }

  /**
   * What lies behind `end`, where no sound record is: whether a head there proves that the bytes at `end` had been durable
   * (then they are damaged, not torn), and where the last head ends that would pass if new records led up to it.
   */
  behind(end: number): { readonly proof: number | undefined; readonly leftoverEnd: number } {
    let proof: number | undefined;
    let leftoverEnd = end;
    const last = this.bytes.length - recordHeadBytes;
    for (let offset = end; offset <= last; offset += wordBytes) {
      if (this.#view.getUint32(offset + 12, true) === 0 || !this.#headAt(offset)) continue;
      leftoverEnd = offset + recordHeadBytes;
      if (proof === undefined && this.#view.getUint32(offset + 4, true) > end) proof = offset;
    }
    return { proof, leftoverEnd };
  }

  #headAt(offset: number): boolean {
    if (offset + recordHeadBytes > this.bytes.length) return false;
    const length = this.#view.getUint32(offset, true);
    const synced = this.#view.getUint32(offset + 4, true);
    if (length > recordMaxBytes || synced > offset) return false;
    const check = headCheck(this.#seed, offset, length, synced, this.#view.getUint32(offset + 8, true));
    return check === this.#view.getUint32(offset + 12, true);
  }
}
