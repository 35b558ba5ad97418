/**
 * What a replicated state machine is to its host: a pure function of the log. Everything that is not in the log (time, random
 * choices, which servers are up) must have been decided by the proposer and be part of the command.
 */
import type { WallMillis } from '../../core/base/brand.ts';
import type { LogIndex } from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';

export interface ApplyContext {
  readonly index: LogIndex;
  /** Wall time of the leader when it proposed; never runs backwards along the log. */
  readonly time: WallMillis;
  readonly store: OrderedStore;
}

export interface StateMachine {
  /**
   * Carries out one command and returns its result, which the client's session remembers. Deterministic; must not throw: what a command
   * may not do is part of its result. A throw stops this replica (our own failing).
   */
  apply(command: Uint8Array, context: ApplyContext): Uint8Array;
  /** The store's content was replaced (a snapshot came in) or has just been opened: drop whatever was cached from it. */
  reset(store: OrderedStore): void;
  /** The store is about to be flushed or frozen: put there what was kept in memory of the state (hot records: counters). */
  save?(): void;
}

/** Keys that begin with this byte belong to the host: sessions and its own marks. State machines keep off. */
export const hostKeyPrefix = '\u0000';
