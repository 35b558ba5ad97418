/** Which chunks are in use: asked for by clients lately. Of those that lack copies they get them first. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';

/** Beyond it the one not used for longest is forgotten. */
const chunksMax = 20_000;
const hotMs = 60_000;

export class Heat {
  readonly #env: Env;
  /** The one used last at the end. */
  readonly #usedAt = new Map<ChunkHandle, number>();

  constructor(env: Env) {
    this.#env = env;
  }

  used(handle: ChunkHandle): void {
    this.#usedAt.delete(handle);
    this.#usedAt.set(handle, this.#env.clock.now());
    if (this.#usedAt.size <= chunksMax) return;
    for (const oldest of this.#usedAt.keys()) {
      this.#usedAt.delete(oldest);
      return;
    }
  }

  isHot(handle: ChunkHandle): boolean {
    return this.#env.clock.now() - (this.#usedAt.get(handle) ?? Number.NEGATIVE_INFINITY) < hotMs;
  }
}
