/** The pictures of `consensus`. */
import { fractions } from '../load/loader.ts';
import type { Findings } from '../report/findings.ts';
import { metricOf } from './metrics.ts';

type Named = readonly { readonly name: string }[];

export function drawConsensus(
  findings: Findings,
  subjects: Named,
  clients: readonly number[],
  readClients: number,
): void {
  const bars = (title: string, what: string, label: string, scale: 'linear' | 'log') =>
    findings.chart({
      kind: 'bars',
      title,
      y: { label, scale },
      groups: clients.map((count) => `${count} ${count === 1 ? 'client' : 'clients'}`),
      series: subjects.map(({ name }) => ({
        name,
        values: clients.map((count) => findings.median(name, metricOf('put', count, what)) ?? null),
      })),
    });
  bars('Acknowledged writes per second', 'writes/s', 'writes/s', 'log');
  bars('Median latency of a write', 'p50', 'ms', 'log');
  bars('99th percentile of a write', 'p99', 'ms', 'log');
  bars('Processor time of all members, per write', 'CPU', 'µs', 'log');
  drawDistribution(findings, subjects, clients.includes(100) ? 100 : clients.at(-1)!);
  const kinds = ['linearizable', 'lease', 'stale'] as const;
  findings.chart({
    kind: 'bars',
    title: `Reads per second, ${readClients} clients`,
    y: { label: 'reads/s', scale: 'linear' },
    groups: [...kinds],
    series: subjects.map(({ name }) => ({
      name,
      values: kinds.map((kind) => findings.median(name, metricOf(kind, readClients, 'reads/s')) ?? null),
    })),
  });
}

function drawDistribution(findings: Findings, subjects: Named, clients: number): void {
  findings.chart({
    kind: 'lines',
    title: `Latency of a write, ${clients} clients`,
    x: { label: 'percentile', scale: 'percentile' },
    y: { label: 'ms', scale: 'log' },
    series: subjects.map(({ name }) => ({
      name,
      points: findings
        .distribution(name, metricOf('put', clients, 'latency'))
        .map((ms, i) => [fractions[i]!, ms] as const),
    })),
  });
}
