/**
 * Garbage (GFS §4.4): what is detached is reaped in bounded steps, and servers hear which replicas they may drop: at once where the leader
 * knows, else when they page their inventory through. What is in the table, or is being copied, is never garbage.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import { reapMax, reapResult } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';

/** Drops that wait for one server's next heartbeats; more are found by its inventory. */
export const dropsPerServerMax = 8192;
const retryMs = 200;

export interface Held {
  readonly handle: ChunkHandle;
  readonly version: ChunkRecord['version'];
  readonly length: number;
}

export class Garbage {
  readonly #world: LeaderWorld;
  readonly #drops = new Map<ServerId, Held[]>();
  #isReaping = false;

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** A chunk has left the table: nothing can lead to it again. */
  removed(handle: ChunkHandle, { version, length, servers }: ChunkRecord): void {
    for (const server of servers) this.drop(server, { handle, version, length });
  }

  drop(server: ServerId, held: Held): void {
    const drops = this.#drops.get(server);
    if (drops === undefined) this.#drops.set(server, [held]);
    else if (drops.length < dropsPerServerMax) drops.push(held);
  }

  /** Up to `limit` replicas that a server may drop, for its heartbeat. */
  take(server: ServerId, limit: number): readonly Held[] {
    return this.#drops.get(server)?.splice(0, Math.max(0, limit)) ?? [];
  }

  /** To be called when something may have been detached. */
  reap(): void {
    if (this.#isReaping || this.#world.tables.firstDetached() === undefined) return;
    this.#isReaping = true;
    void this.#reapAll();
  }

  async #reapAll(): Promise<void> {
    const { env } = this.#world;
    try {
      // Asked here, not of the answer: what has been detached since then has asked to be collected in vain.
      while (!this.#world.isStopped && this.#world.tables.firstDetached() !== undefined)
        valueOrThrow(await this.#world.execute({ kind: 'reap', limit: reapMax }, reapResult));
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (this.#world.isStopped || error.code === 'NOT_LEADER') return;
      env.events.emit('warn', 'reaping_interrupted', { code: error.code, why: error.message });
      env.clock.after(retryMs, () => !this.#world.isStopped && this.reap());
    } finally {
      this.#isReaping = false;
    }
  }
}
