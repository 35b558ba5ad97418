/**
 * The ordered store of one node of a group: in memory, with what would be found after a crash kept apart. What a host awaits elsewhere can
 * be done here within an event, so each of it has a synchronous form; the others are the contract's.
 */
import { assert } from '../../../core/base/assert.ts';
import type { FrozenStore, Key, OrderedStore, Pair } from '../../../system/storage/ordered-store.ts';

export interface StoreImage {
  readonly index: number;
  readonly pairs: ReadonlyMap<Key, Uint8Array>;
}

const empty: StoreImage = { index: 0, pairs: new Map() };

export class GroupStore implements OrderedStore {
  #pairs = new Map<Key, Uint8Array>();
  #durable = empty;
  #appliedIndex = 0;
  #dirtyBytes = 0;

  get appliedIndex(): number {
    return this.#appliedIndex;
  }
  get durableIndex(): number {
    return this.#durable.index;
  }
  get dirtyBytes(): number {
    return this.#dirtyBytes;
  }

  get(key: Key): Uint8Array | undefined {
    return this.#pairs.get(key);
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    return [...this.#pairs].filter(([key]) => key >= from && key < to).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  put(key: Key, value: Uint8Array): void {
    this.#pairs.set(key, value);
    this.#dirtyBytes += key.length + value.length;
  }

  delete(key: Key): void {
    this.#pairs.delete(key);
  }

  applied(index: number): void {
    assert(index >= this.#appliedIndex, 'a state only goes forwards', { index, appliedIndex: this.#appliedIndex });
    this.#appliedIndex = index;
  }

  /** As it is now; what is written later does not change it. */
  image(): StoreImage {
    return { index: this.#appliedIndex, pairs: new Map(this.#pairs) };
  }

  flushNow(): number {
    this.#durable = this.image();
    this.#dirtyBytes = 0;
    return this.#durable.index;
  }

  /** The image takes the place of everything, durably. */
  replaceBy(image: StoreImage): void {
    this.#durable = image;
    this.lose();
  }

  /** Power goes: what is durable is left. */
  lose(): void {
    this.#pairs = new Map(this.#durable.pairs);
    this.#appliedIndex = this.#durable.index;
    this.#dirtyBytes = 0;
  }

  async flush(): Promise<number> {
    return this.flushNow();
  }

  async freeze(): Promise<FrozenStore> {
    this.flushNow();
    const { index, pairs } = this.#durable;
    const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      index,
      async *batches() {
        yield sorted;
      },
      close() {},
    };
  }

  async replace(batches: AsyncIterable<readonly Pair[]>, index: number): Promise<void> {
    const pairs = new Map<Key, Uint8Array>();
    for await (const batch of batches) for (const [key, value] of batch) pairs.set(key, value);
    this.replaceBy({ index, pairs });
  }

  async close(): Promise<void> {}
}
