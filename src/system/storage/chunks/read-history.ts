/**
 * What of a chunk was read lately: so that bytes that are read once pass by the page cache, and those that are read again soon are
 * kept in it. One who reads everything once takes nothing from the others, and costs no memory that is touched anew.
 * See ADR 10.
 */

/** What is remembered of a chunk is one place in each stretch of this length: what clients ask for at a time. */
export const stretchBytes = 1024 * 1024;

/** Whoever comes later than this after the last reading is the first again. */
export const readAgainWithinMs = 10 * 60 * 1000;

export class ReadHistory {
  /** For each stretch of the chunk: up to where in it was read. */
  #reached = new Uint32Array(0);
  #lastAt = 0;

  /** Notes a read of [from, to) and says whether bytes of its first stretch have been read lately, from there on. */
  note(from: number, to: number, now: number): boolean {
    if (now - this.#lastAt > readAgainWithinMs) this.#reached.fill(0);
    this.#lastAt = now;
    const first = Math.floor(from / stretchBytes);
    const last = Math.ceil(to / stretchBytes) - 1;
    this.#reserve(last + 1);
    const isAgain = from - first * stretchBytes < this.#reached[first]!;
    for (let stretch = first; stretch <= last; stretch++) {
      const reached = Math.min(to - stretch * stretchBytes, stretchBytes);
      if (reached > this.#reached[stretch]!) this.#reached[stretch] = reached;
    }
    return isAgain;
  }

  #reserve(stretches: number): void {
    if (stretches <= this.#reached.length) return;
    const larger = new Uint32Array(Math.max(stretches, 2 * this.#reached.length));
    larger.set(this.#reached);
    this.#reached = larger;
  }
}
