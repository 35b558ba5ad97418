/**
 * The states of chunks that have not changed since the last checkpoint, least recently used first out. Bounded in number, and in what they take:
 * what a chunk remembers of its writers may be a thousand times what another one does.
 */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { ChunkState } from './chunk-state.ts';

/** On average; the checksums of a full chunk take a quarter of it. */
const bytesPerState = 16 * 1024;
/** Entries that one eviction looks at most: those in use go last. */
const evictionLooks = 16;

interface Kept {
  readonly state: ChunkState;
  readonly bytes: number;
}

export class CleanStates {
  readonly max: number;
  readonly #kept = new Map<ChunkHandle, Kept>();
  #bytes = 0;

  constructor(max: number) {
    this.max = max;
  }

  get(handle: ChunkHandle): ChunkState | undefined {
    return this.#kept.get(handle)?.state;
  }

  /** It is used: it goes last. */
  touch(handle: ChunkHandle): void {
    const kept = this.#kept.get(handle);
    if (kept === undefined) return;
    this.#kept.delete(handle);
    this.#kept.set(handle, kept);
  }

  keep(state: ChunkState): void {
    this.delete(state.handle);
    const { memoryBytes: bytes } = state;
    this.#kept.set(state.handle, { state, bytes });
    this.#bytes += bytes;
    let looks = evictionLooks;
    for (const [handle, { state: oldest }] of this.#kept) {
      const isWithin = this.#kept.size <= this.max && this.#bytes <= this.max * bytesPerState;
      if (isWithin || looks-- === 0) return;
      if (oldest === state) continue;
      if (oldest.isIdle) this.delete(handle);
      else this.touch(handle); // else those that stay in use would be all that is looked at
    }
  }

  /** @returns whether it was here */
  delete(handle: ChunkHandle): boolean {
    this.#bytes -= this.#kept.get(handle)?.bytes ?? 0;
    return this.#kept.delete(handle);
  }
}
