/**
 * A primary makes the other members of a new version equal to itself, before its first mutation. It compares the checksums of their
 * blocks, copies those that differ, cuts or extends to its own length, and gives them its append window; then all hold the new
 * version with serial 0 and refuse every older one. Acknowledged bytes are the same on all members, so whatever is replaced was
 * never acknowledged.
 */
import {
  type ChunkHandle,
  type ChunkVersion,
  type MutationSerial,
  type ServerId,
  toMutationSerial,
} from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { blockBytes, type ChunkImage, type ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { Fences } from './fences.ts';
import type { ReplicaLink } from './replica-link.ts';
import { commonEntries, entriesOf, runsOf } from './window-runs.ts';

export interface RecoveryWorld {
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
}

const noSerial: MutationSerial = toMutationSerial(0);
const blocksPerAdoptionMax = packetMaxBytes / blockBytes;

/**
 * The caller sees to it that nothing mutates the chunk under the new version meanwhile.
 * @returns the members that failed, if any: then the version must not be used.
 * @throws CairnError STALE_VERSION when a member knows of a newer version; CHUNK_MISSING when it is not here but a member holds bytes of
 * it; DISK_FULL, DISK_FAILED, DISK_CORRUPT of this server
 */
export async function recoverReplicas(
  world: RecoveryWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  members: readonly ReplicaLink[],
): Promise<ReadonlyMap<ServerId, CairnError>> {
  world.fences.raise(handle, version);
  const failed = new Map<ServerId, CairnError>();
  const images = await Promise.all(members.map((link) => imageOf(link, handle, version, failed)));
  throwIfStale(failed);
  const own = await ownImage(world, handle, version, images);
  if (failed.size > 0) return failed;
  await Promise.all(members.map((link, i) => makeEqual(world, own, images[i], version, link, failed)));
  throwIfStale(failed);
  if (failed.size > 0) return failed;
  await world.writer.exclusive(handle, () => {
    throwIfOvertaken(world.fences, handle, version);
    return world.store.adopt({ ...own, version, serial: noSerial }, []);
  });
  world.writer.mended(handle);
  world.fences.reached(handle, version);
  return failed;
}

/** @returns undefined when the member has no such chunk, and when it failed. */
async function imageOf(
  link: ReplicaLink,
  handle: ChunkHandle,
  fence: ChunkVersion,
  failed: Map<ServerId, CairnError>,
): Promise<ChunkImage | undefined> {
  try {
    const { response } = await link.image({ handle, fence });
    return {
      ...response,
      handle,
      blockChecksums: Uint32Array.from(response.blockChecksums),
      window: entriesOf(response.window),
    };
  } catch (thrown) {
    const error = toCairnError(thrown);
    if (error.code !== 'CHUNK_MISSING') failed.set(link.replica.server, error);
    return undefined;
  }
}

/** Once all that was queued here has been written. A chunk that nobody of the set holds was never written to: it begins empty. */
function ownImage(
  { store, writer, fences }: RecoveryWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  images: readonly (ChunkImage | undefined)[],
): Promise<ChunkImage> {
  return writer.exclusive(handle, () => {
    throwIfOvertaken(fences, handle, version);
    const own = store.image(handle);
    if (own !== undefined) return own;
    if (images.some((image) => image !== undefined && image.lengthBytes > 0)) {
      throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not here, but another member of its set holds it`);
    }
    store.create(handle, version);
    return store.image(handle)!;
  });
}

async function makeEqual(
  { store }: RecoveryWorld,
  own: ChunkImage,
  theirs: ChunkImage | undefined,
  version: ChunkVersion,
  link: ReplicaLink,
  failed: Map<ServerId, CairnError>,
): Promise<void> {
  const blocks = differingBlocks(own, theirs);
  const { handle } = own;
  let base = theirs === undefined ? undefined : stateOf(theirs);
  for (let at = 0; at === 0 || at < blocks.length; at += blocksPerAdoptionMax) {
    const some = blocks.slice(at, at + blocksPerAdoptionMax);
    const isLast = at + blocksPerAdoptionMax >= blocks.length;
    // Blocks come in ascending order, so what has come so far reaches without a hole to where it ends.
    const lengthBytes = isLast ? own.lengthBytes : Math.max(base?.lengthBytes ?? 0, endOf(own, some));
    const window = runsOf(isLast ? own.window : commonEntries(own.window, theirs?.window ?? []));
    const named = some.map((block) => ({ block, crc: own.blockChecksums[block]! }));
    const next = { version, serial: noSerial, lengthBytes };
    const body = await readBlocks(store, own, some);
    try {
      await link.adopt({ handle, ...next, base, window, blocks: named }, body);
    } catch (thrown) {
      failed.set(link.replica.server, toCairnError(thrown));
      return;
    }
    base = next;
  }
}

function endOf(image: ChunkImage, blocks: readonly number[]): number {
  const last = blocks[blocks.length - 1];
  return last === undefined ? 0 : Math.min(image.lengthBytes, (last + 1) * blockBytes);
}

function stateOf(state: { version: ChunkVersion; serial: MutationSerial; lengthBytes: number }) {
  return { version: state.version, serial: state.serial, lengthBytes: state.lengthBytes };
}

/** Blocks of `own` that `theirs` has not, or otherwise. */
export function differingBlocks(own: ChunkImage, theirs: ChunkImage | undefined): readonly number[] {
  const differing: number[] = [];
  for (let block = 0; block < own.blockChecksums.length; block++) {
    const isSame =
      theirs !== undefined &&
      bytesIn(own, block) === bytesIn(theirs, block) &&
      own.blockChecksums[block] === theirs.blockChecksums[block];
    if (!isSame) differing.push(block);
  }
  return differing;
}

function bytesIn(image: ChunkImage, block: number): number {
  return Math.max(0, Math.min(blockBytes, image.lengthBytes - block * blockBytes));
}

/** The bytes of these blocks, one after another; neighbours are read at once. */
async function readBlocks(store: ChunkStore, image: ChunkImage, blocks: readonly number[]): Promise<Uint8Array[]> {
  const body: Uint8Array[] = [];
  for (let i = 0; i < blocks.length; ) {
    let count = 1;
    while (i + count < blocks.length && blocks[i + count] === blocks[i]! + count) count += 1;
    const offset = blocks[i]! * blockBytes;
    const length = Math.min(count * blockBytes, image.lengthBytes - offset);
    body.push(...(await store.read(image.handle, offset, length)));
    i += count;
  }
  return body;
}

function throwIfOvertaken(fences: Fences, handle: ChunkHandle, version: ChunkVersion): void {
  if (fences.of(handle) > version) throw new CairnError('STALE_VERSION', `chunk ${handle} has a newer version`);
}

function throwIfStale(failed: ReadonlyMap<ServerId, CairnError>): void {
  for (const error of failed.values()) if (error.code === 'STALE_VERSION') throw error;
}
