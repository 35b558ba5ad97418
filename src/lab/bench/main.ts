/**
 * `npm run bench`: Cairn on this machine, three masters and three chunkservers on its own disk, beside what the disk allows and what
 * comparable systems reached on such a machine. Prints a table; `--json` prints one document. `--only NAME` runs a suite that takes long.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError, Option } from 'commander';
import { exitWhenInterrupted, LocalCluster } from '../cluster/local-cluster.ts';
import { natural, runTool, tool } from '../tool/tool.ts';
import { serveFile } from './bare-hop.ts';
import { measureDisk } from './limits.ts';
import { type Measured, type Plan, plans } from './plans.ts';
import { processorTimeUs } from './processor-time.ts';
import { type Baseline, type Benchmark, median, merged, toDocument, toTable } from './report.ts';
import { Sources } from './sources.ts';
import { suites } from './suites.ts';
import type { Bench } from './workloads.ts';

const mebi = 1024 * 1024;

interface Flags {
  readonly json?: boolean;
  readonly quick?: boolean;
  readonly runs: number;
  readonly only?: string;
  readonly count?: number;
  readonly save?: boolean;
  readonly serveFile?: string;
}

const command = tool(
  'bench',
  'Starts a cluster on this machine and measures what users wait for, beside what the machine allows.',
)
  .option(
    '--only <text>',
    `the rows whose name has TEXT; or, with a cluster of its own: ${[...suites.keys()].join(', ')}`,
    knownName,
  )
  .option('--runs <n>', 'of each row; the table has the median', natural(1, 1000), 3)
  .option('--count <n>', 'files that namespace and tree make', natural(1, 100_000_000))
  .option('--quick', 'a hundredth of the work: shows that it runs, not what is true')
  .option('--json', 'print one document')
  .option('--save', 'keep the figures in docs/benchmarks.json, as what later runs are compared with')
  // The other end of the bare hop: this program once more.
  .addOption(new Option('--serve-file <path>').hideHelp());

const root = fileURLToPath(new URL('..', import.meta.url));
const program = join(root, 'bin/cairn');
const baselineFile = join(root, 'docs/benchmarks.json');

await runTool(command, async () => {
  const flags = command.opts<Flags>();
  if (flags.serveFile !== undefined) serveFile(flags.serveFile);
  else await main(flags);
  return 0;
});

async function main(flags: Flags): Promise<void> {
  exitWhenInterrupted();
  const suite = suites.get(flags.only ?? '');
  const { quick = false, count } = flags;
  const say = sayTo(flags);
  print(flags, suite === undefined ? await usual(flags) : await suite({ program, quick, count, say }));
}

async function usual(flags: Flags): Promise<Benchmark[]> {
  const local = mkdtempSync(join(tmpdir(), 'cairn-bench-'));
  try {
    if (flags.quick) return await measure({ ...flags, runs: 1 }, local, 0.01, 8 * mebi);
    return await measure(flags, local, 1, 1024 * mebi);
  } finally {
    rmSync(local, { recursive: true, force: true });
  }
}

async function measure(flags: Flags, local: string, scale: number, fileBytes: number): Promise<Benchmark[]> {
  const say = sayTo(flags);
  say('measuring the disk …');
  const disk = await measureDisk(fileBytes);
  const file = join(local, 'file');
  // On the disk before anything is measured: the system would write it half a minute later, and all flushes would wait for that.
  writeFileSync(file, randomBlocks(fileBytes), { flush: true });
  const cluster = await LocalCluster.start({ program });
  const bench: Bench = { cluster, program, file, fileBytes, scale };
  const sources = new Sources(bench, fileURLToPath(import.meta.url));
  const results: Benchmark[] = [];
  const measured: Measured = { disk, median: (name) => results.find((result) => result.name === name)?.value };
  try {
    for (const plan of plans) {
      if (flags.only !== undefined && !plan.name.includes(flags.only)) continue;
      results.push(await measureOne(plan, bench, sources, measured, flags.runs, say));
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
  say: Say,
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

function print(flags: Flags, results: readonly Benchmark[]): void {
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

type Say = (line: string) => void;

/** Progress, for people. */
function sayTo({ json }: Flags): Say {
  return json ? () => undefined : (line) => void process.stderr.write(`${line}\n`);
}

/** @throws InvalidArgumentError for what would measure nothing */
function knownName(text: string): string {
  if (suites.has(text) || plans.some(({ name }) => name.includes(text))) return text;
  throw new InvalidArgumentError(`no row has that in its name; they are: ${plans.map(({ name }) => name).join('; ')}`);
}
