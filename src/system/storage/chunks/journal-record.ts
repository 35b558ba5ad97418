/**
 * What the journal holds: payloads of one or more records. See docs/formats/chunk-files.md for the grammar.
 *
 * A mutation's record carries the checksums of the blocks it touched, as they are afterwards, and a prefix of its data for redo:
 * all of it when it is small or overwrites anything, else what lies in the block that the chunk ended in before.
 */
import {
  type ChunkHandle,
  type ChunkVersion,
  type MutationSerial,
  toChunkHandle,
  toChunkVersion,
  toMutationSerial,
} from '../../../core/base/brand.ts';
import type { ByteReader, ByteWriter } from '../../../core/base/bytes.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { WindowEntry } from '../chunk-store.ts';
import { readWindow, writeWindow } from './append-window.ts';
import { blockCount } from './chunk-state.ts';

const recordTags = { segmentStarted: 1, mutated: 2, replaced: 3, removed: 4 } as const;

export interface MutatedRecord {
  readonly kind: 'mutated';
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly lengthBefore: number;
  readonly lengthAfter: number;
  readonly offset: number;
  readonly dataBytes: number;
  readonly firstBlock: number;
  readonly checksums: ArrayLike<number>;
  readonly window: readonly WindowEntry[];
  /** The first bytes of the data, in parts. */
  readonly redo: readonly Uint8Array[];
  readonly redoBytes: number;
}

export interface ReadRecord {
  readonly change: number;
  readonly record: JournalRecord;
}

export interface BlockData {
  readonly block: number;
  readonly bytes: Uint8Array;
}

/** The whole metadata anew: an adoption. */
export interface ReplacedRecord {
  readonly kind: 'replaced';
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly lengthBytes: number;
  readonly checksums: Uint32Array;
  readonly window: readonly WindowEntry[];
  /** Blocks of the content before that it writes over. */
  readonly redo: readonly BlockData[];
}

export interface RemovedRecord {
  readonly kind: 'removed';
  readonly handle: ChunkHandle;
}

/** First in each segment, so that missing segments are noticed. */
export interface SegmentStartedRecord {
  readonly kind: 'segmentStarted';
  /** 1 for the first segment that this journal ever had, then ascending. */
  readonly ordinal: number;
}

export type JournalRecord = MutatedRecord | ReplacedRecord | RemovedRecord | SegmentStartedRecord;

/**
 * @param change the number of the batch, ascending: what a chunk's metadata already has of the journal is told by it.
 */
export function writeJournalRecord(w: ByteWriter, record: JournalRecord, change: number): void {
  w.u8(recordTags[record.kind]);
  w.varint(change);
  if (record.kind === 'segmentStarted') {
    w.varint(record.ordinal);
    return;
  }
  w.varint(record.handle);
  if (record.kind === 'removed') return;
  w.varint(record.version);
  w.varint(record.serial);
  if (record.kind === 'mutated') writeMutated(w, record);
  else writeReplaced(w, record);
}

function writeReplaced(w: ByteWriter, record: ReplacedRecord): void {
  writeBody(w, record.lengthBytes, record.checksums, record.window);
  w.varint(record.redo.length);
  for (const { block, bytes } of record.redo) {
    w.varint(block);
    w.blob(bytes);
  }
}

function writeMutated(w: ByteWriter, record: MutatedRecord): void {
  w.varint(record.lengthBefore);
  w.varint(record.lengthAfter);
  w.varint(record.offset);
  w.varint(record.dataBytes);
  w.varint(record.firstBlock);
  w.varint(record.checksums.length);
  for (let i = 0; i < record.checksums.length; i++) w.u32(record.checksums[i]!);
  writeWindow(w, record.window);
  w.varint(record.redoBytes);
  let left = record.redoBytes;
  for (const part of record.redo) {
    if (left <= 0) break;
    w.raw(part.length <= left ? part : part.subarray(0, left));
    left -= part.length;
  }
}

/** Length, one checksum per block, window: also the heart of a metadata record. */
export function writeBody(
  w: ByteWriter,
  lengthBytes: number,
  checksums: Uint32Array,
  window: readonly WindowEntry[],
): void {
  w.varint(lengthBytes);
  for (let i = 0; i < checksums.length; i++) w.u32(checksums[i]!);
  writeWindow(w, window);
}

/** @throws CairnError PROTOCOL when it is none of ours; redo data are views of what `r` reads. */
export function readJournalRecord(r: ByteReader): ReadRecord {
  const tag = r.u8();
  const change = r.varint();
  return { change, record: readRecord(r, tag) };
}

function readRecord(r: ByteReader, tag: number): JournalRecord {
  if (tag === recordTags.segmentStarted) return { kind: 'segmentStarted', ordinal: r.varint() };
  const handle = toChunkHandle(r.varint());
  if (tag === recordTags.removed) return { kind: 'removed', handle };
  if (tag !== recordTags.mutated && tag !== recordTags.replaced) {
    throw new CairnError('PROTOCOL', `a journal record has the unknown tag ${tag}`);
  }
  const version = toChunkVersion(r.varint());
  const serial = toMutationSerial(r.varint());
  if (tag === recordTags.replaced) {
    return { kind: 'replaced', handle, version, serial, ...readSums(r), window: readWindow(r), redo: readBlocks(r) };
  }
  return readMutated(r, handle, version, serial);
}

function readMutated(r: ByteReader, handle: ChunkHandle, version: ChunkVersion, serial: MutationSerial): MutatedRecord {
  const lengthBefore = r.varint();
  const lengthAfter = r.varint();
  const offset = r.varint();
  const dataBytes = r.varint();
  const firstBlock = r.varint();
  const checksums = readChecksums(r, r.varint());
  const window = readWindow(r);
  const redoBytes = r.varint();
  const redo = redoBytes === 0 ? [] : [r.raw(redoBytes)];
  const place = { lengthBefore, lengthAfter, offset, dataBytes, firstBlock };
  return { kind: 'mutated', handle, version, serial, ...place, checksums, window, redo, redoBytes };
}

function readBlocks(r: ByteReader): BlockData[] {
  const count = r.varint();
  const blocks: BlockData[] = [];
  for (let i = 0; i < count; i++) blocks.push({ block: r.varint(), bytes: r.blob() });
  return blocks;
}

export interface ContentSums {
  readonly lengthBytes: number;
  readonly checksums: Uint32Array<ArrayBuffer>;
}

/** A body up to its window. */
export function readSums(r: ByteReader): ContentSums {
  const lengthBytes = r.varint();
  return { lengthBytes, checksums: readChecksums(r, blockCount(lengthBytes)) };
}

function readChecksums(r: ByteReader, count: number): Uint32Array<ArrayBuffer> {
  if (count * 4 > r.remaining) throw new CairnError('PROTOCOL', `a record promises ${count} checksums and ends before`);
  const checksums = new Uint32Array(count);
  for (let i = 0; i < count; i++) checksums[i] = r.u32();
  return checksums;
}
