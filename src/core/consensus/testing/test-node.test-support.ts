/**
 * One node of a test group: an engine with the smallest host that keeps the contract. A disk that loses what was not synced, a
 * state machine that is its own applied point, and acknowledgements that wait for the disk.
 */
import { assert } from '../../base/assert.ts';
import { type Millis, type NodeId, toMillis } from '../../base/brand.ts';
import {
  type ControlId,
  type ControlRequest,
  type Dropped,
  type DropReason,
  type Effects,
  type Engine,
  type EngineConfig,
  type EngineKind,
  type EngineStatus,
  type Entry,
  type Envelope,
  type Input,
  type IoId,
  type LogIndex,
  type Members,
  type Proposal,
  type ReadId,
  type ReadLevel,
  type SnapshotPoint,
  toControlId,
} from '../engine.ts';
import type { Shadow } from './ledger.test-support.ts';
import type { SafetyChecker } from './safety-checker.test-support.ts';

/** What a node asks of the world around it. */
export interface World {
  now(): number;
  /** How fast this node's clock runs. */
  clockRate(node: NodeId): number;
  /** How far this node's clock has jumped, in ms. */
  clockAhead(node: NodeId): number;
  after(delay: number, run: () => void): void;
  /** How long the disk of this node takes for a write. */
  writeDelay(node: NodeId): number;
  deliver(from: NodeId, to: NodeId, message: Uint8Array): void;
  deliverSnapshot(from: NodeId, to: NodeId, point: SnapshotPoint): void;
  below(bound: number): number;
  /** Whether a node that is in the middle of a write goes down right now, for a moment. */
  crashesWhileWriting(): boolean;
}

interface Write {
  readonly io: IoId;
  readonly records: readonly Uint8Array[];
}

export interface PendingControl {
  readonly request: ControlRequest;
  completed: boolean;
  dropped: DropReason | undefined;
}

export interface PendingRead {
  readonly mustSee: number;
  granted: LogIndex | undefined;
  dropped: string | undefined;
}

export class TestNode<Message = unknown, LogRecord = unknown> {
  readonly id: NodeId;
  readonly #kind: EngineKind<Message, LogRecord>;
  readonly #config: EngineConfig;
  readonly #world: World;
  readonly #checker: () => SafetyChecker;
  engine: Engine<Message, LogRecord> | undefined;
  /** Raised by each start: what belongs to an earlier life is ignored. */
  life = 0;

  /** On disk. */
  #durable: Uint8Array[] = [];
  #disk!: Shadow;
  #storeDurable: SnapshotPoint | undefined;

  /** In memory. */
  #memory!: Shadow;
  #queue: Write[] = [];
  #writing = false;
  #gated: { io: IoId; envelopes: readonly Envelope<Message>[] }[] = [];
  #point: SnapshotPoint | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #nextRead = 1;
  readonly reads = new Map<ReadId, PendingRead>();
  #nextControl = 1;
  readonly #controls = new Map<ControlId, PendingControl>();
  readonly dropped: string[] = [];
  readonly trace: string[] = [];
  readonly #bootstrap: Members;

  constructor(kind: EngineKind<Message, LogRecord>, config: EngineConfig, world: World, checker: () => SafetyChecker) {
    this.id = config.id;
    this.#kind = kind;
    this.#config = config;
    this.#world = world;
    this.#checker = checker;
    this.#bootstrap = config.bootstrap;
  }

  get up(): boolean {
    return this.engine !== undefined;
  }
  get isWriting(): boolean {
    return this.#writing;
  }
  get applied(): number {
    return this.#point?.index ?? 0;
  }
  get appliedPoint(): SnapshotPoint | undefined {
    return this.#point;
  }

  start(): void {
    assert(!this.up, 'a node starts once');
    this.life += 1;
    const records = this.#durable.map((bytes) => this.#kind.decodeRecord(bytes));
    this.#point = this.#storeDurable;
    this.#disk ??= this.#checker().newDisk(this.id);
    this.#memory = this.#checker().newMemory();
    for (const record of records) this.#checker().remembered(this.id, this.#memory, record);
    this.#memory.holdsState(this.applied);
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#now();
    this.engine = this.#kind.create(this.#config, { records, applied: this.#point, now });
    this.input({ kind: 'tick', now });
  }

  /** Loses everything that is not durable, except perhaps a prefix of what was being written. */
  crash(): void {
    const survivors = this.#world.below(2) === 0 ? 0 : this.#world.below(this.#queue.length + 1);
    for (const write of this.#queue.slice(0, survivors)) this.#makeDurable(write.records);
    const torn = this.#queue[survivors];
    if (torn !== undefined) this.#makeDurable(torn.records.slice(0, this.#world.below(torn.records.length)));
    this.engine = undefined;
    this.life += 1;
    this.#queue = [];
    this.#writing = false;
    this.#gated = [];
    this.reads.clear();
    for (const pending of this.#controls.values()) pending.dropped = 'steppedDown';
    this.#controls.clear();
  }

  /** Continues as a copy of itself: what a clone lacks shows up as a difference. */
  becomeClone(): void {
    this.engine = this.engine?.clone();
  }

  propose(proposals: readonly Proposal[]): void {
    this.input({ kind: 'propose', proposals, now: this.#now() });
  }

  read(level: ReadLevel, mustSee: number): PendingRead {
    const id = this.#nextRead++ as ReadId;
    const pending: PendingRead = { mustSee, granted: undefined, dropped: undefined };
    this.reads.set(id, pending);
    this.input({ kind: 'read', id, level, now: this.#now() });
    return pending;
  }

  control(request: ControlRequest): PendingControl {
    const id = toControlId(this.#nextControl++);
    const pending: PendingControl = { request, completed: false, dropped: undefined };
    this.#controls.set(id, pending);
    this.input({ kind: 'control', id, request, now: this.#now() });
    return pending;
  }

  receive(from: NodeId, bytes: Uint8Array): void {
    this.input({ kind: 'message', from, message: this.#kind.decodeMessage(bytes), now: this.#now() });
  }

  /** Makes the state durable, and the log shorter by what is `keep` entries behind it. */
  flush(keep: number): void {
    if (this.#point === undefined) return;
    this.#storeDurable = this.#point;
    this.#disk.holdsState(this.#point.index);
    this.input({ kind: 'compact', index: Math.max(0, this.#point.index - keep) as LogIndex });
    this.#releaseLog();
  }

  /** Like a log that drops its old segments: a baseline, then the records of the entries that are still needed. */
  #releaseLog(): void {
    const first = this.engine!.status.firstIndex;
    const kept = this.#durable.filter((bytes) => {
      const index = this.#kind.indexOfRecord(this.#kind.decodeRecord(bytes));
      return index !== undefined && index >= first;
    });
    const baseline = this.engine!.baseline().map((record) => this.#kind.encodeRecord(record));
    // the first half: a preamble before the records; the second: one in a segment that was begun after them
    this.#durable = this.#world.below(2) === 0 ? [...baseline, ...kept] : [...kept, ...baseline];
  }

  /** A peer's state arrives whole. Returns false if it is not wanted. */
  install(point: SnapshotPoint): boolean {
    if (point.index <= this.applied) return false;
    this.#checker().installed(point);
    this.#point = point;
    this.#storeDurable = point;
    this.#disk.holdsState(point.index);
    this.#memory.holdsState(point.index);
    this.input({ kind: 'snapshotInstalled', at: point, now: this.#now() });
    return true;
  }

  snapshotSent(to: NodeId, at: SnapshotPoint, delivered: boolean): void {
    this.input({ kind: 'snapshotSent', to, at, delivered, now: this.#now() });
  }

  input(input: Input<Message>): void {
    const { engine } = this;
    if (engine === undefined) return;
    const { members, term } = engine.status; // a step that commits may go on to the next configuration
    const effects = engine.step(input);
    engine.invariants();
    this.#carryOut(effects, { members, term });
    this.#afterStep();
    if (effects.persist !== undefined && this.up && this.#world.crashesWhileWriting()) this.bounce();
  }

  /** What was said is said; what was being written is lost. */
  bounce(): void {
    this.crash();
    this.#world.after(this.#world.below(5), () => {
      if (!this.up) this.start();
    });
  }

  #afterStep(): void {
    const { engine } = this;
    if (engine === undefined) return;
    const { status } = engine;
    if (status.role === 'leader') this.#checker().leads(status, this.#memory);
    const at = engine.nextTickAt;
    if (at >= this.#timerAt) return;
    this.#timerAt = at;
    const { life } = this;
    this.#world.after(Math.max(0, at - this.#now()) / this.#world.clockRate(this.id), () => {
      if (life !== this.life) return;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.input({ kind: 'tick', now: this.#now() });
    });
  }

  #carryOut(effects: Effects<Message, LogRecord>, before: Pick<EngineStatus, 'members' | 'term'>): void {
    for (const { name } of effects.trace) this.trace.push(name);
    const { persist } = effects;
    if (persist !== undefined) {
      for (const record of persist.records) this.#checker().remembered(this.id, this.#memory, record);
      this.#queue.push({ io: persist.io, records: persist.records.map((record) => this.#kind.encodeRecord(record)) });
      this.#writeOn();
    }
    for (const envelope of effects.send) this.#send(envelope);
    for (const gated of effects.sendAfter) this.#gated.push(gated);
    for (const { id, index } of effects.reads) this.#granted(id, index);
    assertNotDropped(effects.committed, effects.dropped);
    for (const dropped of effects.dropped) {
      if (dropped.kind === 'read') this.#readDropped(dropped.id, dropped.reason);
      else if (dropped.kind === 'proposal') this.dropped.push(`${dropped.sequence} ${dropped.reason}`);
      else this.#takeControl(dropped.id).dropped = dropped.reason;
    }
    for (const id of effects.completed) this.#takeControl(id).completed = true;
    for (const entry of effects.committed) this.#apply(entry, before);
    if (effects.committed.length > 0) this.input({ kind: 'applied', index: this.applied as LogIndex });
    for (const { to } of effects.snapshots) {
      if (this.#point === undefined) this.snapshotSent(to, this.#emptyPoint(), false);
      else this.#world.deliverSnapshot(this.id, to, this.#point);
    }
  }

  #apply(entry: Entry, before: Pick<EngineStatus, 'members' | 'term'>): void {
    this.#checker().committed(this.id, entry, before);
    if (entry.index <= this.applied) return;
    assert(entry.index === this.applied + 1, 'entries are committed without a gap', { index: entry.index });
    const members =
      entry.payload.kind === 'members' ? entry.payload.members : (this.#point?.members ?? this.#bootstrap);
    this.#point = { index: entry.index, term: entry.term, checksum: entry.checksum, members };
  }

  #emptyPoint(): SnapshotPoint {
    return { index: 0 as LogIndex, term: 0, checksum: 0, members: this.#bootstrap };
  }

  #granted(id: ReadId, index: LogIndex): void {
    const pending = this.reads.get(id);
    assert(pending !== undefined, 'a read is answered once', { id });
    assert(index >= pending.mustSee, 'a read sees everything that was committed before it began', {
      index,
      mustSee: pending.mustSee,
    });
    pending.granted = index;
    this.reads.delete(id);
  }

  #readDropped(id: ReadId, reason: string): void {
    const pending = this.reads.get(id);
    assert(pending !== undefined, 'a read is answered once', { id });
    pending.dropped = reason;
    this.reads.delete(id);
  }

  #takeControl(id: ControlId): PendingControl {
    const pending = this.#controls.get(id);
    assert(pending !== undefined, 'a control request is answered once', { id });
    this.#controls.delete(id);
    return pending;
  }

  #send({ to, message }: Envelope<Message>): void {
    this.#world.deliver(this.id, to, this.#kind.encodeMessage(message));
  }

  /** One write after another; those that wait are synced together. */
  #writeOn(): void {
    if (this.#writing || this.#queue.length === 0) return;
    this.#writing = true;
    const batch = this.#queue.length;
    const { life } = this;
    this.#world.after(this.#world.writeDelay(this.id), () => {
      if (life !== this.life) return;
      this.#writing = false;
      const done = this.#queue.splice(0, batch);
      for (const write of done) this.#makeDurable(write.records);
      this.#persisted(done.at(-1)!.io);
      this.#writeOn();
    });
  }

  #persisted(io: IoId): void {
    const ready = this.#gated.filter((gated) => gated.io <= io);
    this.#gated = this.#gated.filter((gated) => gated.io > io);
    for (const { envelopes } of ready) for (const envelope of envelopes) this.#send(envelope);
    this.input({ kind: 'persisted', io, now: this.#now() });
  }

  #makeDurable(records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      this.#durable.push(bytes);
      this.#checker().becameDurable(this.id, this.#kind.decodeRecord(bytes));
    }
  }

  #now(): Millis {
    return toMillis(this.#world.now() * this.#world.clockRate(this.id) + this.#world.clockAhead(this.id));
  }
}

function assertNotDropped(committed: readonly Entry[], dropped: readonly Dropped[]): void {
  const names = new Set(dropped.map((one) => (one.kind === 'proposal' ? `${one.session} ${one.sequence}` : '')));
  for (const { payload } of committed)
    if (payload.kind === 'proposal')
      assert(!names.has(`${payload.session} ${payload.sequence}`), 'nothing is dropped in the step that commits it');
}
