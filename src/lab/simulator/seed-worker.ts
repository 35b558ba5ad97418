/** A thread of `cairn sim run --jobs N`: runs the seeds that it is given. */
import { parentPort, workerData } from 'node:worker_threads';
import type { SeedRun } from './seed-runs.ts';
import { type SimFlags, toRequest } from './sim-request.ts';

const { scenario } = toRequest(['run'], workerData as SimFlags);

parentPort!.on('message', async (seed: number) => {
  const began = performance.now();
  const report = await scenario.runSeed(seed);
  const run: SeedRun = { report, wallMs: performance.now() - began };
  parentPort!.postMessage(run);
});
