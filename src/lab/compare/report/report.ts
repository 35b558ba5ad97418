/**
 * What an experiment found. `report.json` is this, as documented in docs/lab.md; the table and the page are drawn from it alone, so that all
 * three say the same.
 */

export interface Report {
  readonly experiment: string;
  readonly question: string;
  readonly environment: Readonly<Record<string, string | number | boolean>>;
  readonly settings: Readonly<Record<string, Setting>>;
  readonly subjects: readonly Subject[];
  /** By `<subject>/<other> <metric>`, e.g. `raft/etcd writes/s 100 clients`: the median of the ratios of each round, or a mean of several such. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly goals: readonly Goal[];
  readonly charts: readonly Chart[];
  /** What was left out, and why. */
  readonly skipped: readonly { readonly subject: string; readonly why: string }[];
  /** What a reader has to know to take the figures for what they are. */
  readonly notes: readonly string[];
}

export type Setting = string | number | boolean | readonly (string | number)[];

export interface Subject {
  readonly name: string;
  readonly metrics: Readonly<Record<string, Metric>>;
}

export interface Metric {
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: readonly number[];
}

export interface Goal {
  readonly name: string;
  readonly want: string;
  readonly got: number;
  readonly met: boolean;
}

export type Chart = LineChart | BarChart;

export interface LineChart {
  readonly kind: 'lines';
  readonly title: string;
  /** `percentile`: x is a fraction, drawn by its nines (0.5, 0.9, 0.99 …). */
  readonly x: { readonly label: string; readonly scale: 'linear' | 'log' | 'percentile' };
  readonly y: { readonly label: string; readonly scale: 'linear' | 'log' };
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[];
  /** Moments worth a line of their own: a fault, a change. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

export interface BarChart {
  readonly kind: 'bars';
  readonly title: string;
  readonly y: { readonly label: string; readonly scale: 'linear' | 'log' };
  readonly groups: readonly string[];
  /** One value a group; null where there is none. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}
