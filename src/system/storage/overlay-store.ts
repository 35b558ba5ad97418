/**
 * The ordered store in front of a durable map. Writes go to an overlay in memory; a flush seals the overlay at once, writes it
 * with the applied index in ONE commit of the map, and drops it, while writes already go to the next overlay.
 *
 * One commit for a whole flush, never several: entries of the log are not idempotent, so what is found after a crash must be
 * the state after exactly the entries up to the index beside it; a part of a flush is no such state. The size of a
 * commit is bounded by flushing often (`dirtyBytes` tells when), not by cutting it.
 *
 * Reads look at the overlay, at the sealed ones from new to old, at the map; a deleted key leaves a tombstone in an overlay.
 */
import { assert } from '../../core/base/assert.ts';
import { ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import { mergeLayers } from './merge-layers.ts';
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
import { OverlayLayer, tombstone } from './overlay-layer.ts';

/** The one key that the map holds beside the user's: format version and applied index. */
export const metaKey: Key = '\x00';
const formatVersion = 1;
/** Sorts behind every key: longer than any of them can be. */
const endOfKeys: Key = '\xff'.repeat(keyMaxBytes + 1);

/** Overlays that may wait for their commit; more of them mean that the disk does not keep up at all. */
const sealedMax = 16;

/** An overlay that takes no more writes: the content of one commit. */
interface Sealed {
  readonly layer: OverlayLayer;
  readonly index: number;
}

export class OverlayStore implements OrderedStore {
  readonly #map: DurableMap;
  #active = new OverlayLayer();
  /** What is being committed, or waits for it, the oldest first. Stays after a failure. */
  #sealed: readonly Sealed[] = [];
  #appliedIndex: number;
  #durableIndex: number;
  #replacing = false;
  /** Commits, freezes and replacements run one after another. */
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
    let bytes = this.#active.bytes;
    for (const { layer } of this.#sealed) bytes += layer.bytes;
    return bytes;
  }

  get(key: Key): Uint8Array | undefined {
    let found = this.#active.get(key);
    for (let i = this.#sealed.length - 1; found === undefined && i >= 0; i--) found = this.#sealed[i]!.layer.get(key);
    if (found === undefined) return key === metaKey ? undefined : this.#map.get(key);
    return found === tombstone ? undefined : found;
  }

  scan(from: Key, to: Key): Iterable<Pair> {
    // Only the meta key is as small as that.
    const first = from <= metaKey ? `${metaKey}\x00` : from;
    const layers = [this.#active, ...this.#sealed.map(({ layer }) => layer).reverse()].filter(({ size }) => size > 0);
    const below = this.#map.scan(first, to);
    return layers.length === 0 ? below : mergeLayers([...layers.map((layer) => layer.entries(first, to)), below]);
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

  #write(key: Key, value: Uint8Array | null): void {
    assert(!this.#replacing, 'nothing is written while the content is being replaced');
    this.#active.set(key, value);
  }

  applied(index: number): void {
    assert(Number.isSafeInteger(index) && index >= this.#appliedIndex, 'the applied index only grows', {
      index,
      appliedIndex: this.#appliedIndex,
    });
    assert(!this.#replacing, 'nothing is applied while the content is being replaced');
    this.#appliedIndex = index;
  }

  async flush(): Promise<number> {
    const index = this.#seal();
    await this.#inTurn(() => this.#commitUpTo(index));
    return this.#durableIndex;
  }

  async freeze(): Promise<FrozenStore> {
    const index = this.#seal();
    return this.#inTurn(async () => {
      await this.#commitUpTo(index);
      // Still in turn: nothing later has been committed, so the map is at `index`.
      return new FrozenMap(this.#map.freeze(), index);
    });
  }

  async replace(pairs: AsyncIterable<readonly Pair[]>, index: number): Promise<void> {
    assert(!this.#replacing, 'one replacement at a time');
    this.#replacing = true;
    await this.#inTurn(async () => {
      try {
        await this.#map.replace(withMeta(pairs, index));
        this.#active = new OverlayLayer();
        this.#sealed = [];
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

  /** Everything written until now becomes the content of a commit. Returns its index. */
  #seal(): number {
    assert(!this.#replacing, 'nothing is flushed while the content is being replaced');
    const index = this.#appliedIndex;
    const reached = this.#sealed.at(-1)?.index ?? this.#durableIndex;
    if (this.#active.size === 0 && index === reached) return index;
    if (this.#sealed.length >= sealedMax) {
      throw new CairnError(
        'BUSY',
        `${sealedMax} flushes of the ordered store are waiting; try again when they are done`,
      );
    }
    this.#sealed = [...this.#sealed, { layer: this.#active, index }];
    this.#active = new OverlayLayer();
    return index;
  }

  async #commitUpTo(index: number): Promise<void> {
    for (let oldest = this.#sealed[0]; oldest !== undefined && oldest.index <= index; oldest = this.#sealed[0]) {
      await this.#map.commit(changesOf(oldest));
      this.#sealed = this.#sealed.slice(1);
      this.#durableIndex = oldest.index;
    }
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}

/** The meta key sorts before all others. */
function* changesOf({ layer, index }: Sealed): Iterable<Change> {
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
