/**
 * Which entries stay in the log behind the durable state: for peers that are a little behind, bounded in number and in bytes; and those that
 * go on from a snapshot which is on its way, bounded in bytes only, and more generously.
 */
import type { Entry } from '../../core/consensus/engine.ts';

/**
 * For a snapshot that is on its way, entries are kept up to so many times the bytes for peers; from `hurryFactor` on it hurries. With a million keys
 * and some thousand writes a second it travels for a minute at its leisure, and what is left is enough for the rest of it at full speed.
 */
const onItsWayFactor = 12;
const hurryFactor = 8;
/** What an entry takes in memory besides its payload, about: those of one small command each are mostly that. */
const entryDefaultBytes = 400;

interface Kept {
  readonly index: number;
  readonly bytes: number;
  /** Of all that were ever kept, up to this one. */
  readonly bytesTo: number;
}

export class KeptEntries {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  readonly #entryBytes: number;
  /** Committed entries that are not compacted yet, ascending. */
  #kept: Kept[] = [];
  #bytes = 0;
  #bytesEver = 0;

  constructor(entriesMax: number, bytesMax: number, entryBytes = entryDefaultBytes) {
    this.#entriesMax = entriesMax;
    this.#entryBytes = entryBytes;
    this.#bytesMax = bytesMax;
  }

  /** A snapshot of the state at `index` that is on its way had better hurry, or will have been sent in vain. */
  presses(index: number): boolean {
    return this.#bytesAfter(index) > hurryFactor * this.#bytesMax;
  }

  #bytesAfter(index: number): number {
    let from = 0;
    let to = this.#kept.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#kept[middle]!.index <= index) from = middle + 1;
      else to = middle;
    }
    const first = this.#kept[from];
    return first === undefined ? 0 : this.#bytesEver - first.bytesTo + first.bytes;
  }

  note(entries: readonly Entry[]): void {
    for (const { index, payload } of entries) {
      const bytes = this.#entryBytes + (payload.kind === 'proposal' ? payload.data.length : 0);
      this.#bytes += bytes;
      this.#bytesEver += bytes;
      this.#kept.push({ index, bytes, bytesTo: this.#bytesEver });
    }
  }

  /**
   * Up to where the log may be compacted now that everything up to `durable` is in the store. Forgets what is before it.
   * @param neededAfter what follows this index is wanted for a snapshot that is on its way; Infinity if there is none
   */
  compactTo(durable: number, neededAfter = Number.POSITIVE_INFINITY): number {
    let upTo = 0;
    let dropped = 0;
    for (const { index, bytes } of this.#kept) {
      if (index > durable) break;
      if (index > neededAfter && this.#bytes <= onItsWayFactor * this.#bytesMax) break;
      if (this.#kept.length - dropped <= this.#entriesMax && this.#bytes <= this.#bytesMax) break;
      upTo = index;
      dropped += 1;
      this.#bytes -= bytes;
    }
    this.#kept = this.#kept.slice(dropped);
    return upTo;
  }
}
