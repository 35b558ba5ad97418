/** Does to a group what its plan says, each thing at its time, and undoes what does not last. */
import { unreachable } from '../../../core/base/assert.ts';
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, Members } from '../../../core/consensus/engine.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import type { Group, Node, Trouble } from './group.ts';
import type { Moment } from './group-world.ts';
import { everyVoter } from './members-of-group.ts';
import { changeMembers, letRemovedGo, transferLeadership } from './operator.ts';
import { linksToCut } from './partitions.ts';
import { describeHappening, type Happening, type Target } from './plan.ts';

/** Events of the plan carry this mark; see agenda.ts. */
const planMark = 3 << 24;

type Of<Kind extends Happening['kind']> = Extract<Happening, { kind: Kind }>;
type ToNode = Exclude<Extract<Happening, { target: Target }>, { kind: 'partition' | 'trap' }>;

/** From and to how many ms a write takes when all is well. */
export const quickDisk = [0.2, 1] as const;

/** A slow disk delays the installation of a state by so many writes. */
const writesOfInstall = 2;

interface Trap {
  readonly node: NodeId | undefined;
  readonly moment: Moment;
  skip: number;
  readonly downMs: number;
  readonly keep: number;
}

export class Mischief implements Trouble {
  readonly #group: Group;
  readonly #random: SimRandom;
  #traps: Trap[] = [];
  /** How long each write of a disk takes while it is slow. */
  readonly #slow = new Map<NodeId, number>();
  readonly #failing = new Set<NodeId>();
  readonly #unrest = new Set<Of<'unrest'>>();
  #isOver = false;
  /** The members that were said to be settled last. */
  #settled: Members | undefined;
  /** Undone when the storm is over, if not before. */
  readonly #lasting = new Set<() => void>();

  constructor(group: Group) {
    this.#group = group;
    this.#random = group.random.fork('mischief');
    group.trouble = this;
    for (const happening of group.plan.happenings)
      group.agenda.after(happening.atMs, planMark, () => {
        if (!this.#isOver) this.#make(happening);
      });
  }

  // ---------------------------------------------------------------- asked by nodes

  writeMs(node: NodeId): number | undefined {
    if (this.#failing.delete(node)) return undefined;
    const [least, most] = this.#isOver ? quickDisk : this.#group.plan.writeMs;
    return this.#slow.get(node) ?? least + this.#random.next() * (most - least);
  }

  installDelayMs(node: NodeId): number {
    return writesOfInstall * (this.#slow.get(node) ?? 0);
  }

  at(moment: Moment, id: NodeId): void {
    if (moment === 'elected') for (const unrest of this.#unrest) this.#disturb(this.#group.node(id), unrest);
    if (this.#traps.length === 0) return;
    const trap = this.#traps.find((set) => set.moment === moment && (set.node === undefined || set.node === id));
    if (trap === undefined || trap.skip-- > 0) return;
    this.#traps = this.#traps.filter((other) => other !== trap);
    this.#group.note?.(`n${id}`, `walks into a trap: ${moment}`);
    this.#crash(this.#group.node(id), trap.downMs, trap.keep);
  }

  stepped({ members, membersSettled }: EngineStatus): void {
    if (this.#group.plan.leavesWhenTold !== true || members === this.#settled || !membersSettled) return;
    this.#settled = members;
    this.#later(0, () => letRemovedGo(this.#group, members));
  }

  /** Everything that lasts is undone: links, disks, pauses, weather. Nodes that are down stay so. */
  end(): void {
    this.#isOver = true;
    this.#traps = [];
    this.#failing.clear();
    for (const undo of [...this.#lasting]) undo();
    for (const client of this.#group.clients) client.work(undefined);
  }

  // ---------------------------------------------------------------- what happens

  #make(happening: Happening): void {
    const group = this.#group;
    if (happening.kind !== 'work') group.note?.('world', describeHappening(happening));
    switch (happening.kind) {
      case 'work':
        this.#employ(happening);
        break;
      case 'burst':
        group.clients[happening.client - 1]?.burst(happening.calls);
        break;
      case 'weather':
        this.#changeWeather(happening);
        break;
      case 'trap': {
        const { target, moment, skip, downMs, keep } = happening;
        const node = target === undefined ? undefined : this.#nodeOf(target).id;
        this.#traps.push({ node, moment, skip, downMs, keep });
        break;
      }
      case 'blackout':
        for (const [i, node] of [...group.nodesById.values()].entries())
          this.#crash(node, happening.downMs + i * happening.apartMs, happening.keep);
        break;
      case 'partition': {
        const { shape, target, pick, forMs } = happening;
        this.#cut(linksToCut(shape, this.#nodeOf(target).id, group.nodes(), pick), forMs);
        break;
      }
      case 'unrest':
        this.#unrest.add(happening);
        this.#lasts(happening.forMs, () => this.#unrest.delete(happening));
        break;
      case 'transfer':
        transferLeadership(group, happening.pick);
        break;
      case 'members':
        changeMembers(group, happening.change, happening.pick);
        break;
      default:
        this.#makeToNode(this.#nodeOf(happening.target), happening);
    }
  }

  #makeToNode(node: Node, happening: ToNode): void {
    switch (happening.kind) {
      case 'crash':
        this.#crash(node, happening.downMs, happening.keep);
        break;
      case 'pause':
        node.pause(happening.forMs);
        this.#lasts(happening.forMs, () => node.resume());
        break;
      case 'freeze':
        node.freeze(happening.forMs);
        this.#lasts(happening.forMs, () => node.resume());
        break;
      case 'jump':
        node.clock.jump(happening.ms);
        node.clockChanged();
        break;
      case 'day':
        node.clock.setDay(happening.ms);
        break;
      case 'drift':
        node.clock.setRate(happening.rate);
        node.clockChanged();
        break;
      case 'slowDisk':
        this.#slow.set(node.id, happening.writeMs);
        this.#lasts(happening.forMs, () => this.#slow.delete(node.id));
        break;
      case 'diskError':
        this.#failing.add(node.id);
        break;
      case 'damage':
        this.#damage(node, happening.at, happening.how);
        break;
      case 'flush':
        node.flush(happening.keep);
        break;
      case 'clone':
        node.becomeClone();
        break;
      default:
        unreachable(happening);
    }
  }

  #employ({ client: id, thinkMs, forMs }: Of<'work'>): void {
    const client = this.#group.clients[id - 1];
    client?.work(thinkMs);
    this.#later(forMs, () => client?.work(undefined));
  }

  #changeWeather({ weather, forMs }: Of<'weather'>): void {
    const { network, plan } = this.#group;
    network.weather = weather;
    this.#lasts(forMs, () => {
      if (network.weather === weather) network.weather = plan.weather;
    });
  }

  #cut(links: ReturnType<typeof linksToCut>, forMs: number): void {
    const { network } = this.#group;
    for (const [from, to] of links) network.cut(from, to);
    this.#lasts(forMs, () => {
      for (const [from, to] of links) network.join(from, to);
    });
  }

  /** Somebody was elected. */
  #disturb(node: Node, { chance, afterMs, how, downMs, keep }: Of<'unrest'>): void {
    if (!this.#random.chance(chance)) return;
    this.#later(this.#random.next() * afterMs, () => {
      if (this.#isOver) return;
      this.#group.note?.('world', `unrest: ${how} of n${node.id}`);
      if (how === 'crash') this.#crash(node, this.#random.next() * downMs, keep);
      else if (how === 'isolate') this.#cut(linksToCut('isolate', node.id, this.#group.nodes(), 0), downMs);
      else {
        node.pause(downMs);
        this.#lasts(downMs, () => node.resume());
      }
    });
  }

  #crash(node: Node, downMs: number, keep: number): void {
    node.crash(keep);
    this.#later(downMs, () => node.start());
  }

  /** Only as long as every configuration keeps a quorum of nodes whose disks are sound. */
  #damage(node: Node, at: number, how: string): void {
    const { lost } = this.#group;
    const isSound = (id: NodeId) => id !== node.id && this.#group.isSound(id);
    if (!this.#group.canDecide(isSound)) return;
    if (node.disk.damage(at, how)) lost.add(node.id);
  }

  /** Whoever leads, or one of those who vote or might. */
  #nodeOf({ leader, pick }: Target): Node {
    const { nodesById, checker } = this.#group;
    const leading = leader ? this.#group.leader : undefined;
    if (leading !== undefined) return leading;
    const latest = checker.log.configurations.at(-1)!.members;
    const voters = everyVoter(latest);
    const all = pick < 0.9 ? voters : [...nodesById.keys()];
    return nodesById.get(all[Math.floor(pick * 977) % all.length]!)!;
  }

  #later(delayMs: number, run: () => void): void {
    this.#group.agenda.after(delayMs, planMark, run);
  }

  #lasts(forMs: number, undo: () => void): void {
    const once = () => {
      if (this.#lasting.delete(once)) undo();
    };
    this.#lasting.add(once);
    this.#later(forMs, once);
  }
}
