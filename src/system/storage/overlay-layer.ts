/**
 * One overlay in memory: what has changed against what lies below it, in order, for scans and for the commit. Nothing is ever taken out of a
 * layer: a deleted key leaves a tombstone. There is no hash table beside the tree: it found a key no sooner, and to fill it took longer
 * than the tree does.
 */
import { OrderedMap } from './ordered-map.ts';
import type { Key } from './ordered-store.ts';

export const tombstone = null;
/** About what an entry takes beside its key and value. */
const entryOverheadBytes = 150;

export class OverlayLayer {
  readonly #entries = new OrderedMap<Uint8Array | null>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** What it takes in memory, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `undefined`: unchanged here. `null`: deleted. */
  get(key: Key): Uint8Array | null | undefined {
    return this.#entries.get(key);
  }

  set(key: Key, value: Uint8Array | null): void {
    const before = this.#entries.set(key, value);
    if (before === undefined) this.#bytes += key.length + entryOverheadBytes;
    this.#bytes += (value?.length ?? 0) - (before?.length ?? 0);
  }

  /** Entries with from ≤ key < to, ascending; to the end without `to`. It must not be written meanwhile. */
  entries(from?: Key, to?: Key): IterableIterator<readonly [Key, Uint8Array | null]> {
    return this.#entries.entries(from, to);
  }
}
