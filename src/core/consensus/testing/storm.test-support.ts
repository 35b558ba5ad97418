/** A group under everything that can go wrong, then the weather clears: what is drawn from one seed, for any engine. */
import { assert } from '../../base/assert.ts';
import { defaultTiming, type EngineKind, type EngineTiming, type LeaseTerms, type ReadLevel } from '../engine.ts';
import { type GroupOptions, TestNetwork } from './test-network.test-support.ts';
import type { PendingControl, TestNode } from './test-node.test-support.ts';

const stormMs = 1200;
/** Small, so that windows fill and messages split all the time. */
const limits = { messageMaxBytes: 400, windowMaxMessages: 4, windowMaxBytes: 1200, uncommittedMaxEntries: 200 };
const sizes = [3, 3, 5, 3, 1, 2, 4] as const;
/** In every other group elections come thick and fast: messages take as long as it takes to lose patience. */
const impatient: EngineTiming = { electionTimeoutMinMs: 30, electionTimeoutMaxMs: 50, heartbeatIntervalMs: 10 };

const levels: readonly ReadLevel[] = ['linearizable', 'lease', 'lease', 'stale', 'quorum'];
const leases: readonly (LeaseTerms | undefined)[] = [
  undefined,
  { durationMs: 400, driftMax: 0.2 },
  { durationMs: 60, driftMax: 0.2 },
];

/** How many nodes there are besides the first members. */
const strangers = 2;

/** Asks some leader for other members, or for another leader. */
function reorganise(group: TestNetwork, voterCount?: number): void {
  const { leaders } = group;
  const leader = leaders[group.below(leaders.length)];
  if (leader === undefined) return;
  if (group.chance(0.5)) leader.control({ kind: 'transferLeadership', to: anyNode(group).id });
  else group.changeMembers(leader, ...anyMembers(group, voterCount));
}

/** Mostly voters, at least one of them; as many as there were where the sizes of quorums are for so many. */
function anyMembers(group: TestNetwork, voterCount?: number): [voters: number[], nonVoters: number[]] {
  if (voterCount !== undefined) return someOf(group, voterCount);
  const voters: number[] = [];
  const nonVoters: number[] = [];
  for (const { id } of group.nodes) {
    if (group.chance(0.7)) voters.push(id);
    else if (group.chance(0.4)) nonVoters.push(id);
  }
  return voters.length > 0 ? [voters, nonVoters] : [[anyNode(group).id], []];
}

function someOf(group: TestNetwork, count: number): [voters: number[], nonVoters: number[]] {
  const rest = group.nodes.map(({ id }) => id);
  const voters = Array.from({ length: count }, () => rest.splice(group.below(rest.length), 1)[0]!);
  return [voters, rest.filter(() => group.chance(0.4))];
}

/** One thing that goes wrong, or right again, at a random moment. */
const happenings: readonly ((group: TestNetwork, node: TestNode) => void)[] = [
  (group, node) => {
    if (!node.up) node.start();
    else if (group.chance(0.5)) node.crash();
  },
  (group, node) => {
    if (!node.up) return;
    node.crash();
    group.after(group.below(10), () => {
      if (!node.up) node.start();
    });
  },
  (group, node) => group.partition(node.id),
  (group) => group.partition(...group.nodes.filter(() => group.chance(0.5)).map(({ id }) => id)),
  (group, node) => group.cut.add(`${node.id}>${anyNode(group).id}`),
  (group) => group.cut.clear(),
  (group) => group.cut.clear(),
  (group, node) => group.pausedUntil.set(node.id, group.now() + group.below(600)),
  (group, node) => {
    if (!group.stalledDisks.delete(node.id)) group.stalledDisks.add(node.id);
  },
  (group, node) => {
    if (node.up) node.flush(group.below(20));
  },
  (_, node) => node.becomeClone(),
  changeWeather,
];

function changeWeather(group: TestNetwork): void {
  group.weather = {
    loss: group.chance(0.5) ? 0 : group.uniform() * 0.3,
    duplication: group.chance(0.5) ? 0 : group.uniform() * 0.3,
    delayMs: group.chance(0.5) ? [1, 2] : [1, 2 + group.below(80)],
    writeMs: group.chance(0.5) ? [0.2, 1] : [0.2, 1 + group.below(60)],
    crash: group.chance(0.6) ? 0 : group.uniform() * 0.1,
  };
}

function anyNode(group: TestNetwork): TestNode {
  return group.nodes[group.below(group.nodes.length)]!;
}

function upNode(group: TestNetwork): TestNode | undefined {
  const up = group.nodes.filter((node) => node.up);
  return up[group.below(up.length)];
}

/** Proposals and reads, mostly at those who believe that they lead. */
function act(group: TestNetwork, voterCount?: number): void {
  const { leaders } = group;
  const node = group.chance(0.9) && leaders.length > 0 ? leaders[group.below(leaders.length)]! : anyNode(group);
  if (!node.up) return;
  if (group.chance(0.7)) group.propose(node, 1 + group.below(5), 1 + group.below(40));
  if (group.chance(0.5)) group.read(node, levels[group.below(levels.length)]);
  if (group.chance(0.05)) reorganise(group, voterCount);
}

function storm(group: TestNetwork, voterCount?: number): void {
  const end = group.now() + stormMs;
  while (group.now() < end) {
    for (let i = group.below(4); i > 0; i--) act(group, voterCount);
    if (group.chance(0.3)) happenings[group.below(happenings.length)]!(group, anyNode(group));
    group.run(group.below(30));
  }
}

/** What must come back by itself when the faults stop: a leader, commits, reads, and everybody level. */
function clear(group: TestNetwork, voterCount?: number): void {
  group.heal();
  group.runUntil('stalled disks have finished', () => group.nodes.every((node) => !node.isWriting));
  const before = group.checker.highestCommitted;
  for (let tries = 0; group.checker.highestCommitted < before + 3; tries++) {
    assert(tries < 30, 'proposals commit within 30 attempts');
    group.propose(group.awaitLeader(), 3); // who has not noticed yet that it was deposed drops them
    group.run(100);
  }
  rearrange(group, voterCount);
  const read = group.read(group.awaitLeader());
  group.runUntil('a read is granted', () => read.granted !== undefined);
  group.runUntil('everybody is level', () => group.converged);
  group.checker.checkAll();
  group.run(500);
  assert(group.leaders.length === 1, 'in calm weather one leader stays', { leaders: group.leaders.length });
}

/** In calm weather what is asked for is done. */
function rearrange(group: TestNetwork, voterCount?: number): void {
  const [voters, nonVoters] = anyMembers(group, voterCount);
  obtain(group, 'other members', () => group.changeMembers(group.awaitLeader(), voters, nonVoters));
  const { members } = group.checker;
  const isSame = (a: readonly number[], b: readonly number[]) => a.toSorted().join() === b.toSorted().join();
  assert(isSame(members.voters, voters) && isSame(members.nonVoters, nonVoters), 'the members are who was asked for');
  const to = group.node(voters[group.below(voters.length)]!);
  obtain(group, 'another leader', () => group.awaitLeader().control({ kind: 'transferLeadership', to: to.id }));
  assert(group.awaitLeader() === to, 'leadership went where it was asked to', { to: to.id });
}

function obtain(group: TestNetwork, what: string, ask: () => PendingControl): void {
  for (let tries = 0; tries < 10; tries++) {
    const pending = ask();
    group.runUntil(what, () => pending.completed || pending.dropped !== undefined, 10_000);
    if (pending.completed) return;
    group.run(100);
  }
  assert(false, `within 10 attempts: ${what}`);
}

/** Throws, with the seed in its message, when a property does not hold. */
export function weather<Message, LogRecord>(kind: EngineKind<Message, LogRecord>, seed: number): TestNetwork {
  const voters = sizes[seed % sizes.length]!;
  const nonVoters = seed % 5 === 0 ? 1 : 0;
  const timing = seed % 2 === 0 ? impatient : defaultTiming;
  const elector = seed % 3 === 0 ? 'ballot' : 'timeout';
  const lease = leases[seed % 4];
  return stormsOver(kind, { seed, voters, nonVoters, strangers, limits, timing, elector, lease });
}

/** As `weather`, with quorums of different sizes for the two phases: of as few as may be, so that any two have one voter in common. */
export function flexibleWeather<Message, LogRecord>(kind: EngineKind<Message, LogRecord>, seed: number): TestNetwork {
  const voters = [4, 5, 3][seed % 3]!;
  const accept = 1 + (Math.floor(seed / 3) % voters);
  const quorums = { accept, prepare: voters - accept + 1 };
  const timing = seed % 2 === 0 ? impatient : defaultTiming;
  const elector = seed % 4 < 2 ? 'ballot' : 'timeout';
  return stormsOver(kind, { seed, voters, strangers, limits, timing, elector, lease: leases[seed % 5], quorums });
}

function stormsOver<Message, LogRecord>(kind: EngineKind<Message, LogRecord>, options: GroupOptions): TestNetwork {
  const group = new TestNetwork<Message, LogRecord>(kind, options) as unknown as TestNetwork;
  const voterCount = options.quorums === undefined ? undefined : options.voters;
  try {
    for (let round = 0; round < 2; round++) {
      storm(group, voterCount);
      clear(group, voterCount);
    }
  } catch (error) {
    throw new Error(`seed ${options.seed}, at ${group.now().toFixed(1)} ms: ${String(error)}`, { cause: error });
  }
  return group;
}

/** Candidates that all but coincide, voters that go down while they vote, and no leader that lives long. */
export function rivalry<Message, LogRecord>(kind: EngineKind<Message, LogRecord>, seed: number): TestNetwork {
  const timing: EngineTiming = { electionTimeoutMinMs: 10, electionTimeoutMaxMs: 14, heartbeatIntervalMs: 4 };
  const voters = [3, 5, 4][seed % 3]!;
  const elector = seed % 2 === 0 ? 'ballot' : 'timeout';
  const options = { seed, voters, timing, elector } as const;
  const group = new TestNetwork<Message, LogRecord>(kind, options) as unknown as TestNetwork;
  group.weather = { loss: 0.05, duplication: 0.2, delayMs: [1, 6], writeMs: [0.2, 4], crash: 0.25 };
  try {
    while (group.now() < 1500) {
      group.run(group.below(12));
      for (const leader of group.leaders) {
        if (group.chance(0.5)) group.propose(leader);
        if (group.chance(0.3)) leader.bounce();
      }
      const node = anyNode(group);
      if (node.up && group.chance(0.3)) node.bounce();
    }
    group.checker.checkAll();
  } catch (error) {
    throw new Error(`seed ${seed}, at ${group.now().toFixed(1)} ms: ${String(error)}`, { cause: error });
  }
  return group;
}

/** Leaders that are cut off and read from all the same, while others take over: what a lease that lasts too long would show in. */
export function rivalReaders<Message, LogRecord>(kind: EngineKind<Message, LogRecord>, seed: number): TestNetwork {
  const elector = seed % 2 === 0 ? 'ballot' : 'timeout';
  const lease = { durationMs: 180 + (seed % 4) * 30, driftMax: 0.2 };
  const options = { seed, voters: [3, 5][seed % 2]!, elector, lease } as const;
  const group = new TestNetwork<Message, LogRecord>(kind, options) as unknown as TestNetwork;
  try {
    for (let round = 0; round < 6; round++) {
      const leader = group.awaitLeader();
      if (round % 3 === 2) transferAway(group, leader);
      else group.partition(leader.id);
      for (let step = 0; step < 60; step++) {
        for (const node of group.leaders) {
          group.read(node, 'lease');
          if (group.chance(0.3)) group.propose(node);
        }
        group.run(2 + group.below(10));
        if (group.chance(0.02)) upNode(group)?.bounce();
      }
      group.cut.clear();
      group.run(group.below(400));
    }
    group.checker.checkAll();
  } catch (error) {
    throw new Error(`seed ${seed}, at ${group.now().toFixed(1)} ms: ${String(error)}`, { cause: error });
  }
  return group;
}

/** The leader is cut off as soon as it has handed over. */
function transferAway(group: TestNetwork, leader: TestNode): void {
  leader.control({ kind: 'transferLeadership', to: anyNode(group).id });
  group.after(group.below(6), () => group.partition(leader.id));
}
