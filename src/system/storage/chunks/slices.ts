/** Long work in slices: whoever does it lets others have their turn after each. */
import type { Clock } from '../../../core/base/env.ts';

export class Slices {
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #costMax: number;
  #cost = 0;

  /** @param costMax of one slice, in whatever its user counts */
  constructor(clock: Pick<Clock, 'soon'>, costMax: number) {
    this.#clock = clock;
    this.#costMax = costMax;
  }

  /** So much more has been done. @returns what to wait for before the next piece; undefined while this slice goes on */
  done(cost: number): Promise<void> | undefined {
    this.#cost += cost;
    if (this.#cost < this.#costMax) return undefined;
    this.#cost = 0;
    return new Promise((go) => this.#clock.soon(go));
  }
}
