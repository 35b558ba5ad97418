/** What `npm run bench` prints: one table for people, one document for programs. */

export interface Benchmark {
  readonly name: string;
  readonly unit: string;
  /** Median of the runs. */
  readonly value: number;
  readonly runs: readonly number[];
  /** What the machine would allow, measured in the same run or named from docs/limits. */
  readonly limit?: number;
  /** The best comparable system measured on such a machine. */
  readonly peer?: number;
  readonly peerName?: string;
  readonly goal?: number;
  /** Processor time of all processes together, the client's too, for one of what is counted: µs, the median of the runs. */
  readonly cpuUs?: number;
  /** Smaller is better. */
  readonly lowerIsBetter?: boolean;
}

export interface Baseline {
  readonly benchmarks: readonly { readonly name: string; readonly value: number }[];
}

/** What was measured now in place of what was measured before, in the order of before. */
export function merged(before: Baseline | undefined, now: Baseline): Baseline {
  const fresh = new Map(now.benchmarks.map((benchmark) => [benchmark.name, benchmark]));
  const kept = (before?.benchmarks ?? []).map((benchmark) => {
    const found = fresh.get(benchmark.name) ?? benchmark;
    fresh.delete(benchmark.name);
    return found;
  });
  return { benchmarks: [...kept, ...fresh.values()] };
}

export function median(runs: readonly number[]): number {
  const sorted = [...runs].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) throw new Error('the median of no runs');
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function toDocument(benchmarks: readonly Benchmark[]): string {
  return JSON.stringify({
    benchmarks: benchmarks.map(({ name, unit, value, runs, limit, peer, peerName, goal, cpuUs, lowerIsBetter }) => ({
      name,
      unit,
      value: rounded(value),
      runs: runs.map(rounded),
      ...(limit === undefined ? {} : { limit: rounded(limit) }),
      ...(peer === undefined ? {} : { peer, peerName }),
      ...(goal === undefined ? {} : { goal }),
      ...(cpuUs === undefined ? {} : { cpuUs: rounded(cpuUs) }),
      ...(lowerIsBetter === true ? { lowerIsBetter } : {}),
    })),
  });
}

/** A Markdown table: it reads well in a terminal and goes into the documents as it is. */
export function toTable(benchmarks: readonly Benchmark[], baseline: Baseline | undefined): string {
  const header = [
    'benchmark',
    'unit',
    'median',
    'min … max',
    'goal',
    'limit',
    '% of limit',
    'peer',
    '× peer',
    '× last',
    'CPU µs each',
  ];
  const rows = benchmarks.map((benchmark) => {
    const { name, unit, value, runs, goal, limit, peer, peerName, cpuUs } = benchmark;
    const last = baseline?.benchmarks.find((other) => other.name === name)?.value;
    return [
      name,
      unit,
      figure(value),
      `${figure(Math.min(...runs))} … ${figure(Math.max(...runs))}`,
      goal === undefined ? '' : `${benchmark.lowerIsBetter === true ? '≤' : '≥'} ${figure(goal)}`,
      limit === undefined ? '' : figure(limit),
      limit === undefined ? '' : `${Math.round((100 * value) / limit)} %`,
      peer === undefined ? '' : `${figure(peer)} ${peerName ?? ''}`.trim(),
      peer === undefined ? '' : (value / peer).toFixed(2),
      last === undefined ? '' : (value / last).toFixed(2),
      cpuUs === undefined ? '' : figure(cpuUs),
    ];
  });
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(header), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}

function rounded(n: number): number {
  return Number(n.toPrecision(4));
}

function figure(n: number): string {
  return n >= 100 ? Math.round(n).toLocaleString('en-US') : n.toPrecision(3);
}
