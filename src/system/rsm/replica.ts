/**
 * The replicated state machine host: ties engine, log, store and sessions together. Hands what happens to the engine, one step at a time, and
 * carries out its effects in the order that the contract asks for. Commands and reads wait in modules of their own until they are answered.
 */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { farBehindEntries } from '../../core/consensus/catch-up-pace.ts';
import type {
  ControlRequest,
  Dropped,
  Effects,
  Engine,
  EngineStatus,
  Input,
  LogIndex,
  ReadLevel,
  SnapshotPoint,
} from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import { Applier } from './applier.ts';
import { ApplyTurns } from './apply-turns.ts';
import { Controls } from './controls.ts';
import { EngineSteps } from './engine-steps.ts';
import { KeptEntries } from './kept-entries.ts';
import { LogKeeper } from './log-keeper.ts';
import { notLeader, stoppedHere } from './not-leader.ts';
import { Outgoing } from './outgoing.ts';
import { defaultReplicaLimits, type Leadership, type ReplicaLimits, type ReplicaOptions } from './replica-options.ts';
import { type ReceivingHost, SnapshotReceiver } from './snapshot-receiver.ts';
import { type SendingHost, SnapshotSender } from './snapshot-sender.ts';
import type { SnapshotPart } from './snapshot-transfer.ts';
import { type FlushingHost, StateFlusher } from './state-flusher.ts';
import { type CommandId, type ProposingHost, WaitingCommands } from './waiting-commands.ts';
import { WaitingReads } from './waiting-reads.ts';

export type { ControlRequest, EngineStatus, Members } from '../../core/consensus/engine.ts';
export {
  defaultReplicaLimits,
  type Leadership,
  type ReplicaLimits,
  type ReplicaOptions,
  type Transport,
} from './replica-options.ts';
export type { SnapshotPart } from './snapshot-transfer.ts';
export type { CommandId } from './waiting-commands.ts';

export class Replica<Message = unknown, LogRecord = unknown> {
  readonly #options: ReplicaOptions<Message, LogRecord>;
  readonly #env: Env;
  readonly #limits: ReplicaLimits;
  readonly #applier: Applier;
  #steps!: EngineSteps<Message, LogRecord>;
  #log!: LogKeeper<Message, LogRecord>;
  #outgoing!: Outgoing<Message, LogRecord>;
  #stopped: CairnError | undefined;

  #leadership: Leadership = { leading: false, established: false, leader: undefined, term: 0 };

  readonly #commands: WaitingCommands;
  readonly #reads: WaitingReads;
  readonly #controls = new Controls();

  readonly #kept: KeptEntries;
  readonly #applying: ApplyTurns;
  #flusher!: StateFlusher;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;

  private constructor(options: ReplicaOptions<Message, LogRecord>) {
    this.#options = options;
    this.#env = options.env;
    this.#limits = { ...defaultReplicaLimits, ...options.limits };
    this.#kept = new KeptEntries(this.#limits.keepEntries, this.#limits.keepBytes);
    this.#commands = new WaitingCommands(this.#proposingHost(), this.#limits);
    const level: ReadLevel = options.config.lease === undefined ? 'linearizable' : 'lease';
    this.#reads = new WaitingReads(this.#env.clock, (id) =>
      this.#input({ kind: 'read', id, level, now: this.#env.clock.now() }),
    );
    this.#applier = new Applier(options.store, options.stateMachine, options.config.bootstrap, this.#commands);
    this.#applying = this.#applyTurns();
    this.#sender = new SnapshotSender(this.#sendingHost());
    this.#receiver = new SnapshotReceiver(this.#receivingHost());
  }

  #proposingHost(): ProposingHost {
    const applier = () => this.#applier;
    return {
      env: this.#env,
      get appliedTime() {
        return applier().time;
      },
      propose: (batch) => this.#input({ kind: 'propose', proposals: [batch], now: this.#env.clock.now() }),
    };
  }

  #sendingHost(): SendingHost {
    const engine = () => this.#steps.engine;
    const applier = this.#applier;
    const kept = this.#kept;
    return {
      env: this.#env,
      get term() {
        return engine().status.term;
      },
      get firstIndex() {
        return engine().status.firstIndex;
      },
      get appliedIndex() {
        return applier.appliedIndex;
      },
      isPressed: (index) => kept.presses(index),
      isNear: (node) => (engine().status.lagPerPeer.get(node) ?? Number.POSITIVE_INFINITY) <= farBehindEntries,
      freeze: () => this.#flusher.freeze(),
      send: (...part) => this.#options.transport.sendSnapshotPart(...part),
    };
  }

  #flushingHost(): FlushingHost {
    const engine = () => this.#steps.engine;
    const isRunning = () => this.#stopped === undefined;
    const receiver = this.#receiver;
    const sender = this.#sender;
    return {
      store: this.#options.store,
      applier: this.#applier,
      kept: this.#kept,
      log: this.#log,
      get isRunning() {
        return isRunning();
      },
      get isReceiving() {
        return receiver.isBusy;
      },
      get firstIndex() {
        return engine().status.firstIndex;
      },
      get neededAfter() {
        return sender.neededAfter;
      },
      compacted: (index) => this.#input({ kind: 'compact', index }),
      failed: (thrown) => this.#fail(toCairnError(thrown)),
    };
  }

  #receivingHost(): ReceivingHost {
    const applier = this.#applier;
    const isFlushing = () => this.#flusher.underWay !== undefined;
    return {
      env: this.#env,
      store: this.#options.store,
      get heldIndex() {
        return applier.heldIndex;
      },
      get isFlushing() {
        return isFlushing();
      },
      pause: () => {
        applier.paused = true;
        this.#input({ kind: 'snapshotArriving', arriving: true, now: this.#env.clock.now() });
      },
      resume: () => {
        applier.paused = false;
        this.#input({ kind: 'snapshotArriving', arriving: false, now: this.#env.clock.now() });
        this.#applying.goOn();
      },
      installed: (_, point) => this.#installed(point),
    };
  }

  #applyTurns(): ApplyTurns {
    const isRunning = () => this.#stopped === undefined;
    return new ApplyTurns({
      clock: this.#env.clock,
      applier: this.#applier,
      get isRunning() {
        return isRunning();
      },
      appliedTo: (index) => this.#appliedTo(index),
      failed: (thrown) => this.#fail(toCairnError(thrown)),
    });
  }

  #outgoingTo(log: LogKeeper<Message, LogRecord>): Outgoing<Message, LogRecord> {
    const { kind, transport } = this.#options;
    return new Outgoing({
      ...{ kind, transport, log },
      persisted: (io) => this.#input({ kind: 'persisted', io, now: this.#env.clock.now() }),
      failed: (thrown) => this.#fail(toCairnError(thrown)),
    });
  }

  #stepsOf(engine: Engine<Message, LogRecord>): EngineSteps<Message, LogRecord> {
    return new EngineSteps(engine, {
      clock: this.#env.clock,
      carryOut: (effects) => this.#carryOut(effects),
      stepped: () => this.#noteLeadership(),
      failed: (thrown) => this.#fail(toCairnError(thrown)),
    });
  }

  /** @throws CairnError LOG_CORRUPT, WRONG_FORMAT, DISK_FAILED */
  static async open<Message, LogRecord>(
    options: ReplicaOptions<Message, LogRecord>,
  ): Promise<Replica<Message, LogRecord>> {
    const replica = new Replica(options);
    const { keeper, records } = await LogKeeper.open({
      env: options.env,
      openLog: options.openLog,
      directory: options.directory,
      segmentBytes: replica.#limits.segmentBytes,
      kind: options.kind,
      epoch: options.config.epoch,
      baseline: () => (replica.#steps === undefined ? [] : replica.#steps.engine.baseline()),
    });
    replica.#log = keeper;
    replica.#outgoing = replica.#outgoingTo(keeper);
    await options.logOpened?.();
    replica.#flusher = new StateFlusher(replica.#flushingHost(), replica.#limits, options.config.id);
    const point = replica.#applier.point;
    const applied = point.index > 0 ? point : undefined;
    const engine = options.kind.create(options.config, { records, applied, now: options.env.clock.now() });
    replica.#steps = replica.#stepsOf(engine);
    replica.#input({ kind: 'tick', now: options.env.clock.now() });
    return replica;
  }

  get status(): EngineStatus {
    return this.#steps.engine.status;
  }
  get store(): OrderedStore {
    return this.#options.store;
  }
  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }
  get durableIndex(): number {
    return this.#options.store.durableIndex;
  }
  get logBytes(): number {
    return this.#log.bytes;
  }
  get leadership(): Leadership {
    return this.#leadership;
  }

  // ---------------------------------------------------------------- commands

  /**
   * Commits a command and returns what the state machine made of it.
   * @throws CairnError NOT_LEADER (nothing happened), BUSY, TOO_LARGE, UNKNOWN_OUTCOME (retry with the same id), SESSION_EXPIRED
   */
  execute(id: CommandId, command: Uint8Array): Promise<Uint8Array> {
    if (this.#stopped !== undefined) return Promise.reject(stoppedHere(this.#stopped));
    if (!this.#leadership.leading) return Promise.reject(notLeader());
    return this.#commands.begin(id, command);
  }

  /** As `execute`, for the leader's own commands, which must be idempotent by their content. */
  executeInternal(command: Uint8Array): Promise<Uint8Array> {
    return this.execute({ client: 0, sequence: 0, ackBelow: 0 }, command);
  }

  /**
   * A call with an id was answered without the log. Makes its client known, so that its later commands, which acknowledge this
   * one, are not taken for those of a session that has expired.
   */
  async touch(id: CommandId): Promise<void> {
    if (!this.#applier.knows(id.client)) await this.execute(id, noCommand);
  }

  // ---------------------------------------------------------------- reads

  /**
   * After it resolves the store holds everything that was acknowledged before the call, anywhere (a linearizable read may
   * follow at once, in the same turn). @throws CairnError NOT_LEADER, BUSY
   */
  barrier(): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(stoppedHere(this.#stopped));
    if (!this.#leadership.leading) return Promise.reject(notLeader());
    return this.#reads.begin();
  }

  // ---------------------------------------------------------------- the group itself

  /**
   * Changes who leads or who belongs to the group; resolves when that is done.
   * @throws CairnError NOT_LEADER, BUSY (another change is under way), INVALID_ARGUMENT, UNAVAILABLE, NOT_SUPPORTED, UNKNOWN_OUTCOME
   */
  control(request: ControlRequest): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(stoppedHere(this.#stopped));
    return this.#controls.begin(request, (id) =>
      this.#input({ kind: 'control', id, request, now: this.#env.clock.now() }),
    );
  }

  // ---------------------------------------------------------------- messages

  /** A message of a peer; the bytes must not be reused by the caller. False if they cannot be read. */
  receive(from: NodeId, message: Uint8Array): boolean {
    if (this.#stopped !== undefined) return true;
    let decoded: Message;
    try {
      decoded = this.#options.kind.decodeMessage(message);
    } catch (thrown) {
      this.#env.events.emit('warn', 'peer_message_malformed', { from, why: toCairnError(thrown).message });
      return false;
    }
    this.#input({ kind: 'message', from, message: decoded, now: this.#env.clock.now() });
    return true;
  }

  // ---------------------------------------------------------------- the engine

  #input(input: Input<Message>): void {
    if (this.#stopped === undefined) this.#steps.take(input);
  }

  #carryOut(effects: Effects<Message, LogRecord>): void {
    for (const event of effects.trace) this.#env.events.emit('info', event.name, event.fields);
    this.#outgoing.carryOut(effects);
    if (effects.committed.length > 0) {
      this.#kept.note(effects.committed);
      this.#applier.queue(effects.committed);
      this.#receiver.outrun();
      this.#applying.committed(effects.persist !== undefined);
    }
    for (const { id, index } of effects.reads) this.#reads.granted(id, index, this.#applier.appliedIndex);
    for (const dropped of effects.dropped) this.#dropped(dropped);
    for (const id of effects.completed) this.#controls.completed(id);
    for (const { to } of effects.snapshots) void this.#sendSnapshot(to);
  }

  #appliedTo(index: LogIndex): void {
    this.#input({ kind: 'applied', index });
    this.#noteApplied();
  }

  /** Entry by entry, or with a state that came in. */
  #noteApplied(): void {
    this.#reads.release(this.#applier.appliedIndex);
    this.#flusher.consider();
    this.#options.onApplied?.();
  }

  #dropped(dropped: Dropped): void {
    switch (dropped.kind) {
      case 'proposal':
        this.#commands.dropped(dropped);
        return;
      case 'read':
        this.#reads.dropped(dropped);
        return;
      case 'control':
        this.#controls.dropped(dropped);
    }
  }

  #noteLeadership(): void {
    const { role, leader, term, established } = this.#steps.engine.status;
    const leading = role === 'leader';
    const known = this.#leadership;
    if (
      known.leading === leading &&
      known.established === established &&
      known.leader === leader &&
      known.term === term
    )
      return;
    this.#leadership = { leading, established, leader, term };
    if (known.leading && !leading) {
      this.#commands.abandon();
      this.#reads.abandon();
    }
    this.#options.onLeadership(this.#leadership);
  }

  // ---------------------------------------------------------------- state on disk

  /** Makes the applied state durable and lets go of the log behind it. */
  flush(): Promise<void> {
    return this.#flusher.flush();
  }

  // ---------------------------------------------------------------- snapshots

  async #sendSnapshot(to: NodeId): Promise<void> {
    const { at, delivered } = await this.#sender.send(to, this.#applier.point);
    this.#input({ kind: 'snapshotSent', to, at, delivered, now: this.#env.clock.now() });
  }

  /** A part of a peer's state; resolves with the number of the next part wanted. @throws CairnError when it cannot be taken */
  async receiveSnapshotPart(from: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    if (this.#stopped !== undefined) throw this.#stopped;
    return this.#receiver.take(from, part, bytes);
  }

  /** What is in place now may be of a format that this program does not read: then there is nothing to go on with. */
  #installed(point: SnapshotPoint): void {
    try {
      this.#applier.reload();
      this.#applier.paused = false;
      this.#input({ kind: 'snapshotInstalled', at: point, now: this.#env.clock.now() });
      this.#noteApplied();
      this.#applying.now();
    } catch (thrown) {
      this.#fail(toCairnError(thrown));
    }
  }

  // ---------------------------------------------------------------- the end

  #fail(error: CairnError): void {
    if (this.#stopped !== undefined) return;
    this.#stop(error);
    this.#env.events.emit('error', 'replica_stopped', { code: error.code, why: error.message });
    this.#options.onFailure(error);
  }

  #stop(error: CairnError): void {
    this.#stopped = error;
    this.#steps.stop();
    this.#sender.close();
    this.#receiver.close();
    this.#controls.stop(error);
    this.#commands.stop(error);
    this.#reads.stop(stoppedHere(error));
  }

  /** Flushes and closes log and store. What was acknowledged is safe without it. */
  async close(): Promise<void> {
    await this.#flusher.underWay;
    if (this.#stopped === undefined) await this.flush();
    const failed = this.#stopped !== undefined;
    this.#stop(new CairnError('ABORTED', 'this replica is closed'));
    await this.#log.close();
    if (!failed) await this.#options.store.close();
  }
}

const noCommand = new Uint8Array(0);
