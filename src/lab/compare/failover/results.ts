/** What the trials say together: ratios, goals, pictures. */
import type { Findings } from '../report/findings.ts';
import { percentile } from '../report/statistics.ts';
import type { Fault } from './faults.ts';
import { partialFaults } from './partial-faults.ts';
import { type FailoverSubject, ours } from './subjects.ts';
import { type Trial, timelineSpanMs } from './trial.ts';
import { wholeFaults } from './whole-faults.ts';

/** Of the first trial, by `<subject> <fault>`. */
export type Timelines = Map<string, Trial['timeline']>;

/** OmniPaxos reports recovery from any partial partition within so many election time-outs. */
const omniPaxosTimeouts = 4;

export function compareFailover(findings: Findings, subjects: readonly FailoverSubject[], holdMs: number): void {
  const engines = subjects.filter(({ engine }) => engine !== undefined);
  for (const { name: fault } of [...wholeFaults, ...partialFaults]) {
    const metric = `gap after ${fault}`;
    for (const { name } of engines) {
      findings.ratio(name, 'etcd', metric);
      findings.ratio(name, 'etcd 150 ms', metric);
      findings.ratio(name, 'zookeeper', metric);
    }
    findings.ratio('paxos', 'raft', metric);
  }
  for (const { name } of engines) {
    goalsToEtcd(findings, name);
    goalsAfterKill(findings, name);
    goalsInPartial(findings, name, holdMs);
    const lost = findings.runs(name, 'acknowledged writes lost').reduce((sum, count) => sum + count, 0);
    findings.goal(`${name} acknowledged writes lost`, lost, '≤', 0);
  }
}

/**
 * One figure each for the kill, and for all ways in which a leader is lost: time-outs are drawn at random, so that of one fault's trials alone the
 * ratio is another by a tenth in every run.
 */
function goalsToEtcd(findings: Findings, name: string): void {
  const afterKill = findings.ratio(name, 'etcd', 'gap after SIGKILL');
  findings.goal(`${name}/etcd gap after SIGKILL`, afterKill, '≤', 0.25);
  const met = wholeFaults.map(({ name: fault }) => `gap after ${fault}`);
  const measured = met.filter((metric) => findings.runs(name, metric).length > 0);
  const all = 'gap, mean of all losses of the leader';
  findings.goal(`${name}/etcd ${all}`, findings.meanRatio(name, 'etcd', measured, all), '≤', 0.25);
}

function goalsAfterKill(findings: Findings, name: string): void {
  const gaps = findings.runs(name, 'gap after SIGKILL');
  if (gaps.length === 0) return;
  findings.goal(`${name} gap after SIGKILL, median, ms`, percentile(gaps, 0.5), '≤', 300);
  findings.goal(`${name} gap after SIGKILL, worst of ${gaps.length}, ms`, Math.max(...gaps), '≤', 600);
}

/** Meant for whoever elects by ballots: time-outs do not promise to survive each of these. */
function goalsInPartial(findings: Findings, name: string, holdMs: number): void {
  const bound = Math.min(holdMs, omniPaxosTimeouts * ours.electionTimeoutMs.max);
  for (const { name: fault } of partialFaults) {
    const gaps = findings.runs(name, `gap after ${fault}`);
    if (gaps.length === 0) continue;
    findings.goal(`${name} gap after ${fault}, worst of ${gaps.length}, ms`, Math.max(...gaps), '≤', bound);
  }
}

type Named = readonly { readonly name: string }[];

export function drawFailover(
  findings: Findings,
  subjects: Named,
  faults: readonly Fault[],
  timelines: Timelines,
): void {
  drawGaps(findings, subjects, 'Time without an acknowledged write, median', wholeFaults);
  drawGaps(findings, subjects, 'Time without an acknowledged write in a partial partition, median', partialFaults);
  findings.chart({
    kind: 'lines',
    title: 'Time without an acknowledged write after SIGKILL, all trials',
    x: { label: 'share of the trials', scale: 'linear' },
    y: { label: 'ms', scale: 'log' },
    series: subjects.map(({ name }) => ({ name, points: distribution(findings.runs(name, 'gap after SIGKILL')) })),
  });
  for (const { name: fault } of faults) {
    const drawn = subjects.filter(({ name }) => timelines.has(`${name} ${fault}`));
    if (drawn.length === 0) continue;
    findings.chart({
      kind: 'lines',
      title: `Acknowledged writes around ${fault}, the first trial`,
      x: { label: 'ms after the fault', scale: 'linear' },
      y: { label: `writes/s, each ${timelineSpanMs} ms`, scale: 'linear' },
      series: drawn.map(({ name }) => ({ name, points: timelines.get(`${name} ${fault}`)! })),
      marks: [{ x: 0, label: fault }],
    });
  }
}

function drawGaps(findings: Findings, subjects: Named, title: string, faults: readonly Fault[]): void {
  const has = (name: string) => subjects.some((subject) => findings.runs(subject.name, `gap after ${name}`).length > 0);
  const names = faults.map(({ name }) => name).filter(has);
  if (names.length === 0) return;
  const series = subjects.map(({ name }) => ({
    name,
    values: names.map((fault) => findings.median(name, `gap after ${fault}`) ?? null),
  }));
  const drawn = series.filter(({ values }) => values.some((value) => value !== null));
  findings.chart({ kind: 'bars', title, y: { label: 'ms', scale: 'log' }, groups: names, series: drawn });
}

/** Each trial at its place among all. */
function distribution(gaps: readonly number[]): (readonly [number, number])[] {
  const sorted = gaps.toSorted((a, b) => a - b);
  return sorted.map((gap, i) => [(i + 1) / sorted.length, gap] as const);
}
