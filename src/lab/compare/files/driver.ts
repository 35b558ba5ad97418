/** The process that works on a file system, the same for every one of them. */
import { answer } from '../process/asking.ts';
import type { FileStore, StoreSpec } from './file-store.ts';
import { type MasterPlan, masterRequests } from './master-requests.ts';
import { openStore } from './open-store.ts';
import { paperSteps } from './paper-steps.ts';
import { clientCount, plainSteps, type Step, type StepPlan } from './steps.ts';

export interface StepResult {
  /** Per second. */
  readonly rate: number;
  /** MB/s, where that is another figure. */
  readonly megabytesPerSecond?: number;
}

export type DriverAnswers = typeof answers;

let stores: readonly FileStore[] = [];
let steps: readonly Step[] = [];

const answers = {
  open: async (spec: StoreSpec): Promise<void> => {
    stores = await Promise.all(Array.from({ length: clientCount }, () => openStore(spec)));
  },
  /** What there is to do in a fresh directory. */
  plan: async (plan: StepPlan): Promise<{ readonly metric: string; readonly unit: string }[]> => {
    await stores[0]!.makeDirectory(plan.dir);
    steps = [...plainSteps(stores, plan), ...paperSteps(stores, plan)];
    return steps.map(({ metric, unit }) => ({ metric, unit }));
  },
  run: async (step: number): Promise<StepResult> => {
    const { prepare, run } = steps[step]!;
    await prepare?.();
    const startedAt = performance.now();
    const { amount, megabytes } = await run();
    const seconds = (performance.now() - startedAt) / 1000;
    return { rate: amount / seconds, ...(megabytes === undefined ? {} : { megabytesPerSecond: megabytes / seconds }) };
  },
  masterRequests: (plan: MasterPlan): Promise<number> => masterRequests(stores, plan),
  remove: async (dir: string): Promise<void> => {
    await stores[0]!.removeTree(dir);
  },
};

export function serve(): void {
  answer(answers);
}
