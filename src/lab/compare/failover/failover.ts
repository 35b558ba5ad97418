/** `failover`: the leader fails, or the network around it, under load; when is the next write acknowledged, and is everything there that was? */
import type { Experiment, Lab, LabOptions } from '../experiment.ts';
import { startGroup } from '../groups/subjects.ts';
import { syncTicks, tickMs } from '../groups/zookeeper-group.ts';
import { startLoad } from '../load/load.ts';
import { Mesh } from '../network/mesh.ts';
import { whyNoNetworks } from '../network/possible.ts';
import type { Findings } from '../report/findings.ts';
import { type Scope, scoped } from '../scope.ts';
import { type Fault, hostOf } from './faults.ts';
import { partialFaults } from './partial-faults.ts';
import { compareFailover, drawFailover, type Timelines } from './results.ts';
import { type FailoverSubject, failoverSubjects, ours } from './subjects.ts';
import { runTrial, type Trial, writers } from './trial.ts';
import { wholeFaults } from './whole-faults.ts';

const valueBytes = 256;
/** An attempt that is not answered in this time is made elsewhere. */
const attemptMs = 100;
const faults: readonly Fault[] = [...wholeFaults, ...partialFaults];

/** It needs ten of them to miss a leader that is stopped. */
const zookeeperSeconds = 30;

interface Plan {
  readonly rounds: number;
  /** Trials of each fault in a round; 1 for those that are not named. */
  readonly each: Readonly<Record<string, number>>;
  /** How long a partial partition lasts. */
  readonly holdMs: number;
}

function planOf({ quick, runs }: LabOptions): Plan {
  if (quick) return { rounds: 1, each: {}, holdMs: 1500 };
  const each = { SIGKILL: 8, SIGSTOP: 5, partition: 5, 'SIGKILL, one log behind': 4 };
  return { rounds: runs ?? 3, each, holdMs: 2500 };
}

export const failover: Experiment = {
  name: 'failover',
  question:
    'The leader fails under load, or the network around it: how long until the next write is acknowledged, and is all there that was acknowledged before?',

  expected(options) {
    const { rounds, holdMs } = planOf(options);
    const partial = partialFaults.length * (holdMs / 1000 + 1.5);
    const ours = 22 * 2 + partial + 8;
    const etcd = 22 * 4 + 8;
    const etcdQuick = 8 * 2 + partial + 8;
    return { rounds, secondsEach: 4 * ours + etcd + etcdQuick + zookeeperSeconds, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const subjects = failoverSubjects(lab, findings);
    const lacking = whyNoNetworks();
    const withMesh = lacking === undefined;
    if (lacking !== undefined) findings.skip('partitions', lacking);
    describe(findings, plan);
    const timelines: Timelines = new Map();
    for (let round = 1; round <= plan.rounds; round++)
      for (const subject of subjects)
        for (const members of [3, 5] as const) {
          const due = faultsFor(lab, subject, members, withMesh);
          if (due.length === 0) continue;
          lab.say(`round ${round} of ${plan.rounds}: ${subject.name}, ${members} members`);
          await scoped(lab.scope, (scope) =>
            runRound(lab, findings, subject, { scope, plan, withMesh, due, timelines }),
          );
        }
    compareFailover(findings, subjects, plan.holdMs);
    drawFailover(findings, subjects, faults, timelines);
  },
};

function faultsFor(
  { options: { quick } }: Lab,
  { isBrief, meetsPartial, meets }: FailoverSubject,
  members: Fault['members'],
  withMesh: boolean,
): readonly Fault[] {
  if (isBrief) return members === 3 ? faults.slice(0, 1) : [];
  return faults.filter(
    (fault) =>
      fault.members === members &&
      (withMesh || !fault.needsMesh) &&
      (meetsPartial || fault.extent === 'whole') &&
      (meets === undefined || meets.includes(fault.name)) &&
      (!quick || fault.isQuick),
  );
}

function describe(findings: Findings, { rounds, each, holdMs }: Plan): void {
  Object.assign(findings.settings, {
    members: faults.map(({ name, members }) => `${name}: ${members}`),
    writers,
    valueBytes,
    rounds,
    attemptMs,
    partialPartitionsLastMs: holdMs,
    trialsEachRound: faults.map(({ name }) => `${name}: ${each[name] ?? 1}`),
    electionTimeoutMs: `${ours.electionTimeoutMs.min}–${ours.electionTimeoutMs.max}; etcd 1000 (its default); etcd 150 ms: 150; zookeeper: ${syncTicks} ticks of ${tickMs} (its sample configuration)`,
    heartbeatMs: `${ours.heartbeatMs}; etcd 100; etcd 150 ms: 30`,
  });
  findings.note(
    'The gap is the longest time in which no write of any of the 16 writers was acknowledged, from the fault on. A writer whose attempt is not answered within 100 ms tries another member: the same rule for every system.',
  );
  findings.note(
    'SIGKILL closes sockets at once, which helps whoever watches connections; SIGSTOP and the partition, in which all that is sent to and by the leader is swallowed, do not.',
  );
  findings.note(
    'Partial partitions last for a fixed time, and clients reach every member meanwhile. Quorum-loss: all members hear one only, which is not the leader. Constrained: the leader hears nobody, the others hear one only, whose log was cut off from the leader 100 ms before. Chained: the leader and one of two followers lose each other. Leader hears nobody / is not heard: links lose what goes one way. A gap as long as the partition means that writes did not flow again before it ended.',
  );
  findings.note(
    'After each trial every key that was acknowledged since the trial before is read (linearizable): it must hold the number acknowledged last, or a later one.',
  );
}

interface Round {
  readonly scope: Scope;
  readonly plan: Plan;
  readonly withMesh: boolean;
  readonly due: readonly Fault[];
  readonly timelines: Timelines;
}

async function runRound(lab: Lab, findings: Findings, subject: FailoverSubject, round: Round): Promise<void> {
  const { scope, withMesh, due, plan, timelines } = round;
  const hosts = Array.from({ length: due[0]!.members }, (_, i) => hostOf(i));
  const mesh = withMesh ? await Mesh.make(scope, hosts) : undefined;
  const places = hosts.map((host) => placeOf(mesh, host));
  const { group, directory } = await startGroup(lab, scope, subject, { ...subject.settings, places });
  const load = await startLoad(scope, { directory });
  await load.ask('connect', group.target(await group.leader(), { clients: writers, attemptMs }));
  await load.ask('watch', { writers, valueBytes });
  for (const fault of due)
    for (let i = 0; i < Math.min(subject.most, plan.each[fault.name] ?? 1); i++) {
      const key = `${subject.name} ${fault.name}`;
      const withTimeline = !timelines.has(key) && (!lab.options.quick || fault === faults[0]);
      const trial = await runTrial({ group, load, mesh, holdMs: plan.holdMs }, fault, withTimeline);
      if (withTimeline) timelines.set(key, trial.timeline);
      note(lab, findings, subject.name, fault, trial);
    }
  await load.ask('stopWatch', null);
}

function placeOf(mesh: Mesh | undefined, name: string) {
  if (mesh === undefined) return { host: '127.0.0.1' };
  const { address, namespace } = mesh.host(name);
  return { host: address, ...(namespace === undefined ? {} : { namespace }) };
}

function note(lab: Lab, findings: Findings, subject: string, { name: fault }: Fault, trial: Trial): void {
  const { gapMs, levelMs, partial, checked, lost } = trial;
  const add = (metric: string, unit: string, value: number) => findings.add(subject, metric, unit, value);
  const end = partial === undefined || partial.isFlowing ? '' : ', and not again while it lasted';
  lab.say(`  ${subject} ${fault}: ${Math.round(gapMs)} ms${end}; ${checked} keys checked`);
  add(`gap after ${fault}`, 'ms', gapMs);
  if (levelMs !== undefined) add(`level again after ${fault}`, 'ms', levelMs);
  if (partial !== undefined) {
    add(`writes flow again in ${fault}`, 'share of the trials', partial.isFlowing ? 1 : 0);
    add(`rate in ${fault}`, 'share of the usual', partial.rateShare);
    add(`gap when ${fault} ends`, 'ms', partial.gapAfterMendingMs);
    if (partial.terms !== undefined) add(`terms begun in ${fault}`, '1', partial.terms);
  }
  add('acknowledged writes lost', '1', lost.length);
  if (lost.length > 0) findings.note(`${subject} lost after ${fault}: ${lost.slice(0, 3).join('; ')}`);
}
