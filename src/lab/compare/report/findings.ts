/** Gathers what an experiment measures, run by run, and makes its report of it. */
import type { Chart, Goal, Metric, Report, Setting, Subject } from './report.ts';
import { median } from './statistics.ts';

export class Findings {
  readonly #subjects = new Map<string, Map<string, { readonly unit: string; readonly runs: number[] }>>();
  readonly #ratios: Record<string, number> = {};
  readonly #goals: Goal[] = [];
  readonly #charts: Chart[] = [];
  readonly #skipped: { subject: string; why: string }[] = [];
  readonly #notes: string[] = [];
  readonly #distributions = new Map<string, number[][]>();
  readonly settings: Record<string, Setting> = {};

  /** One run's figure. */
  add(subject: string, metric: string, unit: string, value: number): void {
    if (!Number.isFinite(value)) throw new Error(`${subject} ${metric}: ${value} is no figure`);
    const metrics = this.#subjects.get(subject) ?? new Map<string, { unit: string; runs: number[] }>();
    this.#subjects.set(subject, metrics);
    const found = metrics.get(metric);
    if (found === undefined) metrics.set(metric, { unit, runs: [value] });
    else found.runs.push(value);
  }

  /** One run's latencies at fixed fractions: for the pictures, not for the table. */
  addDistribution(subject: string, name: string, values: readonly number[]): void {
    const key = `${subject} ${name}`;
    const known = this.#distributions.get(key) ?? values.map(() => []);
    this.#distributions.set(key, known);
    for (const [i, value] of values.entries()) known[i]!.push(value);
  }

  /** At each fraction the median over the runs; empty if there was none. */
  distribution(subject: string, name: string): number[] {
    return (this.#distributions.get(`${subject} ${name}`) ?? []).map(median);
  }

  runs(subject: string, metric: string): readonly number[] {
    return this.#subjects.get(subject)?.get(metric)?.runs ?? [];
  }

  /** Undefined if it was never measured. */
  median(subject: string, metric: string): number | undefined {
    const runs = this.runs(subject, metric);
    return runs.length === 0 ? undefined : median(runs);
  }

  /** Compares two subjects in one metric, round by round where both have as many; nothing where one is missing. */
  ratio(subject: string, other: string, metric: string): number | undefined {
    const ours = this.runs(subject, metric);
    const theirs = this.runs(other, metric);
    if (ours.length === 0 || theirs.length === 0) return undefined;
    const paired = ours.length === theirs.length;
    const value = paired ? median(ours.map((run, i) => run / theirs[i]!)) : median(ours) / median(theirs);
    if (!Number.isFinite(value)) return undefined; // nothing to divide by
    this.#ratios[`${subject}/${other} ${metric}`] = value;
    return value;
  }

  /** The geometric mean of the ratios in several metrics, under a name of its own: it moves less from run to run than each. Undefined if one is missing. */
  meanRatio(subject: string, other: string, metrics: readonly string[], name: string): number | undefined {
    const logs = metrics.flatMap((metric) => {
      const value = this.ratio(subject, other, metric);
      return value === undefined || value <= 0 ? [] : [Math.log(value)];
    });
    if (logs.length === 0 || logs.length < metrics.length) return undefined;
    const value = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
    this.#ratios[`${subject}/${other} ${name}`] = value;
    return value;
  }

  /** What was hoped for. `got` undefined: not measured in this run, so nothing is said. */
  goal(name: string, got: number | undefined, sense: '≥' | '≤' | '>', bound: number): void {
    if (got === undefined) return;
    const met = sense === '≤' ? got <= bound : sense === '≥' ? got >= bound : got > bound;
    this.#goals.push({ name, want: `${sense} ${bound}`, got: rounded(got), met });
  }

  chart(chart: Chart): void {
    this.#charts.push(chart);
  }
  skip(subject: string, why: string): void {
    this.#skipped.push({ subject, why });
  }
  note(text: string): void {
    this.#notes.push(text);
  }

  report(experiment: string, question: string, environment: Report['environment']): Report {
    return {
      experiment,
      question,
      environment,
      settings: this.settings,
      subjects: [...this.#subjects].map(([name, metrics]): Subject => ({ name, metrics: summaries(metrics) })),
      ratios: Object.fromEntries(Object.entries(this.#ratios).map(([name, value]) => [name, rounded(value)])),
      goals: this.#goals,
      charts: this.#charts,
      skipped: this.#skipped,
      notes: this.#notes,
    };
  }
}

function summaries(metrics: ReadonlyMap<string, { readonly unit: string; readonly runs: readonly number[] }>) {
  const summary = ({ unit, runs }: { readonly unit: string; readonly runs: readonly number[] }): Metric => ({
    unit,
    median: rounded(median(runs)),
    min: rounded(Math.min(...runs)),
    max: rounded(Math.max(...runs)),
    runs: runs.map(rounded),
  });
  return Object.fromEntries([...metrics].map(([name, metric]) => [name, summary(metric)]));
}

/** Four digits: more would claim too much. */
function rounded(n: number): number {
  return Number(n.toPrecision(4));
}
