/**
 * The leader's work on the group itself: brings the engine's configuration in line with the roster, one change at a time, and books where
 * masters have moved to. What one leader leaves unfinished the next goes on with.
 */
import type { Address, NodeId } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import type { Standing } from '../../../core/protocol/membership.ts';
import type { ControlRequest, EngineStatus, Members } from '../../rsm/replica.ts';
import type { Roster, RosterEntry } from '../state/roster.ts';
import { nextStep, type PlanView, type Step } from './plan.ts';

/** Whoever lacks no more entries than this may vote: they are under way to it. */
const caughtUpEntries = 256;
const lookAgainMs = 50;
const tryAgainMs = 200;

export interface KeeperWorld {
  readonly env: Env;
  readonly self: NodeId;
  roster(): Roster;
  status(): EngineStatus;
  isReachable(node: NodeId): boolean;
  /** Where the node said that it listens, and where this one does; else as it is booked. */
  toldAddress(node: NodeId): Address | undefined;
  control(request: ControlRequest): Promise<void>;
  move(node: NodeId, address: Address): Promise<void>;
}

export class Keeper {
  readonly #world: KeeperWorld;
  #isRunning = false;
  #isStopped = false;
  #again = false;
  #waitsFor = '';
  /** Of members that were to vote and did not come to it. */
  readonly #failedAt = new Map<NodeId, number>();
  #wake: () => void = () => {};

  constructor(world: KeeperWorld) {
    this.#world = world;
  }

  /** The roster, or where a master is, may have changed. */
  look(): void {
    this.#again = true;
    this.#wake();
    if (!this.#isRunning && !this.#isStopped) void this.#run();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  standingOf(node: NodeId): Standing | undefined {
    const { voters, votersNext = [], nonVoters } = this.#world.status().members;
    const isMember = voters.includes(node) || votersNext.includes(node) || nonVoters.includes(node);
    const isWanted = this.#wanted.has(node);
    if (!isMember) return isWanted ? 'joining' : undefined;
    if (!isWanted) return 'leaving';
    return nonVoters.includes(node) ? 'nonVoter' : 'voter';
  }

  get view(): PlanView {
    const { status, self, isReachable } = this.#world;
    return {
      members: status().members,
      wanted: this.#wanted,
      self,
      hasCaughtUp: (node) => (status().lagPerPeer.get(node) ?? Number.POSITIVE_INFINITY) <= caughtUpEntries,
      isReachable: (node) => isReachable(node),
      failedAt: (node) => this.#failedAt.get(node) ?? 0,
    };
  }

  get #wanted(): ReadonlySet<NodeId> {
    return new Set(this.#world.roster().members.map(({ node }) => node));
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#again && !this.#isStopped) {
        this.#again = false;
        await this.#bringInLine();
      }
    } finally {
      this.#isRunning = false;
    }
  }

  async #bringInLine(): Promise<void> {
    while (!this.#isStopped) {
      const pauseMs = await this.#oneStep();
      if (pauseMs === undefined) return;
      if (pauseMs > 0) await this.#pause(pauseMs);
    }
  }

  /** How long to wait before the next; undefined when all is in line. */
  async #oneStep(): Promise<number | undefined> {
    const { env, control, move } = this.#world;
    try {
      for (const moved of this.#moved()) await move(moved.node, moved.address);
      const step = nextStep(this.view);
      this.#tell(step);
      if (step.kind === 'inLine') return undefined;
      if (step.kind === 'wait') return lookAgainMs;
      if (step.kind === 'handOver') await control({ kind: 'transferLeadership', to: step.to });
      else await this.#change(step.members);
      return 0;
    } catch (thrown) {
      const { code, message } = toCairnError(thrown);
      if (!this.#isStopped) env.events.emit('warn', 'group_change_failed', { code, why: message });
      return tryAgainMs;
    }
  }

  async #change(members: Members): Promise<void> {
    const { env, control, status } = this.#world;
    const before = status().members.voters;
    try {
      await control({ kind: 'changeMembers', members });
    } catch (thrown) {
      for (const node of this.#failedAt.keys()) if (!this.#wanted.has(node)) this.#failedAt.delete(node);
      for (const node of members.voters) if (!before.includes(node)) this.#failedAt.set(node, env.clock.now());
      throw thrown;
    }
  }

  #moved(): RosterEntry[] {
    return this.#world.roster().members.flatMap((entry) => {
      const told = this.#world.toldAddress(entry.node);
      return told === undefined || told === entry.address ? [] : [{ ...entry, address: told }];
    });
  }

  #tell(step: Step): void {
    const { events } = this.#world.env;
    if (step.kind === 'change') events.emit('info', 'group_changing', { ...step.members });
    if (step.kind === 'handOver') events.emit('info', 'leadership_handed_over', { to: step.to });
    const why = step.kind === 'wait' ? step.why : '';
    if (why !== '' && why !== this.#waitsFor) events.emit('info', 'group_change_waits', { why });
    this.#waitsFor = why;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#world.env.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
