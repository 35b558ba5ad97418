/**
 * Changes by which chunks become open, or open chunks change their place in the tree, go through here. A file snapshot keeps them out for a
 * moment: between its last look at what is open, and its own entry of the log.
 */
export class Gate {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #whenEmpty: (() => void) | undefined;
  #moves = 0;

  /** Grows as each change of places begins, and as it ends: what was found out about them holds only while it stays the same. */
  get moves(): number {
    return this.#moves;
  }

  /** @param moves whether it changes places in the tree. */
  async through<T>(work: () => Promise<T>, moves = false): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    this.#inside += 1;
    if (moves) this.#moves += 1;
    try {
      return await work();
    } finally {
      if (moves) this.#moves += 1; // who has looked while it was under way may have seen what was before
      this.#inside -= 1;
      if (this.#inside === 0) this.#whenEmpty?.();
    }
  }

  /** Nobody is inside meanwhile. `work` must not wait for anything that goes through the gate. */
  async closedWhile<T>(work: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    let open = () => {};
    this.#closed = new Promise((resolve) => (open = resolve));
    try {
      if (this.#inside > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
      return await work();
    } finally {
      this.#whenEmpty = undefined;
      this.#closed = undefined;
      open();
    }
  }
}
