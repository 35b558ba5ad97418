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

/** In the hash table and in the tree: what is written again is changed in one place. */
interface Cell {
  value: Uint8Array | null;
}

export class OverlayLayer {
  readonly #cells = new Map<Key, Cell>();
  readonly #inOrder = new OrderedMap<Cell>();
  #bytes = 0;

  get size(): number {
    return this.#cells.size;
  }

  /** What it takes in memory, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `undefined`: unchanged here. `null`: deleted. */
  get(key: Key): Uint8Array | null | undefined {
    return this.#cells.get(key)?.value;
  }

  set(key: Key, value: Uint8Array | null): void {
    const known = this.#cells.get(key);
    if (known !== undefined) {
      this.#bytes += (value?.length ?? 0) - (known.value?.length ?? 0);
      known.value = value;
      return;
    }
    const cell: Cell = { value };
    this.#cells.set(key, cell);
    this.#inOrder.set(key, cell);
    this.#bytes += key.length + entryOverheadBytes + (value?.length ?? 0);
  }

  /** Entries with from ≤ key < to, ascending; to the end without `to`. It must not be written meanwhile. */
  *entries(from?: Key, to?: Key): Generator<readonly [Key, Uint8Array | null], void> {
    for (const [key, cell] of this.#inOrder.entries(from, to)) yield [key, cell.value];
  }
}
