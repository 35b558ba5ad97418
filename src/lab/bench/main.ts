/**
 * `npm run bench`: Cairn on this machine, three masters and three chunkservers on its own disk, beside what the disk allows and what
 * comparable systems reached on such a machine. Prints a table; `--json` prints one document.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { type DiskLimits, measureDisk } from './limits.ts';
import { million } from './million-files.ts';
import { processorTimeUs } from './processor-time.ts';
import { type Baseline, type Benchmark, median, merged, toDocument, toTable } from './report.ts';
import * as workloads from './workloads.ts';

const mebi = 1024 * 1024;

interface Plan extends Omit<Benchmark, 'value' | 'runs' | 'limit' | 'cpuUs'> {
  readonly limit?: (disk: DiskLimits) => number;
  /** How much of the unit one run does. */
  readonly amount?: (bench: workloads.Bench) => number;
  readonly run: (bench: workloads.Bench, source: () => Promise<string>) => Promise<number>;
}

const plans: readonly Plan[] = [
  {
    name: 'metadata commits, 100 in flight',
    unit: 'commits/s',
    goal: 20_000,
    peer: 8420,
    peerName: 'etcd',
    limit: (disk) => disk.flushesPerSecond * 100,
    amount: ({ scale }) => 60_000 * scale,
    run: (bench) => workloads.commits(bench, 100),
  },
  {
    name: 'metadata commits, 1 in flight',
    unit: 'commits/s',
    peer: 1280,
    peerName: 'etcd',
    limit: (disk) => disk.flushesPerSecond,
    amount: ({ scale }) => 3000 * scale,
    run: (bench) => workloads.commits({ ...bench, scale: bench.scale / 20 }, 1),
  },
  {
    name: 'files of 4 KiB, 8 writers',
    unit: 'files/s',
    goal: 3000,
    peer: 710,
    peerName: 'MooseFS',
    amount: ({ scale }) => 10_000 * scale,
    run: workloads.smallFiles,
  },
  {
    name: 'append 1 KiB, 8 writers × 32',
    unit: 'appends/s',
    goal: 20_000,
    peer: 5006,
    peerName: 'MooseFS',
    amount: ({ scale }) => 200_000 * scale,
    run: (bench) => workloads.appends(bench, 'memory'),
  },
  {
    name: 'append 1 KiB, 8 writers × 32, fdatasync',
    unit: 'appends/s',
    peer: 1330,
    peerName: 'MooseFS',
    amount: ({ scale }) => 200_000 * scale,
    run: (bench) => workloads.appends(bench, 'disk'),
  },
  {
    name: 'put, 3 replicas',
    unit: 'MB/s',
    goal: 250,
    peer: 346,
    peerName: 'MooseFS',
    limit: (disk) => disk.writeMBps / 3,
    amount: megabytes,
    run: workloads.put,
  },
  {
    name: 'get into a file',
    unit: 'MB/s',
    goal: 600,
    peer: 548,
    peerName: 'MooseFS cold',
    limit: (disk) => Math.min(disk.readMBps, disk.writeMBps),
    amount: megabytes,
    run: async (bench, source) => workloads.get(bench, await source()),
  },
  {
    name: 'get to nowhere',
    unit: 'MB/s',
    goal: 1200,
    peer: 848,
    peerName: 'MooseFS warm',
    limit: (disk) => disk.readMBps,
    amount: megabytes,
    run: async (bench, source) => workloads.getToNowhere(bench, await source()),
  },
  {
    name: 'gap after kill -9 of the leading master',
    unit: 'ms',
    goal: 1000,
    peer: 1340,
    peerName: 'etcd',
    lowerIsBetter: true,
    run: workloads.masterFailover,
  },
  {
    name: 'gap after kill -9 of a chunkserver',
    unit: 'ms',
    goal: 2000,
    lowerIsBetter: true,
    run: workloads.chunkserverFailover,
  },
];

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    only: { type: 'string' },
    million: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const program = join(root, 'bin/cairn');
const baselineFile = join(root, 'docs/benchmarks.json');

async function main(): Promise<void> {
  const scale = flags.quick ? 0.01 : 1;
  const fileBytes = flags.quick ? 8 * mebi : 1024 * mebi;
  const runs = flags.quick ? 1 : Number(flags.runs);
  const local = mkdtempSync(join(tmpdir(), 'cairn-bench-'));
  try {
    const results = flags.million
      ? await million(program, flags.quick ? 20_000 : 1_000_000, say)
      : await measure(local, scale, fileBytes, runs);
    print(results);
  } finally {
    rmSync(local, { recursive: true, force: true });
  }
}

async function measure(local: string, scale: number, fileBytes: number, runs: number): Promise<Benchmark[]> {
  say('measuring the disk …');
  const disk = measureDisk(fileBytes);
  const file = join(local, 'file');
  writeFileSync(file, randomBlocks(fileBytes));
  const cluster = await LocalCluster.start({ program });
  const results: Benchmark[] = [];
  try {
    const bench: workloads.Bench = { cluster, program, file, fileBytes, scale };
    let source: Promise<string> | undefined;
    const sourceOnce = () => {
      source ??= workloads.putSource(bench);
      return source;
    };
    for (const plan of plans) {
      if (flags.only !== undefined && !plan.name.includes(flags.only)) continue;
      const { run, limit, amount, ...described } = plan;
      const values: number[] = [];
      const cpuUs: number[] = [];
      if (plan.name.startsWith('get')) await sourceOnce();
      for (let i = 0; i < runs; i++) {
        const before = processorTimeUs(cluster);
        values.push(await run(bench, sourceOnce));
        if (amount !== undefined) cpuUs.push((processorTimeUs(cluster) - before) / amount(bench));
        say(`${plan.name}: ${Math.round(values[i]!)} ${plan.unit}`);
      }
      results.push({
        ...described,
        value: median(values),
        runs: values,
        ...(limit === undefined ? {} : { limit: limit(disk) }),
        ...(cpuUs.length === 0 ? {} : { cpuUs: median(cpuUs) }),
      });
    }
  } finally {
    await cluster.stop();
  }
  return results;
}

function megabytes({ fileBytes }: workloads.Bench): number {
  return fileBytes / 1e6;
}

/** Bytes that no layer could compress or guess, made fast: one random block, stamped with its place. */
function randomBlocks(bytes: number): Buffer {
  const all = Buffer.allocUnsafe(bytes);
  for (let i = 0; i < bytes; i += 4) all.writeUInt32LE((Math.imul(i, 2654435761) ^ (i >>> 7)) >>> 0, i);
  return all;
}

function print(results: readonly Benchmark[]): void {
  if (flags.json) process.stdout.write(`${toDocument(results)}\n`);
  else process.stdout.write(`${toTable(results, readBaseline())}\n`);
  if (!flags.save) return;
  const kept = merged(readBaseline(), JSON.parse(toDocument(results)) as Baseline);
  writeFileSync(baselineFile, `${JSON.stringify(kept, null, 2)}\n`);
}

function readBaseline(): Baseline | undefined {
  try {
    return JSON.parse(readFileSync(baselineFile, 'utf8')) as Baseline;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Progress, for people. */
function say(line: string): void {
  if (!flags.json) process.stderr.write(`${line}\n`);
}

await main();
