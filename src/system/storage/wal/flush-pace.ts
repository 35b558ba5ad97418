/**
 * Whether a flush is waited for in the turn or out of it. Where flushes are quick, the way to another thread and back costs more processor
 * time and more delay than it saves; where they are slow, everything else must go on meanwhile. Owns what it has seen of them.
 */
import type { Clock } from '../../../core/base/env.ts';

/** A flush out of the turn that takes less is quick: half of that may be the way. */
const quickOutOfTurnMs = 1;
/** In the turn they stay as long as they take less than this. */
const quickInTurnMs = 0.5;
/** Weight of the latest flush in the mean. */
const latestShare = 1 / 8;
/** So many go out of the turn before the first in it, and again after one that held it up. */
const trialFlushes = 32;
/** A flush in the turn that takes so long holds it up: the disk stalls. */
const stallMs = 5;

export class FlushPace {
  readonly #clock: Clock;
  #isInTurn = false;
  #meanMs = quickOutOfTurnMs;
  #trialLeft = trialFlushes;
  /** Works under way that keep the disk busy. */
  #disturbances = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the next flush is to be waited for in the turn. */
  get isInTurn(): boolean {
    return this.#isInTurn && this.#disturbances === 0;
  }

  /** Meanwhile the disk has other work: flushes may take long, are waited for out of the turn, and tell nothing of the disk. */
  async besides<T>(work: () => Promise<T>): Promise<T> {
    this.#disturbances += 1;
    try {
      return await work();
    } finally {
      this.#disturbances -= 1;
    }
  }

  async outOfTurn(flush: () => Promise<void>): Promise<void> {
    if (this.#disturbances > 0) return flush();
    const from = this.#clock.now();
    await flush();
    this.#note(this.#clock.now() - from);
    this.#trialLeft -= 1;
    if (this.#trialLeft > 0 || this.#meanMs >= quickOutOfTurnMs) return;
    this.#isInTurn = true;
    this.#meanMs = 0;
  }

  inTurn(flush: () => void): void {
    const from = this.#clock.now();
    flush();
    const tookMs = this.#clock.now() - from;
    this.#note(tookMs);
    if (tookMs < stallMs && this.#meanMs < quickInTurnMs) return;
    this.#isInTurn = false;
    this.#meanMs = quickOutOfTurnMs;
    this.#trialLeft = trialFlushes;
  }

  /** A single one that stalls says no more than that. */
  #note(tookMs: number): void {
    this.#meanMs += (Math.min(tookMs, stallMs) - this.#meanMs) * latestShare;
  }
}
