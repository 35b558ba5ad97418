/**
 * One overlay in memory: what has changed against what lies below it. A hash table answers most questions, many times faster
 * than a tree; beside it the keys are kept in order, for scans and for the commit. Nothing is ever taken out of a layer: a
 * deleted key leaves a tombstone.
 */
import { OrderedMap } from './ordered-map.ts';
import type { Key } from './ordered-store.ts';

export const tombstone = null;
/** About what an entry takes beside its key and value. */
const entryOverheadBytes = 150;

export class OverlayLayer {
  readonly #values = new Map<Key, Uint8Array | null>();
  readonly #keys = new OrderedMap<true>();
  #bytes = 0;

  get size(): number {
    return this.#values.size;
  }

  /** What it takes in memory, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `undefined`: unchanged here. `null`: deleted. */
  get(key: Key): Uint8Array | null | undefined {
    return this.#values.get(key);
  }

  set(key: Key, value: Uint8Array | null): void {
    const before = this.#values.get(key);
    this.#values.set(key, value);
    if (before === undefined) {
      this.#keys.set(key, true);
      this.#bytes += key.length + entryOverheadBytes;
    }
    this.#bytes += (value?.length ?? 0) - (before?.length ?? 0);
  }

  /** Entries with from ≤ key < to, ascending; to the end without `to`. It must not be written meanwhile. */
  *entries(from?: Key, to?: Key): Generator<readonly [Key, Uint8Array | null], void> {
    for (const [key] of this.#keys.entries(from, to)) yield [key, this.#values.get(key) as Uint8Array | null];
  }
}
