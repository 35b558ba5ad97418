/**
 * The replicated state machine host: ties engine, log, store and sessions together. Hands what happens to the engine, one step at a time, and
 * carries out its effects in the order that the contract asks for. Commands and reads wait in modules of their own until they are answered.
 */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
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
import { DurableState, type DurableStateHost } from './durable-state.ts';
import { EngineSteps } from './engine-steps.ts';
import { LogKeeper } from './log-keeper.ts';
import { notLeader, stoppedHere } from './not-leader.ts';
import { Outgoing } from './outgoing.ts';
import { defaultReplicaLimits, type Leadership, type ReplicaLimits, type ReplicaOptions } from './replica-options.ts';
import type { SnapshotPart } from './snapshot-transfer.ts';
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

  readonly #applying: ApplyTurns;
  #state!: DurableState;

  private constructor(options: ReplicaOptions<Message, LogRecord>) {
    this.#options = options;
    this.#env = options.env;
    this.#limits = { ...defaultReplicaLimits, ...options.limits };
    this.#commands = new WaitingCommands(this.#proposingHost(), this.#limits);
    const level: ReadLevel = options.config.lease === undefined ? 'linearizable' : 'lease';
    this.#reads = new WaitingReads(this.#env.clock, (id) =>
      this.#input({ kind: 'read', id, level, now: this.#env.clock.now() }),
    );
    this.#applier = new Applier(options.store, options.stateMachine, options.config.bootstrap, this.#commands);
    this.#applying = this.#applyTurns();
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

  #stateBehind(log: LogKeeper<Message, LogRecord>): DurableState {
    const { store, transport, config } = this.#options;
    const isRunning = () => this.#stopped === undefined;
    const status = () => this.status;
    const host: DurableStateHost = {
      ...{ env: this.#env, store, applier: this.#applier, log },
      send: (...part) => transport.sendSnapshotPart(...part),
      get status() {
        return status();
      },
      get isRunning() {
        return isRunning();
      },
      compacted: (index) => this.#input({ kind: 'compact', index }),
      arriving: (isArriving) => this.#arriving(isArriving),
      installed: (point) => this.#installed(point),
      failed: (thrown) => this.#fail(toCairnError(thrown)),
    };
    return new DurableState(host, this.#limits, config.id);
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
    try {
      await replica.#begin(records);
    } catch (thrown) {
      // It goes on making segments until it is closed, and another log may take its place.
      await keeper.close();
      throw thrown;
    }
    return replica;
  }

  async #begin(records: readonly LogRecord[]): Promise<void> {
    const { env, kind, config, logOpened } = this.#options;
    this.#outgoing = this.#outgoingTo(this.#log);
    await logOpened?.();
    this.#state = this.#stateBehind(this.#log);
    const { point } = this.#applier;
    const applied = point.index > 0 ? point : undefined;
    const engine = kind.create(config, { records, applied, now: env.clock.now() });
    this.#steps = this.#stepsOf(engine);
    this.#input({ kind: 'tick', now: env.clock.now() });
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
      this.#applier.queue(effects.committed);
      this.#state.committed(effects.committed);
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
    this.#state.applied();
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

  // ---------------------------------------------------------------- state on disk, and on its way

  /** Makes the applied state durable and lets go of the log behind it. */
  flush(): Promise<void> {
    return this.#state.flush();
  }

  async #sendSnapshot(to: NodeId): Promise<void> {
    const { at, delivered } = await this.#state.send(to);
    this.#input({ kind: 'snapshotSent', to, at, delivered, now: this.#env.clock.now() });
  }

  /** A part of a peer's state; resolves with the number of the next part wanted. @throws CairnError when it cannot be taken */
  async receiveSnapshotPart(from: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    if (this.#stopped !== undefined) throw this.#stopped;
    return this.#state.receive(from, part, bytes);
  }

  /** While a peer's state arrives nothing is applied. */
  #arriving(arriving: boolean): void {
    this.#applier.paused = arriving;
    this.#input({ kind: 'snapshotArriving', arriving, now: this.#env.clock.now() });
    if (!arriving) this.#applying.goOn();
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
    void this.#stop(error);
    this.#env.events.emit('error', 'replica_stopped', { code: error.code, why: error.message });
    this.#options.onFailure(error);
  }

  /** At once; resolves when the store is not read for peers any more. */
  #stop(error: CairnError): Promise<void> {
    this.#stopped = error;
    this.#steps.stop();
    const sent = this.#state.stop();
    this.#controls.stop(error);
    this.#commands.stop(error);
    this.#reads.stop(stoppedHere(error));
    return sent;
  }

  /** Flushes and closes log and store; the transport should be closed by then. What was acknowledged is safe without it. */
  async close(): Promise<void> {
    await this.#state.underWay;
    if (this.#stopped === undefined) await this.flush();
    const failed = this.#stopped !== undefined;
    await this.#stop(new CairnError('ABORTED', 'this replica is closed'));
    await this.#log.close();
    if (!failed) await this.#options.store.close();
  }
}

const noCommand = new Uint8Array(0);
