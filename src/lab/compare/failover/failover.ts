/** `failover`: the leader fails under load; when is the next write acknowledged, and is everything there that was? */
import { defaultTiming, type ElectorName, type EngineName } from '../../../core/consensus/index.ts';
import { chosen, type Experiment, type Lab } from '../experiment.ts';
import { engineNames, offerOf } from '../groups/engines.ts';
import { cairnSubject, etcdSubjects, type GroupSettings, type GroupSubject, startGroup } from '../groups/subjects.ts';
import { startLoad } from '../load/load.ts';
import { Mesh } from '../network/mesh.ts';
import type { Findings } from '../report/findings.ts';
import { percentile } from '../report/statistics.ts';
import { type Scope, scoped } from '../scope.ts';
import { type Fault, faults, hostOf } from './faults.ts';
import { runTrial, type Trial, timelineSpanMs, writers } from './trial.ts';

const valueBytes = 256;
const members = 3;
/** An attempt that is not answered in this time is made elsewhere. */
const attemptMs = 100;

const ours: GroupSettings = {
  electionTimeoutMs: { min: defaultTiming.electionTimeoutMinMs, max: defaultTiming.electionTimeoutMaxMs },
  heartbeatMs: defaultTiming.heartbeatIntervalMs,
};
/** etcd's own defaults; and ours, as near as it takes them (its heartbeat at most a fifth). */
const etcdDefaults: GroupSettings = { electionTimeoutMs: { min: 1000, max: 2000 }, heartbeatMs: 100 };
const etcdQuick: GroupSettings = { electionTimeoutMs: { min: 150, max: 300 }, heartbeatMs: 30 };

interface Subject extends GroupSubject {
  readonly settings: GroupSettings;
  /** A quick run has time for its first fault only. */
  readonly isBrief: boolean;
}

/** Trials of each fault, by the fault's name. */
type Plan = Readonly<Record<string, number>>;

function planOf({ options: { quick, runs } }: Lab): { readonly rounds: number; readonly each: Plan } {
  if (quick) return { rounds: 1, each: { SIGKILL: 1, SIGSTOP: 1, partition: 1, 'SIGKILL, one log behind': 0 } };
  const each = { SIGKILL: 10, SIGSTOP: 4, partition: 4, 'SIGKILL, one log behind': 2 };
  return { rounds: runs ?? 5, each };
}

export const failover: Experiment = {
  name: 'failover',
  question:
    'The leader fails under load: how long until the next write is acknowledged, and is all there that was acknowledged before?',

  async run(lab: Lab, findings: Findings): Promise<void> {
    const { rounds, each } = planOf(lab);
    const subjects = chosen(allSubjects(lab, findings), lab, findings);
    const withMesh = process.getuid?.() === 0;
    if (!withMesh) findings.skip('partition', 'network namespaces need root');
    describe(findings, rounds, each);
    const timelines = new Map<string, Trial['timeline']>();
    for (let round = 1; round <= rounds; round++)
      for (const subject of subjects) {
        lab.say(`round ${round} of ${rounds}: ${subject.name}`);
        await scoped(lab.scope, (scope) => runRound(lab, findings, subject, { scope, each, withMesh, timelines }));
      }
    compare(findings, subjects);
    draw(findings, subjects, timelines);
  },
};

function allSubjects(lab: Lab, findings: Findings): Subject[] {
  const engines = engineNames.flatMap((engine) =>
    electorsOf(engine, lab).map((elector): Subject => {
      const name = elector === 'timeout' ? engine : `${engine}+${elector}`;
      return { ...cairnSubject(name, engine, lab, { elector }), settings: ours, isBrief: false };
    }),
  );
  const etcd = etcdSubjects(findings).flatMap((subject): Subject[] => {
    const asIs = { ...subject, settings: etcdDefaults, isBrief: true };
    return lab.options.quick ? [asIs] : [asIs, { ...asIs, name: 'etcd 150 ms', settings: etcdQuick }];
  });
  return [...engines, ...etcd];
}

function electorsOf(engine: EngineName, { options: { quick } }: Lab): readonly ElectorName[] {
  const { electors } = offerOf(engine);
  return quick ? electors.slice(0, 1) : electors;
}

function describe(findings: Findings, rounds: number, each: Plan): void {
  Object.assign(findings.settings, {
    members,
    writers,
    valueBytes,
    rounds,
    attemptMs,
    trialsEachRound: Object.entries(each).map(([name, count]) => `${name}: ${count}`),
    electionTimeoutMs: `${ours.electionTimeoutMs.min}–${ours.electionTimeoutMs.max}; etcd 1000 (its default); etcd 150 ms: 150`,
    heartbeatMs: `${ours.heartbeatMs}; etcd 100; etcd 150 ms: 30`,
  });
  findings.note(
    'The gap is the longest time in which no write of any of the 16 writers was acknowledged, from the fault on. A writer whose attempt is not answered within 100 ms tries another member: the same rule for every system.',
  );
  findings.note(
    'SIGKILL closes sockets at once, which helps whoever watches connections; SIGSTOP and the partition, in which all that is sent to and by the leader is swallowed, do not.',
  );
  findings.note(
    'After each trial every key that was acknowledged since the trial before is read (linearizable): it must hold the number acknowledged last, or a later one.',
  );
}

interface Round {
  readonly scope: Scope;
  readonly each: Plan;
  readonly withMesh: boolean;
  readonly timelines: Map<string, Trial['timeline']>;
}

async function runRound(lab: Lab, findings: Findings, subject: Subject, round: Round): Promise<void> {
  const { scope, withMesh } = round;
  const { quick } = lab.options;
  const hosts = Array.from({ length: members }, (_, i) => hostOf(i));
  const mesh = withMesh ? await Mesh.make(scope, hosts) : undefined;
  const places = hosts.map((host) => placeOf(mesh, host));
  const { group, directory } = await startGroup(lab, scope, subject, { ...subject.settings, places });
  const load = await startLoad(scope, { directory });
  await load.ask('connect', group.target(await group.leader(), { clients: writers, attemptMs }));
  await load.ask('watch', { writers, valueBytes });
  for (const fault of faults) {
    if (fault.needsMesh && !withMesh) continue;
    if (quick && subject.isBrief && fault !== faults[0]) continue;
    for (let i = 0; i < round.each[fault.name]!; i++) {
      const key = `${subject.name} ${fault.name}`;
      const withTimeline = !round.timelines.has(key) && (!quick || fault === faults[0]);
      const trial = await runTrial({ group, load, mesh }, fault, withTimeline);
      if (withTimeline) round.timelines.set(key, trial.timeline);
      note(lab, findings, subject.name, fault, trial);
    }
  }
  await load.ask('stopWatch', null);
}

function placeOf(mesh: Mesh | undefined, name: string) {
  if (mesh === undefined) return { host: '127.0.0.1' };
  const { address, namespace } = mesh.host(name);
  return { host: address, ...(namespace === undefined ? {} : { namespace }) };
}

function note(lab: Lab, findings: Findings, subject: string, fault: Fault, trial: Trial): void {
  lab.say(`  ${subject} ${fault.name}: ${Math.round(trial.gapMs)} ms, ${trial.checked} keys checked`);
  findings.add(subject, `gap after ${fault.name}`, 'ms', trial.gapMs);
  if (trial.levelMs !== undefined) findings.add(subject, `level again after ${fault.name}`, 'ms', trial.levelMs);
  findings.add(subject, 'acknowledged writes lost', '1', trial.lost.length);
  if (trial.lost.length > 0) findings.note(`${subject} lost after ${fault.name}: ${trial.lost.slice(0, 3).join('; ')}`);
}

function compare(findings: Findings, subjects: readonly Subject[]): void {
  const engines = subjects.filter(({ engine }) => engine !== undefined);
  for (const { name: fault } of faults) {
    const metric = `gap after ${fault}`;
    for (const { name } of engines) {
      const toEtcd = findings.ratio(name, 'etcd', metric);
      findings.ratio(name, 'etcd 150 ms', metric);
      findings.goal(`${name}/etcd ${metric}`, toEtcd, '≤', 0.25);
    }
    findings.ratio('paxos', 'raft', metric);
  }
  for (const { name } of engines) {
    const gaps = findings.runs(name, 'gap after SIGKILL');
    if (gaps.length === 0) continue;
    findings.goal(`${name} gap after SIGKILL, median, ms`, percentile(gaps, 0.5), '≤', 300);
    findings.goal(`${name} gap after SIGKILL, worst of ${gaps.length}, ms`, Math.max(...gaps), '≤', 600);
    const lost = findings.runs(name, 'acknowledged writes lost').reduce((sum, count) => sum + count, 0);
    findings.goal(`${name} acknowledged writes lost`, lost, '≤', 0);
  }
}

function draw(
  findings: Findings,
  subjects: readonly Subject[],
  timelines: ReadonlyMap<string, Trial['timeline']>,
): void {
  const names = faults
    .map(({ name }) => name)
    .filter((fault) => subjects.some(({ name }) => timelines.has(`${name} ${fault}`)));
  findings.chart({
    kind: 'bars',
    title: 'Time without an acknowledged write, median',
    y: { label: 'ms', scale: 'log' },
    groups: names,
    series: subjects.map(({ name }) => ({
      name,
      values: names.map((fault) => findings.median(name, `gap after ${fault}`) ?? null),
    })),
  });
  findings.chart({
    kind: 'lines',
    title: 'Time without an acknowledged write after SIGKILL, all trials',
    x: { label: 'share of the trials', scale: 'linear' },
    y: { label: 'ms', scale: 'log' },
    series: subjects.map(({ name }) => ({ name, points: distribution(findings.runs(name, 'gap after SIGKILL')) })),
  });
  for (const fault of names)
    findings.chart({
      kind: 'lines',
      title: `Acknowledged writes around ${fault} of the leader, the first trial`,
      x: { label: 'ms after the fault', scale: 'linear' },
      y: { label: `writes/s, each ${timelineSpanMs} ms`, scale: 'linear' },
      series: subjects.map(({ name }) => ({ name, points: timelines.get(`${name} ${fault}`) ?? [] })),
      marks: [{ x: 0, label: fault }],
    });
}

/** Each trial at its place among all. */
function distribution(gaps: readonly number[]): (readonly [number, number])[] {
  const sorted = gaps.toSorted((a, b) => a - b);
  return sorted.map((gap, i) => [(i + 1) / sorted.length, gap] as const);
}
