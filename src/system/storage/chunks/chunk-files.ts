/**
 * Where the bytes of chunks are: a small chunk in a slot of a slab, any other in a file of its own. A chunk that outgrows its place
 * moves, never back: its bytes are copied first, and the place it leaves stays as it is until a checkpoint knows the new one.
 * Also which directories hold names that a power loss would take.
 */
import { assert } from '../../../core/base/assert.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { ChunkState } from './chunk-state.ts';
import type { FilePool } from './file-pool.ts';
import type { Layout } from './layout.ts';
import type { OpenFiles } from './open-files.ts';
import type { Slabs, Slot } from './slabs.ts';
import { slotBytesOf, slotMaxBytes } from './slabs.ts';

/** The bytes of one chunk, the first at 0. What is there beyond the chunk's length means nothing. */
export type ChunkBytes = Pick<DiskFile, 'readNow' | 'writeNow'>;

export class ChunkFiles {
  readonly pool: FilePool;
  readonly slabs: Slabs;
  readonly #env: Env;
  readonly #layout: Layout;
  readonly #open: OpenFiles;
  /** Told of each chunk that has moved: the checkpoint that gives away the slot it has left must know where it is now. */
  readonly #onMove: (state: ChunkState) => void;
  #unsyncedDirectories = new Set<string>();

  constructor(
    env: Env,
    layout: Layout,
    open: OpenFiles,
    pool: FilePool,
    slabs: Slabs,
    onMove: (state: ChunkState) => void,
  ) {
    this.#env = env;
    this.#layout = layout;
    this.#open = open;
    this.pool = pool;
    this.slabs = slabs;
    this.#onMove = onMove;
  }

  /** The bytes of a chunk that has some, for use within this turn. @throws CairnError CHUNK_MISSING */
  existing(state: ChunkState): ChunkBytes {
    if (state.slot === undefined) return this.#ownFile(state);
    try {
      return new SlotBytes(this.slabs, state.slot);
    } catch (thrown) {
      throw missingFile(state, thrown);
    }
  }

  /** The same for a chunk that is to be so long: found a place, or moved to a larger one, if need be. */
  obtain(state: ChunkState, lengthBytes: number): ChunkBytes {
    if (state.hasFile) return this.#ownFile(state);
    if (lengthBytes <= slotMaxBytes) {
      if (state.slot === undefined || lengthBytes > slotBytesOf(state.slot)) this.#moveToSlot(state, lengthBytes);
      return this.existing(state);
    }
    return this.#moveToFile(state, 'create');
  }

  /** As `obtain` for a chunk with a file of its own, but prefers a recycled file. */
  async obtainRecycled(state: ChunkState): Promise<void> {
    if (state.hasFile || this.pool.isEmpty) return;
    const path = this.#layout.pathOf(state.handle);
    if (!(await this.pool.take(path))) return;
    // Of a move that failed a file may be open still that has lost the name by now.
    this.#open.dismiss(state.handle);
    this.#moveToFile(state, 'write');
    this.#unsyncedDirectories.add(this.#layout.pool);
  }

  /** Runs `use` with the chunk's own file open throughout. @throws CairnError CHUNK_MISSING */
  async hold<T>(state: ChunkState, use: (file: DiskFile) => Promise<T>): Promise<T> {
    assert(state.slot === undefined, 'who holds a file has one', { handle: state.handle });
    mustHaveFile(state);
    return this.#open.hold(state.handle, () => this.#openOwn(state), use);
  }

  /** Opens the file that has the chunk's name now, unless it is in use. @throws CairnError CHUNK_MISSING */
  reopen(state: ChunkState): void {
    if (state.slot !== undefined) this.slabs.reopen(state.slot);
    else this.#open.closeIdle(state.handle);
    this.existing(state);
  }

  /** The chunk is gone: its file goes to the pool, or away. */
  async retire(state: ChunkState): Promise<void> {
    // Of an empty chunk nothing says whether it has the file still that it had before it was cut.
    const mayHaveFile = state.hasFile || (state.slot === undefined && state.lengthBytes === 0);
    this.#leaveSlot(state);
    if (!mayHaveFile) return;
    const path = this.#layout.pathOf(state.handle);
    // Somebody may have taken it away.
    const isThere = await this.#env.disk.exists(path);
    state.hasFile = isThere;
    const bytes = isThere ? this.#ownFile(state).size() : 0;
    this.#open.dismiss(state.handle);
    state.hasFile = false;
    if (!isThere) return;
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
      await this.slabs.syncNames();
      for (const directory of directories) await this.#env.disk.syncDirectory(directory);
    } catch (thrown) {
      for (const directory of directories) this.#unsyncedDirectories.add(directory);
      throw thrown;
    }
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  /** The chunk's own file is there, but a crash may have come before anything of it was synced. */
  found(state: ChunkState): void {
    this.#leaveSlot(state);
    this.#made(state);
    state.hasUnjournalledData = true;
  }

  #moveToSlot(state: ChunkState, lengthBytes: number): void {
    const slot = this.slabs.allocate(lengthBytes);
    try {
      const bytes = this.#bytesToMove(state);
      if (bytes.length > 0) new SlotBytes(this.slabs, slot).writeNow(0, [bytes]);
    } catch (thrown) {
      this.slabs.leave(slot);
      throw thrown;
    }
    this.#leaveSlot(state);
    state.slot = slot;
    this.#onMove(state);
  }

  #moveToFile(state: ChunkState, mode: 'create' | 'write'): DiskFile {
    const bytes = this.#bytesToMove(state);
    const path = this.#layout.pathOf(state.handle);
    const { file } = this.#open.open(state.handle, () => this.#env.disk.openNow(path, mode));
    if (bytes.length > 0) file.writeNow(0, [bytes]);
    this.#leaveSlot(state);
    this.#made(state);
    return file;
  }

  /** All that is in its slot, whether it is right or not: that the checksums tell, wherever it is. */
  #bytesToMove(state: ChunkState): Uint8Array {
    if (state.slot === undefined) return new Uint8Array(0);
    const bytes = new Uint8Array(Math.min(state.plannedLength, slotBytesOf(state.slot)));
    return bytes.subarray(0, this.existing(state).readNow(0, bytes));
  }

  #leaveSlot(state: ChunkState): void {
    if (state.slot === undefined) return;
    this.slabs.leave(state.slot);
    state.slot = undefined;
  }

  #made(state: ChunkState): void {
    state.hasFile = true;
    state.isPlaced = false;
    state.isUnsynced = true;
    state.writes++;
    this.#unsyncedDirectories.add(this.#layout.directoryOf(state.handle));
    this.#onMove(state);
  }

  #ownFile(state: ChunkState): DiskFile {
    mustHaveFile(state);
    return this.#open.open(state.handle, () => this.#openOwn(state)).file;
  }

  #openOwn(state: ChunkState): DiskFile {
    try {
      return this.#env.disk.openNow(this.#layout.pathOf(state.handle), 'write');
    } catch (thrown) {
      throw missingFile(state, thrown);
    }
  }
}

/** What is open under its handle may be the file of another chunk, made anew after this one was removed. */
function mustHaveFile({ handle, hasFile }: ChunkState): void {
  if (!hasFile) throw new CairnError('CHUNK_MISSING', `chunk ${handle} has no file on this server`);
}

function missingFile({ handle }: ChunkState, thrown: unknown): CairnError {
  const error = toCairnError(thrown);
  if (error.code !== 'NOT_FOUND') return error;
  return new CairnError('CHUNK_MISSING', `the file of chunk ${handle} is gone from this server`, { cause: error });
}

/** One slot of a slab. */
class SlotBytes implements ChunkBytes {
  readonly #slabs: Slabs;
  readonly #slot: Slot;
  readonly #file: DiskFile;
  readonly #bytes: number;

  constructor(slabs: Slabs, slot: Slot) {
    this.#slabs = slabs;
    this.#slot = slot;
    this.#file = slabs.fileOf(slot);
    this.#bytes = slotBytesOf(slot);
  }

  readNow(offset: number, into: Uint8Array): number {
    const room = Math.max(0, this.#bytes - offset);
    const within = into.length <= room ? into : into.subarray(0, room);
    return this.#file.readNow(this.#slot.index * this.#bytes + offset, within);
  }

  writeNow(offset: number, parts: readonly Uint8Array[]): void {
    let end = offset;
    for (const part of parts) end += part.length;
    assert(end <= this.#bytes, 'a write to a slot stays in it', { end, ...this.#slot });
    this.#slabs.written(this.#slot);
    this.#file.writeNow(this.#slot.index * this.#bytes + offset, parts);
  }
}
