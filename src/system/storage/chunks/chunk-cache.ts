/**
 * The chunks that are in memory. Those that changed since the last checkpoint must be: only the journal holds what they are.
 * The others are a cache over the metadata store, least recently used first out.
 */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { ChunkInfo } from '../chunk-store.ts';
import { AppendWindow, type WindowBounds } from './append-window.ts';
import { ChunkState } from './chunk-state.ts';
import { CleanStates } from './clean-states.ts';
import type { MetadataStore } from './metadata-store.ts';
import { OrderedHandles } from './ordered-handles.ts';
import type { Slices } from './slices.ts';

export class ChunkCache {
  readonly #metadata: MetadataStore;
  readonly #windowBounds: WindowBounds;
  readonly #ordered: OrderedHandles;
  readonly #isLive = (handle: number): boolean => this.#metadata.table.has(handle as ChunkHandle);
  #dirty = new Map<ChunkHandle, ChunkState>();
  /** Captured by the checkpoint under way, and not changed since. */
  #captured = new Map<ChunkHandle, ChunkState>();
  readonly #clean: CleanStates;
  #dirtyBytes = 0;
  #usedBytes = 0;

  constructor(metadata: MetadataStore, windowBounds: WindowBounds, cleanMax: number) {
    this.#metadata = metadata;
    this.#windowBounds = windowBounds;
    this.#clean = new CleanStates(cleanMax);
    const handles = metadata.table.handles();
    this.#ordered = new OrderedHandles(handles);
    for (const handle of handles) this.#usedBytes += metadata.table.info(handle as ChunkHandle)!.lengthBytes;
  }

  get count(): number {
    return this.#metadata.table.size;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get dirtyCount(): number {
    return this.#dirty.size;
  }

  /**
   * What the dirty ones took when they became so, with those that were removed since. What they have grown by is in the journal too, which has its
   * own bound.
   */
  get dirtyBytes(): number {
    return this.#dirtyBytes;
  }

  info(handle: ChunkHandle): ChunkInfo | undefined {
    return this.inMemory(handle)?.info ?? this.#metadata.table.info(handle);
  }

  list(after: ChunkHandle | undefined, limit: number): readonly ChunkInfo[] {
    return this.#ordered.after(after ?? 0, limit, this.#isLive).map((handle) => this.info(handle as ChunkHandle)!);
  }

  /** A chunk with a fence or blocks that are known to be bad is never out of memory. */
  inMemory(handle: ChunkHandle): ChunkState | undefined {
    return this.#dirty.get(handle) ?? this.#clean.get(handle) ?? this.#captured.get(handle);
  }

  /** @throws CairnError DISK_CORRUPT when its metadata cannot be read. */
  get(handle: ChunkHandle): ChunkState | undefined {
    const known = this.inMemory(handle);
    if (known !== undefined) {
      this.#clean.touch(handle);
      return known;
    }
    const record = this.#metadata.read(handle);
    if (record === undefined) return undefined;
    const window = AppendWindow.written(this.#windowBounds, record.version, record.window);
    const state = new ChunkState(handle, record.version, record.serial, window);
    state.settle(record.lengthBytes, record.checksums);
    state.change = record.change;
    state.slot = record.slot;
    state.hasFile = record.lengthBytes > 0 && record.slot === undefined;
    state.isPlaced = state.hasFile;
    this.#clean.keep(state);
    return state;
  }

  /** A chunk that was not there. */
  add(info: ChunkInfo): ChunkState {
    const state = this.prepare(info);
    this.admit(state);
    return state;
  }

  /** A chunk that nobody knows until it is admitted. */
  prepare({ handle, version, serial }: ChunkInfo): ChunkState {
    return new ChunkState(handle, version, serial, new AppendWindow(this.#windowBounds, version));
  }

  admit(state: ChunkState): void {
    const { handle } = state;
    this.#setDirty(state);
    this.#metadata.table.put(state.info);
    this.#usedBytes += state.lengthBytes;
    this.#ordered.add(handle);
  }

  /** The state differs from the last checkpoint. @param grownBytes by how much its length changed. */
  changed(state: ChunkState, grownBytes: number): void {
    this.#usedBytes += grownBytes;
    if (this.#dirty.has(state.handle) || state.isRemoved) return;
    this.#clean.delete(state.handle);
    this.#captured.delete(state.handle);
    this.#setDirty(state);
  }

  /** What the last checkpoint, or the one under way, has of its place is out of date. */
  moved(state: ChunkState): void {
    const { handle } = state;
    if (this.#clean.delete(handle) || this.#captured.delete(handle)) this.#setDirty(state);
  }

  remove(state: ChunkState): void {
    const { handle } = state;
    this.#usedBytes -= state.lengthBytes;
    state.isRemoved = true;
    this.#dirty.delete(handle);
    this.#captured.delete(handle);
    this.#clean.delete(handle);
    this.#metadata.delete(handle);
    this.#ordered.removed(this.#isLive);
  }

  /** Drops what the table has of a chunk that cannot be used. */
  forget(handle: ChunkHandle): void {
    const state = this.inMemory(handle);
    if (state !== undefined) {
      this.remove(state);
      return;
    }
    this.#usedBytes -= this.#metadata.table.info(handle)?.lengthBytes ?? 0;
    this.#metadata.delete(handle);
    this.#ordered.removed(this.#isLive);
  }

  /** Begins a checkpoint: what is dirty now is to be written. */
  capture(): readonly ChunkState[] {
    for (const [handle, state] of this.#captured) this.#dirty.set(handle, state);
    this.#captured = this.#dirty;
    this.#dirty = new Map();
    this.#dirtyBytes = 0;
    return [...this.#captured.values()];
  }

  /** It has failed: what it was to write is as dirty as before. */
  captureFailed(): void {
    for (const state of this.#captured.values()) this.#setDirty(state);
    this.#captured = new Map();
  }

  /** It is done: what has not changed since is clean. */
  async captureDone(slices: Slices): Promise<void> {
    let surplus = this.#captured.size - this.#clean.max;
    for (const [handle, state] of this.#captured) {
      this.#captured.delete(handle);
      // What the next ones would push out at once is not kept at all.
      if (surplus-- <= 0 || !state.isIdle) this.#clean.keep(state);
      const pause = slices.done(1);
      if (pause !== undefined) await pause;
    }
  }

  #setDirty(state: ChunkState): void {
    this.#dirty.set(state.handle, state);
    this.#dirtyBytes += state.memoryBytes;
  }
}
