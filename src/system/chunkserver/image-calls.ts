/** The calls `image` and `adopt`: a replica shows what it is, and is made equal to a new primary. */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { Reply } from '../rpc/handlers.ts';
import type { ChunkInfo, ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import { bytesIn, checksumsAfter } from './copying.ts';
import type { Fences } from './fences.ts';
import type { Inventory } from './inventory.ts';
import { stale } from './secondary.ts';
import { entriesOf, runsOf } from './window-runs.ts';

type ImageSpec = (typeof chunkCalls)['image'];
type AdoptSpec = (typeof chunkCalls)['adopt'];
type AdoptRequest = RequestOf<AdoptSpec>;

export interface ImageWorld {
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
  readonly inventory: Inventory;
}

/** @throws CairnError STALE_VERSION, CHUNK_MISSING, DISK_CORRUPT */
export function showImage(world: ImageWorld, request: RequestOf<ImageSpec>): Promise<Reply<ResponseOf<ImageSpec>>> {
  const { store, writer, fences, inventory } = world;
  const { handle, fence } = request;
  if (fence !== undefined) {
    mustNotBePast(world, handle, fence);
    fences.raise(handle, fence);
  }
  return writer.exclusive(handle, () => {
    inventory.mustBeSound(handle);
    const image = store.image(handle);
    if (image === undefined) throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not here`);
    const { version, serial, lengthBytes, window } = image;
    const blockChecksums = Array.from(image.blockChecksums);
    return { response: { version, serial, lengthBytes, blockChecksums, window: runsOf(window) } };
  });
}

/** @throws CairnError STALE_VERSION, PROTOCOL, CHECKSUM_MISMATCH, DISK_FULL, DISK_FAILED */
export function adoptImage(
  world: ImageWorld,
  request: AdoptRequest,
  body: Uint8Array,
): Promise<Reply<ResponseOf<AdoptSpec>>> {
  const { store, writer, fences } = world;
  const { handle, under, version, serial, lengthBytes } = request;
  mustNotBePast(world, handle, under);
  fences.raise(handle, under);
  return writer.exclusive(handle, async () => {
    mustNotBePast(world, handle, under);
    mustBeAt(request.base, store.info(handle), handle);
    const blocks = blocksOf(request, body);
    const present = store.image(handle)?.blockChecksums ?? new Uint32Array(0);
    const blockChecksums = checksumsAfter(present, lengthBytes, request.blocks);
    const window = entriesOf(request.window);
    await store.adopt({ handle, version, serial, lengthBytes, blockChecksums, window }, blocks);
    writer.mended(handle);
    fences.reached(handle, version);
    return { response: {} };
  });
}

function mustNotBePast({ store, fences }: ImageWorld, handle: ChunkHandle, version: ChunkVersion): void {
  const known = Math.max(store.info(handle)?.version ?? 0, fences.of(handle));
  if (known > version) throw stale(handle, version);
}

function mustBeAt(base: AdoptRequest['base'], info: ChunkInfo | undefined, handle: ChunkHandle): void {
  const isSame =
    base?.version === info?.version && base?.serial === info?.serial && base?.lengthBytes === info?.lengthBytes;
  if (!isSame) throw new CairnError('REPLICA_FAILED', `chunk ${handle} has changed since its image was taken`);
}

function blocksOf({ blocks, lengthBytes }: AdoptRequest, body: Uint8Array) {
  let at = 0;
  const found = blocks.map(({ block }) => {
    const bytes = bytesIn(lengthBytes, block);
    at += bytes;
    return { block, bytes: body.subarray(at - bytes, at) };
  });
  if (at !== body.length) throw new CairnError('PROTOCOL', `blocks of ${at} bytes in a body of ${body.length}`);
  return found;
}
