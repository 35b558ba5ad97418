/**
 * Notices that the other end of a connection takes nothing of what waits for it: it is stopped, or cut off, which TCP notices only after minutes.
 * Who takes a body in gives signs of life, however slow the link is. Ticks are counted, not time: a server that was stopped itself must not
 * blame others.
 */
import type { Env, Timer } from '../../core/base/env.ts';

export interface Watched {
  readonly queuedBytes: number;
  /** Grows with all that comes from there. */
  readonly heard: number;
}

const tickMs = 100;

export class StallWatch implements Timer {
  readonly #env: Env;
  readonly #watched: Watched;
  readonly #stalled: () => void;
  #queuedBytes = -1;
  #heard = -1;
  readonly #ticksMax: number;
  #ticks = 0;
  #timer: Timer | undefined;

  /** @param stalled called once, when nothing has moved for so long; not after `cancel`. */
  constructor(env: Env, watched: Watched, patienceMs: number, stalled: () => void) {
    this.#env = env;
    this.#watched = watched;
    this.#stalled = stalled;
    this.#ticksMax = Math.ceil(patienceMs / tickMs);
    this.#look();
  }

  cancel(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { queuedBytes, heard } = this.#watched;
    const hasMoved = queuedBytes !== this.#queuedBytes || heard !== this.#heard;
    this.#ticks = hasMoved ? 0 : this.#ticks + 1;
    this.#queuedBytes = queuedBytes;
    this.#heard = heard;
    if (this.#ticks >= this.#ticksMax) this.#stalled();
    else this.#timer = this.#env.clock.after(tickMs, () => this.#look());
  }
}
