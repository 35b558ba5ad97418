/** What all parts of one client share. */
import type { Env } from '../../core/base/env.ts';
import { Attempts } from './attempts.ts';
import type { ChunkPool } from './chunk-pool.ts';
import type { ClientSettings } from './limits.ts';
import type { Masters } from './masters.ts';

export interface ClientCore {
  readonly env: Env;
  readonly masters: Masters;
  readonly pool: ChunkPool;
  readonly settings: ClientSettings;
  /** Memory for what is read; it need not be zeroed. */
  readonly allocate: (bytes: number) => Uint8Array;
  /** So that several clients do not all choose the same replica. */
  readonly seed: number;
}

/** The time for one operation, from now or from `since`. */
export function attemptsOf(core: ClientCore, since?: number): Attempts {
  return new Attempts(core.env, core.settings.deadlineMs, since);
}
