/**
 * The chunk files that are open, least recently used first out, and which directories hold names that a power loss would take.
 * A file is closed only when nobody holds it across an await.
 */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { ChunkState } from './chunk-state.ts';
import type { FilePool } from './file-pool.ts';
import type { Layout } from './layout.ts';

interface OpenFile {
  readonly file: DiskFile;
  users: number;
  /** The chunk is gone: close with the last user. */
  isRetired: boolean;
}

export class ChunkFiles {
  readonly pool: FilePool;
  readonly #env: Env;
  readonly #layout: Layout;
  readonly #openMax: number;
  /** Least recently used first. */
  readonly #open = new Map<ChunkHandle, OpenFile>();
  readonly #closing = new Set<Promise<void>>();
  #unsyncedDirectories = new Set<string>();

  constructor(env: Env, layout: Layout, openMax: number, pool: FilePool) {
    this.#env = env;
    this.#layout = layout;
    this.#openMax = openMax;
    this.pool = pool;
  }

  /** The file of a chunk that has one, for use within this turn; `hold` it to use it longer. @throws CairnError CHUNK_MISSING */
  existing(state: ChunkState): DiskFile {
    return this.#entry(state).file;
  }

  /** The same; makes the file when the chunk has none yet. What it holds beyond the chunk's length means nothing. */
  obtain(state: ChunkState): DiskFile {
    if (state.hasFile) return this.#entry(state).file;
    const file = this.#env.disk.openNow(this.#layout.pathOf(state.handle), 'create');
    this.#made(state);
    return this.#admit(state.handle, file).file;
  }

  /** As `obtain`, but prefers a recycled file. */
  async obtainRecycled(state: ChunkState): Promise<void> {
    if (state.hasFile || this.pool.isEmpty) return;
    if (!(await this.pool.take(this.#layout.pathOf(state.handle)))) return;
    this.#made(state);
    this.#unsyncedDirectories.add(this.#layout.pool);
  }

  /** Runs `use` with the file open throughout. */
  async hold<T>(state: ChunkState, use: (file: DiskFile) => Promise<T>): Promise<T> {
    const entry = this.#entry(state);
    entry.users++;
    try {
      return await use(entry.file);
    } finally {
      entry.users--;
      if (entry.isRetired && entry.users === 0) this.#close(entry.file);
    }
  }

  /** Opens the file that has the chunk's name now, unless it is in use. @throws CairnError CHUNK_MISSING */
  reopen(state: ChunkState): void {
    const entry = this.#open.get(state.handle);
    if (entry !== undefined && entry.users === 0) {
      this.#open.delete(state.handle);
      this.#close(entry.file);
    }
    this.#entry(state);
  }

  /** The chunk is gone: its file goes to the pool, or away. */
  async retire(state: ChunkState): Promise<void> {
    if (!state.hasFile) return;
    if (!(await this.#env.disk.exists(this.#layout.pathOf(state.handle)))) {
      this.#forget(state);
      return;
    }
    const { bytes } = this.#dismiss(state);
    const path = this.#layout.pathOf(state.handle);
    await this.pool.put(path, bytes);
    this.#unsyncedDirectories.add(this.#layout.directoryOf(state.handle));
    this.#unsyncedDirectories.add(this.#layout.pool);
  }

  /** Makes the file's name last, where it does not yet. */
  async place(state: ChunkState): Promise<void> {
    if (state.isPlaced || !state.hasFile) return;
    await this.#env.disk.syncDirectory(this.#layout.directoryOf(state.handle));
    // A name in the pool that outlived its rename would make two chunks of one file.
    if (this.#unsyncedDirectories.has(this.#layout.pool)) await this.#env.disk.syncDirectory(this.#layout.pool);
    state.isPlaced = true;
  }

  /** Makes all names last that were made or taken away before the call. */
  async syncDirectories(): Promise<void> {
    const directories = this.#unsyncedDirectories;
    this.#unsyncedDirectories = new Set();
    try {
      for (const directory of directories) await this.#env.disk.syncDirectory(directory);
    } catch (thrown) {
      for (const directory of directories) this.#unsyncedDirectories.add(directory);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    const files = [...this.#open.values()];
    this.#open.clear();
    for (const { file } of files) this.#close(file);
    await Promise.all(this.#closing);
  }

  /** The chunk's file is there, but a crash may have come before anything of it was synced. */
  found(state: ChunkState): void {
    this.#made(state);
    state.isUnsynced = true;
    state.hasUnjournalledData = true;
  }

  #made(state: ChunkState): void {
    state.hasFile = true;
    state.isPlaced = false;
    this.#unsyncedDirectories.add(this.#layout.directoryOf(state.handle));
  }

  #entry(state: ChunkState): OpenFile {
    const { handle } = state;
    const known = this.#open.get(handle);
    if (known !== undefined) {
      this.#open.delete(handle);
      this.#open.set(handle, known);
      return known;
    }
    if (!state.hasFile) throw new CairnError('CHUNK_MISSING', `chunk ${handle} has no file on this server`);
    try {
      return this.#admit(handle, this.#env.disk.openNow(this.#layout.pathOf(handle), 'write'));
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code !== 'NOT_FOUND') throw error;
      throw new CairnError('CHUNK_MISSING', `the file of chunk ${handle} is gone from this server`, { cause: error });
    }
  }

  #admit(handle: ChunkHandle, file: DiskFile): OpenFile {
    const entry = { file, users: 0, isRetired: false };
    this.#open.set(handle, entry);
    if (this.#open.size > this.#openMax) this.#evict(handle);
    return entry;
  }

  #evict(keep: ChunkHandle): void {
    for (const [handle, entry] of this.#open) {
      if (this.#open.size <= this.#openMax) return;
      if (entry.users > 0 || handle === keep) continue;
      this.#open.delete(handle);
      this.#close(entry.file);
    }
  }

  #dismiss(state: ChunkState): { readonly bytes: number } {
    const entry = this.#entry(state);
    const bytes = entry.file.size();
    this.#open.delete(state.handle);
    entry.isRetired = true;
    if (entry.users === 0) this.#close(entry.file);
    state.hasFile = false;
    return { bytes };
  }

  /** Somebody has taken the file away. */
  #forget(state: ChunkState): void {
    const entry = this.#open.get(state.handle);
    state.hasFile = false;
    if (entry === undefined) return;
    this.#open.delete(state.handle);
    entry.isRetired = true;
    if (entry.users === 0) this.#close(entry.file);
  }

  #close(file: DiskFile): void {
    const closing = file.close().then(
      () => {
        this.#closing.delete(closing);
      },
      (thrown: unknown) => {
        this.#closing.delete(closing);
        const error = toCairnError(thrown);
        this.#env.events.emit('error', 'chunk-file-close-failed', { path: file.path, message: error.message });
      },
    );
    this.#closing.add(closing);
  }
}
