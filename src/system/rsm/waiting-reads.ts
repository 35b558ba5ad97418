/**
 * Linearizable reads that may not look at the store yet. All of one turn gather and are asked of the engine as one; it grants them at an index,
 * or drops them; granted ones are ready when the state is applied up to that index. A read is in one place only: it gathers (then a turn in
 * which it is asked is scheduled), or is asked under one id, or is granted and ahead of the applied state, or is ready (then it goes in this turn
 * or one that is scheduled). Ready ones go in the order of their grants, some in each turn.
 */
import type { Clock } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type Dropped, type ReadId, toReadId } from '../../core/consensus/engine.ts';
import { notLeader } from './not-leader.ts';

/** Reads that gather in one turn. Those that are asked are bounded by the engine, which drops what is too much. */
export const readsWaitingMax = 65_536;

/** So many look at the store in one turn: what they answer leaves at its end, and whoever asked works on while the next ones look. */
export const readsPerTurn = 64;

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
  readonly #ready: Waiter[] = [];
  #goesOn = false;

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
    if (appliedIndex < index) {
      this.#granted.push({ index, waiters });
      return;
    }
    for (const waiter of waiters) this.#ready.push(waiter);
    this.#letGo();
  }

  /** The state is applied up to `appliedIndex`. */
  release(appliedIndex: number): void {
    while (this.#granted.length > 0 && this.#granted[0]!.index <= appliedIndex) {
      for (const waiter of this.#granted.shift()!.waiters) this.#ready.push(waiter);
    }
    this.#letGo();
  }

  dropped({ id }: Extract<Dropped, { readonly kind: 'read' }>): void {
    const waiters = this.#asked.get(id) ?? [];
    this.#asked.delete(id);
    for (const waiter of waiters) waiter.reject(notLeader());
  }

  /** Leadership has ended: granted reads go to the next leader; the engine drops those that are asked. */
  abandon(): void {
    for (const waiter of this.#takeGranted()) waiter.reject(notLeader());
  }

  stop(error: CairnError): void {
    for (const waiters of [...this.#asked.values(), this.#gathering, this.#takeGranted()])
      for (const waiter of waiters) waiter.reject(error);
    this.#asked.clear();
  }

  /** Those that are ready, and those that are ahead of the applied state. */
  #takeGranted(): Waiter[] {
    const ahead = this.#granted.splice(0).flatMap(({ waiters }) => waiters);
    return [...this.#ready.splice(0), ...ahead];
  }

  /** Some that are ready go now; while there are more, a turn is scheduled in which the next ones go. */
  #letGo(): void {
    if (this.#goesOn) return;
    const now = this.#ready.splice(0, readsPerTurn);
    if (this.#ready.length > 0) {
      this.#goesOn = true;
      this.#clock.soon(() => {
        this.#goesOn = false;
        this.#letGo();
      });
    }
    for (const waiter of now) waiter.resolve();
  }

  #askGathered(): void {
    this.#isScheduled = false;
    const id = toReadId(this.#next++);
    this.#asked.set(id, this.#gathering);
    this.#gathering = [];
    this.#ask(id);
  }
}
