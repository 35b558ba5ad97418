/**
 * The applied state beyond memory: made durable, with the log behind it let go of; sent to peers whom the log does not reach any more; and
 * received from them. Owns what the three must know of each other: the log is not let go of while a peer needs it, nothing is flushed or frozen
 * while another state takes the place of ours, and none is taken in while ours is being written.
 */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { farBehindEntries } from '../../core/consensus/catch-up-pace.ts';
import type { EngineStatus, Entry, LogIndex, SnapshotPoint } from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import type { Applier } from './applier.ts';
import { KeptEntries } from './kept-entries.ts';
import type { ReplicaLimits } from './replica-options.ts';
import { type ReceivingHost, SnapshotReceiver } from './snapshot-receiver.ts';
import { type SendingHost, SnapshotSender } from './snapshot-sender.ts';
import type { SendPart, SnapshotPart } from './snapshot-transfer.ts';
import { type FlushedLog, type FlushingHost, StateFlusher } from './state-flusher.ts';

export interface DurableStateHost {
  readonly env: Env;
  readonly store: OrderedStore;
  readonly applier: Applier;
  readonly log: FlushedLog;
  readonly send: SendPart;
  /** Of the engine, as it is now. */
  readonly status: EngineStatus;
  /** False once the replica has stopped. */
  readonly isRunning: boolean;
  /** The engine need not keep what is up to here. */
  compacted(index: LogIndex): void;
  /** A peer's state has begun to arrive, and nothing may be applied; or has been given up. */
  arriving(isArriving: boolean): void;
  /** The store holds the state of `point`, durably. */
  installed(point: SnapshotPoint): void;
  failed(thrown: unknown): void;
}

export class DurableState {
  readonly #host: DurableStateHost;
  readonly #kept: KeptEntries;
  readonly #flusher: StateFlusher;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;

  constructor(host: DurableStateHost, limits: ReplicaLimits, id: NodeId) {
    this.#host = host;
    this.#kept = new KeptEntries(limits.keepEntries, limits.keepBytes);
    this.#sender = new SnapshotSender(this.#sendingHost());
    this.#receiver = new SnapshotReceiver(this.#receivingHost());
    this.#flusher = new StateFlusher(this.#flushingHost(), limits, id);
  }

  #sendingHost(): SendingHost {
    const host = this.#host;
    return {
      env: host.env,
      get term() {
        return host.status.term;
      },
      get firstIndex() {
        return host.status.firstIndex;
      },
      get appliedIndex() {
        return host.applier.appliedIndex;
      },
      isPressed: (index) => this.#kept.presses(index),
      isNear: (node) => (host.status.lagPerPeer.get(node) ?? Number.POSITIVE_INFINITY) <= farBehindEntries,
      freeze: () => this.#flusher.freeze(),
      send: host.send,
    };
  }

  #flushingHost(): FlushingHost {
    const host = this.#host;
    const receiver = this.#receiver;
    const sender = this.#sender;
    return {
      store: host.store,
      applier: host.applier,
      kept: this.#kept,
      log: host.log,
      get isRunning() {
        return host.isRunning;
      },
      get isReceiving() {
        return receiver.isBusy;
      },
      get firstIndex() {
        return host.status.firstIndex;
      },
      get neededAfter() {
        return sender.neededAfter;
      },
      compacted: (index) => host.compacted(index),
      failed: (thrown) => host.failed(thrown),
    };
  }

  #receivingHost(): ReceivingHost {
    const host = this.#host;
    const isFlushing = () => this.underWay !== undefined;
    return {
      env: host.env,
      store: host.store,
      get heldIndex() {
        return host.applier.heldIndex;
      },
      get isFlushing() {
        return isFlushing();
      },
      pause: () => host.arriving(true),
      resume: () => host.arriving(false),
      installed: (_, point) => host.installed(point),
    };
  }

  /** The entries wait to be applied now. */
  committed(entries: readonly Entry[]): void {
    this.#kept.note(entries);
    this.#receiver.outrun();
  }

  /** More is applied than before: begins a flush if there is enough for one. */
  applied(): void {
    this.#flusher.consider();
  }

  /** Makes the applied state durable and lets go of the log behind it. Never rejects: what fails stops the replica. */
  flush(): Promise<void> {
    return this.#flusher.flush();
  }

  /** The flush that is under way. */
  get underWay(): Promise<void> | undefined {
    return this.#flusher.underWay;
  }

  /** Sends the state to a peer; see SnapshotSender. Never rejects. */
  send(to: NodeId): Promise<{ at: SnapshotPoint; delivered: boolean }> {
    return this.#sender.send(to, this.#host.applier.point);
  }

  /** A part of a peer's state; see SnapshotReceiver. @throws CairnError when it cannot be taken */
  receive(from: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    return this.#receiver.take(from, part, bytes);
  }

  /** Resolves when what was frozen is let go of. */
  stop(): Promise<void> {
    this.#receiver.close();
    return this.#sender.close();
  }
}
