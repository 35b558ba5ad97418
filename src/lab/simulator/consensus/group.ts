/** A group of nodes and its clients in virtual time, under one plan. Owns everything that is random in a run: streams named from the seed. */
import { type NodeId, toNodeId } from '../../../core/base/brand.ts';
import { crc32 } from '../../../core/base/crc32.ts';
import {
  defaultLimits,
  type EngineConfig,
  type EngineKind,
  type EngineStatus,
  type Members,
  toEpoch,
} from '../../../core/consensus/engine.ts';
import { SimRandom } from '../../../platform/sim/random.ts';
import { engineNamed } from '../engines.ts';
import type { RegisterOperation } from '../linearizability/register-model.ts';
import { initialValue } from '../linearizability/register-model.ts';
import { Agenda } from './agenda.ts';
import { CommittedLog } from './committed-log.ts';
import { Doubter } from './doubter.ts';
import { GroupChecker } from './group-checker.ts';
import { type ClientWorld, GroupClient } from './group-client.ts';
import { GroupNetwork } from './group-network.ts';
import { GroupNode } from './group-node.ts';
import type { GroupWorld, HostSettings, Moment, SnapshotOnItsWay } from './group-world.ts';
import { isMember } from './members-of-group.ts';
import { NodeClock } from './node-clock.ts';
import type { GroupPlan } from './plan.ts';
import type { Answer, Request } from './requests.ts';
import { watchOf } from './watches.ts';

/** A stream of a snapshot that does not end is given up, once it has had as long as any takes and so much more. */
const snapshotMs = 1_000;
/** What a supervisor takes to start a node again that ended by itself. */
const restartMs = 100;

const stalledMs = 1_000_000;

export type Node = GroupNode<unknown, unknown>;

/** What decides over disks and crashes; see mischief.ts. */
export interface Trouble {
  writeMs(node: NodeId): number | undefined;
  installDelayMs(node: NodeId): number;
  at(moment: Moment, node: NodeId): void;
  stepped(status: EngineStatus): void;
}

export class Group implements GroupWorld<unknown, unknown>, ClientWorld {
  readonly plan: GroupPlan;
  readonly agenda = new Agenda();
  readonly random: SimRandom;
  readonly kind: EngineKind<unknown, unknown>;
  readonly network: GroupNetwork;
  readonly checker: GroupChecker<unknown, unknown>;
  readonly host: HostSettings;
  readonly note: ((who: string, text: string) => void) | undefined;
  readonly nodesById: ReadonlyMap<NodeId, Node>;
  readonly clients: readonly GroupClient[];
  readonly bootstrap: Members;
  trouble: Trouble | undefined;
  /** Nodes whose log is damaged, found out or not. */
  readonly lost = new Set<NodeId>();
  /** Nodes that were switched off for good, once a change of members that left them out was done. */
  readonly #retired = new Set<NodeId>();
  /** Nodes whose disks finish nothing any more. */
  readonly stalled = new Set<NodeId>();
  readonly #doubter: Doubter;
  readonly #ids: readonly NodeId[];
  readonly #engineSeeds: SimRandom;
  readonly #values: SimRandom;
  #ticks = 0;
  #nextValue = initialValue + 1;
  /** The last value that each key was seen to hold. */
  readonly #seen = new Map<number, number>();

  constructor(plan: GroupPlan, note: ((atMs: number, who: string, text: string) => void) | undefined) {
    this.plan = plan;
    this.random = SimRandom.fromSeed(`run ${plan.seed}`);
    this.host = plan.host;
    this.note = note === undefined ? undefined : (who, text) => note(this.agenda.nowMs, who, text);
    this.#engineSeeds = this.random.fork('engines');
    this.#values = this.random.fork('values');
    this.network = new GroupNetwork(this.agenda, this.random.fork('network'), plan.weather);
    const ids = Array.from({ length: plan.voters + plan.spares }, (_, i) => toNodeId(i + 1));
    this.#ids = ids;
    this.bootstrap = { voters: ids.slice(0, plan.voters), nonVoters: [] };
    this.kind = engineNamed(plan.engine);
    const log = new CommittedLog(this.bootstrap);
    this.checker = new GroupChecker(log, watchOf(plan, this.bootstrap, log), this.agenda.hash);
    const nodeOf = (id: NodeId) =>
      new GroupNode(this, id, new NodeClock(() => this.agenda.nowMs, plan.clockRates[id - 1] ?? 1));
    this.nodesById = new Map(ids.map((id) => [id, nodeOf(id)]));
    this.#doubter = new Doubter(this.nodesById, plan.lease !== undefined);
    this.clients = Array.from(
      { length: plan.clients },
      (_, i) => new GroupClient(this, i + 1, this.random.fork(`client ${i + 1}`)),
    );
  }

  // ---------------------------------------------------------------- for nodes

  configOf(id: NodeId): EngineConfig {
    const { timing, limits, lease, quorums, windowSlots, elector } = this.plan;
    return {
      id,
      bootstrap: this.bootstrap,
      epoch: toEpoch(1),
      seed: this.#engineSeeds.u32(),
      crc32,
      timing,
      limits: { ...defaultLimits, ...limits, windowMaxBytes: 1_000 + limits.messageMaxBytes * 3 },
      elector,
      ...(lease === undefined ? {} : { lease }),
      ...(quorums === undefined ? {} : { quorums }),
      ...(windowSlots === undefined ? {} : { windowSlots }),
    };
  }

  node(id: NodeId): Node {
    return this.nodesById.get(id)!;
  }

  carrySnapshot(to: NodeId, snapshot: SnapshotOnItsWay, ended: (delivered: boolean) => void): void {
    const { from } = snapshot;
    let isOver = false;
    const end = (delivered: boolean) => {
      if (isOver) return;
      isOver = true;
      ended(delivered);
    };
    const { streamMs = 0 } = this.host;
    this.agenda.after(snapshotMs + streamMs, from, () => end(false));
    const isLost = () => this.network.isCut(from, to) || this.random.chance(this.network.weather.loss);
    const underWayMs = streamMs === 0 ? 0 : streamMs * this.random.next();
    this.agenda.after(2 * this.network.delay() + underWayMs, to, () => {
      const installed = () => this.agenda.after(this.network.delay(), from, () => end(!this.network.isCut(to, from)));
      if (isLost() || !this.node(to).takeSnapshot(snapshot, installed)) end(false);
    });
  }

  writeMs(node: NodeId): number | undefined {
    if (this.stalled.has(node)) return stalledMs;
    return this.trouble === undefined ? this.plan.writeMs[0] : this.trouble.writeMs(node);
  }

  installMs(node: NodeId): number {
    return this.host.installMs + (this.trouble?.installDelayMs(node) ?? 0);
  }

  at(moment: Moment, node: NodeId): void {
    if (moment === 'committed') this.#doubter.committed(node, this.checker.log.highest);
    this.trouble?.at(moment, node);
  }

  stepped(status: EngineStatus): void {
    this.trouble?.stepped(status);
  }

  ended(id: NodeId, why: string): void {
    this.note?.(`n${id}`, `ends: ${why}`);
    this.agenda.after(restartMs, id, () => this.node(id).start());
  }

  // ---------------------------------------------------------------- for clients

  get settings(): GroupPlan['client'] {
    return this.plan.client;
  }

  nodes(): readonly NodeId[] {
    return this.#ids;
  }

  ask(node: NodeId, request: Request, answer: (answer: Answer) => void): void {
    if (this.node(node).isUp) this.node(node).ask(request, answer);
    else answer({ kind: 'refused', why: 'notLeader', leader: undefined }); // nobody listens there
  }

  tick(): number {
    return ++this.#ticks;
  }

  nextValue(): number {
    return this.#nextValue++;
  }

  /** Mostly the right one. */
  likelyValue(key: number): number {
    return this.#values.chance(0.8) ? (this.#seen.get(key) ?? initialValue) : this.#values.below(this.#nextValue);
  }

  saw(key: number, value: number): void {
    this.#seen.set(key, value);
  }

  refused(value: number): void {
    this.checker.refused(value);
  }

  // ---------------------------------------------------------------- for the run

  /** The node that leads in the highest term, as far as it knows. */
  get leader(): Node | undefined {
    let found: Node | undefined;
    for (const node of this.leaders) if (node.status!.term > (found?.status?.term ?? -1)) found = node;
    return found;
  }

  /** Everybody who leads as far as it knows. */
  get leaders(): readonly Node[] {
    return [...this.nodesById.values()].filter(({ status }) => status?.role === 'leader');
  }

  /**
   * Whether those for whom `has` holds are a quorum whatever configuration anybody acts by: now, after a restart, or once a change is made;
   * and of the members that are `wanted`.
   */
  canDecide(has: (node: NodeId) => boolean, ...wanted: readonly Members[]): boolean {
    const sought = [...this.nodesById.values()].flatMap(({ membersSought }) => membersSought);
    return this.checker.watch.canDecide(has, [...sought, ...wanted], this.#retired);
  }

  /** Its disk is whole, as far as anybody knows, and somebody may start it. */
  isSound(id: NodeId): boolean {
    return !this.lost.has(id) && !this.#retired.has(id);
  }

  get areAllSound(): boolean {
    return this.lost.size === 0 && this.#retired.size === 0;
  }

  retire(id: NodeId): void {
    this.note?.(`n${id}`, 'is switched off for good');
    this.#retired.add(id);
    this.node(id).retire();
  }

  /** It was a member, and is none of those whom the latest change is to lead to. */
  wasRemoved(id: NodeId): boolean {
    const { configurations } = this.checker.log;
    const { voters, votersNext = voters, nonVoters } = configurations.at(-1)!.members;
    const remains = isMember({ voters: votersNext, nonVoters }, id);
    return !remains && configurations.some(({ members }) => isMember(members, id));
  }

  /** Whether a change later than the one to these voters, which is done, is asked for or under way that `id` has a part in. */
  mayVoteAgain(id: NodeId, voters: readonly NodeId[]): boolean {
    const { log, watch } = this.checker;
    const done = log.configurations.findLast(({ members }) => areSame(members.votersNext ?? members.voters, voters));
    if (done === undefined) return true;
    const sought = [...this.nodesById.values()].flatMap(({ membersSought }) => membersSought);
    return [...sought, ...watch.configurationsBehind(done.index)].some((members) => isMember(members, id));
  }

  history(): readonly RegisterOperation[] {
    return this.clients.flatMap(({ history }) => history);
  }
}

function areSame(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
