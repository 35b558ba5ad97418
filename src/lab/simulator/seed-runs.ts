/** Runs one seed after another, in this thread or in several; what came out is told in the order of the seeds. */
import { Worker } from 'node:worker_threads';
import { seedWorkerProgram } from '../tool/project-root.ts';
import type { SeedReport } from './scenario-kind.ts';
import type { SimFlags, SimRequest } from './sim-request.ts';

export interface SeedRun {
  readonly report: SeedReport;
  readonly wallMs: number;
}

/** How many seeds may have been begun that are not told yet, for each thread: one that is slow does not make the others wait. */
const untoldPerThread = 16;
/** Of each thread, for what a run makes and drops: the rarer it is collected, the less of it is copied. */
const youngMegabytes = 96;

/**
 * @param onLine of what happens in a single seed: see RunSeedOptions.
 * @throws what a run throws
 */
export function seedRuns(request: SimRequest, onLine?: (line: string) => void): AsyncGenerator<SeedRun, void> {
  const { flags, seeds } = request;
  return flags.jobs === 1 || seeds === 1 ? runHere(request, onLine) : runInThreads(request);
}

async function* runHere(
  { scenario, start, seeds }: SimRequest,
  onLine: ((line: string) => void) | undefined,
): AsyncGenerator<SeedRun, void> {
  for (let seed = start; seed < start + seeds; seed++) {
    const began = performance.now();
    const report = await scenario.runSeed(seed, { onLine });
    yield { report, wallMs: performance.now() - began };
  }
}

async function* runInThreads({ flags, start, seeds }: SimRequest): AsyncGenerator<SeedRun, void> {
  const threads = Array.from({ length: Math.min(flags.jobs, seeds) }, () => new SeedThread(flags));
  const end = start + seeds;
  const runs = new Map<number, Promise<SeedRun>>();
  const idle: SeedThread[] = [...threads];
  let next = start;
  const feed = (): void => {
    while (idle.length > 0 && next < end && runs.size < untoldPerThread * threads.length) {
      const thread = idle.shift()!;
      const run = thread.run(next);
      runs.set(next, run);
      next += 1;
      run.then(
        () => {
          idle.push(thread);
          feed();
        },
        () => {}, // told when its turn comes
      );
    }
  };
  try {
    for (let seed = start; seed < end; seed++) {
      feed();
      const run = await runs.get(seed)!;
      runs.delete(seed);
      yield run;
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()));
  }
}

/** One at a time. */
class SeedThread {
  readonly #worker: Worker;
  #done: { resolve(run: SeedRun): void; reject(error: Error): void } | undefined;

  constructor(flags: SimFlags) {
    const resourceLimits = { maxYoungGenerationSizeMb: youngMegabytes };
    this.#worker = new Worker(seedWorkerProgram, { workerData: flags, resourceLimits });
    this.#worker.on('message', (run: SeedRun) => this.#done?.resolve(run));
    this.#worker.on('error', (error) => this.#done?.reject(error));
  }

  run(seed: number): Promise<SeedRun> {
    return new Promise((resolve, reject) => {
      this.#done = { resolve, reject };
      this.#worker.postMessage(seed);
    });
  }

  stop(): Promise<unknown> {
    return this.#worker.terminate();
  }
}
