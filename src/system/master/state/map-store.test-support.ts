/** An ordered store that is a Map: scans sort, nothing is durable. */

import { ByteWriter } from '../../../core/base/bytes.ts';
import { crc32 } from '../../../core/base/crc32.ts';
import type { FrozenStore, Key, OrderedStore, Pair } from '../../storage/ordered-store.ts';

export class MapStore implements OrderedStore {
  readonly #pairs = new Map<Key, Uint8Array>();
  #sorted: Key[] = [];
  appliedIndex = 0;
  durableIndex = 0;
  readonly dirtyBytes = 0;
  puts = 0;
  /** Pairs that scans have come by. */
  scanned = 0;

  get(key: Key): Uint8Array | undefined {
    return this.#pairs.get(key);
  }
  *scan(from: Key, to: Key): Iterable<Pair> {
    const keys = this.#sorted;
    for (let i = this.#placeOf(from); i < keys.length && keys[i]! < to; i++) {
      this.scanned += 1;
      yield [keys[i]!, this.#pairs.get(keys[i]!)!];
    }
  }
  #placeOf(key: Key): number {
    let low = 0;
    for (let high = this.#sorted.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  put(key: Key, value: Uint8Array): void {
    this.puts += 1;
    if (!this.#pairs.has(key)) this.#sorted.splice(this.#placeOf(key), 0, key);
    this.#pairs.set(key, value);
  }
  delete(key: Key): void {
    if (this.#pairs.delete(key)) this.#sorted.splice(this.#placeOf(key), 1);
  }
  /** Another store with the same content. */
  clone(): MapStore {
    const copy = new MapStore();
    for (const [key, value] of this.#pairs) copy.#pairs.set(key, value);
    copy.#sorted = [...this.#sorted];
    copy.appliedIndex = this.appliedIndex;
    return copy;
  }
  applied(index: number): void {
    this.appliedIndex = index;
  }
  async flush(): Promise<number> {
    this.durableIndex = this.appliedIndex;
    return this.durableIndex;
  }
  freeze(): Promise<FrozenStore> {
    throw new Error('not needed here');
  }
  async replace(pairs: AsyncIterable<readonly Pair[]>, index: number): Promise<void> {
    this.#pairs.clear();
    this.#sorted = [];
    for await (const batch of pairs) for (const [key, value] of batch) this.put(key, value);
    this.appliedIndex = index;
  }
  async close(): Promise<void> {}

  get size(): number {
    return this.#pairs.size;
  }
  /** Bytes of all keys and values. */
  get bytes(): number {
    let bytes = 0;
    for (const [key, value] of this.#pairs) bytes += key.length + value.length;
    return bytes;
  }
  hash(): number {
    const writer = new ByteWriter();
    for (const [key, value] of this.scan('', '\u00ff')) {
      writer.text(key);
      writer.blob(value);
    }
    return crc32(writer.view());
  }
}

/** What is deleted stays, as in a store that is not flushed: scans come by it, though they do not show it. */
export class Unflushed extends MapStore {
  readonly #deleted = new Set<Key>();

  override get(key: Key): Uint8Array | undefined {
    return this.#deleted.has(key) ? undefined : super.get(key);
  }
  override *scan(from: Key, to: Key): Iterable<Pair> {
    for (const pair of super.scan(from, to)) if (!this.#deleted.has(pair[0])) yield pair;
  }
  override put(key: Key, value: Uint8Array): void {
    this.#deleted.delete(key);
    super.put(key, value);
  }
  override delete(key: Key): void {
    super.put(key, new Uint8Array(0));
    this.#deleted.add(key);
  }
}
