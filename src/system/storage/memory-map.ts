/** A map that lasts as long as the process: for tests; and what it has in common with the one in a file. */

import { OrderedMap } from './ordered-map.ts';
import type { Change, DurableMap, Key, Pair, Reader } from './ordered-store.ts';

export class MemoryMap implements DurableMap {
  #pairs = new OrderedMap<Uint8Array>();

  get(key: Key): Uint8Array | undefined {
    return this.#pairs.get(key);
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    return this.#pairs.entries(from, to);
  }

  async commit(changes: Iterable<Change>): Promise<void> {
    applyChanges(this.#pairs, changes);
  }

  freeze(): Reader & { close(): void } {
    return frozenReader(this.#pairs);
  }

  async replace(batches: AsyncIterable<readonly Pair[]>): Promise<void> {
    this.#pairs = await collect(batches);
  }

  async close(): Promise<void> {}
}

export function applyChanges(pairs: OrderedMap<Uint8Array>, changes: Iterable<Change>): void {
  for (const [key, value] of changes) {
    if (value === undefined) pairs.delete(key);
    else pairs.set(key, value);
  }
}

export function frozenReader(pairs: OrderedMap<Uint8Array>): Reader & { close(): void } {
  const frozen = pairs.clone();
  return {
    get: (key) => frozen.get(key),
    scan: (from, to) => frozen.entries(from, to),
    close: () => frozen.clear(),
  };
}

export async function collect(batches: AsyncIterable<readonly Pair[]>): Promise<OrderedMap<Uint8Array>> {
  const pairs = new OrderedMap<Uint8Array>();
  for await (const batch of batches) for (const [key, value] of batch) pairs.set(key, value);
  return pairs;
}
