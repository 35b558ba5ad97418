/** A report as text, for a terminal. */
import type { Metric, Report } from './report.ts';

export function toTable(report: Report): string {
  const parts = [`${report.experiment}: ${report.question}`, metricsTable(report)];
  const ratios = Object.entries(report.ratios).map(([name, value]) => [name, figure(value)]);
  if (ratios.length > 0) parts.push(columns([['ratio', ''], ...ratios]));
  const goals = report.goals.map(({ name, want, got, met }) => [name, want, figure(got), met ? 'met' : 'MISSED']);
  if (goals.length > 0) parts.push(columns([['goal', 'want', 'got', ''], ...goals]));
  for (const { subject, why } of report.skipped) parts.push(`skipped: ${subject}: ${why}`);
  return parts.join('\n\n');
}

function metricsTable({ subjects }: Report): string {
  const names = new Map<string, string>();
  for (const { metrics } of subjects) for (const [name, { unit }] of Object.entries(metrics)) names.set(name, unit);
  const rows = [...names].map(([name, unit]) => [
    name,
    unit,
    ...subjects.map(({ metrics }) => (metrics[name] === undefined ? '' : withSpread(metrics[name]))),
  ]);
  return columns([['metric', 'unit', ...subjects.map(({ name }) => name)], ...rows]);
}

function withSpread({ median, min, max, runs }: Metric): string {
  return runs.length === 1 ? figure(median) : `${figure(median)} (${figure(min)} … ${figure(max)})`;
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
  const [head, ...rest] = rows;
  return [line(head!), widths.map((width) => '─'.repeat(width)).join('──'), ...rest.map(line)].join('\n');
}

export function figure(n: number): string {
  if (Math.abs(n) >= 1000) return Math.round(n).toLocaleString('en-US');
  return Number(n.toPrecision(3)).toString();
}
