/**
 * One node of a group: an engine with a host that keeps the contract, as the replica of the file system does, but within one event at a
 * time. Session table and applier are the real ones; log, store, clock and links are simulated. Steps never nest; what belongs to an
 * earlier life is ignored.
 */
import type { Millis, NodeId } from '../../../core/base/brand.ts';
import type {
  ControlRequest,
  DropReason,
  Effects,
  Engine,
  EngineStatus,
  Envelope,
  Input,
  IoId,
  LogIndex,
  SnapshotPoint,
} from '../../../core/consensus/engine.ts';
import { toLogIndex } from '../../../core/consensus/engine.ts';
import { digestBytes } from '../../../platform/sim/event-hash.ts';
import { hashText } from '../../../platform/sim/random.ts';
import { Applier, type CommandOutcome } from '../../../system/rsm/applier.ts';
import type { Due } from './agenda.ts';
import { BrokenRule } from './broken-rule.ts';
import { GroupDisk } from './group-disk.ts';
import { GroupStore, type StoreImage } from './group-store.ts';
import type { GroupWorld } from './group-world.ts';
import type { NodeClock } from './node-clock.ts';
import { RegisterMachine, readRegister } from './register-machine.ts';
import type { Answer, Request } from './requests.ts';
import { ServiceDesk } from './service-desk.ts';

export interface SnapshotOnItsWay {
  readonly from: NodeId;
  readonly term: number;
  readonly point: SnapshotPoint;
  readonly image: StoreImage;
}

/** Everything that ends with a crash. */
interface Life<Message, LogRecord> {
  engine: Engine<Message, LogRecord>;
  readonly applier: Applier;
  readonly desk: ServiceDesk;
  readonly inputs: Input<Message>[];
  isStepping: boolean;
  readonly gated: { readonly io: IoId; readonly envelopes: readonly Envelope<Message>[] }[];
  timer: { readonly due: Due; readonly at: Millis } | undefined;
  isApplyDue: boolean;
  wasLeading: boolean;
  status: EngineStatus;
}

export class GroupNode<Message, LogRecord> {
  readonly id: NodeId;
  readonly clock: NodeClock;
  readonly #world: GroupWorld<Message, LogRecord>;
  readonly #disk: GroupDisk<LogRecord>;
  readonly #store = new GroupStore();
  #life: Life<Message, LogRecord> | undefined;
  #lives = 0;
  #pausedUntil = 0;
  /** Its log is damaged: it will not start again by itself. */
  isDamaged = false;

  constructor(world: GroupWorld<Message, LogRecord>, id: NodeId, clock: NodeClock) {
    this.#world = world;
    this.id = id;
    this.clock = clock;
    this.#disk = new GroupDisk(world.kind.indexOfRecord);
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }
  /** Of the engine as it is; undefined while the node is down. */
  get status(): EngineStatus | undefined {
    return this.#life?.status;
  }
  get appliedIndex(): number {
    return this.#life?.applier.appliedIndex ?? this.#store.durableIndex;
  }
  get unanswered(): string | undefined {
    return this.#life?.desk.unanswered;
  }
  get disk(): GroupDisk<LogRecord> {
    return this.#disk;
  }

  // ---------------------------------------------------------------- life

  start(): void {
    if (this.isUp || this.isDamaged) return;
    this.#lives += 1;
    let records: LogRecord[];
    try {
      records = this.#readLog();
    } catch (thrown) {
      this.isDamaged = true;
      this.#world.ended(this.id, String(thrown));
      return;
    }
    this.#store.lose();
    const life = this.#beginLife(records);
    this.#life = life;
    this.#world.checker.started(life.status, records, appliedOf(life.applier));
    this.#input({ kind: 'tick', now: this.#now() });
  }

  #readLog(): LogRecord[] {
    const { kind, host, checker } = this.#world;
    const records = this.#disk.open({
      after: (delayMs, run) => this.#after(delayMs, run),
      nextWriteMs: () => this.#world.writeMs(this.id),
      recordsDurable: (durable) => checker.watch.durable(this.id, durable),
      persisted: (io) => this.#persisted(io),
      baseline: () => this.#life!.engine.baseline(),
      failed: (why) => this.#end(why),
    });
    return host.isCoded ? records.map((record) => kind.decodeRecord(kind.encodeRecord(record))) : records;
  }

  #beginLife(records: readonly LogRecord[]): Life<Message, LogRecord> {
    const { checker, kind, host } = this.#world;
    const machine = new RegisterMachine((value, index) => checker.executed(value, index));
    const config = this.#world.configOf(this.id);
    const onBatch = (session: number, sequence: number, outcomes: readonly CommandOutcome[]) =>
      this.#batchApplied(session, sequence, outcomes);
    const applier = new Applier(this.#store, machine, config.bootstrap, onBatch);
    const engine = asserted(() => kind.create(config, { records, applied: appliedOf(applier), now: this.#now() }));
    const desk = new ServiceDesk({
      node: this.id,
      session: this.id * 1_000_000 + this.#lives,
      batchesInFlight: host.batchesInFlight,
      committed: () => checker.log.highest,
      appliedIndex: () => applier.appliedIndex,
      leader: () => this.#life?.status.leader,
      leads: () => this.#life?.status.role === 'leader',
      timeOfBatch: () => Math.max(this.clock.timeOfDay(), applier.time),
      readRegister: (key) => readRegister(this.#store, key),
      now: () => this.#now(),
      input: (input) => this.#input(input),
    });
    const fresh = { inputs: [], isStepping: false, gated: [], timer: undefined, isApplyDue: false, wasLeading: false };
    return { engine, applier, desk, status: engine.status, ...fresh };
  }

  /** @param keep which part of what was not synced survives: 0 nothing, 1 all of it */
  crash(keep: number): void {
    const life = this.#life;
    if (life === undefined) return;
    if (life.timer !== undefined) this.#world.agenda.cancel(life.timer.due);
    this.#life = undefined;
    this.#pausedUntil = 0;
    this.#disk.crash(keep);
  }

  #end(why: string): void {
    this.crash(0);
    this.#world.ended(this.id, why);
  }

  /** Neither sends nor takes anything for a while; its clock goes on. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#world.agenda.nowMs + ms);
  }

  resume(): void {
    this.#pausedUntil = 0;
  }

  /** Its clock was changed: timers are set by it. */
  clockChanged(): void {
    const life = this.#life;
    if (life === undefined) return;
    if (life.timer !== undefined) this.#world.agenda.cancel(life.timer.due);
    life.timer = undefined;
    this.#armTimer(life);
  }

  /** Goes on as a copy of itself: what a copy lacks shows. */
  becomeClone(): void {
    if (this.#life !== undefined) this.#life.engine = this.#life.engine.clone();
  }

  #after(delayMs: number, run: () => void): Due {
    const lives = this.#lives;
    const awake = () => {
      if (lives !== this.#lives || this.#life === undefined) return;
      const pauseMs = this.#pausedUntil - this.#world.agenda.nowMs;
      if (pauseMs > 0) this.#world.agenda.after(pauseMs, this.id, awake);
      else run();
    };
    return this.#world.agenda.after(delayMs, this.id, awake);
  }

  #whenAwake(run: () => void): void {
    if (this.#life === undefined) return;
    const pauseMs = this.#pausedUntil - this.#world.agenda.nowMs;
    if (pauseMs > 0) this.#after(pauseMs, run);
    else run();
  }

  // ---------------------------------------------------------------- what comes in

  receive(from: NodeId, message: Message): void {
    this.#whenAwake(() => this.#input({ kind: 'message', from, message, now: this.#now() }));
  }

  ask(request: Request, answer: (answer: Answer) => void): void {
    this.#whenAwake(() => this.#life!.desk.ask(request, answer));
  }

  /** False when nobody is there to be asked. */
  control(request: ControlRequest, answer: (why: DropReason | 'completed') => void): boolean {
    this.#life?.desk.control(request, answer);
    return this.isUp;
  }

  /** Makes the state durable, and the log shorter by what is `keep` entries behind it. */
  flush(keep: number): void {
    const life = this.#life;
    if (life === undefined || life.applier.paused) return;
    life.applier.save();
    const durable = this.#store.flushNow();
    this.#world.checker.watch.stateDurable(this.id, life.applier.point);
    const upTo = toLogIndex(Math.max(0, durable - keep));
    if (upTo < life.status.firstIndex) return;
    this.#input({ kind: 'compact', index: upTo });
    if (life === this.#life) this.#disk.compact(upTo);
  }

  // ---------------------------------------------------------------- the engine

  #input(input: Input<Message>): void {
    const life = this.#life;
    if (life === undefined) return;
    life.inputs.push(input);
    if (life.isStepping) return;
    life.isStepping = true;
    for (let next = life.inputs.shift(); next !== undefined; next = life.inputs.shift()) {
      this.#step(life, next);
      if (life !== this.#life) return;
    }
    life.isStepping = false;
    this.#armTimer(life);
  }

  #step(life: Life<Message, LogRecord>, input: Input<Message>): void {
    const effects = asserted(() => {
      const result = life.engine.step(input);
      life.engine.invariants();
      return result;
    });
    life.status = life.engine.status;
    this.#world.checker.stepped(life.status, effects);
    this.#carryOut(life, effects);
    if (life === this.#life) this.#noteLeadership(life);
  }

  #carryOut(life: Life<Message, LogRecord>, effects: Effects<Message, LogRecord>): void {
    const { persist, send, sendAfter, committed, reads, dropped, completed, snapshots, trace } = effects;
    const { note } = this.#world;
    if (note !== undefined) for (const { name, fields } of trace) note(`n${this.id}`, `${name}${describe(fields)}`);
    if (persist !== undefined) {
      this.#disk.append(persist.io, persist.records, persist.mustSync);
      if (!this.#survives('writing', life)) return;
    }
    for (const envelope of send) this.#send(envelope);
    if (persist !== undefined && !this.#survives('sent', life)) return;
    for (const gated of sendAfter) life.gated.push(gated);
    if (committed.length > 0) {
      life.applier.queue(committed);
      this.#applySoon(life);
      if (!this.#survives('committed', life)) return;
    }
    for (const { id, index } of reads) life.desk.granted(id, index);
    for (const one of dropped) life.desk.dropped(one);
    for (const id of completed) life.desk.completed(id);
    for (const { to } of snapshots) this.#sendSnapshot(life, to);
  }

  /** Whether the node is still there after a moment at which it may be made to crash. */
  #survives(moment: Parameters<GroupWorld<Message, LogRecord>['at']>[0], life: Life<Message, LogRecord>): boolean {
    this.#world.at(moment, this.id);
    return life === this.#life;
  }

  #noteLeadership(life: Life<Message, LogRecord>): void {
    const leads = life.status.role === 'leader';
    if (leads === life.wasLeading) return;
    life.wasLeading = leads;
    if (leads) this.#world.at('elected', this.id);
    else life.desk.steppedDown();
  }

  #send({ to, message }: Envelope<Message>): void {
    const { kind, host, network, checker } = this.#world;
    checker.watch.left(this.id, to, message);
    const received = host.isCoded ? kind.decodeMessage(kind.encodeMessage(message)) : message;
    network.send(this.id, to, () => this.#world.node(to).receive(this.id, received));
  }

  #persisted(io: IoId): void {
    const life = this.#life!;
    if (!this.#survives('durable', life)) return;
    while (life.gated.length > 0 && life.gated[0]!.io <= io)
      for (const envelope of life.gated.shift()!.envelopes) this.#send(envelope);
    this.#input({ kind: 'persisted', io, now: this.#now() });
  }

  #armTimer(life: Life<Message, LogRecord>): void {
    const at = life.engine.nextTickAt;
    if (life.timer !== undefined) {
      if (life.timer.at <= at) return; // it fires early, and is set again then
      this.#world.agenda.cancel(life.timer.due);
    }
    const due = this.#after(this.clock.until(at), () => {
      life.timer = undefined;
      this.#input({ kind: 'tick', now: this.#now() });
    });
    life.timer = { due, at };
  }

  // ---------------------------------------------------------------- the state

  #applySoon(life: Life<Message, LogRecord>): void {
    const { applyMs } = this.#world.host;
    if (applyMs === 0) this.#apply(life);
    else if (!life.isApplyDue) {
      life.isApplyDue = true;
      this.#after(applyMs, () => {
        life.isApplyDue = false;
        this.#apply(life);
      });
    }
  }

  #apply(life: Life<Message, LogRecord>): void {
    const before = life.applier.appliedIndex;
    while (life.applier.applySlice());
    const index = life.applier.appliedIndex;
    if (index === before) return;
    this.#input({ kind: 'applied', index: index as LogIndex });
    if (life === this.#life) life.desk.applied();
  }

  #batchApplied(session: number, sequence: number, outcomes: readonly CommandOutcome[]): void {
    const { applier, desk } = this.#life!;
    this.#world.checker.log.applied(this.id, applier.appliedIndex + 1, digestOf(outcomes));
    desk.batchApplied(session, sequence, outcomes);
  }

  #sendSnapshot(life: Life<Message, LogRecord>, to: NodeId): void {
    life.applier.save();
    this.#store.flushNow();
    const { point } = life.applier;
    this.#world.checker.watch.stateDurable(this.id, point);
    const snapshot = { from: this.id, term: life.status.term, point, image: this.#store.image() };
    this.#world.note?.(`n${this.id}`, `sends a snapshot of ${point.index} to n${to}`);
    const lives = this.#lives;
    const ended = (delivered: boolean) => {
      if (lives !== this.#lives) return;
      this.#world.note?.(`n${this.id}`, `snapshot of ${point.index} to n${to}: ${delivered ? 'delivered' : 'failed'}`);
      this.#whenAwake(() => this.#input({ kind: 'snapshotSent', to, at: point, delivered, now: this.#now() }));
    };
    this.#world.carrySnapshot(to, snapshot, ended);
  }

  /** A peer's state arrives whole. False if it is not wanted; else `installed` is told when it is in place. */
  takeSnapshot({ term, point, image }: SnapshotOnItsWay, installed: () => void): boolean {
    const life = this.#life;
    const isWanted = life !== undefined && term >= life.status.term && point.index > life.applier.appliedIndex;
    if (!isWanted || life.applier.paused) return false;
    life.applier.paused = true;
    this.#after(this.#world.host.installMs, () => {
      if (!this.#survives('installing', life)) return;
      life.applier.paused = false;
      this.#world.checker.log.installed(this.id, point);
      this.#store.replaceBy(image);
      life.applier.reload();
      this.#world.checker.watch.stateInstalled(this.id, point);
      this.#input({ kind: 'snapshotInstalled', at: point, now: this.#now() });
      installed();
      if (life === this.#life) this.#apply(life);
    });
    return true;
  }

  #now(): Millis {
    return this.clock.now() as Millis;
  }
}

function appliedOf({ point }: Applier): SnapshotPoint | undefined {
  return point.index === 0 ? undefined : point;
}

function digestOf(outcomes: readonly CommandOutcome[]): number {
  let digest = outcomes.length;
  for (const outcome of outcomes)
    digest = outcome instanceof Uint8Array ? digestBytes(outcome, digest) : hashText(outcome.code, digest);
  return digest;
}

/** @throws BrokenRule for whatever an engine throws */
function asserted<T>(run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    throw new BrokenRule('engine assertion', String(thrown), { cause: thrown });
  }
}

function describe(fields: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(fields)
    .map(([name, value]) => ` ${name}=${value}`)
    .join('');
}
