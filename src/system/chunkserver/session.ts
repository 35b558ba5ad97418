/**
 * The server's session with the master: while it holds, no chunk of this server has been taken out of its set without its knowing, so
 * it may serve. Counted from when the heartbeat was sent, and shortened by what two clocks may differ; the master counts from
 * when it arrived.
 */
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';

/** Share of a session that two clocks may drift apart in it. */
const driftShare = 0.01;

export class Session {
  readonly #env: Env;
  #validUntil = Number.NEGATIVE_INFINITY;

  constructor(env: Env) {
    this.#env = env;
  }

  get leftMs(): number {
    return Math.max(0, this.#validUntil - this.#env.clock.now());
  }

  get isValid(): boolean {
    return this.#env.clock.now() < this.#validUntil;
  }

  /** @throws CairnError LEASE_EXPIRED */
  mustBeValid(): void {
    if (!this.isValid) {
      throw new CairnError(
        'LEASE_EXPIRED',
        'this server has not reached the leading master in time; ask another replica',
      );
    }
  }

  /** @param sessionMs 0: the master gives none just now, and ends the one that there may be. */
  renew(sentAt: number, sessionMs: number): void {
    const validUntil = sentAt + sessionMs * (1 - driftShare);
    this.#validUntil = sessionMs === 0 ? Number.NEGATIVE_INFINITY : Math.max(this.#validUntil, validUntil);
  }
}
