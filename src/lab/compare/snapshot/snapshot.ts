/**
 * `snapshot`: what it costs clients when a growing state is made durable and the log behind it let go, when a new node catches up, and when
 * one comes back that has missed much.
 */
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
/** Before each flush: what is written meanwhile tells how long writes wait without one. */
const beforeMs = 1000;
/** Written again before each flush, anywhere in the state: with what the writers write it is about what flushes by themselves are of. */
const rewrittenKeys = 5000;
/** How long the rate is measured with nobody behind; and how long before, for what has just happened to be over. */
const usualMs = 4000;
const settlingMs = 1000;
const catchUpDeadlineMs = 120_000;
const places: readonly Place[] = Array.from({ length: 4 }, () => ({ host: '127.0.0.1' }));
const newcomer = 4;
/** The article that this project starts from reports 500. */
const pauseGoalMs = 10;
const slowerGoal = 0.2;
const slower = 'writes slower while one that missed as many returns';

/** As in production, except that elections are not to come in between. */
const timing = { electionTimeoutMs: { min: 1000, max: 2000 }, heartbeatMs: defaultTiming.heartbeatIntervalMs };

interface Plan {
  readonly rounds: number;
  readonly keys: readonly number[];
  /** In each round, one after another. */
  readonly flushes: number;
  readonly returns: number;
}

function planOf({ quick, runs }: LabOptions): Plan {
  if (quick) return { rounds: 1, keys: [2000], flushes: 1, returns: 1 };
  return { rounds: runs ?? 2, keys: [10_000, 100_000, 1_000_000], flushes: 5, returns: 2 };
}

export const snapshot: Experiment = {
  name: 'snapshot',
  question:
    'How long do clients wait while state is made durable and the log is compacted, what does it cost, and how soon has a node caught up that is new, or was away?',

  expected(options) {
    const { rounds, keys, returns } = planOf(options);
    const secondsOfEngine = keys.reduce((sum, count) => sum + 12 + count / 20_000 + returns * (12 + count / 20_000), 0);
    return { rounds, secondsEach: engineNames.length * secondsOfEngine, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const { rounds, keys } = plan;
    const subjects = chosen(
      engineNames.map((name) => ({ name })),
      lab,
      findings,
    );
    Object.assign(findings.settings, { ...plan, valueBytes, writers, rewrittenKeys });
    findings.note(
      'There is no stop-the-world snapshot: state is an overlay in memory over LMDB, flushed behind the log; a snapshot for a peer is a read transaction that is streamed. What is measured is the longest time without an acknowledged write during a flush of the leader, beside the longest in as much time just before it. Each flush is a run: its state has been written to at random places before, so that it is of about the size that flushes by themselves have.',
    );
    for (let round = 1; round <= rounds; round++)
      for (const { name } of subjects)
        for (const count of keys) {
          lab.say(`round ${round} of ${rounds}: ${name}, ${count} keys`);
          await measure(lab, findings, name, count, plan);
        }
    compare(findings, keys);
    draw(
      findings,
      subjects.map(({ name }) => name),
      keys,
    );
  },
};

async function measure(
  lab: Lab,
  findings: Findings,
  engine: EngineName,
  keys: number,
  { flushes, returns }: Plan,
): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const { group, directory } = await startOwnGroup(lab, scope, engine, { ...timing, places, spares: 1 });
    const load = await startLoad(scope, { directory });
    const leader = await group.leader();
    await load.ask('connect', group.target(leader, { clients: writers, attemptMs }));
    await load.ask('fill', { keys, valueBytes });
    await load.ask('watch', { writers, valueBytes });
    const add = (metric: string, unit: string, value: number) =>
      findings.add(engine, `${metric}, ${keys} keys`, unit, value);
    for (let i = 0; i < flushes; i++) await measureFlush(group, leader, load, keys, add);
    await measureCatchUp(group, leader, load, add);
    await dismiss(group, leader);
    for (let i = 0; i < returns; i++) await measureReturn(group, leader, load, keys, add);
    const { lost } = await load.ask('verify', null);
    if (lost.length > 0) throw new Error(`${engine} lost ${lost.join('; ')}`);
    await load.ask('stopWatch', null);
    const last = (metric: string, count: number) => findings.runs(engine, `${metric}, ${keys} keys`).slice(-count);
    const pauses = last('pause', flushes).map((pause) => pause.toFixed(1));
    const shares = last(slower, returns).map((share) => Math.round(100 * share));
    lab.say(`  pause ${pauses.join(', ')} ms; writes ${shares.join(', ')} % slower while a voter returns`);
  });
}

type Add = (metric: string, unit: string, value: number) => void;

async function measureFlush(
  group: CairnGroup,
  at: number,
  load: Asking<LoadAnswers>,
  keys: number,
  add: Add,
): Promise<void> {
  const leader = group.members[at]!;
  const { pid } = leader.process;
  await load.ask('rewrite', { count: Math.min(keys, rewrittenKeys), keys, valueBytes });
  await load.ask('flowing', { after: monotonicMs(), count: writers * 5 });
  await new Promise((resolve) => setTimeout(resolve, beforeMs));
  const before = { cpu: cpuMs(pid), written: writtenBytes(pid) };
  const from = monotonicMs();
  const { tookMs, dirtyBytes } = await leader.asking.ask('flush', null);
  await load.ask('flowing', { after: monotonicMs(), count: writers * 2 });
  const to = monotonicMs();
  add('pause', 'ms', await load.ask('silence', { from, to }));
  add(
    'longest wait without a flush',
    'ms',
    await load.ask('silence', { from: from - Math.min(to - from, beforeMs), to: from }),
  );
  add('flush', 'ms', tookMs);
  add('not durable before the flush', 'MB', dirtyBytes / 1e6);
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

/** Who has joined leaves again: the group is as it was. */
async function dismiss(group: CairnGroup, at: number): Promise<void> {
  const voters = group.members.map(({ id }) => id).filter((id) => id !== newcomer);
  await group.members[at]!.asking.ask('changeVoters', voters);
  await group.members.find(({ id }) => id === newcomer)!.process.kill();
}

/**
 * A voter is killed, misses as many writes as there are keys, and comes back. What clients get meanwhile is compared with what they get with
 * all voters, before it goes and after it has caught up: a machine that becomes slower or faster meanwhile does so on both sides. What they get while it is
 * away stands beside it: with one voter less to share the machine with, that is more.
 */
async function measureReturn(
  group: CairnGroup,
  at: number,
  load: Asking<LoadAnswers>,
  missed: number,
  add: Add,
): Promise<void> {
  const leader = group.members[at]!;
  const returning = group.members.find(({ id }) => id !== newcomer && id !== leader.id)!;
  const rate = async (from: number, to: number): Promise<number> =>
    (await load.ask('rates', { from, to, spanMs: to - from }))[0]!;
  const before = await rateFor(usualMs, rate);
  await returning.process.kill();
  await load.ask('fill', { keys: missed, valueBytes });
  await rateFor(settlingMs, rate);
  const away = await rateFor(usualMs, rate);
  const from = monotonicMs();
  const target = (await leader.state())!.commitIndex;
  await returning.start();
  await until('the voter that was away has caught up', catchUpDeadlineMs, async () => {
    const state = await returning.state();
    return state !== undefined && state.appliedIndex >= target ? true : undefined;
  });
  const to = monotonicMs();
  const meanwhile = await rate(from, to);
  const gap = await load.ask('largestGap', from);
  await rateFor(settlingMs, rate);
  const after = await rateFor(usualMs, rate);
  add('catch-up of one that missed as many', 'ms', to - from);
  add('writes/s before it goes', '1/s', before);
  add('writes/s while it is away', '1/s', away);
  add('writes/s while it returns', '1/s', meanwhile);
  add('writes/s after it has returned', '1/s', after);
  add(slower, '1', 1 - (2 * meanwhile) / (before + after));
  add('writes slower than while it was away', '1', 1 - meanwhile / away);
  add('longest wait while one that missed as many returns', 'ms', gap.to - gap.from);
}

async function rateFor(ms: number, rate: (from: number, to: number) => Promise<number>): Promise<number> {
  const from = monotonicMs();
  await new Promise((resolve) => setTimeout(resolve, ms));
  return rate(from, monotonicMs());
}

function compare(findings: Findings, keys: readonly number[]): void {
  for (const count of keys)
    for (const metric of ['pause', 'flush', 'catch-up of a new node'])
      findings.ratio('paxos', 'raft', `${metric}, ${count} keys`);
  for (const engine of engineNames) {
    const most = `${keys.at(-1)} keys`;
    const [pause, share] = ['pause', slower].map((metric) => findings.median(engine, `${metric}, ${most}`));
    findings.goal(`${engine} pause, ${most}, ms (the article: 500)`, pause, '≤', pauseGoalMs);
    findings.goal(`${engine} ${slower}, ${most}`, share, '≤', slowerGoal);
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
