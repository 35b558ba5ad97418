/**
 * What a lease has ordered and who holds it: when a mutation is acknowledged to its client, and how long the chunk is then for readers.
 * That is when every member holds it; in mode async when this server does, unless the others lag too far behind, or this server may not be the
 * primary any more. Who is sent on to the next chunk is so when every member holds all of this one, in every mode: what is acknowledged there must not
 * outlive what comes before it. The acknowledged length follows the highest serial that was acknowledged, since who holds that one holds all that was
 * ordered before it.
 */
import { CairnError } from '../../core/base/errors.ts';
import { refusedCodes } from '../../core/protocol/chunk-calls.ts';
import type { ChunkInfo } from '../storage/chunk-store.ts';
import type { Mutation } from './mutation.ts';

/** The lease, as its acknowledgements see it. */
export interface Acknowledger {
  /** Whether what only this server holds may be acknowledged now. */
  readonly mayAlone: () => boolean;
  /** Called behind each answer to a client. */
  readonly acknowledged: () => void;
}

export class Acknowledgements {
  readonly #lagBytesMax: number;
  readonly #by: Acknowledger;
  /** Ordered, not settled. */
  readonly #pending = new Set<Mutation>();
  /** Of them, the last that was given a place. */
  #last: Mutation | undefined;
  /** Those without a place that wait until every member holds the one that was the last then. */
  readonly #sentOn = new Map<Mutation, Mutation[]>();
  /** Mode async: written here, and not acknowledged: the others lag too far behind, or it must not be acknowledged alone. */
  #held: Mutation[] = [];
  /** Mode async: acknowledged here, not yet held by every member. */
  #lagBytes = 0;
  /** The highest that was acknowledged. */
  #serial = 0;
  #lengthBytes = 0;
  #whenQuiet: (() => void)[] = [];

  /** @param lagBytesMax behind which mode async acknowledges nothing that not every member holds */
  constructor(lagBytesMax: number, by: Acknowledger) {
    this.#lagBytesMax = lagBytesMax;
    this.#by = by;
  }

  /** Of the chunk, with all that was acknowledged. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }
  /** Bytes that were acknowledged and that some member does not hold yet. */
  get lagBytes(): number {
    return this.#lagBytes;
  }
  /** Mutations that were ordered and are not settled. */
  get pending(): number {
    return this.#pending.size;
  }

  /** The order of a version begins: every member holds this. */
  begin(info: Pick<ChunkInfo, 'serial' | 'lengthBytes'> | undefined): void {
    this.#serial = info?.serial ?? 0;
    this.#lengthBytes = info?.lengthBytes ?? 0;
  }

  ordered(mutation: Mutation): void {
    this.#pending.add(mutation);
    if (mutation.placement !== undefined) this.#last = mutation;
  }

  /** It is given no place here: its answer waits until every member holds all that has one. */
  sentOn(mutation: Mutation): void {
    if (this.#last === undefined) return;
    const others = this.#sentOn.get(this.#last);
    if (others === undefined) this.#sentOn.set(this.#last, [mutation]);
    else others.push(mutation);
    mutation.missing += 1;
  }

  /** One more member holds it. */
  arrived(mutation: Mutation): void {
    if (!this.#pending.has(mutation)) return;
    if (mutation.arrived()) this.#settle(mutation);
  }

  /** Mode async: held here, which may be enough. */
  writtenFirst(mutation: Mutation): void {
    if (mutation.isSettled || mutation.missing === 1 || mutation.isSentOn) return;
    this.#held.push(mutation);
    this.#acknowledgeHeld();
  }

  /** What was ordered before is written here, and so every member of the new version holds it. */
  settleRecovered(): void {
    const recovered = [...this.#pending].sort((a, b) => a.serial - b.serial);
    for (const mutation of recovered) {
      if (mutation.placement !== undefined) this.#settle(mutation);
    }
  }

  /** Resolves when nothing is pending any more, or at the end. */
  whenQuiet(): Promise<void> {
    return new Promise<void>((resolve) => this.#whenQuiet.push(resolve));
  }

  /** All that is pending fails: nobody will know who holds it, or too few do. */
  failAll(refusal: CairnError): void {
    const ordered = [...this.#pending];
    this.#pending.clear();
    this.#last = undefined;
    this.#sentOn.clear();
    for (const mutation of ordered) mutation.fail(afterOrder(refusal));
    this.end();
  }

  /** Nothing of what was ordered is acknowledged any more. */
  end(): void {
    this.#held = [];
    this.#lagBytes = 0;
    for (const go of this.#whenQuiet.splice(0)) go();
  }

  #acknowledgeHeld(): void {
    while (this.#held.length > 0 && this.#lagBytes < this.#lagBytesMax && this.#by.mayAlone()) {
      const mutation = this.#held.shift()!;
      if (mutation.isSettled) continue;
      this.#lagBytes += mutation.placement?.bytes ?? 0;
      mutation.lagging = true;
      this.#acknowledge(mutation);
    }
  }

  /** Every member holds it. */
  #settle(mutation: Mutation): void {
    this.#pending.delete(mutation);
    if (this.#last === mutation) this.#last = undefined;
    if (mutation.lagging) {
      mutation.lagging = false;
      this.#lagBytes -= mutation.placement?.bytes ?? 0;
    }
    this.#acknowledge(mutation);
    if (this.#sentOn.size > 0) this.#oneLess(this.#takeSentOn(mutation));
    if (this.#held.length > 0) this.#acknowledgeHeld();
    if (this.#pending.size === 0) for (const go of this.#whenQuiet.splice(0)) go();
  }

  #acknowledge(mutation: Mutation): void {
    if (mutation.isSettled) return;
    if (mutation.placement !== undefined && mutation.serial > this.#serial) {
      this.#serial = mutation.serial;
      this.#lengthBytes = mutation.placement.lengthBytes;
    }
    mutation.succeed();
    this.#by.acknowledged();
    this.#oneLess(mutation.followers.splice(0));
  }

  #takeSentOn(by: Mutation): readonly Mutation[] {
    const sentOn = this.#sentOn.get(by) ?? [];
    this.#sentOn.delete(by);
    return sentOn;
  }

  /** Something that these wait for has come to pass. */
  #oneLess(waiting: readonly Mutation[]): void {
    for (const one of waiting) if (!one.isSettled && one.arrived()) this.#settle(one);
  }
}

/** Codes by which clients know that nothing was done are not for what was ordered: members may hold it. */
function afterOrder(refusal: CairnError): CairnError {
  if (!refusedCodes.has(refusal.code)) return refusal;
  return new CairnError('REPLICA_FAILED', refusal.message, { cause: refusal, hint: refusal.hint });
}
