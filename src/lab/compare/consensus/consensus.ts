/** `consensus`: what a replicated write and read cost and give, three members on real disks, engines and etcd in turn. */
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import { offerOf } from '../groups/engines.ts';
import {
  cairnSubject,
  engineSubjects,
  etcdSubjects,
  type GroupSubject,
  startGroup,
  zookeeperSubjects,
} from '../groups/subjects.ts';
import { startLoad } from '../load/load.ts';
import { keyCount } from '../load/loader.ts';
import type { ReadKind } from '../load/target.ts';
import type { Findings } from '../report/findings.ts';
import { type Scope, scoped } from '../scope.ts';
import { drawConsensus } from './charts.ts';
import { metricOf } from './metrics.ts';
import { attemptMs, measurePoint, type PointPlace } from './point.ts';

const valueBytes = 256;
const timing = {
  electionTimeoutMs: { min: 1000, max: 2000 }, // etcd's default; no leader is to change while it is measured
  heartbeatMs: 100,
};

interface Plan {
  readonly keys: number;
  readonly clients: readonly number[];
  readonly readClients: number;
  readonly runs: number;
  /** Of each subject in each point of a round. */
  readonly turns: number;
  readonly measureMs: number;
  readonly warmUpMs: number;
  /** How long a fresh group takes writes before it is measured: until its code is compiled. */
  readonly warmGroupMs: number;
}

function planOf({ quick, clients, runs, seconds }: LabOptions): Plan {
  return {
    keys: quick ? 500 : keyCount,
    clients: clients ?? (quick ? [1, 16] : [1, 16, 100, 1000]),
    readClients: quick ? 16 : 100,
    runs: runs ?? (quick ? 1 : 3),
    turns: quick ? 1 : 5,
    measureMs: (seconds ?? (quick ? 0.4 : 1)) * 1000,
    warmUpMs: quick ? 200 : 400,
    warmGroupMs: quick ? 200 : 6000,
  };
}

export const consensus: Experiment = {
  name: 'consensus',
  question:
    'What does a replicated write, and a read, cost and give under each engine, beside etcd at the same durability?',

  expected(options) {
    const { clients, turns, measureMs, warmUpMs, warmGroupMs, runs } = planOf(options);
    const points = 4 * clients.length + 4 * 2 + 2; // four subjects write, and read in two ways; two read with leases
    const groups = 4 + 4 + 2; // for writes, for reads, with leases
    return {
      rounds: runs,
      secondsEach: groups * (2.5 + warmGroupMs / 1000) + (points * turns * (warmUpMs + measureMs)) / 1000,
      secondsOnce: 0,
    };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const subjects = chosen(
      [...engineSubjects(lab), ...etcdSubjects(findings), ...zookeeperSubjects(findings)],
      lab,
      findings,
    );
    const leased = subjects.flatMap((subject) => withLease(lab, subject) ?? []);
    describe(findings, plan);
    for (let round = 1; round <= plan.runs; round++) {
      lab.say(`round ${round} of ${plan.runs}`);
      // Whom a turn follows changes from round to round.
      const inOrder = <T>(list: readonly T[]): readonly T[] => (round % 2 === 1 ? list : list.toReversed());
      await measureWrites(lab, findings, inOrder(subjects), plan);
      await measureReads(lab, findings, inOrder(subjects), plan, ['linearizable', 'stale']);
      await measureReads(lab, findings, inOrder(leased), plan, ['lease']);
    }
    compare(findings, subjects, plan);
    drawConsensus(findings, subjects, plan.clients, plan.readClients);
  },
};

function describe(findings: Findings, plan: Plan): void {
  Object.assign(findings.settings, {
    members: 3,
    valueBytes,
    keys: plan.keys,
    clients: plan.clients,
    rounds: plan.runs,
    turnsEach: plan.turns,
    secondsEach: plan.measureMs / 1000,
    warmUpSeconds: plan.warmUpMs / 1000,
    warmGroupSeconds: plan.warmGroupMs / 1000,
    electionTimeoutMs: timing.electionTimeoutMs.min,
    heartbeatMs: timing.heartbeatMs,
  });
  findings.note(
    'All members and the load share this machine. One process makes the load for every subject: closed-loop clients, each with one operation under way. To Cairn they share one connection of the masters’ framed TCP; to etcd up to 16 connections of gRPC over HTTP/2, to ZooKeeper up to 16 sessions of its own protocol, both laid by hand for the least cost to the load; other ways to drive them were not compared.',
  );
  findings.note(
    'ZooKeeper has no linearizable read: what stands for it here is sync and then a read, at the leader. Its time-outs are those of its sample configuration.',
  );
  findings.note(
    'The subjects take turns: their groups run side by side, idle but for one, and each is asked for a second or so at a time, round and round, in every other round the other way about. So whoever else uses the machine meets all of them alike; a ratio is the median over the pairs of turns that are next to each other.',
  );
  findings.note(
    'Writes of 1, 16, 100 … clients are measured one after another on one fresh group that holds all keys; reads on other groups like it, and with leases on a third. Each group has taken writes before for some seconds (settings: warmGroupSeconds): what is measured is a system that has run for a while, not one whose code is still being compiled.',
  );
  findings.note(
    'Every acknowledged write is on the disks of a majority (fdatasync), in each system. Clients ask the leader directly.',
  );
}

/** With leases a group is another one: its leaders wait for them to end. Undefined where there are none. */
function withLease(lab: Lab, { engine, name }: GroupSubject): GroupSubject | undefined {
  if (engine === undefined || !offerOf(engine).hasLease) return undefined;
  const lease = { durationMs: timing.electionTimeoutMs.min / 2, driftMax: 0.01 };
  return cairnSubject(name, engine, lab, { lease });
}

async function measureWrites(
  lab: Lab,
  findings: Findings,
  subjects: readonly GroupSubject[],
  plan: Plan,
): Promise<void> {
  await withGroups(lab, findings, subjects, plan, async (places) => {
    for (const clients of plan.clients)
      await inTurns(places, plan.turns, (place) =>
        measurePoint(place, { ...commonOf(plan), operation: 'put', clients }),
      );
  });
}

async function measureReads(
  lab: Lab,
  findings: Findings,
  subjects: readonly GroupSubject[],
  plan: Plan,
  kinds: readonly ReadKind[],
): Promise<void> {
  await withGroups(lab, findings, subjects, plan, async (places) => {
    for (const operation of kinds)
      await inTurns(places, plan.turns, (place) =>
        measurePoint(place, { ...commonOf(plan), operation, clients: plan.readClients }),
      );
  });
}

/** Round and round: each is idle for equally long before its turn. */
async function inTurns(
  places: readonly PointPlace[],
  turns: number,
  measure: (place: PointPlace) => Promise<void>,
): Promise<void> {
  for (let turn = 0; turn < turns; turn++) for (const place of places) await measure(place);
}

function commonOf({ measureMs, warmUpMs, keys }: Plan) {
  return { measureMs, warmUpMs, keys, valueBytes };
}

/** Fresh groups that hold every key, all at once, and equally warm. */
async function withGroups(
  lab: Lab,
  findings: Findings,
  subjects: readonly GroupSubject[],
  plan: Plan,
  work: (places: readonly PointPlace[]) => Promise<void>,
): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const places: PointPlace[] = [];
    for (const subject of subjects) places.push(await startPlace(lab, scope, findings, subject, plan.keys));
    for (const place of places) await warm(place, plan);
    await work(places);
  });
}

async function startPlace(
  lab: Lab,
  scope: Scope,
  findings: Findings,
  subject: GroupSubject,
  keys: number,
): Promise<PointPlace> {
  const { group, directory } = await startGroup(lab, scope, subject, timing);
  const { profileDir } = lab.options;
  const load = await startLoad(scope, { directory, ...(profileDir === undefined ? {} : { profileDir }) });
  const leader = await group.leader();
  await load.ask('connect', group.target(leader, { clients: 256, attemptMs }));
  await load.ask('fill', { keys, valueBytes });
  return { lab, findings, subject: subject.name, group, load, leader };
}

async function warm({ load, group, leader }: PointPlace, plan: Plan): Promise<void> {
  const { readClients: clients, warmGroupMs } = plan;
  await load.ask('disconnect', null);
  await load.ask('connect', group.target(leader, { clients, attemptMs }));
  await load.ask('load', { ...commonOf(plan), measureMs: warmGroupMs, operation: 'put', clients });
}

function compare(findings: Findings, subjects: readonly GroupSubject[], plan: Plan): void {
  const engines = subjects.filter(({ engine }) => engine !== undefined);
  const metrics = [
    ...plan.clients.flatMap((clients) =>
      ['writes/s', 'p50', 'p99', 'CPU'].map((what) => metricOf('put', clients, what)),
    ),
    ...(['linearizable', 'lease', 'stale'] as const).map((kind) => metricOf(kind, plan.readClients, 'reads/s')),
  ];
  for (const metric of metrics) {
    for (const { name } of engines) for (const peer of ['etcd', 'zookeeper']) findings.ratio(name, peer, metric);
    findings.ratio('paxos', 'raft', metric);
  }
  const atHundred = metricOf('put', 100, 'writes/s');
  for (const { name } of engines)
    findings.goal(`${name}/etcd ${atHundred}`, findings.ratio(name, 'etcd', atHundred), '≥', 3);
  const between = findings.ratio('paxos', 'raft', atHundred);
  findings.goal(
    'slower engine/faster engine writes/s 100 clients',
    between === undefined ? undefined : Math.min(between, 1 / between),
    '≥',
    0.9,
  );
}
