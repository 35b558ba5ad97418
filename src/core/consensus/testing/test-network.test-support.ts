/** A group of engines in virtual time, in a world with faults, all of it drawn from one seed. */
import { assert } from '../../base/assert.ts';
import { type NodeId, toNodeId } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import {
  defaultLimits,
  defaultTiming,
  type ElectorName,
  type EngineKind,
  type EngineLimits,
  type EngineTiming,
  type LeaseTerms,
  type Members,
  type QuorumSizes,
  type ReadLevel,
  type SnapshotPoint,
  toEpoch,
} from '../engine.ts';
import { nextUniform, seededStream } from '../seeded-stream.ts';
import { EventQueue } from './event-queue.test-support.ts';
import { SafetyChecker } from './safety-checker.test-support.ts';
import { type PendingRead, TestNode, type World } from './test-node.test-support.ts';

export interface Weather {
  /** Probabilities, per message. */
  loss: number;
  duplication: number;
  delayMs: readonly [number, number];
  writeMs: readonly [number, number];
  /** Probability, per write, that the node goes down in the middle of it. */
  crash: number;
}

export const calm: Weather = { loss: 0, duplication: 0, delayMs: [1, 2], writeMs: [0.2, 1], crash: 0 };

export interface GroupOptions {
  readonly seed: number;
  readonly voters: number;
  readonly nonVoters?: number;
  /** Nodes that run and belong to the group only when they have been made members. */
  readonly strangers?: number;
  readonly limits?: Partial<EngineLimits>;
  readonly timing?: EngineTiming;
  readonly weather?: Weather;
  readonly elector?: ElectorName;
  /** With a lease, clocks run at rates of their own, as far apart as the lease allows. */
  readonly lease?: LeaseTerms | undefined;
  readonly quorums?: QuorumSizes | undefined;
}

export class TestNetwork<Message = unknown, LogRecord = unknown> implements World {
  readonly #queue = new EventQueue();
  readonly #random: { state: number };
  readonly nodes: readonly TestNode<Message, LogRecord>[];
  readonly checker: SafetyChecker;
  weather: Weather;
  /** Links that carry nothing, as `from>to`. */
  readonly cut = new Set<string>();
  /** Nodes that are paused until a time: they neither send nor take anything. */
  readonly pausedUntil = new Map<NodeId, number>();
  readonly stalledDisks = new Set<NodeId>();
  /** Disks that finish nothing any more. */
  readonly writeStopped = new Set<NodeId>();
  /** Clocks that have jumped, and how far. */
  readonly clocksAhead = new Map<NodeId, number>();
  messages = 0;
  /** The last one that was sent over each link. */
  readonly lastMessages = new Map<string, Uint8Array>();
  snapshots = 0;
  /** Of everything that was delivered, in order: two runs of one seed give the same. */
  digest = 0;
  #sequence = 0;
  readonly #clockRates = new Map<NodeId, number>();

  constructor(kind: EngineKind<Message, LogRecord>, options: GroupOptions) {
    this.#random = seededStream(options.seed, 0);
    this.weather = options.weather ?? calm;
    const { voters, nonVoters = 0, strangers = 0 } = options;
    const ids = Array.from({ length: voters + nonVoters + strangers }, (_, i) => toNodeId(i + 1));
    const bootstrap: Members = { voters: ids.slice(0, voters), nonVoters: ids.slice(voters, voters + nonVoters) };
    const { seed, elector = 'timeout', timing = defaultTiming, lease, quorums } = options;
    const common = {
      bootstrap,
      epoch: toEpoch(1),
      seed,
      crc32,
      timing,
      elector,
      ...(lease && { lease }),
      ...(quorums && { quorums }),
    };
    const limits = { ...defaultLimits, ...options.limits };
    if (lease !== undefined) for (const id of ids) this.#clockRates.set(id, 1 + lease.driftMax * this.below(3) * 0.5);
    this.nodes = ids.map((id) => new TestNode(kind, { ...common, id, limits }, this, () => this.checker));
    this.checker = new SafetyChecker(kind.name, bootstrap, quorums);
    for (const node of this.nodes) node.start();
  }

  // ---------------------------------------------------------------- the world

  now(): number {
    return this.#queue.now;
  }
  after(delay: number, run: () => void): void {
    this.#queue.after(delay, run);
  }
  uniform(): number {
    return nextUniform(this.#random);
  }
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }
  chance(probability: number): boolean {
    return this.uniform() < probability;
  }
  between([low, high]: readonly [number, number]): number {
    return low + this.uniform() * (high - low);
  }

  clockAhead(node: NodeId): number {
    return this.clocksAhead.get(node) ?? 0;
  }

  clockRate(node: NodeId): number {
    return this.#clockRates.get(node) ?? 1;
  }

  crashesWhileWriting(): boolean {
    return this.weather.crash > 0 && this.chance(this.weather.crash);
  }

  writeDelay(node: NodeId): number {
    if (this.writeStopped.has(node)) return Number.POSITIVE_INFINITY;
    return this.stalledDisks.has(node) ? 400 + this.below(400) : this.between(this.weather.writeMs);
  }

  deliver(from: NodeId, to: NodeId, message: Uint8Array): void {
    this.messages += 1;
    this.lastMessages.set(`${from}>${to}`, message);
    const copies = this.chance(this.weather.duplication) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.chance(this.weather.loss)) continue;
      this.#arrive(from, to, message, this.between(this.weather.delayMs));
    }
  }

  #arrive(from: NodeId, to: NodeId, message: Uint8Array, delay: number): void {
    this.after(delay, () => {
      if (this.cut.has(`${from}>${to}`)) return;
      const pause = (this.pausedUntil.get(to) ?? 0) - this.now();
      if (pause > 0) {
        this.#arrive(from, to, message, pause);
        return;
      }
      this.digest = crc32(message, this.digest ^ (from * 65537 + to));
      this.node(to).receive(from, message);
    });
  }

  /** A stream: takes a while, and fails when a link is cut or either end goes away. */
  deliverSnapshot(from: NodeId, to: NodeId, point: SnapshotPoint): void {
    this.snapshots += 1;
    const sender = this.node(from);
    const life = sender.life;
    const fails = this.chance(this.weather.loss);
    this.after(5 + this.between(this.weather.delayMs), () => {
      const receiver = this.node(to);
      const delivered = !fails && !this.cut.has(`${from}>${to}`) && receiver.up && receiver.install(point);
      this.after(this.between(this.weather.delayMs), () => {
        if (sender.life === life) sender.snapshotSent(to, point, delivered);
      });
    });
  }

  // ---------------------------------------------------------------- what tests do

  node(id: number): TestNode<Message, LogRecord> {
    return this.nodes[id - 1]!;
  }

  run(ms: number): void {
    this.#queue.runUntil(this.now() + ms);
  }

  /** Runs until `condition` holds; fails after `withinMs`. */
  runUntil(what: string, condition: () => boolean, withinMs = 5000): void {
    const end = this.now() + withinMs;
    while (!condition()) {
      assert(this.now() < end, `within ${withinMs} ms: ${what}`, { now: this.now() });
      this.run(1);
    }
  }

  get leaders(): readonly TestNode<Message, LogRecord>[] {
    return this.nodes.filter((node) => node.engine?.status.role === 'leader');
  }

  /** The established leader of the highest term. */
  get leader(): TestNode<Message, LogRecord> | undefined {
    return this.leaders
      .filter((node) => node.engine!.status.established)
      .sort((a, b) => b.engine!.status.term - a.engine!.status.term)[0];
  }

  awaitLeader(): TestNode<Message, LogRecord> {
    this.runUntil('a leader is established', () => this.leader !== undefined);
    return this.leader!;
  }

  /** Proposes `count` small values at a node; returns the sequence of the last. */
  propose(node: TestNode<Message, LogRecord>, count = 1, bytes = 8): number {
    const proposals = Array.from({ length: count }, () => {
      this.#sequence += 1;
      const data = new Uint8Array(bytes);
      data[0] = this.#sequence & 0xff;
      return { session: 7, sequence: this.#sequence, data };
    });
    node.propose(proposals);
    return this.#sequence;
  }

  read(node: TestNode<Message, LogRecord>, level: ReadLevel = 'linearizable'): PendingRead {
    return node.read(level, level === 'stale' ? 0 : this.checker.highestCommitted);
  }

  /** Cuts the group into those named and the others, in both directions. */
  partition(...side: readonly number[]): void {
    for (const a of this.nodes)
      for (const b of this.nodes) if (side.includes(a.id) !== side.includes(b.id)) this.cut.add(`${a.id}>${b.id}`);
  }

  heal(): void {
    this.cut.clear();
    this.pausedUntil.clear();
    this.stalledDisks.clear();
    this.weather = calm;
    for (const node of this.nodes) if (!node.up) node.start();
  }

  /** Asks for these voters and non-voters, at a node that leads. */
  changeMembers(node: TestNode<Message, LogRecord>, voters: readonly number[], nonVoters: readonly number[] = []) {
    const members = { voters: voters.map(toNodeId), nonVoters: nonVoters.map(toNodeId) };
    return node.control({ kind: 'changeMembers', members });
  }

  /** Those who belong to the group, as far as is committed. */
  get members(): readonly TestNode<Message, LogRecord>[] {
    const { voters, votersNext = [], nonVoters } = this.checker.members;
    return this.nodes.filter(({ id }) => [...voters, ...votersNext, ...nonVoters].includes(id));
  }

  /** All members have applied everything. */
  get converged(): boolean {
    const applied = this.members.map((node) => node.applied);
    return applied.every((index) => index === this.checker.highestCommitted);
  }
}
