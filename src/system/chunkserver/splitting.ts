/**
 * Splits a replica that several files share (GFS §3.4): makes a copy of it here, under another handle, then gives the replica itself the next
 * version, so that readers who have it as the file's that got the copy notice. Done again it changes nothing more.
 */
import { type ChunkHandle, type ChunkVersion, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { serverOrders } from '../../core/protocol/master-calls.ts';
import type { ChunkImage } from '../storage/chunk-store.ts';
import { blockBytes } from '../storage/chunk-store.ts';
import type { CopyWorld } from './cloning.ts';
import { bytesIn, checksumsAfter, copySteps, takenOf } from './copying.ts';

const noSerial = toMutationSerial(0);

type SplitOrder = RequestOf<(typeof serverOrders)['split']>;

/**
 * Leaves a replica that is shorter than was asked for as it is: under a later version its lack would be taken for what the others have to become.
 * @returns the length it has. @throws CairnError CHUNK_MISSING, STALE_VERSION, DISK_FULL, DISK_FAILED, DISK_CORRUPT
 */
export async function splitReplica(world: CopyWorld, { handle, version, into, length }: SplitOrder): Promise<number> {
  const { store, inventory } = world;
  inventory.mustBeSound(handle);
  const next = toChunkVersion(version + 1);
  const image = store.image(handle);
  if (image === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not here`);
  mustNotBeNewer(world, handle, next);
  mustNotBeOlder(image, version, length);
  if (image.lengthBytes < length) return image.lengthBytes;
  await copyTo(world, image, version, into);
  await world.writer.exclusive(handle, async () => {
    mustNotBeNewer(world, handle, next);
    const present = store.image(handle);
    if (present === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} was removed`);
    if (present.version < next) await store.adopt({ ...present, version: next, serial: noSerial }, []);
  });
  return image.lengthBytes;
}

async function copyTo(
  { env, store, writer, limits }: CopyWorld,
  image: ChunkImage,
  version: ChunkVersion,
  into: ChunkHandle,
): Promise<void> {
  const source = { ...image, handle: into };
  for (const step of copySteps(source, store.image(into), { version, serial: noSerial }, [], limits.copyStepBytes)) {
    const whole = await Promise.all(
      step.blocks.map(async (block) => {
        const parts = await store.read(image.handle, block * blockBytes, bytesIn(image.lengthBytes, block));
        return { block, bytes: joined(parts), crc: image.blockChecksums[block]! };
      }),
    );
    const blocks = takenOf(step, whole, env.crc32);
    await writer.exclusive(into, async () => {
      const present = store.image(into)?.blockChecksums ?? new Uint32Array(0);
      const blockChecksums = checksumsAfter(present, step.lengthBytes, blocks);
      await store.adopt({ ...step, handle: into, blockChecksums }, blocks);
    });
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A directory may have been put back to what it was: under a later version its bytes would pass for those of now. Each replica of a sealed chunk has its version. */
function mustNotBeOlder({ handle, version: present }: ChunkImage, version: ChunkVersion, length: number): void {
  if (length > 0 && present < version)
    throw new CairnError(
      'STALE_VERSION',
      `chunk ${handle} has version ${present} here, and is to be split at ${version}`,
    );
}

function mustNotBeNewer({ store, fences }: CopyWorld, handle: ChunkHandle, version: ChunkVersion): void {
  const known = Math.max(store.info(handle)?.version ?? 0, fences.of(handle));
  if (known > version) throw new CairnError('STALE_VERSION', `chunk ${handle} has version ${known} here`);
}
