/** Whether a replica with the given blocks becomes what an image says: everything is checked before anything is touched. */
import type { Crc32 } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { blockBytes, type ChunkImage } from '../chunk-store.ts';
import type { ChunkBytes } from './chunk-files.ts';
import { blockCount, type ChunkState } from './chunk-state.ts';
import type { BlockData } from './journal-record.ts';
import { BadBlock, readVerified, zeros } from './plan.ts';

/**
 * @param mayStayBad blocks that are known to be bad and are not given stay so: they come later.
 * @throws CairnError CHECKSUM_MISMATCH, STALE_VERSION; DISK_CORRUPT when a block that should stay cannot be believed.
 */
export function checkImage(
  state: ChunkState,
  image: ChunkImage,
  blocks: readonly BlockData[],
  file: () => ChunkBytes,
  crc32: Crc32,
  mayStayBad: boolean,
): void {
  if (image.version < state.version) {
    throw new CairnError(
      'STALE_VERSION',
      `chunk ${image.handle} has version ${state.version}, its image ${image.version}; ask the master again`,
    );
  }
  const count = blockCount(image.lengthBytes);
  if (image.blockChecksums.length !== count)
    throw mismatch(image, count, 'the image does not have one checksum per block');
  const given = new Set<number>();
  for (const { block, bytes } of blocks) {
    const expected = Math.min(blockBytes, image.lengthBytes - block * blockBytes);
    if (block < 0 || bytes.length !== expected || crc32(bytes) !== image.blockChecksums[block]) {
      throw mismatch(image, block, 'the block is not what the image says');
    }
    given.add(block);
  }
  for (let block = 0; block < count; block++) {
    if (given.has(block)) continue;
    const bytes = Math.min(blockBytes, image.lengthBytes - block * blockBytes);
    if (state.badBlocks.has(block) && !(mayStayBad && bytes === state.bytesIn(block)))
      throw new BadBlock(state.handle, block);
    if (checksumAtLength(state, block, bytes, file, crc32) !== image.blockChecksums[block]) {
      throw mismatch(image, block, 'the block differs and was not given');
    }
  }
}

/** The checksum of a block when it is cut or zero-extended to `bytes`. */
function checksumAtLength(
  state: ChunkState,
  block: number,
  bytes: number,
  file: () => ChunkBytes,
  crc32: Crc32,
): number {
  const before = state.bytesIn(block);
  if (before > bytes) return crc32(readVerified(state, block, file(), crc32).subarray(0, bytes));
  const checksum = before === 0 ? 0 : state.checksumOf(block);
  return before === bytes ? checksum : crc32(zeros.subarray(0, bytes - before), checksum);
}

/** The only block of a chunk that is to have at most one: as given, or as it is, cut or zero-extended. The image must have been checked. */
export function wholeBlock(
  state: ChunkState,
  lengthBytes: number,
  blocks: readonly BlockData[],
  file: () => ChunkBytes,
  crc32: Crc32,
): Uint8Array {
  const [given] = blocks;
  if (given !== undefined) return given.bytes;
  const bytes = new Uint8Array(lengthBytes);
  if (state.lengthBytes > 0) bytes.set(readVerified(state, 0, file(), crc32).subarray(0, lengthBytes));
  return bytes;
}

/** The ranges of [from, to) that none of the blocks covers. */
export function zeroRanges(
  from: number,
  to: number,
  blocks: readonly BlockData[],
): readonly { readonly from: number; readonly to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  let at = from;
  for (const { block, bytes } of [...blocks].sort((a, b) => a.block - b.block)) {
    const start = block * blockBytes;
    if (start > at) ranges.push({ from: at, to: start });
    at = Math.max(at, start + bytes.length);
  }
  if (at < to) ranges.push({ from: at, to });
  return ranges;
}

function mismatch(image: ChunkImage, block: number, why: string): CairnError {
  return new CairnError(
    'CHECKSUM_MISMATCH',
    `chunk ${image.handle} cannot take its image over, block ${block}: ${why}`,
  );
}
