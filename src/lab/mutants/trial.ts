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
  readonly seconds: number;
}

/** A seed that fails without the mutant proves nothing; after so many of them the trial ends. */
const unprovenMax = 20;

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
    for (let unproven = 0; unproven < unprovenMax && start <= bounds.seeds && seconds() < bounds.seconds; unproven++) {
      const left = { seeds: bounds.seeds - start + 1, seconds: bounds.seconds - seconds() };
      const found = await firstFailure(simulator, [...options, '--start', String(start)], left);
      if (found === undefined) break;
      const { seed, rule, why } = found;
      const isProven =
        (await firstFailure(bench.original, [...options, '--start', String(seed)], { seeds: 1, seconds: 60 })) ===
        undefined;
      if (isProven) return { mutant, killedBy: rule, why, seeds: seed, seconds: seconds() };
      start = seed + 1;
    }
    return { mutant, killedBy: undefined, why: '', seeds: bounds.seeds, seconds: seconds() };
  });
}

interface Failure {
  readonly seed: number;
  readonly rule: string;
  readonly why: string;
}

/** The first seed that fails; undefined if none does within the bounds. A simulator that crashes or hangs on a seed fails it. */
async function firstFailure(
  simulator: string,
  options: readonly string[],
  { seeds, seconds }: TrialBounds,
): Promise<Failure | undefined> {
  const args = [simulator, 'run', ...options, '--seeds', String(seeds), '--until-failure', '--json'];
  const { output, isLate } = await run(process.execPath, args, process.cwd(), seconds);
  const events = output
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line));
  const failed = events.find(({ event, passed }) => event === 'seed' && passed === false);
  if (failed !== undefined) return failed as Failure;
  if (isLate || events.some(({ event }) => event === 'summary')) return undefined;
  const last = events.findLast(({ event }) => event === 'seed') as Failure | undefined;
  const start = Number(options[options.indexOf('--start') + 1]);
  return { seed: (last?.seed ?? start - 1) + 1, rule: 'crash', why: output.split('\n').slice(-8).join(' ') };
}

async function runTests(bench: Workbench, files: readonly string[], { seconds }: TrialBounds) {
  const vitest = join(bench.root, 'node_modules/vitest/vitest.mjs');
  const { output, code } = await run(
    process.execPath,
    [vitest, 'run', '--root', bench.root, '--reporter=json', ...files],
    bench.root,
    seconds,
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
