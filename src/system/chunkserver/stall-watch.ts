/**
 * Notices that the other end of a connection takes nothing of what waits for it: it is stopped, or cut off, which TCP notices only after minutes.
 * Who takes a body in gives signs of life, however slow the link is, and so does who waits for another that does. Ticks are counted, not time: a
 * server that was stopped itself must not blame others.
 */
import type { Env, Timer } from '../../core/base/env.ts';

export interface Watched {
  readonly queuedBytes: number;
  /** Grows with all that comes from there. */
  readonly heard: number;
}

const tickMs = 100;

export interface StallEvents {
  /** Something has moved since the last tick. */
  readonly moved: () => void;
  /** Called once, when nothing has moved for so long; not after `cancel`. */
  readonly stalled: () => void;
}

export class StallWatch implements Timer {
  readonly #env: Env;
  readonly #watched: Watched;
  readonly #on: StallEvents;
  #queuedBytes: number;
  #heard: number;
  readonly #ticksMax: number;
  #ticks = 0;
  #timer: Timer | undefined;

  constructor(env: Env, watched: Watched, patienceMs: number, on: StallEvents) {
    this.#env = env;
    this.#watched = watched;
    this.#on = on;
    this.#queuedBytes = watched.queuedBytes;
    this.#heard = watched.heard;
    this.#ticksMax = Math.ceil(patienceMs / tickMs);
    this.#plan();
  }

  cancel(): void {
    this.#timer?.cancel();
  }

  #plan(): void {
    this.#timer = this.#env.clock.after(tickMs, () => this.#look());
  }

  #look(): void {
    const { queuedBytes, heard } = this.#watched;
    const hasMoved = queuedBytes !== this.#queuedBytes || heard !== this.#heard;
    this.#ticks = hasMoved ? 0 : this.#ticks + 1;
    this.#queuedBytes = queuedBytes;
    this.#heard = heard;
    if (this.#ticks >= this.#ticksMax) {
      this.#on.stalled();
      return;
    }
    if (hasMoved) this.#on.moved();
    this.#plan();
  }
}
