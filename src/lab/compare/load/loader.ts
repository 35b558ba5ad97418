/** The process that puts load on a group: closed-loop clients, each with one operation under way. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { answer } from '../process/asking.ts';
import { openTarget } from './open-target.ts';
import type { ReadKind, Target, TargetSpec } from './target.ts';
import { type Gap, type Verified, Watch } from './watch.ts';

/** Keys that are written and read: few enough that the state does not grow with the length of the run. */
export const keyCount = 10_000;

/** From one key to the next where neighbours in the store are to be met by chance alone. */
const keyStride = 104_729;
const rewriters = 16;

export interface Rewrite {
  readonly count: number;
  readonly keys: number;
  readonly valueBytes: number;
}

export interface LoadPlan {
  readonly operation: 'put' | ReadKind;
  readonly clients: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly valueBytes: number;
  /** They exist, if they are read. */
  readonly keys: number;
}

export interface LoadResult {
  /** In the time that was measured. */
  readonly operations: number;
  readonly seconds: number;
  /** With those of the warm-up and the end: what the group has carried out in all. */
  readonly allOperations: number;
  /** Operations that failed for good. */
  readonly errors: number;
  readonly firstError?: string;
  /** Of this process, while it measured. */
  readonly cpuMs: number;
  /** Latency in ms at each of `fractions`. */
  readonly latencyMs: readonly number[];
}

/** Where the latency distribution is told. */
export const fractions = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999] as const;

export type LoadAnswers = typeof answers;

let target: Target | undefined;
let watch: Watch | undefined;

const answers = {
  connect: async (spec: TargetSpec): Promise<void> => {
    target = await openTarget(spec);
  },
  /** So many keys exist afterwards. */
  fill: async ({ keys, valueBytes }: { readonly keys: number; readonly valueBytes: number }): Promise<void> => {
    const value = new Uint8Array(valueBytes).fill(1);
    let next = 0;
    const writer = async (_: unknown, client: number): Promise<void> => {
      for (let i = next++; i < keys; i = next++) await connected().put(client, keyOf(i), value);
    };
    await Promise.all(Array.from({ length: 256 }).map(writer));
  },
  /** So many of those keys are written again, scattered over all of them; fewer if there are not as many. */
  rewrite: async ({ count, keys, valueBytes }: Rewrite): Promise<void> => {
    const value = new Uint8Array(valueBytes).fill(2);
    let next = 0;
    const writer = async (_: unknown, client: number): Promise<void> => {
      for (let i = next++; i < count; i = next++) await connected().put(client, keyOf((i * keyStride) % keys), value);
    };
    await Promise.all(Array.from({ length: rewriters }).map(writer));
  },
  load: (plan: LoadPlan): Promise<LoadResult> => load(connected(), plan),
  watch: ({ writers, valueBytes }: { readonly writers: number; readonly valueBytes: number }): void => {
    watch = new Watch(connected(), writers, valueBytes);
  },
  flowing: async ({ after, count }: { readonly after: number; readonly count: number }): Promise<void> => {
    await watching().flowing(after, count);
  },
  largestGap: (from: number): Gap => watching().largestGap(from),
  silence: ({ from, to }: { readonly from: number; readonly to: number }): number => watching().silence(from, to),
  rates: ({ from, to, spanMs }: { readonly from: number; readonly to: number; readonly spanMs: number }): number[] =>
    watching().rates(from, to, spanMs),
  verify: (_: null): Promise<Verified> => watching().verify(),
  stopWatch: async (_: null): Promise<void> => {
    await watching().stop();
    if (watch?.failure !== undefined) throw watch.failure;
    watch = undefined;
  },
  disconnect: (_: null): void => {
    target?.close();
    target = undefined;
  },
};

export function serve(): void {
  answer(answers);
}

function connected(): Target {
  if (target === undefined) throw new Error('the load is not connected');
  return target;
}

function watching(): Watch {
  if (watch === undefined) throw new Error('nothing is watched');
  if (watch.failure !== undefined) throw watch.failure;
  return watch;
}

function keyOf(i: number): string {
  return `key-${i}`;
}

interface Tally {
  readonly latency: RecordableHistogram;
  operations: number;
  allOperations: number;
  errors: number;
  firstError: string | undefined;
  measuring: boolean;
  stopped: boolean;
}

async function load(target: Target, plan: LoadPlan): Promise<LoadResult> {
  const tally: Tally = {
    latency: createHistogram({ figures: 3 }),
    operations: 0,
    allOperations: 0,
    errors: 0,
    firstError: undefined,
    measuring: false,
    stopped: false,
  };
  const clients = Array.from({ length: plan.clients }, (_, client) => runClient(target, plan, client, tally));
  await delay(plan.warmUpMs);
  tally.measuring = true;
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  await delay(plan.measureMs);
  tally.measuring = false;
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  tally.stopped = true;
  await Promise.all(clients);
  const { operations, allOperations, errors, firstError, latency } = tally;
  return {
    operations,
    allOperations,
    seconds,
    errors,
    ...(firstError === undefined ? {} : { firstError }),
    cpuMs: (user + system) / 1000,
    latencyMs: operations === 0 ? [] : fractions.map((fraction) => latency.percentile(fraction * 100) / 1000),
  };
}

async function runClient(target: Target, plan: LoadPlan, client: number, tally: Tally): Promise<void> {
  const value = new Uint8Array(plan.valueBytes).fill(client);
  let key = (client * 7919) % plan.keys;
  while (!tally.stopped) {
    key = (key + keyStride) % plan.keys;
    const startedAt = performance.now();
    try {
      if (plan.operation === 'put') await target.put(client, keyOf(key), value);
      else if ((await target.get(client, keyOf(key), plan.operation)) === undefined) throw new Error('the key is gone');
    } catch (thrown) {
      tally.errors += 1;
      tally.firstError ??= String(thrown);
      continue;
    }
    tally.allOperations += 1;
    if (!tally.measuring) continue;
    tally.operations += 1;
    tally.latency.record(Math.max(1, Math.round((performance.now() - startedAt) * 1000)));
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
