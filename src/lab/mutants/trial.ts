/** Lets the simulator loose on one mutant, in a process of its own with a bound on its time. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Mutant } from './mutant.ts';
import type { Workbench } from './workbench.ts';

export interface Verdict {
  readonly mutant: Mutant;
  /** The rule or the test that noticed it; undefined: it survived. */
  readonly killedBy: string | undefined;
  /** How it was noticed, in one line. */
  readonly why: string;
  readonly seeds: number;
  readonly seconds: number;
}

export interface TrialBounds {
  readonly seeds: number;
  /** Of processor time. */
  readonly seconds: number;
}

/** A seed that fails without the mutant proves nothing; after so many of them the trial ends. */
const unprovenMax = 20;
/** On a busy machine a second of processor time takes this many at most; what takes longer hangs. */
const patience = 30;

export async function tryMutant(bench: Workbench, mutant: Mutant, bounds: TrialBounds): Promise<Verdict> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  return bench.withMutant(mutant, async (simulator) => {
    const { trial } = mutant;
    if (trial.kind === 'tests') return { mutant, ...(await runTests(bench, trial.files, bounds)), seconds: seconds() };
    const options = [
      '--engine',
      trial.engine,
      ...(trial.kind === 'clusters' ? ['--scenario', 'cluster'] : (trial.options ?? [])),
    ];
    let start = 1;
    for (let unproven = 0; unproven < unprovenMax && start <= bounds.seeds; unproven++) {
      const left = { ...bounds, seeds: bounds.seeds - start + 1 };
      const { failure, tried } = await search(simulator, options, start, left);
      if (failure === undefined) return { mutant, killedBy: undefined, why: '', seeds: tried, seconds: seconds() };
      const { seed, rule, why } = failure;
      const without = await search(bench.original, options, seed, { seeds: 1, seconds: 60 });
      if (without.failure === undefined) return { mutant, killedBy: rule, why, seeds: seed, seconds: seconds() };
      start = seed + 1;
    }
    return {
      mutant,
      killedBy: undefined,
      why: 'its failures happen without it too',
      seeds: start - 1,
      seconds: seconds(),
    };
  });
}

interface Failure {
  readonly seed: number;
  readonly rule: string;
  readonly why: string;
}

interface Searched {
  /** The first seed that fails. */
  readonly failure: Failure | undefined;
  /** The last seed that was run to its end. */
  readonly tried: number;
}

/** Runs seeds until one fails or the bounds are reached. A simulator that crashes on a seed fails it. */
async function search(
  simulator: string,
  options: readonly string[],
  start: number,
  { seeds, seconds }: TrialBounds,
): Promise<Searched> {
  const span = ['--start', String(start), '--seeds', String(seeds), '--seconds', String(Math.ceil(seconds))];
  const args = [simulator, 'run', ...options, ...span, '--until-failure', '--json'];
  const { output, isLate } = await run(process.execPath, args, process.cwd(), seconds * patience);
  const events = output
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line));
  const failure: Failure | undefined = events.find(({ event, passed }) => event === 'seed' && passed === false);
  const tried: number = events.findLast(({ event }) => event === 'seed')?.seed ?? start - 1;
  if (failure !== undefined || isLate || events.some(({ event }) => event === 'summary')) return { failure, tried };
  const why = output.split('\n').slice(-8).join(' ');
  return { failure: { seed: tried + 1, rule: 'crash', why }, tried };
}

async function runTests(bench: Workbench, files: readonly string[], { seconds }: TrialBounds) {
  const vitest = join(bench.root, 'node_modules/vitest/vitest.mjs');
  const { output, code } = await run(
    process.execPath,
    [vitest, 'run', '--root', bench.root, '--reporter=json', ...files],
    bench.root,
    seconds * patience,
  );
  if (code !== 0 && output.includes('"numTotalTests":0,'))
    throw new Error(`the tests ${files.join(', ')} do not run in the copy: ${output.slice(-500)}`);
  const failed = /"fullName":"([^"]+)","status":"failed"/.exec(output)?.[1];
  if (code === 0 || failed === undefined) return { killedBy: undefined, why: '', seeds: 0 };
  return { killedBy: 'test', why: failed, seeds: 0 };
}

interface Ran {
  /** Of both streams. */
  readonly output: string;
  readonly code: number | null;
  /** It was ended because its time was over. */
  readonly isLate: boolean;
}

function run(command: string, args: readonly string[], cwd: string, seconds: number): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill('SIGKILL');
    }, seconds * 1000);
    const take = (bytes: Buffer) => {
      output += bytes.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ output, code, isLate });
    });
  });
}
