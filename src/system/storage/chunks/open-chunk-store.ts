/** Opens the chunk store of one chunkserver on its disk. */
import type { ChunkHandle, ChunkVersion } from '../../../core/base/brand.ts';
import { ByteReader } from '../../../core/base/bytes.ts';
import type { DiskUsage, Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import {
  type ChunkCut,
  type ChunkImage,
  type ChunkInfo,
  type ChunkMutation,
  type ChunkStore,
  type ChunkStoreOptions,
  chunkBytesMax,
  type SummedBytes,
  type WindowEntry,
} from '../chunk-store.ts';
import { Checkpointer } from './checkpointer.ts';
import { ChunkCache } from './chunk-cache.ts';
import { ChunkFiles } from './chunk-files.ts';
import { Editor } from './editor.ts';
import { FilePool } from './file-pool.ts';
import { type Journal, openJournal, type Replayed } from './journal.ts';
import { type BlockData, readJournalRecord } from './journal-record.ts';
import { Layout } from './layout.ts';
import { loadMetadata } from './metadata-load.ts';
import { Mutator } from './mutator.ts';
import { OpenFiles } from './open-files.ts';
import { type ResolvedOptions, reportLost, type StoreParts } from './parts.ts';
import { Reader } from './reader.ts';
import { Replayer } from './replayer.ts';
import { restoreFiles } from './restore.ts';
import { Slabs } from './slabs.ts';
import { Space } from './space.ts';
import { settled } from './turns.ts';

const mebibyte = 1024 * 1024;

const defaults = {
  chunkBytes: chunkBytesMax,
  reserveBytes: 512 * mebibyte,
  openFilesMax: 1024,
  cachedChunksMax: 8192,
  poolBytesMax: 1024 * mebibyte,
  poolFilesMax: 64,
  pooledFileMinBytes: mebibyte,
  slabBytes: 16 * mebibyte,
  checkpointJournalBytes: 128 * mebibyte,
  checkpointBulkBytes: 4096 * mebibyte,
  checkpointChunks: 65_536,
  checkpointMemoryBytes: 512 * mebibyte,
  checkpointSlots: 8192,
  flushBehindBytes: 4 * mebibyte,
  journalSegmentBytes: 32 * mebibyte,
  metadataSegmentBytes: 16 * mebibyte,
  windowEntriesPerWriter: 128,
  windowWriters: 256,
  verifyAtStartBytes: 1024 * mebibyte,
} satisfies Partial<ChunkStoreOptions>;

/**
 * Replays what the last run left: everything acknowledged with `sync` is there afterwards; blocks that are not are reported.
 * @throws CairnError DISK_CORRUPT, LOG_CORRUPT, WRONG_FORMAT when what is on the disk cannot be believed as a whole.
 */
export async function openChunkStore(env: Env, options: ChunkStoreOptions): Promise<ChunkStore> {
  const resolved: ResolvedOptions = { ...defaults, badBlocks: () => {}, onFailure: () => {}, ...options };
  const layout = new Layout(options.directory);
  await makeDirectories(env, layout);
  const { journalSegmentBytes, checkpointJournalBytes } = resolved;
  const sparesMax = Math.max(1, Math.floor(checkpointJournalBytes / journalSegmentBytes));
  const { journal, replayed } = await openJournal(env, layout.journal, journalSegmentBytes, sparesMax);
  try {
    return await openOn(env, resolved, layout, journal, replayed);
  } catch (thrown) {
    // Its log goes on making segments until it is closed.
    await settled(journal.close());
    throw thrown;
  }
}

async function openOn(
  env: Env,
  resolved: ResolvedOptions,
  layout: Layout,
  journal: Journal,
  replayed: readonly Replayed[],
): Promise<ChunkStore> {
  journal.onFailure = resolved.onFailure;
  const loaded = await loadMetadata(env, layout.metadata, resolved.metadataSegmentBytes, reachOf(replayed));
  const bounds = { entriesPerWriter: resolved.windowEntriesPerWriter, writers: resolved.windowWriters };
  const cache = new ChunkCache(loaded.store, bounds, resolved.cachedChunksMax);
  const pool = new FilePool(env, layout.pool, {
    files: resolved.poolFilesMax,
    bytes: resolved.poolBytesMax,
    fileMinBytes: resolved.pooledFileMinBytes,
  });
  await pool.load();
  const open = new OpenFiles(env, resolved.openFilesMax);
  const slabs = new Slabs(env, layout, resolved.slabBytes, open);
  await slabs.load();
  const files = new ChunkFiles(env, layout, open, pool, slabs, (state) => cache.moved(state));
  const space = new Space(env, resolved.reserveBytes);
  const removed = new Set<ChunkHandle>();
  const parts = { env, options: resolved, layout, metadata: loaded.store, cache, files, journal, space, removed };
  loaded.store.onDamage = (handle) => reportLost(parts, handle, 'its metadata is damaged');
  const replay = new Replayer(cache).run(replayed, loaded.journal);
  journal.continueAfter(Math.max(loaded.change, replay.lastChange));
  for (const handle of replay.removed) removed.add(handle);
  await restoreFiles(parts, replay, loaded.damaged);
  for (const { payload } of replayed) journal.bytesSinceCheckpoint += payload.length;
  return new OpenChunkStore(parts);
}

async function makeDirectories(env: Env, layout: Layout): Promise<void> {
  const wanted = [
    layout.chunks,
    layout.slabs,
    layout.pool,
    layout.metadata,
    layout.journal,
    ...layout.fanOutDirectories(),
  ];
  const last = wanted.at(-1)!;
  const syncNames = async () => {
    await env.disk.syncDirectory(layout.chunks);
    await env.disk.syncDirectory(parentOf(layout.chunks));
  };
  // The last one is made when all others are, for good: where it is, they are.
  if (!(await env.disk.exists(last))) {
    await Promise.all(wanted.slice(0, -1).map((directory) => env.disk.makeDirectory(directory)));
    await syncNames();
    await env.disk.makeDirectory(last);
  }
  await syncNames();
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function reachOf(replayed: readonly { readonly place: { readonly segment: number }; readonly payload: Uint8Array }[]) {
  const [first] = replayed;
  if (first === undefined) return { oldestSegment: undefined, isWhole: true };
  const { record } = readJournalRecord(new ByteReader(first.payload));
  return { oldestSegment: first.place.segment, isWhole: record.kind === 'segmentStarted' && record.ordinal === 1 };
}

class OpenChunkStore implements ChunkStore {
  readonly #parts: StoreParts;
  readonly #checkpointer: Checkpointer;
  readonly #mutator: Mutator;
  readonly #editor: Editor;
  readonly #reader: Reader;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.#checkpointer = new Checkpointer(parts);
    this.#mutator = new Mutator(parts, this.#checkpointer.backlog);
    this.#editor = new Editor(parts, this.#mutator);
    this.#reader = new Reader(parts);
    parts.space.giveBack = () => this.#giveBack();
  }

  room(): Promise<DiskUsage> {
    const { pool, slabs } = this.#parts.files;
    return this.#parts.space.room(pool.bytes + slabs.leftBytes);
  }

  async #giveBack(): Promise<void> {
    await this.#parts.files.pool.drain();
    await this.#checkpointer.makeRoom();
  }

  get hasFailed(): boolean {
    return this.#parts.journal.hasFailed;
  }

  get chunkCount(): number {
    return this.#parts.cache.count;
  }

  get usedBytes(): number {
    return this.#parts.cache.usedBytes;
  }

  info(handle: ChunkHandle): ChunkInfo | undefined {
    return this.#parts.cache.info(handle);
  }

  list(after: ChunkHandle | undefined, limit: number): readonly ChunkInfo[] {
    return this.#parts.cache.list(after, limit);
  }

  create(handle: ChunkHandle, version: ChunkVersion): void {
    this.#editor.create(handle, version);
  }

  async apply(mutations: readonly ChunkMutation[]): Promise<void> {
    try {
      await this.#mutator.apply(mutations);
    } finally {
      this.#checkpointer.consider();
    }
  }

  async cut(cut: ChunkCut): Promise<void> {
    await this.#editor.cut(cut);
    this.#checkpointer.consider();
  }

  async read(
    handle: ChunkHandle,
    offset: number,
    lengthBytes: number,
    into?: Uint8Array,
  ): Promise<readonly Uint8Array[]> {
    return (await this.#reader.read(handle, offset, lengthBytes, into, false)).parts;
  }

  readSummed(handle: ChunkHandle, offset: number, lengthBytes: number, into?: Uint8Array): Promise<SummedBytes> {
    return this.#reader.read(handle, offset, lengthBytes, into, true);
  }

  image(handle: ChunkHandle): ChunkImage | undefined {
    const state = this.#parts.cache.get(handle);
    if (state === undefined) return undefined;
    return { ...state.info, blockChecksums: state.committedChecksums(), window: state.window.entries() };
  }

  windowOf(handle: ChunkHandle): readonly WindowEntry[] {
    return this.#parts.cache.get(handle)?.window.entries() ?? [];
  }

  badBlocksOf(handle: ChunkHandle): readonly number[] {
    return [...(this.#parts.cache.inMemory(handle)?.badBlocks ?? [])].sort((a, b) => a - b);
  }

  async adopt(image: ChunkImage, blocks: readonly BlockData[], mayStayBad?: boolean): Promise<void> {
    await this.#editor.adopt(image, blocks, mayStayBad);
    this.#checkpointer.consider();
  }

  async remove(handle: ChunkHandle): Promise<void> {
    await this.#editor.remove(handle);
    this.#checkpointer.consider();
  }

  async verify(handle: ChunkHandle, pace?: (bytes: number) => Promise<void>): Promise<readonly number[]> {
    const state = this.#parts.cache.get(handle);
    try {
      return await this.#reader.verify(handle, pace);
    } catch (thrown) {
      // It may have been removed meanwhile, and made anew: that one was not looked at.
      if (toCairnError(thrown).code === 'CHUNK_MISSING' && state?.isRemoved === false) await this.#editor.lose(state);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    await this.#checkpointer.quiet();
    try {
      if (!this.#parts.journal.hasFailed) await this.#checkpointer.run();
    } finally {
      await this.#parts.files.close();
      await this.#parts.journal.close();
      await this.#parts.metadata.close();
    }
  }
}
