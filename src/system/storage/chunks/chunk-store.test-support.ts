/** A small language for tests of the chunk store. */
import { toChunkHandle, toChunkVersion, toMutationSerial } from '../../../core/base/brand.ts';
import { concatBytes } from '../../../core/base/bytes.ts';
import type { ChunkMutation, ChunkStore, ChunkStoreOptions, WindowEntry } from '../chunk-store.ts';

export const h = toChunkHandle;
export const v = toChunkVersion;

/** Small bounds, so that a test meets segments, checkpoints and evictions. */
export const smallOptions: ChunkStoreOptions = {
  directory: 'store',
  chunkBytes: 8 * 64 * 1024,
  reserveBytes: 256 * 1024,
  openFilesMax: 4,
  cachedChunksMax: 4,
  poolBytesMax: 4 * 1024 * 1024,
  poolFilesMax: 3,
  pooledFileMinBytes: 128 * 1024,
  slabBytes: 128 * 1024,
  checkpointJournalBytes: 512 * 1024,
  checkpointBulkBytes: 4 * 1024 * 1024,
  checkpointChunks: 64,
  journalSegmentBytes: 128 * 1024,
  metadataSegmentBytes: 4 * 1024,
  windowEntriesPerWriter: 4,
  windowWriters: 3,
};

/** Bytes that differ from place to place and from seed to seed. */
export function pattern(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let x = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < lengthBytes; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

export interface MutationOptions {
  readonly version?: number;
  readonly serial?: number;
  readonly lengthBytes?: number;
  readonly window?: readonly WindowEntry[];
  readonly sync?: boolean;
}

export function mutation(
  handle: number,
  offset: number,
  data: Uint8Array | readonly Uint8Array[],
  options: MutationOptions = {},
): ChunkMutation {
  const parts = data instanceof Uint8Array ? [data] : data;
  const end = offset + parts.reduce((sum, part) => sum + part.length, 0);
  return {
    handle: h(handle),
    version: v(options.version ?? 1),
    serial: toMutationSerial(options.serial ?? 1),
    offset,
    parts,
    lengthBytes: options.lengthBytes ?? end,
    window: options.window ?? [],
    sync: options.sync ?? false,
  };
}

/** The whole content of a chunk. */
export async function contentOf(store: ChunkStore, handle: number): Promise<Uint8Array> {
  const info = store.info(h(handle));
  if (info === undefined) throw new Error(`chunk ${handle} is not there`);
  return concatBytes(await store.read(h(handle), 0, info.lengthBytes));
}
