/**
 * When bytes that were given to a connection have left, so that their memory may be used again. A connection does not say so itself;
 * its counters do: how much was ever given to it, and how much is still queued.
 */
import type { Env, Timer } from '../../core/base/env.ts';

export interface Carrier {
  readonly isClosed: boolean;
  readonly queuedBytes: number;
  readonly givenBytes: number;
}

interface Departing {
  /** `givenBytes` when the last of them was given. */
  readonly position: number;
  readonly left: () => void;
}

/** Memory waits at most so much longer than it must. */
const lookMs = 2;

export class Departures {
  readonly #env: Env;
  /** In the order given. */
  readonly #departing = new Map<Carrier, Departing[]>();
  #timer: Timer | undefined;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Calls `left` once, when all that was given to the connection so far has left, or never will. */
  after(carrier: Carrier, left: () => void): void {
    const queue = this.#departing.get(carrier);
    const departing = { position: carrier.givenBytes, left };
    if (queue !== undefined) queue.push(departing);
    else if (hasLeft(carrier, departing)) left();
    else this.#departing.set(carrier, [departing]);
    if (this.#departing.size > 0) this.#timer ??= this.#env.clock.after(lookMs, () => this.#look());
  }

  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer = undefined;
    for (const [carrier, queue] of this.#departing) {
      let count = 0;
      while (count < queue.length && hasLeft(carrier, queue[count]!)) count += 1;
      const gone = queue.splice(0, count);
      if (queue.length === 0) this.#departing.delete(carrier);
      for (const { left } of gone) left();
    }
    if (this.#departing.size > 0) this.#timer ??= this.#env.clock.after(lookMs, () => this.#look());
  }
}

function hasLeft(carrier: Carrier, { position }: Departing): boolean {
  return carrier.isClosed || carrier.givenBytes - carrier.queuedBytes >= position;
}
