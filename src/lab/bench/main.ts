/**
 * `npm run bench`: Cairn on this machine, three masters and three chunkservers on its own disk, beside what the disk allows and what
 * comparable systems reached on such a machine. Prints a table; `--json` prints one document. `--only NAME` runs a suite that takes long.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exitWhenInterrupted, LocalCluster } from '../cluster/local-cluster.ts';
import { serveFile } from './bare-hop.ts';
import { measureDisk } from './limits.ts';
import { type Measured, type Plan, plans } from './plans.ts';
import { processorTimeUs } from './processor-time.ts';
import { type Baseline, type Benchmark, median, merged, toDocument, toTable } from './report.ts';
import { Sources } from './sources.ts';
import { suites } from './suites.ts';
import type { Bench } from './workloads.ts';

const mebi = 1024 * 1024;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    only: { type: 'string' },
    count: { type: 'string' },
    save: { type: 'boolean', default: false },
    /** The other end of the bare hop: this program once more. */
    'serve-file': { type: 'string' },
  },
});

const root = fileURLToPath(new URL('..', import.meta.url));
const program = join(root, 'bin/cairn');
const baselineFile = join(root, 'docs/benchmarks.json');

async function main(): Promise<void> {
  exitWhenInterrupted();
  const { quick, only } = flags;
  const suite = suites.get(only ?? '');
  const count = flags.count === undefined ? undefined : Number(flags.count);
  print(suite === undefined ? await usual() : await suite({ program, quick, count, say }));
}

async function usual(): Promise<Benchmark[]> {
  const local = mkdtempSync(join(tmpdir(), 'cairn-bench-'));
  try {
    if (flags.quick) return await measure(local, 0.01, 8 * mebi, 1);
    return await measure(local, 1, 1024 * mebi, Number(flags.runs));
  } finally {
    rmSync(local, { recursive: true, force: true });
  }
}

async function measure(local: string, scale: number, fileBytes: number, runs: number): Promise<Benchmark[]> {
  say('measuring the disk …');
  const disk = await measureDisk(fileBytes);
  const file = join(local, 'file');
  writeFileSync(file, randomBlocks(fileBytes));
  const cluster = await LocalCluster.start({ program });
  const bench: Bench = { cluster, program, file, fileBytes, scale };
  const sources = new Sources(bench, fileURLToPath(import.meta.url));
  const results: Benchmark[] = [];
  const measured: Measured = { disk, median: (name) => results.find((result) => result.name === name)?.value };
  try {
    for (const plan of plans) {
      if (flags.only !== undefined && !plan.name.includes(flags.only)) continue;
      results.push(await measureOne(plan, bench, sources, measured, runs));
    }
  } finally {
    await sources.close();
    await cluster.stop();
  }
  return results;
}

async function measureOne(
  plan: Plan,
  bench: Bench,
  sources: Sources,
  measured: Measured,
  runs: number,
): Promise<Benchmark> {
  const { warmUp, prepare, run, goal, limit, amount, ...described } = plan;
  const values: number[] = [];
  const cpuUs: number[] = [];
  await warmUp?.(bench);
  for (let i = 0; i < runs; i++) {
    await prepare?.(sources);
    const before = processorTimeUs(bench.cluster, sources.pids);
    values.push(await run(bench, sources, measured));
    if (amount !== undefined) cpuUs.push((processorTimeUs(bench.cluster, sources.pids) - before) / amount(bench));
    say(`${plan.name}: ${values[i]!.toPrecision(4)} ${plan.unit}`);
  }
  const goalNow = typeof goal === 'function' ? goal(measured) : goal;
  const limitNow = limit?.(measured);
  return {
    ...described,
    value: median(values),
    runs: values,
    ...(goalNow === undefined ? {} : { goal: goalNow }),
    ...(limitNow === undefined ? {} : { limit: limitNow }),
    ...(cpuUs.length === 0 ? {} : { cpuUs: median(cpuUs) }),
  };
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

if (flags['serve-file'] === undefined) await main();
else serveFile(flags['serve-file']);
