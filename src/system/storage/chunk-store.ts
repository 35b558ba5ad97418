/**
 * The contract of the chunk store: every chunk replica of one chunkserver, on its disk. See docs/formats/chunk-files.md.
 */
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../core/base/brand.ts';
import type { DiskUsage, Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';

export const blockBytes = 64 * 1024;
/** No chunk is longer, whatever size a file's chunks were given: an image lists so many blocks at most. */
export const chunkBytesMax = 65_536 * blockBytes;

/** The bytes of the whole blocks that a range touches. */
export function blockSpanBytes(offset: number, lengthBytes: number): number {
  const from = Math.floor(offset / blockBytes);
  return (Math.ceil((offset + lengthBytes) / blockBytes) - from) * blockBytes;
}

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

/** No writer: an entry of it says with its sequence under which version of the chunk a writer was forgotten last. */
export const forgottenWriter = 0;

/** Version 0: nobody was. */
export function forgottenMark(version: number): WindowEntry {
  return { writer: forgottenWriter, sequence: version, offset: 0, lengthBytes: 0 };
}

export interface ChunkMutation {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
  readonly serial: MutationSerial;
  readonly offset: number;
  /** The bytes, in parts; they must not change until the promise of `apply` resolves. Zero bytes in all: padding only. */
  readonly parts: readonly Uint8Array[];
  /**
   * CRC-32 of the bytes of the only part, block by block from its first byte, where whoever took them in has summed them already. Used
   * when the mutation begins with a block; it must be right.
   */
  readonly blockChecksums?: ArrayLike<number> | undefined;
  /** The chunk ends here afterwards (padding is zeros) if that is beyond its present end. */
  readonly lengthBytes: number;
  readonly window: readonly WindowEntry[];
  readonly sync: boolean;
}

export type ChunkCut = Pick<ChunkMutation, 'handle' | 'version' | 'serial' | 'lengthBytes' | 'window'>;

export interface SummedBytes {
  readonly parts: readonly Uint8Array[];
  readonly crc: number;
}

/** Some chunks of a group have failed; the mutations of the others are held as their `sync` asked. */
export class GroupError extends CairnError {
  readonly failures: ReadonlyMap<ChunkHandle, CairnError>;
  constructor(first: CairnError, failures: ReadonlyMap<ChunkHandle, CairnError>) {
    super(first.code, `${failures.size} chunks of a group failed, the first so: ${first.message}`, { cause: first });
    this.failures = failures;
  }
}

/** Checksums of a whole chunk, for recovery and repair: one CRC-32 per block of 64 KiB, the last one over what there is. */
export interface ChunkImage extends ChunkInfo {
  readonly blockChecksums: Uint32Array;
  readonly window: readonly WindowEntry[];
}

/**
 * Owns every byte of the replicas of one chunkserver: chunk files, their checksums, and the journal that makes both exact after
 * a crash. Calls may overlap; changes of one chunk take effect in the order of their calls. Reads may overlap anything.
 * All methods throw CairnError DISK_FULL, DISK_FAILED; after one of them in a mutation the chunk is fenced. A failed sync, or a
 * failure of the journal, ends all changes of the store; reads go on.
 */
export interface ChunkStore {
  info(handle: ChunkHandle): ChunkInfo | undefined;
  /** Ascending by handle, for inventories that go on from where the last page ended. */
  list(after: ChunkHandle | undefined, limit: number): readonly ChunkInfo[];
  /** A failed sync or journal has ended all changes: only a new start, which replays, can take more. */
  readonly hasFailed: boolean;
  readonly chunkCount: number;
  readonly usedBytes: number;
  /** The disk's size, and how much of it chunks can still take: without the reserve, which is not for them. */
  room(): Promise<DiskUsage>;
  /** An empty chunk. Outlasts a crash from its first mutation on. @throws EXISTS */
  create(handle: ChunkHandle, version: ChunkVersion): void;
  /**
   * Applies mutations of one or many chunks as one group: chunk files written, journal written once, synced once if any asks for it.
   * Within a chunk the array's order holds, and that of the calls; calls may overlap. Resolves when all are held as their `sync` asks.
   * What a sync mutation follows in its chunk is durable with it. After a failure the chunk takes no more mutations under that version.
   * @throws CairnError what befell the only chunk, or the store as a whole; GroupError when others of the group are held.
   */
  apply(mutations: readonly ChunkMutation[]): Promise<void>;
  /**
   * Makes a chunk shorter, as one mutation: what was behind `lengthBytes` is gone, and reads as zeros if the chunk grows again. Durable when it
   * resolves. In the order of the calls with `apply`. @throws CairnError STALE_VERSION, CHUNK_MISSING, DISK_CORRUPT in the last block
   */
  cut(cut: ChunkCut): Promise<void>;
  /**
   * Reads and verifies whole blocks, returns exactly [offset, offset + length) cut at the end of the chunk, in parts.
   * The parts are views of `into`, or without it of fresh memory that nobody uses again.
   * @param into memory for the whole blocks that the range touches (`blockSpanBytes`); bulk reads into memory of
   * `Disk.allocate` go past the page cache.
   * @throws CairnError CHUNK_MISSING, DISK_CORRUPT naming chunk and block
   */
  read(handle: ChunkHandle, offset: number, lengthBytes: number, into?: Uint8Array): Promise<readonly Uint8Array[]>;
  /** As `read`, with the CRC-32 of what it returns: of whole blocks that is known from their own, and nothing is summed twice. */
  readSummed(handle: ChunkHandle, offset: number, lengthBytes: number, into?: Uint8Array): Promise<SummedBytes>;
  /** What recovery compares. The checksums are those stored, not recomputed. */
  image(handle: ChunkHandle): ChunkImage | undefined;
  windowOf(handle: ChunkHandle): readonly WindowEntry[];
  /**
   * Recovery and repair: takes `version`, cuts or zero-extends to `lengthBytes`, replaces the window, overwrites the given blocks, which must
   * match their checksums, and makes all of it durable. Creates the chunk if it is missing.
   * @param mayStayBad blocks that are known to be bad and are not given stay so: they come with a later call. Else they are refused.
   */
  adopt(
    image: ChunkImage,
    blocks: readonly { readonly block: number; readonly bytes: Uint8Array }[],
    mayStayBad?: boolean,
  ): Promise<void>;
  /** Removes a replica; its file is kept for reuse within a bound. */
  remove(handle: ChunkHandle): Promise<void>;
  /**
   * Recomputes the checksums of all blocks, of the file that is under the chunk's name now; returns the bad ones. A chunk whose file is not
   * there is taken off the books, and reported as bad in all blocks.
   * @param pace awaited before each piece of up to 1 MiB. @throws CairnError CHUNK_MISSING
   */
  verify(handle: ChunkHandle, pace?: (bytes: number) => Promise<void>): Promise<readonly number[]>;
  /** Blocks that are known to fail their checksums: reads of them fail, a repair or a write over the whole block mends them. */
  badBlocksOf(handle: ChunkHandle): readonly number[];
  /** Waits for nothing that is under way: the caller has ended its changes and reads. Leaves a checkpoint, so that the next start is short. */
  close(): Promise<void>;
}

/** A replica that cannot be served as it is: some blocks, or all of it. Copy them from another one. */
export interface BadBlocksReport {
  readonly handle: ChunkHandle;
  /** `all`: the replica is off the books; `info` does not know it any more. */
  readonly blocks: readonly number[] | 'all';
}

export interface ChunkStoreOptions {
  /** Of the store, on env.disk. */
  readonly directory: string;
  /** Told once for each bad block that a read, a verification or the start finds. Must not throw. */
  readonly badBlocks?: (report: BadBlocksReport) => void;
  /** Told once when the store takes no more changes, its disk having failed: it must be opened anew. Must not throw. */
  readonly onFailure?: (cause: CairnError) => void;
  /** A chunk is at most so long: what is beyond is a mistake of its caller. Default `chunkBytesMax`. */
  readonly chunkBytes?: number;
  /** Mutations are refused with DISK_FULL when less than this would stay free: room for journal and checkpoints. Default 512 MiB. */
  readonly reserveBytes?: number;
  readonly openFilesMax?: number;
  /** Chunks kept in memory beyond those that changed since the last checkpoint: fewer, if they remember more than 16 KiB each of their writers. */
  readonly cachedChunksMax?: number;
  /** Files of removed chunks that are kept for reuse, in bytes and number; 0 keeps none. */
  readonly poolBytesMax?: number;
  readonly poolFilesMax?: number;
  readonly pooledFileMinBytes?: number;
  /** Small chunks share files of about this size; at least 64 KiB. */
  readonly slabBytes?: number;
  /**
   * A checkpoint begins when the journal has grown by this, or small chunks have left so much room, or so much bulk data was written, or so
   * many chunks changed, or those take so much memory, or so many small ones are new or have moved. Those cost it little each, but come by the
   * thousand; of the others each has a file that may have to be flushed.
   */
  readonly checkpointJournalBytes?: number;
  readonly checkpointBulkBytes?: number;
  readonly checkpointChunks?: number;
  readonly checkpointMemoryBytes?: number;
  readonly checkpointSlots?: number;
  /** A chunk file is flushed, with nobody waiting for it, when so much was written to it through the page cache. */
  readonly flushBehindBytes?: number;
  readonly journalSegmentBytes?: number;
  readonly metadataSegmentBytes?: number;
  /** Bounds of the window for exactly-once appends. */
  readonly windowEntriesPerWriter?: number;
  readonly windowWriters?: number;
  /** Of the bulk data that a crash may have torn, so much is verified before the store is open; reads verify the rest. */
  readonly verifyAtStartBytes?: number;
}

export type OpenChunkStore = (env: Env, options: ChunkStoreOptions) => Promise<ChunkStore>;
