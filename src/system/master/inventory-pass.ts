/** How far a server's whole inventory has been gone through, page by page, without a gap. */

export class InventoryPass {
  /** Everything up to here was compared; undefined: the pass has not begun. */
  #upTo: number | undefined;
  #restarts = 0;

  /** How often it was begun anew, to see whether that has happened meanwhile. */
  get restarts(): number {
    return this.#restarts;
  }

  /** What was compared so far does not count. */
  restart(): void {
    this.#restarts += 1;
    this.#upTo = undefined;
  }

  /**
   * A page that covers [from, to] was compared. True if the pass is complete: the page reached the end of all handles, or begins at the
   * start again behind the last one.
   */
  compared(from: number, to: number): boolean {
    const begun = this.#upTo;
    if (begun !== undefined && begun > 0 && from <= 1 && to < begun) return this.#finish();
    if (from <= 1) this.#upTo = to;
    else if (begun !== undefined && from <= begun + 1) this.#upTo = Math.max(begun, to);
    else this.#upTo = undefined;
    return this.#upTo !== undefined && this.#upTo >= Number.MAX_SAFE_INTEGER ? this.#finish() : false;
  }

  #finish(): true {
    this.#upTo = undefined;
    return true;
  }
}
