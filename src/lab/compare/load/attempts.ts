/** How every target looks for a member that answers: the one that answered last, then the others in turn. */

const pauseMs = 3;
/** A member that did not answer is not believed to lead for so long, whoever says so. */
const suspectMs = 1000;
/** An operation that nobody answered for so long has failed. */
const deadlineMs = 60_000;

/** Whoever is tried and says this is not asked again for the same operation. */
export class Refused extends Error {}

export class Attempts<M extends object | string> {
  readonly #members: readonly M[];
  readonly #suspectUntil = new Map<M, number>();
  #current: M;

  constructor(members: readonly M[]) {
    this.#members = members;
    this.#current = members[0]!;
  }

  get current(): M {
    return this.#current;
  }

  /** @param hintOf the member that a refusal points to; undefined for any other failure */
  async run<T>(attempt: (member: M) => Promise<T>, hintOf: (failure: unknown) => M | 'none' | undefined): Promise<T> {
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

  async #moveOn(tried: M, hint: M | 'none' | undefined): Promise<void> {
    const now = performance.now();
    if (hint === undefined) this.#suspectUntil.set(tried, now + suspectMs);
    if (this.#current !== tried) return; // another operation has moved on already
    const isBelieved = hint !== undefined && hint !== 'none' && hint !== tried && !this.#isSuspect(hint, now);
    if (isBelieved) {
      this.#current = hint;
      return;
    }
    this.#current = this.#nextAfter(tried, now);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  /** The next in turn that is not suspect, or just the next. */
  #nextAfter(tried: M, now: number): M {
    const at = this.#members.indexOf(tried);
    const others = this.#members.map((_, i) => this.#members[(at + 1 + i) % this.#members.length]!);
    return others.find((member) => !this.#isSuspect(member, now)) ?? others[0]!;
  }

  #isSuspect(member: M, now: number): boolean {
    return (this.#suspectUntil.get(member) ?? 0) > now;
  }
}
