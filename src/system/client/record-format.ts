/**
 * Records that say themselves what they are: a head with writer, sequence and checksums, then the payload. They are appended as any
 * other record (GFS §3.3) and told apart again by whoever reads the file, padding and fragments between them. See docs/formats/records.md.
 */
import type { Crc32 } from '../../core/base/env.ts';

/** 0xCA "REC": no text and no padding begins so. */
export const recordMagic = [0xca, 0x52, 0x45, 0x43] as const;
export const recordHeadBytes = 32;

export interface RecordHead {
  readonly payloadBytes: number;
  /** Random, of one writer for one file. */
  readonly writer: number;
  /** Of this writer, from 1, one more with each record: a repeated one is known by it. */
  readonly sequence: number;
  readonly payloadCrc: number;
}

const offsets = { payloadBytes: 4, writer: 8, sequence: 16, payloadCrc: 24, headCrc: 28 } as const;
const high = 0x1_0000_0000;
const highMax = 0x20_0000;

/** Head and payload in one piece. */
export function encodeRecord(writer: number, sequence: number, payload: Uint8Array, crc32: Crc32): Uint8Array {
  const bytes = new Uint8Array(recordHeadBytes + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set(recordMagic);
  view.setUint32(offsets.payloadBytes, payload.length, true);
  putU53(view, offsets.writer, writer);
  putU53(view, offsets.sequence, sequence);
  view.setUint32(offsets.payloadCrc, crc32(payload), true);
  view.setUint32(offsets.headCrc, crc32(bytes.subarray(0, offsets.headCrc)), true);
  bytes.set(payload, recordHeadBytes);
  return bytes;
}

/** The head that begins at `at`; undefined if none does. There must be recordHeadBytes from there on. */
export function readRecordHead(bytes: Uint8Array, at: number, crc32: Crc32): RecordHead | undefined {
  for (let i = 0; i < recordMagic.length; i++) if (bytes[at + i] !== recordMagic[i]) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, recordHeadBytes);
  if (view.getUint32(offsets.headCrc, true) !== crc32(bytes.subarray(at, at + offsets.headCrc))) return undefined;
  const writer = getU53(view, offsets.writer);
  const sequence = getU53(view, offsets.sequence);
  if (writer === undefined || sequence === undefined) return undefined;
  const payloadBytes = view.getUint32(offsets.payloadBytes, true);
  return { payloadBytes, writer, sequence, payloadCrc: view.getUint32(offsets.payloadCrc, true) };
}

function putU53(view: DataView, at: number, n: number): void {
  view.setUint32(at, n >>> 0, true);
  view.setUint32(at + 4, Math.floor(n / high), true);
}

function getU53(view: DataView, at: number): number | undefined {
  const top = view.getUint32(at + 4, true);
  return top < highMax ? top * high + view.getUint32(at, true) : undefined;
}
