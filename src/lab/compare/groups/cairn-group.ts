/** Bare groups of Cairn's own engines, each member a process (member.ts). */
import { join } from 'node:path';
import type { ElectorName, EngineName, LeaseTerms } from '../../../core/consensus/index.ts';
import { Asking } from '../process/asking.ts';
import { cpuMs } from '../process/cpu.ts';
import { nodePlan, OwnedProcess } from '../process/owned-process.ts';
import type { Costs, Group, GroupMember, GroupOptions, TargetOptions } from './group.ts';
import { portsEach, until } from './group.ts';
import type { MemberAnswers, MemberPlan, MemberState } from './member.ts';

const leaderDeadlineMs = 20_000;

export interface CairnGroupOptions extends GroupOptions {
  readonly engine: EngineName;
  readonly elector?: ElectorName;
  readonly lease?: LeaseTerms;
  readonly extraFlushMs?: number;
  readonly profileDir?: string;
  /** The last of the places are not in the group when it begins, and are not started with it. */
  readonly spares?: number;
}

export class CairnGroup implements Group {
  readonly name: string;
  readonly members: readonly CairnMember[];

  private constructor(name: string, members: readonly CairnMember[]) {
    this.name = name;
    this.members = members;
  }

  static async start(options: CairnGroupOptions): Promise<CairnGroup> {
    const addresses = options.places.map(({ host }, i) => ({
      id: i + 1,
      address: `${host}:${options.ports[i * portsEach]}`,
    }));
    const members = addresses.map(({ id }) => new CairnMember(options, planOf(options, addresses, id)));
    const first = members.slice(0, members.length - (options.spares ?? 0));
    await Promise.all(first.map((member) => member.start()));
    return new CairnGroup(options.engine, members);
  }

  async leader(): Promise<number> {
    return until(`${this.name} has a leader`, leaderDeadlineMs, async () => {
      const states = await this.states();
      const leading = states.map((state) => (state?.established === true ? state.term : -1));
      const highest = Math.max(...leading);
      return highest < 0 ? undefined : leading.indexOf(highest);
    });
  }

  /** Undefined for members that do not run. */
  states(): Promise<(MemberState | undefined)[]> {
    return Promise.all(this.members.map((member) => member.state()));
  }

  target(first: number, { attemptMs }: TargetOptions) {
    const addresses = this.members.map(({ address }) => address);
    return { kind: 'cairn', addresses: rotated(addresses, first), attemptMs } as const;
  }

  async costs(): Promise<Costs> {
    const states = (await this.states()).filter((state) => state !== undefined);
    const sum = (of: (state: MemberState) => number) => states.reduce((total, state) => total + of(state), 0);
    return {
      cpuMs: this.members.reduce((total, member) => total + (member.isStarted ? cpuMs(member.process.pid) : 0), 0),
      flushes: sum(({ counts }) => counts.flushes),
      messages: sum(({ counts }) => counts.messages),
      messageBytes: sum(({ counts }) => counts.messageBytes),
      entries: Math.max(...states.map(({ commitIndex }) => commitIndex)),
    };
  }
}

export class CairnMember implements GroupMember {
  readonly id: number;
  readonly address: string;
  readonly #options: CairnGroupOptions;
  readonly #plan: MemberPlan;
  #asking: Asking<MemberAnswers> | undefined;

  constructor(options: CairnGroupOptions, plan: MemberPlan) {
    this.#options = options;
    this.#plan = plan;
    this.id = plan.id;
    this.address = plan.members.find(({ id }) => id === plan.id)!.address;
  }

  get isStarted(): boolean {
    return this.#asking !== undefined;
  }
  /** What a member answers; see member.ts. */
  get asking(): Asking<MemberAnswers> {
    if (this.#asking === undefined) throw new Error(`member ${this.id} has not been started`);
    return this.#asking;
  }
  get directory(): string {
    return this.#plan.dir;
  }

  get process(): OwnedProcess {
    return this.asking.process;
  }

  async start(): Promise<void> {
    const { scope, directory, engine, places, profileDir } = this.#options;
    const { namespace } = places[this.id - 1]!;
    const process = await OwnedProcess.start(
      scope,
      nodePlan(
        'member',
        {
          name: `${engine} member ${this.id}`,
          logFile: join(directory, `member-${this.id}.log`),
          ...(namespace === undefined ? {} : { namespace }),
        },
        profileDir,
      ),
    );
    this.#asking = new Asking<MemberAnswers>(process);
    await this.#asking.ask('start', this.#plan);
  }

  async restart(): Promise<void> {
    await this.process.kill();
    await this.start();
  }

  async state(): Promise<MemberState | undefined> {
    if (this.#asking?.process.isRunning !== true) return undefined;
    return this.#asking.ask('state', null);
  }
}

function planOf(options: CairnGroupOptions, members: MemberPlan['members'], id: number): MemberPlan {
  const { engine, elector = 'timeout', directory, electionTimeoutMs, heartbeatMs, lease, extraFlushMs = 0 } = options;
  return {
    engine,
    elector,
    id,
    members,
    voters: members.slice(0, members.length - (options.spares ?? 0)).map((member) => member.id),
    dir: join(directory, `member-${id}`),
    timing: {
      electionTimeoutMinMs: electionTimeoutMs.min,
      electionTimeoutMaxMs: electionTimeoutMs.max,
      heartbeatIntervalMs: heartbeatMs,
    },
    ...(lease === undefined ? {} : { lease }),
    extraFlushMs,
  };
}

export function rotated<T>(items: readonly T[], first: number): T[] {
  return [...items.slice(first), ...items.slice(0, first)];
}
