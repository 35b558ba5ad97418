/**
 * Between which servers a copy of a chunk could not be made: others are tried first. What is amiss there may be known to nobody else, and the server
 * that would be best may be the one that never succeeds.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';

/** Chunks of which this is remembered; the oldest are forgotten. */
const chunksMax = 10_000;
/** Pairs of servers remembered of one chunk; beyond it all are tried again. */
const pairsMax = 256;

export class FailedCopies {
  readonly #failed = new Map<ChunkHandle, Set<string>>();

  note(handle: ChunkHandle, from: ServerId, to: ServerId): void {
    const known = this.#failed.get(handle);
    if (known !== undefined) {
      if (known.size >= pairsMax) known.clear();
      known.add(`${from}/${to}`);
      return;
    }
    this.#failed.set(handle, new Set([`${from}/${to}`]));
    if (this.#failed.size <= chunksMax) return;
    for (const oldest of this.#failed.keys()) {
      this.#failed.delete(oldest);
      return;
    }
  }

  knows(handle: ChunkHandle): boolean {
    return this.#failed.has(handle);
  }
  has(handle: ChunkHandle, from: ServerId, to: ServerId): boolean {
    return this.#failed.get(handle)?.has(`${from}/${to}`) === true;
  }

  /** A copy was made, or all that could be tried was, or the chunk is gone. */
  forget(handle: ChunkHandle): void {
    this.#failed.delete(handle);
  }
}
