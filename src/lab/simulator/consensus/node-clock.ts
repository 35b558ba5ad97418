/** The clocks of one node: a monotonic one that may run fast or slow or jump ahead, and the time of day, which may be set at will. */

/** What the time of day is when a simulation begins. */
const dayBegins = 1_700_000_000_000;
/** So that no clock begins at 0, which no clock does. */
const monotonicBegins = 1_000;

export class NodeClock {
  readonly #globalNow: () => number;
  #rate: number;
  #base = monotonicBegins;
  #since = 0;
  #dayOffset = 0;

  /** @param rate own milliseconds in a true one */
  constructor(globalNow: () => number, rate: number) {
    this.#globalNow = globalNow;
    this.#rate = rate;
  }

  now(): number {
    return this.#base + (this.#globalNow() - this.#since) * this.#rate;
  }

  timeOfDay(): number {
    return Math.max(0, dayBegins + this.now() + this.#dayOffset);
  }

  /** True milliseconds until this clock shows `at`. */
  until(at: number): number {
    return (at - this.now()) / this.#rate;
  }

  setRate(rate: number): void {
    this.#base = this.now();
    this.#since = this.#globalNow();
    this.#rate = rate;
  }

  jump(ms: number): void {
    this.#base += ms;
  }

  /** Forwards or backwards. */
  setDay(byMs: number): void {
    this.#dayOffset += byMs;
  }
}
