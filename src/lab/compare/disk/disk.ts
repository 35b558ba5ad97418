/** `disk`: what the figures would be on a slower disk. Flushes here are fast; in our own disk layer each is made to take longer. */
import type { EngineName } from '../../../core/consensus/index.ts';
import { metricOf } from '../consensus/metrics.ts';
import { attemptMs, measurePoint } from '../consensus/point.ts';
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import { engineNames } from '../groups/engines.ts';
import { cairnSubject, startGroup } from '../groups/subjects.ts';
import { startLoad } from '../load/load.ts';
import type { Findings } from '../report/findings.ts';
import { scoped } from '../scope.ts';

const valueBytes = 256;
const timing = { electionTimeoutMs: { min: 1000, max: 2000 }, heartbeatMs: 100 };
const keys = 1000;

interface Plan {
  readonly rounds: number;
  readonly clients: readonly number[];
  readonly extraMs: readonly number[];
  readonly measureMs: number;
  readonly warmUpMs: number;
}

function planOf({ quick, runs, seconds, clients }: LabOptions): Plan {
  if (quick) return { rounds: 1, clients: [1], extraMs: [0, 10], measureMs: 400, warmUpMs: 100 };
  return {
    rounds: runs ?? 3,
    clients: clients ?? [1, 100, 1000],
    extraMs: [0, 2, 10],
    measureMs: (seconds ?? 3) * 1000,
    warmUpMs: 1000,
  };
}

function nameOf(engine: EngineName, extraMs: number): string {
  return `${engine} +${extraMs} ms`;
}

export const disk: Experiment = {
  name: 'disk',
  question: 'How do writes of each engine change when every flush takes 2 or 10 ms more?',

  expected(options) {
    const { rounds, extraMs, clients, measureMs, warmUpMs } = planOf(options);
    const secondsOfOne = 3 + (clients.length * (measureMs + warmUpMs)) / 1000;
    return { rounds, secondsEach: engineNames.length * extraMs.length * secondsOfOne, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const { measureMs, warmUpMs, extraMs, ...settings } = plan;
    Object.assign(findings.settings, settings, {
      extraMsOfEachFlush: extraMs,
      valueBytes,
      secondsEach: measureMs / 1000,
      warmUpSeconds: warmUpMs / 1000,
    });
    findings.note(
      'A write of one client waits for two flushes that overlap, the leader’s and a follower’s: so one extra delay, not two. Many clients share a flush: their rate falls less.',
    );
    const subjects = chosen(
      engineNames.map((name) => ({ name })),
      lab,
      findings,
    ).map(({ name }) => name);
    for (let round = 1; round <= plan.rounds; round++)
      for (const extraMs of plan.extraMs)
        for (const engine of subjects) {
          lab.say(`round ${round} of ${plan.rounds}: ${nameOf(engine, extraMs)}`);
          await measure(lab, findings, engine, extraMs, plan);
        }
    compare(findings, subjects, plan);
    draw(findings, subjects, plan);
  },
};

async function measure(lab: Lab, findings: Findings, engine: EngineName, extraMs: number, plan: Plan): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const slower: Lab = { ...lab, options: { ...lab.options, extraFlushMs: extraMs } };
    const name = nameOf(engine, extraMs);
    const { group, directory } = await startGroup(slower, scope, cairnSubject(name, engine, slower), timing);
    const load = await startLoad(scope, { directory });
    const leader = await group.leader();
    await load.ask('connect', group.target(leader, { clients: 256, attemptMs }));
    await load.ask('fill', { keys, valueBytes });
    const { measureMs, warmUpMs } = plan;
    for (const clients of plan.clients)
      await measurePoint(
        { lab, findings, subject: name, group, load, leader },
        { operation: 'put', clients, measureMs, warmUpMs, valueBytes, keys },
      );
  });
}

function compare(findings: Findings, engines: readonly EngineName[], { extraMs, clients }: Plan): void {
  for (const count of clients)
    for (const what of ['writes/s', 'p50', 'p99']) {
      const metric = metricOf('put', count, what);
      for (const extra of extraMs) {
        if (extra !== 0) for (const engine of engines) findings.ratio(nameOf(engine, extra), nameOf(engine, 0), metric);
        findings.ratio(nameOf('paxos', extra), nameOf('raft', extra), metric);
      }
    }
}

function draw(findings: Findings, engines: readonly EngineName[], { extraMs, clients }: Plan): void {
  for (const [what, label] of [
    ['writes/s', 'writes/s'],
    ['p50', 'ms'],
  ] as const)
    for (const count of clients)
      findings.chart({
        kind: 'bars',
        title: `${what === 'p50' ? 'Median latency of a write' : 'Writes per second'}, ${count} ${count === 1 ? 'client' : 'clients'}`,
        y: { label, scale: 'linear' },
        groups: extraMs.map((extra) => `+${extra} ms a flush`),
        series: engines.map((engine) => ({
          name: engine,
          values: extraMs.map((extra) => findings.median(nameOf(engine, extra), metricOf('put', count, what)) ?? null),
        })),
      });
}
