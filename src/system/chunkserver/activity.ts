/** When this server last did something for others: what has time gives way to it. */
import type { Clock } from '../../core/base/env.ts';

export class Activity {
  readonly #clock: Clock;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(): void {
    this.#lastAt = this.#clock.now();
  }

  get idleMs(): number {
    return this.#clock.now() - this.#lastAt;
  }
}
