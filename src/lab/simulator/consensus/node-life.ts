/**
 * A node from its start to its crash: an engine with a host that keeps the contract, as the replica of the file system does, but within one
 * event at a time. Session table and applier are the real ones; log, store, clock and links are simulated. Steps never nest.
 */
import type { Millis, NodeId } from '../../../core/base/brand.ts';
import {
  type Effects,
  type Engine,
  type EngineStatus,
  type Envelope,
  type Input,
  type IoId,
  type LogIndex,
  type SnapshotPoint,
  toLogIndex,
} from '../../../core/consensus/engine.ts';
import { digestBytes } from '../../../platform/sim/event-hash.ts';
import { hashText } from '../../../platform/sim/random.ts';
import { Applier, type CommandOutcome } from '../../../system/rsm/applier.ts';
import type { Due } from './agenda.ts';
import { BrokenRule, type Rule } from './broken-rule.ts';
import type { GroupDisk } from './group-disk.ts';
import type { GroupStore } from './group-store.ts';
import type { GroupWorld, Moment, SnapshotOnItsWay } from './group-world.ts';
import type { NodeClock } from './node-clock.ts';
import { RegisterMachine, readRegister } from './register-machine.ts';
import { ServiceDesk } from './service-desk.ts';

/** What a life finds, and leaves to the next. */
export interface Body<LogRecord> {
  readonly id: NodeId;
  /** Counts the lives of the node. */
  readonly number: number;
  readonly clock: NodeClock;
  readonly disk: GroupDisk<LogRecord>;
  readonly store: GroupStore;
  /** Later, if this life goes on until then. */
  after(delayMs: number, run: () => void): Due;
  /** Holds back all that happens to the node. */
  pause(ms: number): void;
}

const livesMax = 1_000_000;

export class NodeLife<Message, LogRecord> {
  readonly desk: ServiceDesk;
  readonly #world: GroupWorld<Message, LogRecord>;
  readonly #body: Body<LogRecord>;
  readonly #applier: Applier;
  #engine: Engine<Message, LogRecord>;
  #status: EngineStatus;
  #isOver = false;
  readonly #inputs: Input<Message>[] = [];
  #isStepping = false;
  /** How long the next step is held up halfway; 0: it is not. */
  #freezeMs = 0;
  /** What is left of a step that is. */
  #rest: (() => void) | undefined;
  readonly #gated: { readonly io: IoId; readonly envelopes: readonly Envelope<Message>[] }[] = [];
  #timer: { readonly due: Due; readonly at: Millis } | undefined;
  #isApplyDue = false;
  #wasLeading = false;

  constructor(world: GroupWorld<Message, LogRecord>, records: readonly LogRecord[], body: Body<LogRecord>) {
    this.#world = world;
    this.#body = body;
    const { kind, checker } = world;
    const config = world.configOf(body.id);
    const machine = new RegisterMachine((value, index) => checker.executed(value, index));
    this.#applier = new Applier(body.store, machine, config.bootstrap, {
      applied: (...batch) => this.#batchApplied(...batch),
      skipped: (session, sequence) => this.desk.batchSkipped(session, sequence),
    });
    const applied = this.#appliedPoint();
    this.#engine = asserted('engine assertion', () => kind.create(config, { records, applied, now: this.#now() }));
    this.#status = this.#engine.status;
    this.desk = this.#openDesk();
  }

  #openDesk(): ServiceDesk {
    const { checker, host } = this.#world;
    const { id, number, clock, store } = this.#body;
    return new ServiceDesk({
      node: id,
      session: id * livesMax + number,
      batchesInFlight: host.batchesInFlight,
      committed: () => checker.log.highest,
      appliedIndex: () => this.appliedIndex,
      leader: () => this.#status.leader,
      leads: () => this.#status.role === 'leader',
      timeOfBatch: () => Math.max(clock.timeOfDay(), this.#applier.time),
      readRegister: (key) => readRegister(store, key),
      now: () => this.#now(),
      input: (input) => this.#input(input),
    });
  }

  begin(records: readonly LogRecord[]): void {
    this.#world.checker.started(this.#status, records, this.#appliedPoint());
    const { flushEveryMs } = this.#world.host;
    if (flushEveryMs !== undefined) this.#flushAgain(flushEveryMs);
    this.#input({ kind: 'tick', now: this.#now() });
  }

  end(): void {
    this.#isOver = true;
    if (this.#timer !== undefined) this.#world.agenda.cancel(this.#timer.due);
  }

  get status(): EngineStatus {
    return this.#status;
  }
  get appliedIndex(): number {
    return this.#applier.appliedIndex;
  }
  baseline(): readonly LogRecord[] {
    return this.#engine.baseline();
  }

  becomeClone(): void {
    this.#engine = this.#engine.clone();
  }

  // ---------------------------------------------------------------- the engine

  receive(from: NodeId, message: Message): void {
    this.#input({ kind: 'message', from, message, now: this.#now() });
  }

  #input(input: Input<Message>): void {
    if (this.#isOver) return;
    this.#inputs.push(input);
    if (!this.#isStepping) this.#stepOn();
  }

  #stepOn(): void {
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined && !this.#isOver; next = this.#inputs.shift()) {
      const effects = this.#step(next);
      if (this.#freezeMs > 0) {
        this.#standStill(effects);
        return;
      }
      this.#carryOut(effects);
    }
    this.#isStepping = false;
    if (!this.#isOver) this.#armTimer();
  }

  freeze(ms: number): void {
    this.#freezeMs = ms;
  }

  /** What the step has decided is done when the pause is over; nothing else happens before. */
  #standStill(effects: Effects<Message, LogRecord>): void {
    this.#body.pause(this.#freezeMs);
    this.#freezeMs = 0;
    this.#rest = () => {
      this.#carryOut(effects);
      if (!this.#isOver) this.#stepOn();
    };
    this.#body.after(0, () => {});
  }

  /** The pause is over: before anything else the step is brought to its end. */
  thaw(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    rest?.();
  }

  #step(input: Input<Message>): Effects<Message, LogRecord> {
    const engine = this.#engine;
    let effects: Effects<Message, LogRecord>;
    try {
      effects = engine.step(input);
      engine.invariants();
    } catch (thrown) {
      throw brokenBy('engine assertion', thrown);
    }
    this.#status = engine.status;
    this.#world.checker.stepped(this.#status, effects);
    return effects;
  }

  #carryOut(effects: Effects<Message, LogRecord>): void {
    this.#carryOutAll(effects);
    if (this.#isOver) return;
    this.#noteLeadership();
    this.#world.stepped(this.#status);
  }

  #carryOutAll(effects: Effects<Message, LogRecord>): void {
    const { persist, send, sendAfter, committed, reads, dropped, completed, snapshots, trace } = effects;
    const { note } = this.#world;
    if (note !== undefined) for (const { name, fields } of trace) note(`n${this.#body.id}`, name + describe(fields));
    if (persist !== undefined) {
      this.#body.disk.append(persist.io, persist.records, persist.mustSync);
      if (!this.#survives('writing')) return;
    }
    for (const envelope of send) this.#send(envelope);
    if (persist !== undefined && !this.#survives('sent')) return;
    for (const gated of sendAfter) this.#gated.push(gated);
    if (committed.length > 0) {
      this.#applier.queue(committed);
      this.#applySoon();
      if (!this.#survives('committed')) return;
    }
    for (const { id, index } of reads) this.desk.granted(id, index);
    for (const one of dropped) this.desk.dropped(one);
    for (const id of completed) this.desk.completed(id);
    for (const { to } of snapshots) if (!this.#isOver) this.#sendSnapshot(to);
  }

  /** Whether the node is still there after a moment at which it may be made to crash. */
  #survives(moment: Moment): boolean {
    this.#world.at(moment, this.#body.id);
    return !this.#isOver;
  }

  #noteLeadership(): void {
    const leads = this.#status.role === 'leader';
    if (leads === this.#wasLeading) return;
    this.#wasLeading = leads;
    if (leads) this.#world.at('elected', this.#body.id);
    else this.desk.steppedDown();
  }

  #send({ to, message }: Envelope<Message>): void {
    const { kind, host, network, checker } = this.#world;
    const { id } = this.#body;
    checker.watch.left(id, to, message);
    const received = host.isCoded ? kind.decodeMessage(kind.encodeMessage(message)) : message;
    network.send(id, to, () => this.#world.node(to).receive(id, received));
  }

  persisted(io: IoId): void {
    if (!this.#survives('durable')) return;
    while (this.#gated.length > 0 && this.#gated[0]!.io <= io)
      for (const envelope of this.#gated.shift()!.envelopes) this.#send(envelope);
    this.#input({ kind: 'persisted', io, now: this.#now() });
  }

  setTimerAnew(): void {
    if (this.#timer !== undefined) this.#world.agenda.cancel(this.#timer.due);
    this.#timer = undefined;
    this.#armTimer();
  }

  #armTimer(): void {
    const at = this.#engine.nextTickAt;
    if (this.#timer !== undefined) {
      if (this.#timer.at <= at) return; // it fires early, and is set again then
      this.#world.agenda.cancel(this.#timer.due);
    }
    const due = this.#body.after(this.#body.clock.until(at), () => {
      this.#timer = undefined;
      this.#input({ kind: 'tick', now: this.#now() });
    });
    this.#timer = { due, at };
  }

  // ---------------------------------------------------------------- the state

  #applySoon(): void {
    const { applyMs } = this.#world.host;
    if (applyMs === 0) this.#apply();
    else if (!this.#isApplyDue) {
      this.#isApplyDue = true;
      this.#body.after(applyMs, () => {
        this.#isApplyDue = false;
        this.#apply();
      });
    }
  }

  #apply(): void {
    const before = this.appliedIndex;
    asserted('state-machine safety', () => {
      while (this.#applier.applySlice());
    });
    if (this.appliedIndex === before) return;
    this.#input({ kind: 'applied', index: this.appliedIndex as LogIndex });
    if (!this.#isOver) this.desk.applied();
  }

  #batchApplied(session: number, sequence: number, outcomes: readonly CommandOutcome[]): void {
    this.#world.checker.log.applied(this.#body.id, this.appliedIndex + 1, digestOf(outcomes));
    this.desk.batchApplied(session, sequence, outcomes);
  }

  #appliedPoint(): SnapshotPoint | undefined {
    const { point } = this.#applier;
    return point.index === 0 ? undefined : point;
  }

  #flushAgain(everyMs: number): void {
    this.#body.after(everyMs, () => {
      this.flush(this.#world.host.keepEntries);
      if (!this.#isOver) this.#flushAgain(everyMs);
    });
  }

  flush(keep: number): void {
    if (this.#applier.paused || this.#isStepping) return;
    const upTo = toLogIndex(Math.max(0, this.#makeDurable() - keep));
    if (upTo < this.#status.firstIndex) return;
    this.#input({ kind: 'compact', index: upTo });
    if (!this.#isOver) this.#body.disk.compact(upTo);
  }

  #makeDurable(): number {
    this.#applier.save();
    this.#world.checker.watch.stateDurable(this.#body.id, this.#applier.point);
    return this.#body.store.flushNow();
  }

  #sendSnapshot(to: NodeId): void {
    const { id, store } = this.#body;
    this.#makeDurable();
    const { point } = this.#applier;
    const note = (how: string) => this.#world.note?.(`n${id}`, `snapshot of ${point.index} to n${to}: ${how}`);
    note('begins');
    const snapshot = { from: id, point, image: store.image() };
    this.#world.carrySnapshot(to, snapshot, (delivered) => {
      note(delivered ? 'delivered' : 'failed');
      this.#body.after(0, () => this.#input({ kind: 'snapshotSent', to, at: point, delivered, now: this.#now() }));
    });
    this.#world.at('streaming', id);
  }

  /** A peer's state arrives whole. False if it is not wanted; else `installed` is told when it is in place. */
  takeSnapshot({ point, image }: SnapshotOnItsWay, installed: () => void): boolean {
    if (point.index <= this.appliedIndex || this.#applier.paused) return false;
    this.#applier.paused = true;
    this.#input({ kind: 'snapshotArriving', arriving: true, now: this.#now() });
    this.#body.after(this.#world.installMs(this.#body.id), () => {
      if (!this.#survives('installing')) return;
      const { id, store } = this.#body;
      const { log, watch } = this.#world.checker;
      this.#applier.paused = false;
      log.installed(id, point);
      store.replaceBy(image);
      this.#applier.reload();
      watch.stateInstalled(id, point);
      this.#input({ kind: 'snapshotInstalled', at: point, now: this.#now() });
      installed();
      if (!this.#isOver) this.#apply();
    });
    return true;
  }

  #now(): Millis {
    return this.#body.clock.now() as Millis;
  }
}

function digestOf(outcomes: readonly CommandOutcome[]): number {
  let digest = outcomes.length;
  for (const outcome of outcomes)
    digest = outcome instanceof Uint8Array ? digestBytes(outcome, digest) : hashText(outcome.code, digest);
  return digest;
}

/** @throws BrokenRule for whatever is thrown */
function asserted<T>(rule: Rule, run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    throw brokenBy(rule, thrown);
  }
}

function brokenBy(rule: Rule, thrown: unknown): BrokenRule {
  return thrown instanceof BrokenRule ? thrown : new BrokenRule(rule, String(thrown), { cause: thrown });
}

function describe(fields: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(fields)
    .map(([name, value]) => ` ${name}=${value}`)
    .join('');
}
