/**
 * Servers that left a chunk's set lately, as each master sees it that applies the log. Readers may still believe that the chunk is there: a copy
 * that is being made there, and is not in the set yet, must not be read: a sealed chunk too may be granted, and change, while it is copied. So who
 * has left gets none for a while, whoever leads.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';

/** Beyond it the oldest are forgotten, and nothing is copied until they would have been anyway. */
export const departuresMax = 100_000;

export class Departures {
  readonly #env: Env;
  readonly #keepMs: number;
  /** In the order of time. */
  readonly #leftAt = new Map<string, number>();
  /** Before this nothing is known: the state came from elsewhere, or too many left. */
  #unknownUntil = Number.NEGATIVE_INFINITY;

  constructor(env: Env, keepMs: number) {
    this.#env = env;
    this.#keepMs = keepMs;
  }

  /** What was before is not known any more. */
  beginAnew(): void {
    this.#unknownUntil = this.#env.clock.now() + this.#keepMs;
  }

  note(handle: ChunkHandle, before: readonly ServerId[], after: readonly ServerId[]): void {
    const now = this.#env.clock.now();
    this.#forget(now);
    for (const id of before) {
      if (after.includes(id)) continue;
      if (this.#leftAt.size >= departuresMax) this.beginAnew();
      else {
        this.#leftAt.delete(`${handle}/${id}`);
        this.#leftAt.set(`${handle}/${id}`, now);
      }
    }
  }

  /** Whether somebody may still look for the chunk there; `false` is certain. */
  mayBeBelieved(handle: ChunkHandle, server: ServerId): boolean {
    const now = this.#env.clock.now();
    if (now < this.#unknownUntil) return true;
    return now - (this.#leftAt.get(`${handle}/${server}`) ?? Number.NEGATIVE_INFINITY) < this.#keepMs;
  }

  #forget(now: number): void {
    for (const [key, at] of this.#leftAt) {
      if (now - at < this.#keepMs) return;
      this.#leftAt.delete(key);
    }
  }
}
