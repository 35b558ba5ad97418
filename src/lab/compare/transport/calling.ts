/** The process that calls: closed loop (so many calls under way, always) and open loop (so many calls a second, whatever comes back). */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { fractions } from '../load/loader.ts';
import { answer } from '../process/asking.ts';
import { type Caller, fileCount, type LocateRequest, pathOf } from './locator.ts';
import { type Transport, type TransportName, transports } from './transports.ts';

/** An open loop that the transport cannot keep up with sheds what is beyond. */
const underWayMax = 20_000;

export interface CallResult {
  readonly calls: number;
  readonly seconds: number;
  readonly errors: number;
  readonly firstError?: string;
  /** Calls of an open loop that were never made, because too many were under way. */
  readonly shed: number;
  readonly cpuMs: number;
  readonly latencyMs: readonly number[];
}

export type CallingAnswers = typeof answers;

let caller: Caller | undefined;

const answers = {
  connect: async ({ name, port, inFlight }: { name: TransportName; port: number; inFlight: number }): Promise<void> => {
    const transport: Transport = transports[name];
    caller = await transport.call(port, inFlight);
    await checkOne(caller);
  },
  closedLoop: ({ inFlight, warmUpMs, measureMs }: { inFlight: number; warmUpMs: number; measureMs: number }) =>
    closedLoop(connected(), inFlight, warmUpMs, measureMs),
  openLoop: ({ perSecond, measureMs }: { perSecond: number; measureMs: number }) =>
    openLoop(connected(), perSecond, measureMs),
  disconnect: async (_: null): Promise<void> => {
    await caller?.close();
    caller = undefined;
  },
};

export function serve(): void {
  answer(answers);
}

function connected(): Caller {
  if (caller === undefined) throw new Error('nothing is connected');
  return caller;
}

/** What is measured has to be the right answer. */
async function checkOne(caller: Caller): Promise<void> {
  const { handle, replicas } = await caller.locate({ path: pathOf(41), chunkIndex: 0 });
  if (handle !== 42 || replicas.length !== 3 || replicas[0]!.address === '') throw new Error('the answer is wrong');
}

function requestOf(n: number): LocateRequest {
  return { path: pathOf((n * 7919) % fileCount), chunkIndex: 0 };
}

class Tally {
  readonly latency: RecordableHistogram = createHistogram({ figures: 3 });
  calls = 0;
  errors = 0;
  shed = 0;
  underWay = 0;
  firstError: string | undefined;
  measuring = false;

  async one(caller: Caller, request: LocateRequest, dueAt: number): Promise<void> {
    this.underWay += 1;
    try {
      const { handle } = await caller.locate(request);
      if (handle === 0) throw new Error('the answer is empty');
      if (!this.measuring) return;
      this.calls += 1;
      this.latency.record(Math.max(1, Math.round((performance.now() - dueAt) * 1000)));
    } catch (thrown) {
      if (this.measuring) this.errors += 1;
      this.firstError ??= String(thrown);
    } finally {
      this.underWay -= 1;
    }
  }

  async measure(ms: number): Promise<CallResult> {
    this.measuring = true;
    const startedAt = performance.now();
    const before = process.cpuUsage();
    await delay(ms);
    this.measuring = false;
    const seconds = (performance.now() - startedAt) / 1000;
    const { user, system } = process.cpuUsage(before);
    const { calls, errors, shed, firstError, latency } = this;
    return {
      calls,
      seconds,
      errors,
      shed,
      ...(firstError === undefined ? {} : { firstError }),
      cpuMs: (user + system) / 1000,
      latencyMs: calls === 0 ? [] : fractions.map((fraction) => latency.percentile(fraction * 100) / 1000),
    };
  }
}

async function closedLoop(caller: Caller, inFlight: number, warmUpMs: number, measureMs: number): Promise<CallResult> {
  const tally = new Tally();
  let stopped = false;
  let next = 0;
  const client = async (): Promise<void> => {
    while (!stopped) await tally.one(caller, requestOf(next++), performance.now());
  };
  const clients = Array.from({ length: inFlight }, client);
  await delay(warmUpMs);
  const result = await tally.measure(measureMs);
  stopped = true;
  await Promise.all(clients);
  return result;
}

/** Latency counts from when a call was due, so that a late start does not hide (coordinated omission). */
async function openLoop(caller: Caller, perSecond: number, measureMs: number): Promise<CallResult> {
  const tally = new Tally();
  const startedAt = performance.now();
  const all = new Set<Promise<void>>();
  let made = 0;
  const tick = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1000);
    for (; made < due; made++) {
      if (tally.underWay >= underWayMax) {
        tally.shed += 1;
        continue;
      }
      const one = tally.one(caller, requestOf(made), startedAt + (made * 1000) / perSecond);
      all.add(one);
      void one.then(() => all.delete(one));
    }
  }, 1);
  const result = await tally.measure(measureMs);
  clearInterval(tick);
  await Promise.all(all);
  return result;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
