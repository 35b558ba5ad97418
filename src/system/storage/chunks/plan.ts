/**
 * What a run does to a chunk: the bytes to write, the checksums afterwards, what the journal needs to do it again.
 *
 * An append (nothing of the chunk is written over) changes the plan of the state in place, continuing the checksum of the
 * block that the chunk ends in, so nothing is read again. An overwrite reads and verifies the blocks it touches in part.
 */
import { assert } from '../../../core/base/assert.ts';
import type { Crc32 } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { blockBytes } from '../chunk-store.ts';
import type { ChunkBytes } from './chunk-files.ts';
import { blockCount, blockOf, type ChunkState } from './chunk-state.ts';
import type { MutatedRecord } from './journal-record.ts';
import type { Run } from './run.ts';

/** Up to here a write's data goes to the journal with it. */
export const smallBytes = 64 * 1024;

export interface Plan {
  readonly state: ChunkState;
  readonly run: Run;
  readonly isOverwrite: boolean;
  /** Of the data; a run without data writes at the chunk's end. */
  readonly offset: number;
  readonly lengthBefore: number;
  readonly lengthAfter: number;
  readonly firstBlock: number;
  /** Of the touched blocks, as they are afterwards. */
  readonly checksums: Uint32Array;
  readonly redoBytes: number;
  /** To put the plan of the state back if the write fails. */
  readonly checksumBefore: number;
}

export const zeros = new Uint8Array(blockBytes);

export function planAppend(state: ChunkState, run: Run, crc32: Crc32): Plan {
  const lengthBefore = state.plannedLength;
  const firstBlock = blockOf(lengthBefore);
  const offset = run.dataBytes === 0 ? lengthBefore : run.offset;
  const lengthAfter = Math.max(offset + run.dataBytes, run.lengthBytes);
  assert(offset >= lengthBefore, 'an append begins at the end or beyond', { offset, lengthBefore });
  state.reserve(blockCount(lengthAfter));
  const checksumBefore = state.checksums[firstBlock] ?? 0;
  extendByZeros(state, offset, crc32);
  for (const [i, part] of run.parts.entries()) extend(state, part, crc32, run.partChecksums[i]);
  extendByZeros(state, lengthAfter, crc32);
  const checksums = state.checksums.slice(firstBlock, blockCount(state.plannedLength));
  const redoBytes = redoOfAppend(lengthBefore, offset, run.dataBytes);
  const place = { offset, lengthBefore, lengthAfter: state.plannedLength, firstBlock };
  return { state, run, isOverwrite: false, ...place, checksums, redoBytes, checksumBefore };
}

/** Bulk data is not journalled, save what shares a block with what was there before: that block must survive its loss. */
function redoOfAppend(lengthBefore: number, offset: number, dataBytes: number): number {
  if (dataBytes <= smallBytes) return dataBytes;
  if (lengthBefore % blockBytes === 0) return 0;
  const edgeEnd = blockCount(lengthBefore) * blockBytes;
  return Math.max(0, Math.min(dataBytes, edgeEnd - offset));
}

export function undoAppend(plan: Plan): void {
  const { state, firstBlock } = plan;
  state.plannedLength = plan.lengthBefore;
  if (firstBlock < state.checksums.length) state.checksums[firstBlock] = plan.checksumBefore;
}

/** @param known the checksums of the blocks of `bytes`, from its first byte. */
function extend(state: ChunkState, bytes: Uint8Array, crc32: Crc32, known?: ArrayLike<number>): void {
  if (known !== undefined && state.plannedLength % blockBytes === 0) {
    assert(known.length === blockCount(bytes.length), 'each block has a checksum', { blocks: known.length });
    const first = blockOf(state.plannedLength);
    for (let i = 0; i < known.length; i++) state.checksums[first + i] = known[i]!;
    state.plannedLength += bytes.length;
    return;
  }
  let done = 0;
  while (done < bytes.length) {
    const at = state.plannedLength;
    const inBlock = at % blockBytes;
    const count = Math.min(blockBytes - inBlock, bytes.length - done);
    const piece = count === bytes.length ? bytes : bytes.subarray(done, done + count);
    const block = blockOf(at);
    state.checksums[block] = crc32(piece, inBlock === 0 ? 0 : state.checksums[block]!);
    state.plannedLength = at + count;
    done += count;
  }
}

/** Whole blocks of zeros are all alike: of a gap of a gigabyte one is summed up, not in one turn all of it. */
function extendByZeros(state: ChunkState, to: number, crc32: Crc32): void {
  let ofWhole: readonly [number] | undefined;
  while (state.plannedLength < to) {
    const room = blockBytes - (state.plannedLength % blockBytes);
    const bytes = Math.min(room, to - state.plannedLength);
    if (bytes === blockBytes) ofWhole ??= [crc32(zeros)];
    extend(state, zeros.subarray(0, bytes), crc32, bytes === blockBytes ? ofWhole : undefined);
  }
}

export function lengthAfterOverwrite(state: ChunkState, run: Run): number {
  return Math.max(state.lengthBytes, run.offset + run.dataBytes, run.lengthBytes);
}

/** The state must be settled. @throws CairnError DISK_CORRUPT when a block of which something must stay cannot be believed. */
export function planOverwrite(state: ChunkState, run: Run, file: ChunkBytes, crc32: Crc32): Plan {
  const lengthBefore = state.lengthBytes;
  const end = run.offset + run.dataBytes;
  const lengthAfter = lengthAfterOverwrite(state, run);
  const firstBlock = blockOf(run.offset);
  const touchedEnd = lengthAfter > lengthBefore ? lengthAfter : end;
  const checksums = new Uint32Array(blockCount(touchedEnd) - firstBlock);
  for (let i = 0; i < checksums.length; i++) {
    checksums[i] = checksumAfter(state, run, firstBlock + i, lengthAfter, file, crc32);
  }
  return {
    state,
    run,
    isOverwrite: true,
    offset: run.offset,
    lengthBefore,
    lengthAfter,
    firstBlock,
    checksums,
    redoBytes: run.dataBytes,
    checksumBefore: 0,
  };
}

function checksumAfter(
  state: ChunkState,
  run: Run,
  block: number,
  lengthAfter: number,
  file: ChunkBytes,
  crc32: Crc32,
): number {
  const start = block * blockBytes;
  const stop = Math.min(start + blockBytes, lengthAfter);
  const dataStart = Math.min(Math.max(run.offset, start), stop);
  const dataStop = Math.min(Math.max(run.offset + run.dataBytes, start), stop);
  const oldStop = Math.min(stop, state.lengthBytes);
  const keepsSome = dataStart > start || dataStop < oldStop;
  const old = keepsSome ? readVerified(state, block, file, crc32) : zeros;
  let checksum = crc32(old.subarray(0, dataStart - start));
  checksum = crcOfParts(run.parts, dataStart - run.offset, dataStop - run.offset, checksum, crc32);
  if (dataStop < oldStop) checksum = crc32(old.subarray(dataStop - start, oldStop - start), checksum);
  const paddingStart = Math.max(dataStop, oldStop);
  return paddingStart < stop ? crc32(zeros.subarray(0, stop - paddingStart), checksum) : checksum;
}

export function readVerified(state: ChunkState, block: number, file: ChunkBytes, crc32: Crc32): Uint8Array {
  const bytes = new Uint8Array(state.bytesIn(block));
  const got = state.badBlocks.has(block) ? -1 : file.readNow(block * blockBytes, bytes);
  if (got === bytes.length && crc32(bytes) === state.checksumOf(block)) return bytes;
  throw new BadBlock(state.handle, block);
}

/** DISK_CORRUPT, of a block that was looked at. */
export class BadBlock extends CairnError {
  readonly block: number;
  constructor(handle: number, block: number) {
    super(
      'DISK_CORRUPT',
      `block ${block} of chunk ${handle} fails its checksum; read another replica, the block will be repaired from one`,
    );
    this.block = block;
  }
}

/** The checksum of the bytes [from, to) of the parts' concatenation, continuing from `seed`. */
function crcOfParts(parts: readonly Uint8Array[], from: number, to: number, seed: number, crc32: Crc32): number {
  let checksum = seed;
  let at = 0;
  for (const part of parts) {
    if (at >= to) break;
    const first = Math.max(0, from - at);
    const last = Math.min(part.length, to - at);
    if (first < last) checksum = crc32(part.subarray(first, last), checksum);
    at += part.length;
  }
  return checksum;
}

export function toRecord(plan: Plan): MutatedRecord {
  const { state, run, offset, lengthBefore, lengthAfter, firstBlock, checksums, redoBytes } = plan;
  return {
    kind: 'mutated',
    handle: state.handle,
    version: run.version,
    serial: run.serial,
    lengthBefore,
    lengthAfter,
    offset,
    dataBytes: run.dataBytes,
    firstBlock,
    checksums,
    window: run.window,
    redo: run.parts,
    redoBytes,
  };
}

/** Readers see the run from now on. */
export function commitPlan(plan: Plan): void {
  const { state, run, lengthAfter, firstBlock, checksums } = plan;
  state.version = run.version;
  state.serial = run.serial;
  state.window.add(run.window, run.version);
  if (plan.isOverwrite) {
    state.reserve(blockCount(lengthAfter));
    state.checksums.set(checksums, firstBlock);
    state.plannedLength = lengthAfter;
  }
  const tail = blockOf(lengthAfter);
  const last = checksums[tail - firstBlock];
  if (lengthAfter % blockBytes === 0) state.tailChecksum = 0;
  else if (last !== undefined) state.tailChecksum = last;
  state.lengthBytes = lengthAfter;
}

export interface FileWrite {
  readonly offset: number;
  readonly parts: readonly Uint8Array[];
}

/** What a run writes into the file: its data, with a gap before it and padding behind it as zeros, for the file may hold anything there. */
export function writesOf(plan: Plan): readonly FileWrite[] {
  const { run, offset, lengthBefore, lengthAfter } = plan;
  const end = offset + run.dataBytes;
  const gapBytes = Math.max(0, offset - lengthBefore);
  const paddingStart = Math.max(end, lengthBefore);
  const padding = zeroParts(lengthAfter - paddingStart);
  const data = gapBytes === 0 ? run.parts : [...zeroParts(gapBytes), ...run.parts];
  const start = offset - gapBytes;
  if (padding.length === 0) return [{ offset: start, parts: data }];
  if (paddingStart === end) return [{ offset: start, parts: [...data, ...padding] }];
  return [
    { offset: start, parts: data },
    { offset: paddingStart, parts: padding },
  ];
}

/** The bytes that `writesOf` writes. */
export function writtenBytes(plan: Plan): number {
  const { run, offset, lengthBefore, lengthAfter } = plan;
  const paddingStart = Math.max(offset + run.dataBytes, lengthBefore);
  return run.dataBytes + Math.max(0, offset - lengthBefore) + (lengthAfter - paddingStart);
}

export function zeroParts(bytes: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let left = bytes; left > 0; left -= zeros.length)
    parts.push(left < zeros.length ? zeros.subarray(0, left) : zeros);
  return parts;
}
