/**
 * The ordered store in front of a durable map. Writes go to an overlay in memory; a flush seals the overlay, writes it with
 * the applied index in ONE commit of the map, and drops it, while writes already go to the next overlay.
 *
 * One commit for a whole flush, never several: entries of the log are not idempotent, so what is found after a crash must be
 * the state after exactly the entries up to the index beside it; a part of a flush is no such state. The size of a
 * commit is bounded by flushing often (`dirtyBytes` tells when), not by cutting it.
 *
 * Reads look at the overlay, at the sealed one, at the map, in this order; a deleted key leaves a tombstone in an overlay.
 */
import { assert } from '../../core/base/assert.ts';
import { ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import { mergeLayers } from './merge-layers.ts';
import { OrderedMap } from './ordered-map.ts';
import {
  type Change,
  type DurableMap,
  type FrozenStore,
  type Key,
  keyMaxBytes,
  type OrderedStore,
  type Pair,
  valueMaxBytes,
} from './ordered-store.ts';

/** The one key that the map holds beside the user's: format version and applied index. */
export const metaKey: Key = '\x00';
const formatVersion = 1;
/** About what an entry of the overlay takes beside its key and value. */
const entryOverheadBytes = 100;
/** Sorts behind every key: longer than any of them can be. */
const endOfKeys: Key = '\xff'.repeat(keyMaxBytes + 1);

type Layer = OrderedMap<Uint8Array | typeof tombstone>;
const tombstone = null;

export class OverlayStore implements OrderedStore {
  readonly #map: DurableMap;
  #active: Layer = new OrderedMap();
  #activeBytes = 0;
  /** What a flush is writing, or has failed to write. */
  #sealed: { readonly layer: Layer; readonly bytes: number; readonly index: number } | undefined;
  #appliedIndex: number;
  #durableIndex: number;
  /** Something was written that `applied` has not yet given an index. */
  #midEntry = false;
  #replacing = false;
  /** Flushes, freezes and replacements run one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws CairnError WRONG_FORMAT, DISK_CORRUPT */
  constructor(map: DurableMap) {
    this.#map = map;
    const meta = map.get(metaKey);
    this.#durableIndex = meta === undefined ? 0 : decodeMeta(meta);
    this.#appliedIndex = this.#durableIndex;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }
  get durableIndex(): number {
    return this.#durableIndex;
  }
  get dirtyBytes(): number {
    return this.#activeBytes + (this.#sealed?.bytes ?? 0);
  }

  get(key: Key): Uint8Array | undefined {
    let found = this.#active.get(key);
    if (found === undefined) found = this.#sealed?.layer.get(key);
    if (found === undefined) return key === metaKey ? undefined : this.#map.get(key);
    return found === tombstone ? undefined : found;
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    // Only the meta key is as small as that.
    const first = from <= metaKey ? `${metaKey}\x00` : from;
    const layers: Iterable<readonly [Key, Uint8Array | null]>[] = [];
    if (this.#active.size > 0) layers.push(this.#active.entries(first, to));
    if (this.#sealed !== undefined && this.#sealed.layer.size > 0) layers.push(this.#sealed.layer.entries(first, to));
    const below = this.#map.scan(first, to);
    return layers.length === 0 ? below : mergeLayers([...layers, below]);
  }

  put(key: Key, value: Uint8Array): void {
    assert(key.length >= 1 && key.length <= keyMaxBytes && key !== metaKey, 'a key has 1 … keyMaxBytes bytes', {
      length: key.length,
    });
    assert(value.length <= valueMaxBytes, 'a value has at most valueMaxBytes bytes', { length: value.length });
    this.#write(key, value);
  }

  delete(key: Key): void {
    assert(key !== metaKey, 'the key of one zero byte is the store’s own');
    this.#write(key, tombstone);
  }

  #write(key: Key, value: Uint8Array | typeof tombstone): void {
    assert(!this.#replacing, 'nothing is written while the content is being replaced');
    this.#midEntry = true;
    const before = this.#active.set(key, value);
    if (before === undefined) this.#activeBytes += key.length + entryOverheadBytes;
    this.#activeBytes += (value?.length ?? 0) - (before?.length ?? 0);
  }

  applied(index: number): void {
    assert(Number.isSafeInteger(index) && index >= this.#appliedIndex, 'the applied index only grows', {
      index,
      appliedIndex: this.#appliedIndex,
    });
    assert(!this.#replacing, 'nothing is applied while the content is being replaced');
    this.#appliedIndex = index;
    this.#midEntry = false;
  }

  flush(): Promise<number> {
    this.#assertBetweenEntries();
    return this.#inTurn(async () => {
      await this.#flushNow();
      return this.#durableIndex;
    });
  }

  freeze(): Promise<FrozenStore> {
    this.#assertBetweenEntries();
    return this.#inTurn(async () => {
      await this.#flushNow();
      // Still in turn: no other commit has begun, so the map is at the durable index.
      return new FrozenMap(this.#map.freeze(), this.#durableIndex);
    });
  }

  replace(pairs: AsyncIterable<readonly Pair[]>, index: number): Promise<void> {
    assert(!this.#replacing, 'one replacement at a time');
    this.#assertBetweenEntries();
    this.#replacing = true;
    return this.#inTurn(async () => {
      try {
        await this.#map.replace(withMeta(pairs, index));
        this.#active = new OrderedMap();
        this.#activeBytes = 0;
        this.#sealed = undefined;
        this.#appliedIndex = index;
        this.#durableIndex = index;
      } finally {
        this.#replacing = false;
      }
    });
  }

  /** Closes without flushing: what is not durable will be replayed from the log. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#map.close();
  }

  #assertBetweenEntries(): void {
    assert(!this.#midEntry, 'an entry of the log is flushed whole or not at all: call `applied` first');
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  async #flushNow(): Promise<void> {
    // What an earlier flush failed to write comes first.
    if (this.#sealed !== undefined) await this.#commitSealed();
    if (this.#appliedIndex === this.#durableIndex) return;
    this.#assertBetweenEntries();
    this.#sealed = { layer: this.#active, bytes: this.#activeBytes, index: this.#appliedIndex };
    this.#active = new OrderedMap();
    this.#activeBytes = 0;
    await this.#commitSealed();
  }

  async #commitSealed(): Promise<void> {
    const { layer, index } = this.#sealed!;
    await this.#map.commit(changesOf(layer, index));
    this.#sealed = undefined;
    this.#durableIndex = index;
  }
}

/** The meta key sorts before all others. */
function* changesOf(layer: Layer, index: number): Iterable<Change> {
  yield [metaKey, encodeMeta(index)];
  for (const [key, value] of layer.entries()) yield [key, value ?? undefined];
}

async function* withMeta(batches: AsyncIterable<readonly Pair[]>, index: number): AsyncIterable<readonly Pair[]> {
  yield [[metaKey, encodeMeta(index)]];
  for await (const batch of batches) {
    assert(batch[0]?.[0] !== metaKey, 'the key of one zero byte is the store’s own');
    yield batch;
  }
}

class FrozenMap implements FrozenStore {
  readonly index: number;
  readonly #reader: ReturnType<DurableMap['freeze']>;

  constructor(reader: ReturnType<DurableMap['freeze']>, index: number) {
    this.#reader = reader;
    this.index = index;
  }

  async *batches(batchBytes: number): AsyncIterable<readonly Pair[]> {
    let batch: Pair[] = [];
    let bytes = 0;
    // The scan begins anew for each batch: none is left open while the consumer takes its time.
    let from: Key = `${metaKey}\x00`;
    for (;;) {
      for (const pair of this.#reader.scan(from, endOfKeys)) {
        batch.push(pair);
        bytes += pair[0].length + pair[1].length;
        if (bytes >= batchBytes) break;
      }
      const last = batch.at(-1);
      if (last === undefined) return;
      yield batch;
      from = `${last[0]}\x00`;
      batch = [];
      bytes = 0;
    }
  }

  close(): void {
    this.#reader.close();
  }
}

function encodeMeta(index: number): Uint8Array {
  const writer = new ByteWriter(12);
  writer.u32(formatVersion);
  writer.u53(index);
  return writer.finish();
}

function decodeMeta(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes);
  try {
    const version = reader.u32();
    if (version !== formatVersion) {
      throw new CairnError(
        'WRONG_FORMAT',
        `the ordered store has format version ${version}, this program reads ${formatVersion}; ` +
          'start the version that wrote it, or start with an empty directory to fetch everything from the peers',
      );
    }
    const index = reader.u53();
    reader.end();
    return index;
  } catch (cause) {
    if (cause instanceof CairnError && cause.code === 'WRONG_FORMAT') throw cause;
    throw new CairnError(
      'DISK_CORRUPT',
      'the ordered store has a damaged index; start this node with an empty directory',
      {
        cause,
      },
    );
  }
}
