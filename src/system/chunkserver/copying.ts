/**
 * How one replica is made equal to another, in steps of bounded size: which blocks differ, and what the copy is after each step. Until
 * the last step a copy keeps its own version and serial, and knows only the appends that both know, the others as forgotten: half a copy
 * is never taken for a whole one, whoever crashes.
 */
import { type ChunkVersion, type MutationSerial, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { blockBytes, type ChunkImage, type WindowEntry } from '../storage/chunk-store.ts';
import { commonWindow } from './window-runs.ts';

export interface ReplicaState {
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly lengthBytes: number;
}

/** What the copy is to be after it has got these blocks. */
export interface CopyStep extends ReplicaState {
  readonly window: readonly WindowEntry[];
  readonly blocks: readonly number[];
}

const blocksPerPacket = packetMaxBytes / blockBytes;
const nothingYet = { version: toChunkVersion(1), serial: toMutationSerial(0), lengthBytes: 0 };

/**
 * @param final version and serial of the copy in the end.
 * @param bad blocks of the target that are to be replaced whatever their checksums say.
 * @param stepBytes how much one step takes over at most, in whole blocks.
 */
export function copySteps(
  source: ChunkImage,
  target: ChunkImage | undefined,
  final: Pick<ReplicaState, 'version' | 'serial'>,
  bad: readonly number[] = [],
  stepBytes: number = packetMaxBytes,
): readonly CopyStep[] {
  const blocksPerStep = stepBytes / blockBytes;
  const blocks = differingBlocks(source, target, bad);
  const steps: CopyStep[] = [];
  const { version, serial } = target ?? nothingYet;
  const window = blocks.length > blocksPerStep ? commonWindow(source.window, target?.window ?? [], version) : [];
  let lengthBytes = target?.lengthBytes ?? 0;
  let at = 0;
  for (; blocks.length - at > blocksPerStep; at += blocksPerStep) {
    const some = blocks.slice(at, at + blocksPerStep);
    // Blocks come in ascending order, so what has come so far reaches without a hole to where it ends.
    lengthBytes = Math.max(lengthBytes, (some[some.length - 1]! + 1) * blockBytes);
    steps.push({ version, serial, lengthBytes, window, blocks: some });
  }
  const last = { lengthBytes: source.lengthBytes, window: source.window, blocks: blocks.slice(at) };
  return [...steps, { version: final.version, serial: final.serial, ...last }];
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
