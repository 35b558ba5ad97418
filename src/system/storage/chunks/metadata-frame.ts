/** Frames of the metadata log: a header with its own checksum, so that damage to a payload costs one chunk, not the framing. */
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../../core/base/brand.ts';
import { toChunkHandle, toChunkVersion, toMutationSerial } from '../../../core/base/brand.ts';
import { ByteReader, type ByteWriter } from '../../../core/base/bytes.ts';
import type { Crc32 } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { WindowEntry } from '../chunk-store.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import { type ContentSums, readSums, writeBody } from './journal-record.ts';
import type { Slot } from './slabs.ts';

export const metadataFormatVersion = 2;
/** `CAIRNCM` and a zero byte. */
const segmentMagic = [0x43, 0x41, 0x49, 0x52, 0x4e, 0x43, 0x4d, 0x00];
export const segmentHeaderBytes = 24;
export const frameHeaderBytes = 24;

export const frameKinds = { chunk: 1, removed: 2, committed: 3 } as const;

export interface FrameHeader {
  readonly payloadBytes: number;
  readonly kind: number;
  /** 0 in a `committed` frame. */
  readonly handle: number;
  readonly payloadChecksum: number;
}

export interface ChunkRecord extends ContentSums {
  /** As it was written: it may be long, and few ask for it. */
  readonly window: Uint8Array;
  readonly change: number;
  /** Where a small chunk lives; the others have a file of their own, or nothing yet. */
  readonly slot: Slot | undefined;
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
}

/** Ends a batch: what comes before it in the log is true together with the journal from `journal` on. */
export interface Committed {
  readonly journal: LogPlace;
  /** The oldest segment of the metadata log that still counts. */
  readonly oldestSegment: number;
  /** The last batch of the journal when the checkpoint began to be written. */
  readonly change: number;
}

export function writeSegmentHeader(w: ByteWriter, segment: number, crc32: Crc32): void {
  const start = w.length;
  for (const byte of segmentMagic) w.u8(byte);
  w.u32(metadataFormatVersion);
  w.u53(segment);
  w.u32(crc32(w.view().subarray(start)));
}

/** @returns why the header cannot be believed. @throws CairnError WRONG_FORMAT for another format version. */
export function checkSegmentHeader(bytes: Uint8Array, segment: number, path: string, crc32: Crc32): string | undefined {
  if (bytes.length < segmentHeaderBytes) return 'it ends within its header';
  const r = new ByteReader(bytes.subarray(0, segmentHeaderBytes));
  for (const byte of segmentMagic) if (r.u8() !== byte) return 'it does not begin as a metadata segment';
  const formatVersion = r.u32();
  const number = r.raw(8);
  if (r.u32() !== crc32(bytes.subarray(0, segmentHeaderBytes - 4))) return 'its header fails its checksum';
  if (formatVersion !== metadataFormatVersion) {
    throw new CairnError(
      'WRONG_FORMAT',
      `${path} has format ${formatVersion}, this program reads ${metadataFormatVersion}; start it with the version that wrote it`,
    );
  }
  return new ByteReader(number).u53() === segment ? undefined : 'its header names another segment';
}

/** Writes a frame around what `payload` writes; returns its bytes, header included. */
export function writeFrame(w: ByteWriter, kind: number, handle: number, crc32: Crc32, payload: () => void): number {
  const start = w.length;
  w.u32(0);
  w.u32(kind);
  w.u53(handle);
  w.u32(0);
  w.u32(0);
  payload();
  const bytes = w.length - start;
  w.patchU32(start, bytes - frameHeaderBytes);
  w.patchU32(start + 16, crc32(w.view().subarray(start + frameHeaderBytes)));
  w.patchU32(start + 20, crc32(w.view().subarray(start, start + 20)));
  return bytes;
}

/** In place of a chunk's record, so long, whose header is damaged: the frames behind it are found, and it is believed no more than that. */
export function writeUnsoundFrame(w: ByteWriter, handle: number, bytes: number, crc32: Crc32): void {
  const start = w.length;
  const payload = new Uint8Array(bytes - frameHeaderBytes);
  writeFrame(w, frameKinds.chunk, handle, crc32, () => w.raw(payload));
  w.patchU32(start + 16, ~crc32(payload) >>> 0);
  w.patchU32(start + 20, crc32(w.view().subarray(start, start + 20)));
}

/** The header at `at`; undefined when there is none to believe. */
export function readFrameHeader(bytes: Uint8Array, at: number, crc32: Crc32): FrameHeader | undefined {
  if (at + frameHeaderBytes > bytes.length) return undefined;
  const r = new ByteReader(bytes.subarray(at, at + frameHeaderBytes));
  const payloadBytes = r.u32();
  const kind = r.u32();
  const handleBytes = r.raw(8);
  const payloadChecksum = r.u32();
  if (r.u32() !== crc32(bytes.subarray(at, at + 20))) return undefined;
  return { payloadBytes, kind, handle: new ByteReader(handleBytes).u53(), payloadChecksum };
}

export function writeChunkPayload(
  w: ByteWriter,
  chunk: Omit<ChunkRecord, 'handle' | 'checksums' | 'window'>,
  checksums: Uint32Array,
  window: readonly WindowEntry[],
): void {
  w.varint(chunk.version);
  w.varint(chunk.serial);
  w.varint(chunk.change);
  w.varint(chunk.slot?.slab ?? 0);
  if (chunk.slot !== undefined) w.varint(chunk.slot.index);
  writeBody(w, chunk.lengthBytes, checksums, window);
}

/** Only what the table keeps: cheap, for the scan at start. */
export function readChunkSummary(handle: number, payload: Uint8Array) {
  const r = new ByteReader(payload);
  const version = toChunkVersion(r.varint());
  const serial = toMutationSerial(r.varint());
  r.varint();
  const slot = readSlot(r);
  return { info: { handle: toChunkHandle(handle), version, serial, lengthBytes: r.varint() }, slot };
}

function readSlot(r: ByteReader): Slot | undefined {
  const slab = r.varint();
  return slab === 0 ? undefined : { slab, index: r.varint() };
}

export function readChunkPayload(handle: ChunkHandle, payload: Uint8Array): ChunkRecord {
  const r = new ByteReader(payload);
  const version = toChunkVersion(r.varint());
  const serial = toMutationSerial(r.varint());
  const change = r.varint();
  const slot = readSlot(r);
  const sums = readSums(r);
  return { handle, version, serial, change, slot, ...sums, window: r.raw(r.remaining).slice() };
}

export function writeCommitted(w: ByteWriter, committed: Committed): void {
  w.u53(committed.journal.segment);
  w.u53(committed.journal.offset);
  w.u53(committed.oldestSegment);
  w.u53(committed.change);
}

export function readCommitted(payload: Uint8Array): Committed {
  const r = new ByteReader(payload);
  const journal = { segment: r.u53(), offset: r.u53() };
  const oldestSegment = r.u53();
  const change = r.u53();
  r.end();
  return { journal, oldestSegment, change };
}
