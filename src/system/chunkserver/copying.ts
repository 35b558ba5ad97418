/**
 * How one replica is made equal to another, in steps of bounded size: which blocks differ, and what the copy is after each step. Until the last step
 * a copy keeps its own version and serial: half a copy is never taken for a whole one, whoever crashes. But it may be all that is left, if whoever
 * gave it dies in the middle: so it ends where a record ends, and knows of the appends whose bytes it has.
 */
import { type ChunkVersion, type MutationSerial, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { blockBytes, type ChunkImage, type WindowEntry } from '../storage/chunk-store.ts';
import { HalfWindow } from './half-window.ts';

export interface ReplicaState {
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly lengthBytes: number;
}

export interface Block {
  readonly block: number;
  readonly crc: number;
  readonly bytes: Uint8Array;
}

/** What the copy is to be after it has got these blocks: the last one only in part, if it ends there and the source does not. */
export interface CopyStep extends ReplicaState {
  readonly window: readonly WindowEntry[];
  readonly blocks: readonly number[];
}

const blocksPerPacket = packetMaxBytes / blockBytes;
const nothingYet = { version: toChunkVersion(1), serial: toMutationSerial(0), lengthBytes: 0 };

/**
 * Each step is laid out when it is asked for: the window may be long, and so the turn if all were at once.
 * @param final version and serial of the copy in the end.
 * @param bad blocks of the target that are to be replaced whatever their checksums say.
 * @param stepBytes how much one step takes over at most, in whole blocks.
 */
export function* copySteps(
  source: ChunkImage,
  target: ChunkImage | undefined,
  final: Pick<ReplicaState, 'version' | 'serial'>,
  bad: readonly number[] = [],
  stepBytes: number = packetMaxBytes,
): Generator<CopyStep, undefined> {
  const blocks = differingBlocks(source, target, bad);
  const blocksPerStep = stepBytes / blockBytes;
  const from = blocks.length > blocksPerStep ? yield* halfSteps(source, target, blocks, blocksPerStep) : 0;
  const last = { lengthBytes: source.lengthBytes, window: source.window, blocks: blocks.slice(from) };
  yield { version: final.version, serial: final.serial, ...last };
}

/** All steps but the last one, which takes the blocks from the one returned on. A step is longer than it should be where one record is. */
function* halfSteps(
  source: ChunkImage,
  target: ChunkImage | undefined,
  blocks: readonly number[],
  blocksPerStep: number,
): Generator<CopyStep, number> {
  const { version, serial } = target ?? nothingYet;
  const half = new HalfWindow(source.window, target?.window ?? [], Math.max(source.version, version));
  let lengthBytes = target?.lengthBytes ?? 0;
  let from = 0;
  while (blocks.length - from > blocksPerStep) {
    const isWithin = (block: number) => (block + 1) * blockBytes <= lengthBytes;
    const some = blocks.slice(from, from + blocksPerStep);
    const within = some.filter(isWithin);
    // Blocks come in ascending order, so what has come so far reaches without a hole to where it ends.
    if (within.length > 0) {
      from += within.length;
      yield { version, serial, lengthBytes, window: half.upTo(blocks[from]! * blockBytes), blocks: within };
      continue;
    }
    lengthBytes = half.endNear((some.at(-1)! + 1) * blockBytes, lengthBytes);
    if (lengthBytes >= source.lengthBytes) break;
    const taken = blocks.slice(from).filter((block) => block * blockBytes < lengthBytes);
    yield { version, serial, lengthBytes, window: half.upTo(lengthBytes), blocks: taken };
    from += taken.length;
    if (lengthBytes % blockBytes > 0) from -= 1; // what is left of a block comes with the next step
  }
  return from;
}

/** Blocks of the source that the target has not, or otherwise. */
export function differingBlocks(
  source: ChunkImage,
  target: ChunkImage | undefined,
  bad: readonly number[] = [],
): readonly number[] {
  const differing: number[] = [];
  for (let block = 0; block < source.blockChecksums.length; block++) {
    const isSame =
      target !== undefined &&
      bytesIn(source.lengthBytes, block) === bytesIn(target.lengthBytes, block) &&
      source.blockChecksums[block] === target.blockChecksums[block] &&
      !bad.includes(block);
    if (!isSame) differing.push(block);
  }
  return differing;
}

/** Of whole blocks of the source what a step takes of them. */
export function takenOf({ lengthBytes }: CopyStep, blocks: readonly Block[], crc32: Env['crc32']): readonly Block[] {
  return blocks.map(({ block, crc, bytes }) => {
    const taken = bytes.subarray(0, bytesIn(lengthBytes, block));
    return { block, crc: taken.length === bytes.length ? crc : crc32(taken), bytes: taken };
  });
}

/** How many bytes this block of a chunk has. */
export function bytesIn(lengthBytes: number, block: number): number {
  return Math.max(0, Math.min(blockBytes, lengthBytes - block * blockBytes));
}

/** Of a replica of which some blocks stay and some are replaced. */
export function checksumsAfter(
  present: Uint32Array,
  lengthBytes: number,
  replaced: readonly { readonly block: number; readonly crc: number }[],
): Uint32Array {
  const checksums = new Uint32Array(Math.ceil(lengthBytes / blockBytes));
  checksums.set(present.subarray(0, checksums.length));
  for (const { block, crc } of replaced) checksums[block] = crc;
  return checksums;
}

/** Neighbouring blocks as one stretch each, or as several if they are more than one packet takes. */
export function stretchesOf(blocks: readonly number[], lengthBytes: number) {
  const stretches: { first: number; count: number; offset: number; length: number }[] = [];
  for (let i = 0; i < blocks.length; ) {
    const first = blocks[i]!;
    let count = 1;
    while (count < blocksPerPacket && blocks[i + count] === first + count) count += 1;
    const offset = first * blockBytes;
    stretches.push({ first, count, offset, length: Math.min(count * blockBytes, lengthBytes - offset) });
    i += count;
  }
  return stretches;
}
