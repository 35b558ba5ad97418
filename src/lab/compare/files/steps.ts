/** The work of a file system, step by step: bulk bytes, small files, appends. Each step is measured as a whole. */
import type { FileStore } from './file-store.ts';

const mebi = 1024 * 1024;
export const smallBytes = 4096;
export const recordBytes = 1024;
/** Clients of a step; of some only the first works. */
export const clientCount = 8;

export interface StepPlan {
  /** A directory that is there, empty. */
  readonly dir: string;
  readonly bulkBytes: number;
  readonly smallFiles: number;
  readonly appends: number;
  /** How long each of the paper's mixes goes on. */
  readonly mixMs: number;
  readonly seed: number;
}

export interface Step {
  readonly metric: string;
  readonly unit: string;
  /** Before the measurement. */
  prepare?(): Promise<void>;
  run(): Promise<Done>;
}

export interface Done {
  /** In units of the step. */
  readonly amount: number;
  /** Of bytes moved, where that is another figure. */
  readonly megabytes?: number;
}

export function plainSteps(stores: readonly FileStore[], plan: StepPlan): Step[] {
  return [...bulkSteps(stores[0]!, plan), ...smallSteps(stores, plan), ...appendSteps(stores, plan)];
}

function bulkSteps(store: FileStore, { dir, bulkBytes }: StepPlan): Step[] {
  const path = `${dir}/bulk`;
  const piece = new Uint8Array(mebi).fill(7);
  return [
    {
      metric: 'sequential write',
      unit: 'MB/s',
      run: async () => {
        await store.write(path, repeated(piece, bulkBytes / mebi));
        return { amount: bulkBytes / 1e6 };
      },
    },
    {
      metric: 'sequential read',
      unit: 'MB/s',
      run: async () => {
        const bytes = await store.read(path);
        if (bytes !== bulkBytes) throw new Error(`read ${bytes} of ${bulkBytes} bytes`);
        return { amount: bytes / 1e6 };
      },
    },
  ];
}

export function* repeated(piece: Uint8Array, count: number): Iterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield piece;
}

/** All clients, one operation each under way. */
function smallSteps(stores: readonly FileStore[], { dir, smallFiles }: StepPlan): Step[] {
  const content = new Uint8Array(smallBytes).fill(5);
  const each = (what: string, one: (store: FileStore, path: string) => Promise<unknown>): Step => ({
    metric: `${what}, ${clientCount} clients`,
    unit: 'files/s',
    run: async () => {
      let next = 0;
      await Promise.all(
        stores.map(async (store) => {
          for (let i = next++; i < smallFiles; i = next++) await one(store, `${dir}/small-${i}`);
        }),
      );
      return { amount: smallFiles };
    },
  });
  return [
    each('create 4 KiB', (store, path) => store.create(path, content)),
    each('stat', (store, path) => store.stat(path)),
    each('read 4 KiB', async (store, path) => {
      if ((await store.read(path)) !== smallBytes) throw new Error(`${path} is not whole`);
    }),
    each('rename', (store, path) => store.rename(path, `${path}-renamed`)),
    each('delete', (store, path) => store.remove(`${path}-renamed`)),
  ];
}

/** One append under way for each writer, all to one file. */
function appendSteps(stores: readonly FileStore[], { dir, appends }: StepPlan): Step[] {
  const record = new Uint8Array(recordBytes).fill(6);
  return [false, true].flatMap((durable) =>
    [1, clientCount].map(
      (writers): Step => ({
        metric: `append 1 KiB${durable ? ' with fsync' : ''}, ${writers} ${writers === 1 ? 'writer' : 'writers'}`,
        unit: 'appends/s',
        run: async () => {
          const path = `${dir}/appended-${durable ? 'durably' : 'plainly'}-${writers}`;
          const count = Math.ceil(appends / (durable || writers === 1 ? 8 : 1));
          let next = 0;
          const writer = async (store: FileStore): Promise<void> => {
            const file = await store.openToAppend(path, durable);
            while (next++ < count) await file.append(record);
            await file.close();
          };
          await Promise.all(stores.slice(0, writers).map(writer));
          return { amount: count };
        },
      }),
    ),
  );
}
