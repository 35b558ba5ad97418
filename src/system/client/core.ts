/** What all parts of one client share. */
import type { Env } from '../../core/base/env.ts';
import type { GivenUp } from '../rpc/leader-channel.ts';
import { Attempts } from './attempts.ts';
import type { ChunkPool } from './chunk-pool.ts';
import type { ClientSettings } from './limits.ts';
import type { Masters } from './masters.ts';

/** One writer for all resizes of a client: each has a sequence of its own. */
export class OnceIds {
  readonly writer: number;
  #sequence = 0;

  constructor(env: Env) {
    this.writer = env.random.id53();
  }
  next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }
}

export interface ClientCore {
  readonly env: Env;
  readonly masters: Masters;
  readonly pool: ChunkPool;
  readonly settings: ClientSettings;
  /** Memory for what is read; it need not be zeroed. */
  readonly allocate: (bytes: number) => Uint8Array;
  /** Names what is done to a chunk once and has no queue of its own. */
  readonly once: OnceIds;
  /** So that several clients do not all choose the same replica. */
  readonly seed: number;
}

/** The time for one operation, from now or from `since`, unless its caller gives it up. */
export function attemptsOf(core: ClientCore, since?: number, givenUp?: GivenUp): Attempts {
  return new Attempts(core.env, core.settings.deadlineMs, since, givenUp);
}
