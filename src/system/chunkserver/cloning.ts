/**
 * Copies a chunk from a member to this server: its image first, then the blocks that differ from what is here, each checked against
 * its checksum. A chunk that is mutated meanwhile is gone over again, a few times; the master takes the copy into the set only if
 * nothing mutated the chunk since.
 */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { blockBytes, type ChunkImage, type ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { Fences } from './fences.ts';
import type { Inventory } from './inventory.ts';
import { differingBlocks } from './recovery.ts';
import type { ReplicaLink } from './replica-link.ts';
import { commonEntries, entriesOf } from './window-runs.ts';

export interface CloneWorld {
  readonly env: Env;
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
  readonly inventory: Inventory;
}

const passesMax = 4;
/** Blocks of one read, and of one step of the copy. */
const blocksPerStep = packetMaxBytes / blockBytes;

/** @returns the length of the copy. @throws CairnError STALE_VERSION, CHUNK_MISSING, DISK_FULL, DISK_FAILED, and what the source answers */
export async function cloneChunk(
  world: CloneWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  source: ReplicaLink,
): Promise<number> {
  for (let pass = 1; ; pass++) {
    const theirs = await imageOf(source, handle);
    if (theirs.version < version)
      throw new CairnError('STALE_VERSION', `the source holds chunk ${handle} at ${theirs.version}`);
    const own = await soundImage(world, handle);
    const blocks = withBadBlocks(differingBlocks(theirs, own), world.store.badBlocksOf(handle), theirs);
    const isSame = blocks.length === 0 && own !== undefined && isSameState(own, theirs);
    if (isSame) return theirs.lengthBytes;
    const isWhole = await copyBlocks(world, theirs, own, blocks, source);
    if (isWhole) world.inventory.mended(handle);
    if (isWhole && pass > 1) return theirs.lengthBytes;
    if (pass === passesMax) return world.store.info(handle)?.lengthBytes ?? 0;
  }
}

async function imageOf(source: ReplicaLink, handle: ChunkHandle): Promise<ChunkImage> {
  const { response } = await source.image({ handle, fence: undefined });
  return {
    ...response,
    handle,
    blockChecksums: Uint32Array.from(response.blockChecksums),
    window: entriesOf(response.window),
  };
}

/** What is here. If it is damaged, but not in blocks that are known, none of it is believed. */
async function soundImage(
  { store, writer, inventory }: CloneWorld,
  handle: ChunkHandle,
): Promise<ChunkImage | undefined> {
  const isLost = inventory.isDamaged(handle) && store.badBlocksOf(handle).length === 0;
  if (isLost) await writer.exclusive(handle, () => store.remove(handle));
  return store.image(handle);
}

function withBadBlocks(differing: readonly number[], bad: readonly number[], theirs: ChunkImage): readonly number[] {
  if (bad.length === 0) return differing;
  const all = new Set([...differing, ...bad.filter((block) => block < theirs.blockChecksums.length)]);
  return [...all].sort((a, b) => a - b);
}

function isSameState(a: ChunkImage, b: ChunkImage): boolean {
  return (
    a.version === b.version &&
    a.serial === b.serial &&
    a.lengthBytes === b.lengthBytes &&
    a.window.length === b.window.length &&
    commonEntries(a.window, b.window).length === a.window.length
  );
}

/** @returns false when the source changed under the copy, so that another pass is needed. */
async function copyBlocks(
  world: CloneWorld,
  theirs: ChunkImage,
  own: ChunkImage | undefined,
  blocks: readonly number[],
  source: ReplicaLink,
): Promise<boolean> {
  const common = commonEntries(theirs.window, own?.window ?? []);
  for (let at = 0; at < blocks.length; at += blocksPerStep) {
    const some = blocks.slice(at, at + blocksPerStep);
    const fetched = await fetchBlocks(world.env, theirs, some, source);
    if (fetched === undefined) return false;
    const isLast = at + blocksPerStep >= blocks.length;
    const present = world.store.image(theirs.handle);
    const next = isLast ? theirs : partOf(theirs, present, fetched, common);
    await adopt(world, next, fetched);
  }
  if (blocks.length === 0) await adopt(world, theirs, []);
  return true;
}

interface Block {
  readonly block: number;
  readonly bytes: Uint8Array;
}

/** What the copy is after a step that is not the last: what was here, with these blocks. */
function partOf(
  theirs: ChunkImage,
  present: ChunkImage | undefined,
  fetched: readonly Block[],
  window: ChunkImage['window'],
): ChunkImage {
  const last = fetched[fetched.length - 1]!;
  const end = last.block * blockBytes + last.bytes.length;
  const lengthBytes = Math.max(present?.lengthBytes ?? 0, end);
  const blockChecksums = new Uint32Array(Math.ceil(lengthBytes / blockBytes));
  if (present !== undefined) blockChecksums.set(present.blockChecksums);
  for (const { block } of fetched) blockChecksums[block] = theirs.blockChecksums[block]!;
  return { ...theirs, lengthBytes, blockChecksums, window };
}

function adopt({ store, writer, fences }: CloneWorld, image: ChunkImage, blocks: readonly Block[]): Promise<void> {
  const { handle, version } = image;
  return writer.exclusive(handle, async () => {
    if (fences.of(handle) > version) throw new CairnError('STALE_VERSION', `chunk ${handle} has a newer version`);
    await store.adopt(image, blocks);
    writer.mended(handle);
    fences.reached(handle, version);
  });
}

/** @returns undefined when a block is not what the image says: the source is being mutated. */
async function fetchBlocks(
  env: Env,
  image: ChunkImage,
  blocks: readonly number[],
  source: ReplicaLink,
): Promise<readonly Block[] | undefined> {
  const fetched: Block[] = [];
  for (let i = 0; i < blocks.length; ) {
    let count = 1;
    while (i + count < blocks.length && blocks[i + count] === blocks[i]! + count) count += 1;
    const offset = blocks[i]! * blockBytes;
    const length = Math.min(count * blockBytes, image.lengthBytes - offset);
    const { response, body } = await source.read({ handle: image.handle, offset, length });
    if (env.crc32(body) !== response.crc)
      throw new CairnError('CHECKSUM_MISMATCH', 'a block came damaged from its source');
    if (body.length < length) return undefined;
    for (let n = 0; n < count; n++) {
      const bytes = body.subarray(n * blockBytes, Math.min((n + 1) * blockBytes, length));
      if (env.crc32(bytes) !== image.blockChecksums[blocks[i]! + n]) return undefined;
      fetched.push({ block: blocks[i]! + n, bytes });
    }
    i += count;
  }
  return fetched;
}
