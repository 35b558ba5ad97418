/**
 * The ordered store that a replicated state machine keeps its data in, and what it stands on.
 *
 * Keys are byte strings: JavaScript strings whose characters are 0 … 255, one per byte, so that string order is byte
 * order. Values are bytes. `OrderedStore` is what apply writes to: an overlay in memory in front of a `DurableMap`,
 * flushed behind the log in sorted transactions that carry the applied index with the data.
 */

/** 1 … `keyMaxBytes` characters, each 0 … 255. */
export type Key = string;
export const keyMaxBytes = 512;
export const valueMaxBytes = 1024 * 1024;

export type Pair = readonly [Key, Uint8Array];
/** `undefined` deletes. */
export type Change = readonly [Key, Uint8Array | undefined];

export interface Reader {
  /** The value, which must not be changed by the caller. */
  get(key: Key): Uint8Array | undefined;
  /** Pairs with from ≤ key < to, ascending. The store must not be written while an iteration is under way. */
  scan(from: Key, to: Key): Iterable<Pair>;
}

/** Everything throws CairnError DISK_FULL, DISK_FAILED or DISK_CORRUPT when the disk fails. */
export interface OrderedStore extends Reader {
  /** Keeps `value`: the caller must not change it afterwards. */
  put(key: Key, value: Uint8Array): void;
  delete(key: Key): void;
  /** Everything written so far belongs to the log up to `index`: one entry is never split by a flush or a crash. */
  applied(index: number): void;
  readonly appliedIndex: number;
  /** The index that would be found after a crash now. */
  readonly durableIndex: number;
  /** Bytes held in memory and not yet durable; the host flushes when it grows over its bound. */
  readonly dirtyBytes: number;
  /**
   * Makes everything up to the present `appliedIndex` durable, while writes go on. Resolves with the new `durableIndex`.
   * What was written since the last `applied` goes with it: not to be called in the middle of an entry. A flush that fails loses
   * nothing: the next one writes it again.
   * @throws CairnError BUSY when too many flushes are waiting already
   */
  flush(): Promise<number>;
  /** A frozen view at the applied index of the moment of this call, to be streamed to a peer; writes go on meanwhile. Flushes first. */
  freeze(): Promise<FrozenStore>;
  /**
   * Replaces the whole content by the pairs that come, ascending, durably, together with `index`: all of it or nothing, after a
   * failure or a crash. Until it resolves the old content is read, and nothing may be written.
   */
  replace(pairs: AsyncIterable<readonly Pair[]>, index: number): Promise<void>;
  close(): Promise<void>;
}

export interface FrozenStore {
  readonly index: number;
  /** All pairs, ascending, in batches of about `batchBytes`. */
  batches(batchBytes: number): AsyncIterable<readonly Pair[]>;
  close(): void;
}

/** What lies below: an ordered map with atomic durable commits. LMDB in production, a file or plain memory elsewhere. */
export interface DurableMap extends Reader {
  /**
   * All or nothing, durable when it resolves. Sorted ascending by key, keys unique. Taken in by and by, so that a large commit
   * does not hold up the rest of the process: they must not change until it resolves. Reads see the old content until
   * then, or already the new one.
   */
  commit(changes: Iterable<Change>): Promise<void>;
  /** A read-only view that later commits do not change. Not while a commit is under way. */
  freeze(): Reader & { close(): void };
  /** Empties it and takes the batches in, in order, ascending; as a whole or not at all. Reads see the old content until it resolves. */
  replace(batches: AsyncIterable<readonly Pair[]>): Promise<void>;
  close(): Promise<void>;
}
