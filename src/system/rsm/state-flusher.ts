/**
 * Makes the applied state durable and lets go of the log behind it: when the store holds much that is not durable, when the log has grown long,
 * and when asked. One flush is under way at a time. Freezes the state for snapshots, too.
 */
import { assert } from '../../core/base/assert.ts';
import type { NodeId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type LogIndex, type SnapshotPoint, toLogIndex } from '../../core/consensus/engine.ts';
import type { FrozenStore, OrderedStore } from '../storage/ordered-store.ts';
import type { Applier } from './applier.ts';
import type { KeptEntries } from './kept-entries.ts';

/** Entries that are not in the store are in memory: of small commands that change the same keys again and again there may be very many. */
const flushEntries = 100_000;

export interface FlushLimits {
  /**
   * The store is flushed when it holds about this much that is not durable, or the log has grown by `flushLogBytes`. It is written at once, and
   * whatever else is flushed on the disk waits behind it: little and often is better than much.
   */
  readonly flushDirtyBytes: number;
  readonly flushLogBytes: number;
}

/** What of the log matters here. */
export interface FlushedLog {
  readonly bytes: number;
  besides<T>(work: () => Promise<T>): Promise<T>;
  compact(index: number): Promise<void>;
}

export interface FlushingHost {
  readonly store: OrderedStore;
  readonly applier: Applier;
  readonly kept: KeptEntries;
  readonly log: FlushedLog;
  /** False once the replica has stopped. */
  readonly isRunning: boolean;
  /** A peer's state is taking the place of the store's. */
  readonly isReceiving: boolean;
  /** The first entry that the log still holds. */
  readonly firstIndex: LogIndex;
  /** What follows this index is wanted for a snapshot that is on its way; Infinity if there is none. */
  readonly neededAfter: number;
  /** The engine need not keep what is up to here. */
  compacted(index: LogIndex): void;
  failed(thrown: unknown): void;
}

export class StateFlusher {
  readonly #host: FlushingHost;
  readonly #limits: FlushLimits;
  readonly #flushAtBytes: number;
  readonly #flushAtEntries: number;
  #flushing: Promise<void> | undefined;
  #logBytesAtFlush: number;

  constructor(host: FlushingHost, limits: FlushLimits, id: NodeId) {
    this.#host = host;
    this.#limits = limits;
    this.#flushAtBytes = limits.flushDirtyBytes * shareOfOwn(id);
    this.#flushAtEntries = flushEntries * shareOfOwn(id);
    this.#logBytesAtFlush = host.log.bytes;
  }

  /** The flush that is under way. */
  get underWay(): Promise<void> | undefined {
    return this.#flushing;
  }

  /** Begins a flush if there is enough for one. */
  consider(): void {
    const { store, applier, log } = this.#host;
    if (this.#flushing !== undefined || store.durableIndex === applier.appliedIndex) return;
    const isMuch =
      store.dirtyBytes >= this.#flushAtBytes || log.bytes - this.#logBytesAtFlush >= this.#limits.flushLogBytes;
    const areMany = applier.appliedIndex - store.durableIndex >= this.#flushAtEntries;
    if (isMuch || areMany) void this.flush();
  }

  /** Never rejects: what fails stops the replica. */
  flush(): Promise<void> {
    if (this.#flushing !== undefined) return this.#flushing;
    if (!this.#host.isRunning || this.#host.isReceiving) return Promise.resolve();
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const host = this.#host;
    try {
      host.applier.save();
      const durable = await host.log.besides(() => host.store.flush());
      const upTo = toLogIndex(host.kept.compactTo(durable, host.neededAfter));
      if (host.isRunning && upTo >= host.firstIndex) {
        host.compacted(upTo);
        await host.log.compact(upTo);
      }
      this.#logBytesAtFlush = host.log.bytes;
    } catch (thrown) {
      host.failed(thrown);
    }
  }

  /** The applied state as it is now. @throws CairnError BUSY while another takes its place */
  async freeze(): Promise<{ point: SnapshotPoint; frozen: FrozenStore }> {
    const { applier, store, log, isReceiving } = this.#host;
    if (isReceiving) throw new CairnError('BUSY', "a peer's state is arriving here; it will be asked again");
    applier.save();
    const { point } = applier;
    const frozen = await log.besides(() => store.freeze());
    assert(frozen.index === point.index, 'a snapshot is of the applied state', {
      frozen: frozen.index,
      at: point.index,
    });
    return { point, frozen };
  }
}

/** Members apply the same: by one threshold they would all flush at one time, and a quorum of logs would wait for its disks. */
function shareOfOwn(id: NodeId): number {
  return 1 - (id % 4) / 8;
}
