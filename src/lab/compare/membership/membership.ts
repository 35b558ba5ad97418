/** `membership`: voters are replaced under load; how deep is the dip, how long does it take, what does the leader send. */
import { defaultTiming, type EngineName } from '../../../core/consensus/index.ts';
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import { engineNames } from '../groups/engines.ts';
import type { Place } from '../groups/group.ts';
import { startOwnGroup } from '../groups/subjects.ts';
import { startLoad } from '../load/load.ts';
import { monotonicMs } from '../process/monotonic.ts';
import type { Findings } from '../report/findings.ts';
import { percentile } from '../report/statistics.ts';
import { scoped } from '../scope.ts';

const valueBytes = 256;
const writers = 16;
const attemptMs = 200;
const places: readonly Place[] = Array.from({ length: 5 }, () => ({ host: '127.0.0.1' }));
/** The leader stays: no election is to come in between, however busy the machine. */
const timing = {
  electionTimeoutMs: { min: 1000, max: 2000 },
  heartbeatMs: defaultTiming.heartbeatIntervalMs,
};
const spanMs = 50;
/** OmniPaxos reports so much for replacing one server. */
const omniPaxosDip = 0.2;

/** By the leader's place among the first three: whom it leads afterwards. */
const changes = {
  'replace one': (leader: number) => [leader + 1, ((leader + 1) % 3) + 1, 4],
  'replace a majority': (leader: number) => [leader + 1, 4, 5],
} as const;
type Change = keyof typeof changes;
const changeNames = Object.keys(changes) as Change[];

interface Plan {
  readonly rounds: number;
  readonly keys: number;
  readonly aroundMs: number;
}

function planOf({ quick, runs }: LabOptions): Plan {
  if (quick) return { rounds: 1, keys: 1000, aroundMs: 400 };
  return { rounds: runs ?? 5, keys: 100_000, aroundMs: 3000 };
}

type Timelines = Map<string, readonly (readonly [number, number])[]>;

export const membership: Experiment = {
  name: 'membership',
  question:
    'Voters are replaced under load, by joint consensus (Raft) and by an α-window (Multi-Paxos): how deep is the dip, and how long?',

  expected(options) {
    const { rounds, aroundMs, keys } = planOf(options);
    const secondsOfOne = 4 + keys / 10_000 + (2 * aroundMs) / 1000;
    return { rounds, secondsEach: engineNames.length * changeNames.length * secondsOfOne, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const subjects = chosen(
      engineNames.map((name) => ({ name })),
      lab,
      findings,
    );
    const { aroundMs, ...settings } = plan;
    Object.assign(findings.settings, settings, {
      valueBytes,
      writers,
      secondsBeforeAndAfter: aroundMs / 1000,
      attemptMs,
    });
    findings.note(
      'Three voters with the state of so many keys; new voters start empty and are caught up by the engine before their votes count. The dip is one less the least rate of writes in any second from the request on, against the median before it; so is the one of 250 ms. What the same measure says of the time before the request, when nothing happens, stands beside it as unevenness.',
    );
    const timelines: Timelines = new Map();
    for (let round = 1; round <= plan.rounds; round++)
      for (const { name } of subjects)
        for (const change of changeNames) {
          lab.say(`round ${round} of ${plan.rounds}: ${name}, ${change}`);
          await measure(lab, findings, name, change, plan, timelines);
        }
    compare(findings);
    draw(
      findings,
      subjects.map(({ name }) => name),
      timelines,
    );
  },
};

async function measure(
  lab: Lab,
  findings: Findings,
  engine: EngineName,
  change: Change,
  { keys, aroundMs }: Plan,
  timelines: Timelines,
): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const { group, directory } = await startOwnGroup(lab, scope, engine, { ...timing, places, spares: 2 });
    const load = await startLoad(scope, { directory });
    const at = await group.leader();
    const leader = group.members[at]!;
    await load.ask('connect', group.target(at, { clients: writers, attemptMs }));
    await load.ask('fill', { keys, valueBytes });
    await leader.asking.ask('flush', null);
    const voters = changes[change](at);
    await Promise.all(group.members.filter(({ id }) => id > 3 && voters.includes(id)).map((member) => member.start()));
    await load.ask('watch', { writers, valueBytes });
    await load.ask('flowing', { after: monotonicMs(), count: writers * 5 });
    await delay(aroundMs);
    const before = (await leader.state())!.counts;
    const from = monotonicMs();
    const tookMs = await leader.asking.ask('changeVoters', voters);
    const after = (await leader.state())!.counts;
    await load.ask('flowing', { after: monotonicMs(), count: writers * 5 });
    await delay(aroundMs);
    const span = { from: from - aroundMs, to: from + tookMs + aroundMs, spanMs };
    const rates = await load.ask('rates', span);
    const gap = await load.ask('largestGap', from);
    const { lost } = await load.ask('verify', null);
    if (lost.length > 0) throw new Error(`${engine} lost ${lost.join('; ')}`);
    await load.ask('stopWatch', null);

    const add = (metric: string, unit: string, value: number) =>
      findings.add(engine, `${metric}, ${change}`, unit, value);
    add('took', 'ms', tookMs);
    const at0 = Math.round(aroundMs / spanMs);
    const [earlier, later] = [rates.slice(0, at0), rates.slice(at0)];
    const usual = percentile(earlier, 0.5);
    const dip = dipOf(later, usual, secondMs);
    add('dip', '1', dip);
    add('unevenness before', '1', dipOf(earlier, usual, secondMs));
    add('dip in 250 ms', '1', dipOf(later, usual, quarterMs));
    add('unevenness in 250 ms before', '1', dipOf(earlier, usual, quarterMs));
    add('longest wait', 'ms', gap.to - gap.from);
    const sent = after.messageBytes + after.snapshotBytes - before.messageBytes - before.snapshotBytes;
    add('sent by the leader meanwhile', 'MB', sent / 1e6);
    lab.say(`  ${Math.round(tookMs)} ms, dip ${Math.round(100 * dip)} %`);
    const key = `${engine} ${change}`;
    if (!timelines.has(key))
      timelines.set(
        key,
        rates.map((rate, i) => [i * spanMs - aroundMs, rate] as const),
      );
  });
}

/** Windows; in shorter ones rates are uneven by more than the goal when nothing happens at all. */
const secondMs = 1000;
const quarterMs = 250;

/** One less the least rate of any `windowMs`, by what is usual. */
function dipOf(rates: readonly number[], usual: number, windowMs: number): number {
  const together = Math.min(rates.length, windowMs / spanMs);
  let least = usual;
  for (let i = 0; i + together <= rates.length; i++) {
    const sum = rates.slice(i, i + together).reduce((a, b) => a + b, 0);
    least = Math.min(least, sum / together);
  }
  return 1 - least / usual;
}

function compare(findings: Findings): void {
  for (const change of changeNames) {
    for (const metric of ['took', 'dip', 'sent by the leader meanwhile'])
      findings.ratio('paxos', 'raft', `${metric}, ${change}`);
    for (const engine of engineNames) {
      const dip = findings.median(engine, `dip, ${change}`);
      if (change === 'replace one')
        findings.goal(`${engine} dip, ${change} (OmniPaxos: ${omniPaxosDip})`, dip, '≤', omniPaxosDip);
    }
  }
}

function draw(findings: Findings, engines: readonly string[], timelines: Timelines): void {
  for (const [metric, label] of [
    ['dip', 'share of the usual rate that is missing'],
    ['took', 'ms'],
  ] as const)
    findings.chart({
      kind: 'bars',
      title: metric === 'dip' ? 'Dip of writes' : 'How long the change took',
      y: { label, scale: 'linear' },
      groups: changeNames,
      series: engines.map((name) => ({
        name,
        values: changeNames.map((change) => findings.median(name, `${metric}, ${change}`) ?? null),
      })),
    });
  for (const change of changeNames)
    findings.chart({
      kind: 'lines',
      title: `Acknowledged writes around “${change}”, the first round`,
      x: { label: 'ms after the request', scale: 'linear' },
      y: { label: `writes/s, each ${spanMs} ms`, scale: 'linear' },
      series: engines.map((name) => ({ name, points: timelines.get(`${name} ${change}`) ?? [] })),
      marks: [{ x: 0, label: change }],
    });
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
