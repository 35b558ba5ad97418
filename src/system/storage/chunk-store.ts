/**
 * The contract of the chunk store: every chunk replica of one chunkserver, on its disk. See docs/formats/chunk-files.md.
 */
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../core/base/brand.ts';

export const blockBytes = 64 * 1024;

export interface ChunkInfo {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly lengthBytes: number;
  /** The last mutation applied under `version`. */
  readonly serial: MutationSerial;
}

/** What a writer's append left, for exactly-once: sequence and where its record lies. */
export interface WindowEntry {
  readonly writer: number;
  readonly sequence: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface ChunkMutation {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly offset: number;
  /** The bytes, in parts; they must not change until the promise of `apply` resolves. Zero bytes in all: padding only. */
  readonly parts: readonly Uint8Array[];
  /** The chunk ends here afterwards (padding is zeros) if that is beyond its present end. */
  readonly lengthBytes: number;
  readonly window: readonly WindowEntry[];
  readonly sync: boolean;
}

/** Checksums of a whole chunk, for recovery and repair: one CRC-32 per block of 64 KiB, the last one over what there is. */
export interface ChunkImage extends ChunkInfo {
  readonly blockChecksums: Uint32Array;
  readonly window: readonly WindowEntry[];
}

/**
 * Owns every byte of the replicas of one chunkserver: chunk files, their checksums, and the journal that makes both exact after
 * a crash. Calls for one chunk must not overlap unless said otherwise; the chunkserver orders them. Reads may overlap anything.
 * All methods throw CairnError DISK_FULL, DISK_FAILED; after one of them in a mutation the chunk is fenced (CHUNK_MISSING for
 * reads of damaged blocks is never silent: DISK_CORRUPT).
 */
export interface ChunkStore {
  info(handle: ChunkHandle): ChunkInfo | undefined;
  /** Ascending by handle, for inventories that go on from where the last page ended. */
  list(after: ChunkHandle | undefined, limit: number): readonly ChunkInfo[];
  readonly chunkCount: number;
  readonly usedBytes: number;
  /** An empty chunk. @throws EXISTS */
  create(handle: ChunkHandle, version: ChunkVersion): void;
  /**
   * Applies mutations of one or many chunks as one group: chunk files written, journal written once, synced once if any asks for it.
   * Within a chunk the array's order holds. Resolves when all are held as their `sync` asks.
   */
  apply(mutations: readonly ChunkMutation[]): Promise<void>;
  /**
   * Reads and verifies whole blocks, returns exactly [offset, offset + length) cut at the end of the chunk, in parts.
   * @throws CairnError CHUNK_MISSING, DISK_CORRUPT naming chunk and block
   */
  read(handle: ChunkHandle, offset: number, lengthBytes: number): Promise<readonly Uint8Array[]>;
  /** What recovery compares. The checksums are those stored, not recomputed. */
  image(handle: ChunkHandle): ChunkImage | undefined;
  windowOf(handle: ChunkHandle): readonly WindowEntry[];
  /**
   * Recovery and repair: takes `version`, cuts or zero-extends to `lengthBytes`, replaces the window, overwrites the given blocks, which must
   * match their checksums, and makes all of it durable. Creates the chunk if it is missing.
   */
  adopt(image: ChunkImage, blocks: readonly { readonly block: number; readonly bytes: Uint8Array }[]): Promise<void>;
  /** Removes a replica; its file is kept for reuse within a bound. */
  remove(handle: ChunkHandle): Promise<void>;
  /** Recomputes the checksums of all blocks; returns the bad ones. */
  verify(handle: ChunkHandle): Promise<readonly number[]>;
  close(): Promise<void>;
}
