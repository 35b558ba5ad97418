/** One client of the experiment, on a host of its own: reads, writes and record appends as the paper's clients did. */
import { tmpdir } from 'node:os';
import { toAddress } from '../../../core/base/brand.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { CairnClient } from '../../../system/client/client.ts';
import type { FileHandle } from '../../../system/client/file-handle.ts';
import { answer } from '../process/asking.ts';

/**
 * As in the paper: reads of a random region of 4 MB, writes of 1 MB one after another. So many are under way that the link is never idle, and
 * no more: on the slow links of many clients together what is beyond would wait for longer than a server may be silent.
 */
const recordKibi = 64;
const recordsInEach = { read: 64, write: 16, 'record append': 1 } as const;
/** On a network at that share of the paper's rates: smaller alike, so that each step takes as long. Whole KiB; a read is four writes. */
export function stepBytesOf(operation: WorkPlan['operation'], scale: number): number {
  return recordsInEach[operation] * 1024 * Math.max(1, Math.round(recordKibi * scale));
}

export const underWay = { read: 3, write: 4, 'record append': 8 } as const;

export interface WorkPlan {
  readonly operation: 'read' | 'write' | 'record append';
  readonly paths: readonly string[];
  /** Of one step. */
  readonly stepBytes: number;
  /** Of each path, where it is read. */
  readonly fileBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface MakePlan {
  readonly path: string;
  readonly bytes: number;
  /** A divisor of `bytes`. */
  readonly pieceBytes: number;
}

export interface WorkResult {
  /** Of the time measured; a step that was under way at its edges counts by its share in it. */
  readonly bytesPerSecond: number;
}

export type ClientAnswers = typeof answers;

let client: CairnClient | undefined;

const answers = {
  connect: async (masters: readonly string[]): Promise<void> => {
    const env = nodeEnv({ dir: tmpdir() });
    client = await CairnClient.start(env, masters.map(toAddress), { deadlineMs: 60_000 });
  },
  /** Chunkservers that are well. */
  servers: async (_: null): Promise<number> =>
    (await connected().servers()).filter(({ state }) => state === 'healthy').length,
  /** One piece after another, so that no more is under way on a slow link than one. */
  make: async ({ path, bytes, pieceBytes }: MakePlan): Promise<void> => {
    const piece = new Uint8Array(pieceBytes).fill(7);
    await connected().mkdir(path.slice(0, path.lastIndexOf('/')), { recursive: true });
    const file = await connected().open(path, 'w');
    for (let position = 0; position < bytes; position += pieceBytes) await file.write(piece, { position });
    await file.close();
  },
  remove: (path: string): Promise<void> => connected().rm(path, { force: true }),
  work: (plan: WorkPlan): Promise<WorkResult> => work(connected(), plan),
};

export function serve(): void {
  answer(answers);
}

function connected(): CairnClient {
  if (client === undefined) throw new Error('the client is not connected');
  return client;
}

async function work(client: CairnClient, plan: WorkPlan): Promise<WorkResult> {
  const flags = { read: 'r', write: 'w', 'record append': 'a' } as const;
  const files = await Promise.all(plan.paths.map((path) => client.open(path, flags[plan.operation])));
  let stopped = false;
  const ended: Ended[] = [{ at: performance.now(), bytes: 0 }];
  const workers = workersOf(plan, files).map(async (step) => {
    while (!stopped) {
      const bytes = await step();
      ended.push({ at: performance.now(), bytes: ended.at(-1)!.bytes + bytes });
    }
  });
  await delay(plan.warmUpMs);
  const from = performance.now();
  await delay(plan.measureMs);
  const to = performance.now();
  stopped = true;
  await Promise.all(workers);
  await Promise.all(files.map((file) => file.close()));
  return { bytesPerSecond: ((bytesAt(ended, to) - bytesAt(ended, from)) * 1000) / (to - from) };
}

interface Ended {
  readonly at: number;
  /** In all, so far. */
  readonly bytes: number;
}

/** How far the work was at that time: between two steps that ended, in proportion. */
export function bytesAt(ended: readonly Ended[], time: number): number {
  const after = ended.findIndex(({ at }) => at > time);
  if (after < 0) return ended.at(-1)?.bytes ?? 0;
  if (after === 0) return 0;
  const [last, next] = [ended[after - 1]!, ended[after]!];
  return last.bytes + ((next.bytes - last.bytes) * (time - last.at)) / (next.at - last.at);
}

/** Each does one step after another, and tells how many bytes that were. */
function workersOf(
  { operation, stepBytes, fileBytes }: WorkPlan,
  files: readonly FileHandle[],
): (() => Promise<number>)[] {
  switch (operation) {
    case 'read':
      return repeated(underWay.read, () => reader(files, stepBytes, fileBytes));
    case 'write': {
      const payload = new Uint8Array(stepBytes).fill(5);
      let next = 0;
      const writer = async (): Promise<number> => {
        const position = stepBytes * next++;
        return (await files[0]!.write(payload, { position })).bytesWritten;
      };
      return repeated(underWay.write, () => writer);
    }
    case 'record append': {
      const record = new Uint8Array(stepBytes).fill(6);
      const appender = async (): Promise<number> => {
        await files[0]!.recordAppend(record);
        return record.length;
      };
      return repeated(underWay['record append'], () => appender);
    }
  }
}

function repeated<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

function reader(files: readonly FileHandle[], stepBytes: number, fileBytes: number): () => Promise<number> {
  const memory = new Uint8Array(Math.min(stepBytes, fileBytes));
  const regions = Math.max(1, Math.floor(fileBytes / memory.length));
  return async () => {
    const file = files[Math.floor(Math.random() * files.length)]!;
    const position = Math.floor(Math.random() * regions) * memory.length;
    return (await file.read(memory, { position })).bytesRead;
  };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
