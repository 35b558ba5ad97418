/**
 * Bytes that were pushed here and wait for the primary's order. Bounded in bytes and in age; whoever orders what has not come yet
 * may wait for it. Some are never ordered (records that the chunk has no room for, a version that is over), and nobody says so: what waits
 * longest makes way for what comes.
 */
import type { Env, Timer } from '../../core/base/env.ts';
import type { PooledBytes } from './byte-pool.ts';
import type { Limits } from './limits.ts';

/** Bytes that came whole and right. */
export interface Pushed {
  readonly data: PooledBytes;
  /** From the first byte on. */
  readonly blockChecksums: readonly number[];
}

interface Staged {
  readonly pushed: Pushed;
  readonly since: number;
}

const sweepMs = 500;

export class Staging {
  readonly #env: Env;
  readonly #limits: Limits;
  /** Oldest first. */
  readonly #staged = new Map<number, Staged>();
  readonly #awaited = new Map<number, (pushed: Pushed) => void>();
  #bytes = 0;
  #sweep: Timer | undefined;

  constructor(env: Env, limits: Limits) {
    this.#env = env;
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whole and checked. */
  put(dataId: number, pushed: Pushed): void {
    const { data } = pushed;
    const awaited = this.#awaited.get(dataId);
    if (awaited !== undefined) {
      this.#awaited.delete(dataId);
      awaited(pushed);
      return;
    }
    if (this.#staged.has(dataId)) {
      data.release();
      return;
    }
    this.#staged.set(dataId, { pushed, since: this.#env.clock.now() });
    this.#bytes += data.bytes.length;
    while (this.#bytes > this.#limits.stagedBytesMax) this.releaseOldest();
    this.#sweep ??= this.#env.clock.after(sweepMs, () => this.#expire());
  }

  take(dataId: number): Pushed | undefined {
    const staged = this.#staged.get(dataId);
    if (staged === undefined) return undefined;
    this.#staged.delete(dataId);
    this.#bytes -= staged.pushed.data.bytes.length;
    return staged.pushed;
  }

  /** Whether there was any. */
  releaseOldest(): boolean {
    for (const dataId of this.#staged.keys()) {
      this.take(dataId)!.data.release();
      return true;
    }
    return false;
  }

  /** Calls `arrived` when the bytes come; until `forget`. */
  expect(dataId: number, arrived: (pushed: Pushed) => void): void {
    this.#awaited.set(dataId, arrived);
  }

  forget(dataId: number): void {
    this.#awaited.delete(dataId);
  }

  close(): void {
    this.#sweep?.cancel();
    this.#staged.clear();
    this.#awaited.clear();
  }

  #expire(): void {
    this.#sweep = undefined;
    const now = this.#env.clock.now();
    for (const { since } of this.#staged.values()) {
      if (now - since < this.#limits.stagedMaxMs) break;
      this.releaseOldest();
    }
    if (this.#staged.size > 0) this.#sweep = this.#env.clock.after(sweepMs, () => this.#expire());
  }
}
