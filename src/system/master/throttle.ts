/**
 * How fast chunks are copied, in bytes a second: for the whole cluster, and for each server, giving and taking together. A copy may begin while
 * nothing is owed; then all of it is owed and paid off by time. So on average the rate is what was configured, however large chunks are.
 */
import type { ServerId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';

export interface CopyRates {
  /** 0: no bound. */
  readonly clusterBytesPerSecond: number;
  readonly serverBytesPerSecond: number;
}

export class Throttle {
  readonly #env: Env;
  readonly #rates: CopyRates;
  #clusterPaidAt = Number.NEGATIVE_INFINITY;
  readonly #paidAt = new Map<ServerId, number>();

  constructor(env: Env, rates: CopyRates) {
    this.#env = env;
    this.#rates = rates;
  }

  /** The rate that one copy keeps to; 0: no bound. */
  get copyBytesPerSecond(): number {
    const { clusterBytesPerSecond, serverBytesPerSecond } = this.#rates;
    const bounds = [clusterBytesPerSecond, serverBytesPerSecond].filter((rate) => rate > 0);
    return bounds.length === 0 ? 0 : Math.min(...bounds);
  }

  isOpen(): boolean {
    return this.#clusterPaidAt <= this.#env.clock.now();
  }
  isOpenFor(server: ServerId): boolean {
    return (this.#paidAt.get(server) ?? Number.NEGATIVE_INFINITY) <= this.#env.clock.now();
  }

  charge(servers: readonly ServerId[], bytes: number): void {
    const { clusterBytesPerSecond, serverBytesPerSecond } = this.#rates;
    const now = this.#env.clock.now();
    if (clusterBytesPerSecond > 0) this.#clusterPaidAt = later(this.#clusterPaidAt, now, bytes, clusterBytesPerSecond);
    if (serverBytesPerSecond <= 0) return;
    for (const server of servers) {
      const paidAt = this.#paidAt.get(server) ?? Number.NEGATIVE_INFINITY;
      this.#paidAt.set(server, later(paidAt, now, bytes, serverBytesPerSecond));
    }
  }

  /** When the next one is open that is not now; undefined if all are. */
  get opensInMs(): number | undefined {
    const now = this.#env.clock.now();
    const waits = [this.#clusterPaidAt, ...this.#paidAt.values()].map((at) => at - now).filter((wait) => wait > 0);
    return waits.length === 0 ? undefined : Math.min(...waits);
  }
}

/** Time that was not used is lost after this: a burst is no longer than that. */
const burstMs = 100;

function later(paidAt: number, now: number, bytes: number, bytesPerSecond: number): number {
  return Math.max(paidAt, now - burstMs) + (bytes / bytesPerSecond) * 1000;
}
