/**
 * The clocks of a machine: a monotonic one that runs a little fast or slow and starts anywhere, and a wall clock that may
 * jump. They outlive the processes of the machine.
 */
import { assert } from '../../core/base/assert.ts';
import { type Millis, toMillis, toWallMillis, type WallMillis } from '../../core/base/brand.ts';

/** 2026-01-01 UTC: where wall clocks begin. */
const wallEpochMs = 1_767_225_600_000;

export class DriftingClock {
  readonly #worldNowUs: () => number;
  readonly #originUs: number;
  #rate = 1;
  #anchorWorldUs: number;
  #anchorLocalUs: number;
  #wallOffsetMs = 0;

  constructor(worldNowUs: () => number, originUs: number) {
    this.#worldNowUs = worldNowUs;
    this.#originUs = originUs;
    this.#anchorWorldUs = worldNowUs();
    this.#anchorLocalUs = originUs;
  }

  /** Local microseconds, with fractions. */
  nowUs(): number {
    return this.#anchorLocalUs + (this.#worldNowUs() - this.#anchorWorldUs) * this.#rate;
  }

  now(): Millis {
    return toMillis(this.nowUs() / 1000);
  }

  wallNow(): WallMillis {
    return toWallMillis(
      Math.max(0, Math.floor(wallEpochMs + this.#wallOffsetMs + (this.nowUs() - this.#originUs) / 1000)),
    );
  }

  /** World time at which this clock will show `localUs`, if its rate stays. */
  worldTimeOf(localUs: number): number {
    return this.#anchorWorldUs + Math.ceil((localUs - this.#anchorLocalUs) / this.#rate);
  }

  /** @param partsPerMillion positive: fast. */
  setDrift(partsPerMillion: number): void {
    assert(partsPerMillion > -500_000 && partsPerMillion < 1_000_000, 'a drift is a rate near 1', { partsPerMillion });
    const localUs = this.nowUs();
    this.#anchorWorldUs = this.#worldNowUs();
    this.#anchorLocalUs = localUs;
    this.#rate = 1 + partsPerMillion / 1e6;
  }

  /** Moves the wall clock, as an operator or a time server would; the monotonic one does not notice. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }
}
