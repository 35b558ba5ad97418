/**
 * How many packets a stream keeps under way. It begins with few, takes one more for each that is answered soon, and halves when one
 * takes long: on a slow or shared link more would only wait longer in its queues, until those who wait lose patience and repeat them.
 *
 * Invariant: 1 ≤ #limit ≤ #max. More than #limit are under way only after it was halved, until they are answered.
 */
const atFirst = 2;
/** A packet that is answered within this time tells that there is room for another. */
const soonMs = 250;
/** One that takes longer than this tells that there are too many. */
const longMs = 700;

export class Window {
  readonly #max: number;
  #limit: number;
  #underWay = 0;
  /** Packets that left before were many because the limit was higher: their time is not held against it again. */
  #halvedAt = Number.NEGATIVE_INFINITY;
  #waiting: (() => void)[] = [];

  /** @param max packets, ≥ 1. */
  constructor(max: number) {
    this.#max = max;
    this.#limit = Math.min(atFirst, max);
  }

  get underWay(): number {
    return this.#underWay;
  }
  /** For who counts by himself what is under way, and tells of each answer with `judge`. */
  get limit(): number {
    return this.#limit;
  }
  get hasRoom(): boolean {
    return this.#underWay < this.#limit;
  }

  /** One packet leaves. */
  leave(): void {
    this.#underWay += 1;
  }

  /** Waits for room, then lets one packet leave. */
  async enter(): Promise<void> {
    while (!this.hasRoom) await new Promise<void>((go) => this.#waiting.push(go));
    this.leave();
  }

  /** One packet that left at `leftAt` is answered, or has failed: ms of the same clock. */
  back(leftAt: number, now: number): void {
    this.#underWay -= 1;
    this.judge(leftAt, now);
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Sets the limit by how long one took. */
  judge(leftAt: number, now: number): void {
    const tookMs = now - leftAt;
    if (tookMs <= soonMs) this.#limit = Math.min(this.#max, this.#limit + 1);
    else if (tookMs > longMs && leftAt >= this.#halvedAt) {
      this.#limit = Math.max(1, this.#limit >> 1);
      this.#halvedAt = now;
    }
  }
}
