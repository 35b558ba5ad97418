/** How every target looks for a member that answers: the one that answered last, then the others in turn. */

const pauseMs = 3;
/** An operation that nobody answered for so long has failed. */
const deadlineMs = 60_000;

export interface Attempt<M> {
  readonly member: M;
  /** Where to go next, if the failure says so. */
  readonly hint?: M;
}

/** Whoever is tried and says this is not asked again for the same operation. */
export class Refused extends Error {}

export class Attempts<M> {
  readonly #members: readonly M[];
  #current: M;

  constructor(members: readonly M[]) {
    this.#members = members;
    this.#current = members[0]!;
  }

  get current(): M {
    return this.#current;
  }

  /** @param hintOf the member that a failure points to */
  async run<T>(attempt: (member: M) => Promise<T>, hintOf: (failure: unknown) => M | undefined): Promise<T> {
    const until = performance.now() + deadlineMs;
    for (;;) {
      const tried = this.#current;
      try {
        return await attempt(tried);
      } catch (failure) {
        if (failure instanceof Refused || performance.now() > until) throw failure;
        await this.#moveOn(tried, hintOf(failure));
      }
    }
  }

  async #moveOn(tried: M, hint: M | undefined): Promise<void> {
    if (this.#current !== tried) return; // another operation has moved on already
    if (hint !== undefined && hint !== tried) {
      this.#current = hint;
      return;
    }
    this.#current = this.#members[(this.#members.indexOf(tried) + 1) % this.#members.length]!;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
