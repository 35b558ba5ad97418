/**
 * Linearizable reads that may not look at the store yet. All of one turn gather and are asked of the engine as one; it grants them at an index,
 * or drops them; granted ones are released when the state is applied up to that index. A read is in one place only: it gathers (then a turn in
 * which it is asked is scheduled), or is asked under one id, or is granted and ahead of the applied state. Granted ones are released in the
 * order of their grants.
 */
import type { Clock } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type Dropped, type ReadId, toReadId } from '../../core/consensus/engine.ts';
import { notLeader } from './not-leader.ts';

/** Reads that gather in one turn. Those that are asked are bounded by the engine, which drops what is too much. */
export const readsWaitingMax = 65_536;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: CairnError) => void;
}

export class WaitingReads {
  readonly #clock: Clock;
  readonly #ask: (id: ReadId) => void;
  #gathering: Waiter[] = [];
  #isScheduled = false;
  #next = 1;
  readonly #asked = new Map<ReadId, readonly Waiter[]>();
  readonly #granted: { readonly index: number; readonly waiters: readonly Waiter[] }[] = [];

  /** `ask` gives the reads of one turn to the engine, under the id. */
  constructor(clock: Clock, ask: (id: ReadId) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Resolves when the store may be read, in the same turn. @throws CairnError BUSY, NOT_LEADER */
  begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#gathering.length >= readsWaitingMax) {
        reject(new CairnError('BUSY', `${readsWaitingMax} reads wait already; try again later`));
        return;
      }
      this.#gathering.push({ resolve, reject });
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      this.#clock.soon(() => this.#askGathered());
    });
  }

  /** The reads may look at a state that is applied up to `index`. */
  granted(id: ReadId, index: number, appliedIndex: number): void {
    const waiters = this.#asked.get(id);
    if (waiters === undefined) return;
    this.#asked.delete(id);
    if (appliedIndex >= index) for (const waiter of waiters) waiter.resolve();
    else this.#granted.push({ index, waiters });
  }

  /** The state is applied up to `appliedIndex`. */
  release(appliedIndex: number): void {
    while (this.#granted.length > 0 && this.#granted[0]!.index <= appliedIndex) {
      for (const waiter of this.#granted.shift()!.waiters) waiter.resolve();
    }
  }

  dropped({ id }: Extract<Dropped, { readonly kind: 'read' }>): void {
    const waiters = this.#asked.get(id) ?? [];
    this.#asked.delete(id);
    for (const waiter of waiters) waiter.reject(notLeader());
  }

  /** Leadership has ended: granted reads go to the next leader; the engine drops those that are asked. */
  abandon(): void {
    for (const { waiters } of this.#granted.splice(0)) for (const waiter of waiters) waiter.reject(notLeader());
  }

  stop(error: CairnError): void {
    for (const waiters of [
      ...this.#asked.values(),
      this.#gathering,
      ...this.#granted.map((granted) => granted.waiters),
    ])
      for (const waiter of waiters) waiter.reject(error);
    this.#asked.clear();
  }

  #askGathered(): void {
    this.#isScheduled = false;
    const id = toReadId(this.#next++);
    this.#asked.set(id, this.#gathering);
    this.#gathering = [];
    this.#ask(id);
  }
}
