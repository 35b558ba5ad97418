/** `snapshot`: what it costs clients when a growing state is made durable and the log behind it let go, and how long a new node takes to catch up. */
import { defaultTiming, type EngineName } from '../../../core/consensus/index.ts';
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import type { CairnGroup } from '../groups/cairn-group.ts';
import { engineNames } from '../groups/engines.ts';
import { type Place, until } from '../groups/group.ts';
import { startOwnGroup } from '../groups/subjects.ts';
import { startLoad } from '../load/load.ts';
import type { LoadAnswers } from '../load/loader.ts';
import type { Asking } from '../process/asking.ts';
import { cpuMs } from '../process/cpu.ts';
import { writtenBytes } from '../process/disk-writes.ts';
import { monotonicMs } from '../process/monotonic.ts';
import type { Findings } from '../report/findings.ts';
import { scoped } from '../scope.ts';

const valueBytes = 256;
const writers = 16;
const attemptMs = 5000;
const beforeMs = 500;
const catchUpDeadlineMs = 120_000;
const places: readonly Place[] = Array.from({ length: 4 }, () => ({ host: '127.0.0.1' }));
const newcomer = 4;
/** What the article that this project starts from reports: a snapshot pauses service for so long. */
const articlePauseMs = 500;

/** As in production, except that elections are not to come in between. */
const timing = { electionTimeoutMs: { min: 1000, max: 2000 }, heartbeatMs: defaultTiming.heartbeatIntervalMs };

interface Plan {
  readonly rounds: number;
  readonly keys: readonly number[];
}

function planOf({ quick, runs }: LabOptions): Plan {
  if (quick) return { rounds: 1, keys: [2000] };
  return { rounds: runs ?? 3, keys: [10_000, 100_000, 500_000] };
}

export const snapshot: Experiment = {
  name: 'snapshot',
  question:
    'How long do clients wait while state is made durable and the log is compacted, what does it cost, and how soon has a new node caught up?',

  expected(options) {
    const { rounds, keys } = planOf(options);
    const secondsOfEngine = keys.reduce((sum, count) => sum + 5 + count / 12_000, 0);
    return { rounds, secondsEach: engineNames.length * secondsOfEngine, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const { rounds, keys } = planOf(lab.options);
    const subjects = chosen(
      engineNames.map((name) => ({ name })),
      lab,
      findings,
    );
    Object.assign(findings.settings, { rounds, keys, valueBytes, writers });
    findings.note(
      'There is no stop-the-world snapshot: state is an overlay in memory over LMDB, flushed behind the log; a snapshot for a peer is a read transaction that is streamed. What is measured is the longest time without an acknowledged write during a flush of the leader, beside the longest in as much time without one.',
    );
    for (let round = 1; round <= rounds; round++)
      for (const { name } of subjects)
        for (const count of keys) {
          lab.say(`round ${round} of ${rounds}: ${name}, ${count} keys`);
          await measure(lab, findings, name, count);
        }
    compare(findings, keys);
    draw(
      findings,
      subjects.map(({ name }) => name),
      keys,
    );
  },
};

async function measure(lab: Lab, findings: Findings, engine: EngineName, keys: number): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const { group, directory } = await startOwnGroup(lab, scope, engine, { ...timing, places, spares: 1 });
    const load = await startLoad(scope, { directory });
    const leader = await group.leader();
    await load.ask('connect', group.target(leader, { clients: writers, attemptMs }));
    await load.ask('fill', { keys, valueBytes });
    await load.ask('watch', { writers, valueBytes });
    const add = (metric: string, unit: string, value: number) =>
      findings.add(engine, `${metric}, ${keys} keys`, unit, value);
    await measureFlush(group, leader, load, add);
    await measureCatchUp(group, leader, load, add);
    const { lost } = await load.ask('verify', null);
    if (lost.length > 0) throw new Error(`${engine} lost ${lost.join('; ')}`);
    await load.ask('stopWatch', null);
    lab.say(`  pause ${findings.runs(engine, `pause, ${keys} keys`).at(-1)!.toFixed(1)} ms`);
  });
}

type Add = (metric: string, unit: string, value: number) => void;

async function measureFlush(group: CairnGroup, at: number, load: Asking<LoadAnswers>, add: Add): Promise<void> {
  const leader = group.members[at]!;
  const { pid } = leader.process;
  const quietFrom = monotonicMs();
  await load.ask('flowing', { after: quietFrom, count: writers * 5 });
  await new Promise((resolve) => setTimeout(resolve, beforeMs));
  const quiet = await load.ask('largestGap', quietFrom);
  const before = { cpu: cpuMs(pid), written: writtenBytes(pid) };
  const from = monotonicMs();
  const flushMs = await leader.asking.ask('flush', null);
  await load.ask('flowing', { after: monotonicMs(), count: writers * 2 });
  const gap = await load.ask('largestGap', from);
  add('pause', 'ms', gap.to - gap.from);
  add('longest wait without a flush', 'ms', quiet.to - quiet.from);
  add('flush', 'ms', flushMs);
  add('CPU of the leader during the flush', 'ms', cpuMs(pid) - before.cpu);
  add('disk writes of the leader during the flush', 'MB', (writtenBytes(pid) - before.written) / 1e6);
}

/** From when the new node is told of until it has applied what was committed then, while writes go on. */
async function measureCatchUp(group: CairnGroup, at: number, load: Asking<LoadAnswers>, add: Add): Promise<void> {
  const joining = group.members.find(({ id }) => id === newcomer)!;
  await joining.start();
  const leader = group.members[at]!;
  const voters = group.members.map(({ id }) => id).filter((id) => id !== newcomer);
  const target = (await leader.state())!.commitIndex;
  const from = monotonicMs();
  await leader.asking.ask('addListener', { voters, listener: newcomer });
  await until('the new node has caught up', catchUpDeadlineMs, async () => {
    const state = await joining.state();
    return state !== undefined && state.appliedIndex >= target ? true : undefined;
  });
  add('catch-up of a new node', 'ms', monotonicMs() - from);
  const gap = await load.ask('largestGap', from);
  add('longest wait while it caught up', 'ms', gap.to - gap.from);
  add('snapshot sent', 'MB', (await leader.state())!.counts.snapshotBytes / 1e6);
}

function compare(findings: Findings, keys: readonly number[]): void {
  for (const count of keys)
    for (const metric of ['pause', 'flush', 'catch-up of a new node'])
      findings.ratio('paxos', 'raft', `${metric}, ${count} keys`);
  for (const engine of engineNames) {
    const pause = findings.median(engine, `pause, ${keys.at(-1)} keys`);
    findings.goal(
      `${engine} pause with ${keys.at(-1)} keys, ms (the article: ${articlePauseMs})`,
      pause,
      '≤',
      articlePauseMs,
    );
  }
}

function draw(findings: Findings, engines: readonly string[], keys: readonly number[]): void {
  const bars = (title: string, metric: string, label: string) =>
    findings.chart({
      kind: 'bars',
      title,
      y: { label, scale: 'linear' },
      groups: keys.map((count) => `${count} keys`),
      series: engines.map((name) => ({
        name,
        values: keys.map((count) => findings.median(name, `${metric}, ${count} keys`) ?? null),
      })),
    });
  bars('Longest time without an acknowledged write during a flush', 'pause', 'ms');
  bars('The flush itself', 'flush', 'ms');
  bars('A new node has caught up', 'catch-up of a new node', 'ms');
  bars('Longest time without an acknowledged write while it caught up', 'longest wait while it caught up', 'ms');
}
