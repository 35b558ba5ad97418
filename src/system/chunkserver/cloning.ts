/**
 * Copies a chunk from another server to this one: its image first, then the blocks that differ from what is here, each checked against
 * its checksum. A chunk that is mutated meanwhile is gone over again, a few times; the master takes the copy into the set only if
 * nothing mutated the chunk since.
 */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { blockBytes, type ChunkImage, type ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import { type Block, bytesIn, type CopyStep, checksumsAfter, copySteps, stretchesOf, takenOf } from './copying.ts';
import type { Fences } from './fences.ts';
import type { Inventory } from './inventory.ts';
import type { Limits } from './limits.ts';
import type { Pace } from './pace.ts';
import type { ReplicaLink } from './replica-link.ts';
import { commonEntries, entriesOf } from './window-runs.ts';

export interface CopyWorld {
  readonly env: Env;
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
  readonly inventory: Inventory;
  readonly limits: Pick<Limits, 'copyStepBytes' | 'recoveryStepBytes'>;
}

const passesMax = 4;
/** @returns the length of the copy. @throws CairnError STALE_VERSION, CHUNK_MISSING, DISK_FULL, DISK_FAILED, and what the source answers */
export async function cloneChunk(
  world: CopyWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  source: ReplicaLink,
  pace: Pace,
): Promise<number> {
  for (let pass = 1; ; pass++) {
    const theirs = await imageOf(source, handle, undefined);
    if (theirs.version < version) {
      throw new CairnError('STALE_VERSION', `the source holds chunk ${handle} at version ${theirs.version} only`);
    }
    const own = await soundImage(world, handle);
    if (own !== undefined && isSame(own, theirs) && !world.inventory.isDamaged(handle)) return own.lengthBytes;
    await copyFrom(world, theirs, own, source, theirs.version, pace).catch((error: unknown) => {
      if (!(error instanceof SourceChanged)) throw error;
    });
    if (pass === passesMax) return world.store.info(handle)?.lengthBytes ?? 0;
  }
}

/** A block is not what the image said any more: the source is being mutated. */
class SourceChanged extends CairnError {
  constructor(handle: ChunkHandle) {
    super('UNAVAILABLE', `chunk ${handle} is being changed at its source; try again later`);
  }
}

/** @throws CairnError CHUNK_MISSING, STALE_VERSION, and what the source answers */
export async function imageOf(
  source: ReplicaLink,
  handle: ChunkHandle,
  fence: ChunkVersion | undefined,
): Promise<ChunkImage> {
  const { response } = await source.image({ handle, fence });
  const blockChecksums = Uint32Array.from(response.blockChecksums);
  return { ...response, handle, blockChecksums, window: entriesOf(response.window) };
}

/**
 * Makes the replica here equal to what `theirs` shows.
 * @param under refused if the chunk is fenced above this version.
 */
export async function copyFrom(
  world: CopyWorld,
  theirs: ChunkImage,
  own: ChunkImage | undefined,
  source: ReplicaLink,
  under: ChunkVersion,
  pace?: Pace,
): Promise<void> {
  const { handle } = theirs;
  const steps = copySteps(theirs, own, theirs, world.store.badBlocksOf(handle), world.limits.copyStepBytes);
  let step = steps.next().value;
  let blocks = await fetchBlocks(world.env, theirs, step?.blocks ?? [], source);
  while (step !== undefined) {
    const next = steps.next().value;
    const taken = takeStep(world, theirs, step, blocks, under, next !== undefined);
    const fetched = fetchBlocks(world.env, theirs, next?.blocks ?? [], source);
    const bytes = blocks.reduce((sum, block) => sum + block.bytes.length, 0);
    blocks = await bothDone(taken, fetched);
    await pace?.moved(bytes);
    step = next;
  }
  // What was found damaged since the steps were laid out is not in them.
  if (world.store.badBlocksOf(handle).length === 0) world.inventory.mended(handle);
}

/** What `fetched` gives, once neither goes on. @throws what `taken` throws, else what `fetched` throws */
async function bothDone<T>(taken: Promise<void>, fetched: Promise<T>): Promise<T> {
  await Promise.allSettled([taken, fetched]);
  await taken;
  return fetched;
}

/**
 * What is here when all that was asked of it before is done: it may be on its way out. If it is damaged, but not in blocks that are known, none
 * of it is believed.
 */
function soundImage({ store, writer, inventory }: CopyWorld, handle: ChunkHandle): Promise<ChunkImage | undefined> {
  return writer.exclusive(handle, async () => {
    const isLost = inventory.isDamaged(handle) && store.badBlocksOf(handle).length === 0;
    if (isLost) await store.remove(handle);
    return store.image(handle);
  });
}

function isSame(a: ChunkImage, b: ChunkImage): boolean {
  return (
    a.version === b.version &&
    a.serial === b.serial &&
    a.lengthBytes === b.lengthBytes &&
    a.blockChecksums.every((crc, block) => crc === b.blockChecksums[block]) &&
    a.window.length === b.window.length &&
    commonEntries(a.window, b.window).length === a.window.length
  );
}

function takeStep(
  { env, store, writer, fences }: CopyWorld,
  { handle }: ChunkImage,
  step: CopyStep,
  whole: readonly Block[],
  under: ChunkVersion,
  isHalf: boolean,
): Promise<void> {
  const blocks = takenOf(step, whole, env.crc32);
  return writer.exclusive(handle, async () => {
    if (fences.of(handle) > under) throw new CairnError('STALE_VERSION', `chunk ${handle} has a newer version`);
    const present = store.image(handle)?.blockChecksums ?? new Uint32Array(0);
    const blockChecksums = checksumsAfter(present, step.lengthBytes, blocks);
    await store.adopt({ ...step, handle, blockChecksums }, blocks, isHalf); // bad blocks of later steps are bad still
    writer.mended(handle);
    fences.reached(handle, step.version);
  });
}

/** All at once, a packet in each call. @throws SourceChanged when a block is not what the image says */
async function fetchBlocks(
  env: Env,
  image: ChunkImage,
  blocks: readonly number[],
  source: ReplicaLink,
): Promise<readonly Block[]> {
  const packets = stretchesOf(blocks, image.lengthBytes).map((stretch) => fetchPacket(env, image, stretch, source));
  return (await Promise.all(packets)).flat();
}

async function fetchPacket(
  env: Env,
  image: ChunkImage,
  { first, count, offset, length }: ReturnType<typeof stretchesOf>[number],
  source: ReplicaLink,
): Promise<readonly Block[]> {
  const { response, body } = await source.read({ handle: image.handle, offset, length });
  if (env.crc32(body) !== response.crc)
    throw new CairnError('CHECKSUM_MISMATCH', 'a block came damaged from its source');
  if (body.length < length) throw new SourceChanged(image.handle);
  return Array.from({ length: count }, (_, i) => {
    const block = first + i;
    const bytes = body.subarray(i * blockBytes, i * blockBytes + bytesIn(image.lengthBytes, block));
    const crc = env.crc32(bytes);
    if (crc !== image.blockChecksums[block]) throw new SourceChanged(image.handle);
    return { block, crc, bytes };
  });
}
