/** The GFS paper's own mixes (Tables 4 and 6, §6.3) as steps: eight clients, one operation each under way, for a fixed time. */
import { type PaperCluster, PaperMix } from '../workload/paper-mix.ts';
import type { FileStore, OpenToAppend, OpenToRead, OpenToWrite } from './file-store.ts';
import { randomFrom } from './random.ts';
import { type Done, repeated, type Step, type StepPlan } from './steps.ts';

const mebi = 1024 * 1024;
/** Files that are read, and how long each is: what the mix reads lies within. */
const readFiles = 16;
const readFileBytes = 8 * mebi;
/** Each client writes its own file from the front, and begins again there. */
const writtenBytes = 64 * mebi;
const largestBytes = 4 * mebi;
const clusters: readonly PaperCluster[] = ['X', 'Y'];

export function paperSteps(stores: readonly FileStore[], plan: StepPlan): Step[] {
  return clusters.flatMap((cluster) => [readStep(stores, plan, cluster), mutationStep(stores, plan, cluster)]);
}

export function readMetric(cluster: PaperCluster): string {
  return `reads of the paper’s cluster ${cluster}`;
}
export function mutationMetric(cluster: PaperCluster): string {
  return `writes and appends of the paper’s cluster ${cluster}`;
}

function readStep(stores: readonly FileStore[], plan: StepPlan, cluster: PaperCluster): Step {
  const path = (file: number) => `${plan.dir}/mix-read-${cluster}-${file}`;
  return {
    metric: readMetric(cluster),
    unit: 'operations/s',
    prepare: async () => {
      const piece = new Uint8Array(mebi).fill(8);
      for (let file = 0; file < readFiles; file++)
        await stores[0]!.write(path(file), repeated(piece, readFileBytes / mebi));
    },
    run: () =>
      untilOver(stores, plan, cluster, async (store, mix, random) => {
        const files: OpenToRead[] = [];
        for (let file = 0; file < readFiles; file++) files.push(await store.openToRead(path(file)));
        const memory = new Uint8Array(largestBytes);
        return {
          one: async () => {
            const into = memory.subarray(0, mix.size('read'));
            const position = Math.floor(random() * (readFileBytes - into.length));
            const bytes = await files[Math.floor(random() * files.length)]!.readAt(into, position);
            if (bytes !== into.length) throw new Error(`read ${bytes} of ${into.length} bytes`);
            return bytes;
          },
          end: async () => {
            for (const file of files) await file.close();
          },
        };
      }),
  };
}

function mutationStep(stores: readonly FileStore[], plan: StepPlan, cluster: PaperCluster): Step {
  const written = (client: number) => `${plan.dir}/mix-written-${cluster}-${client}`;
  const appended = `${plan.dir}/mix-appended-${cluster}`;
  return {
    metric: mutationMetric(cluster),
    unit: 'operations/s',
    run: () =>
      untilOver(stores, plan, cluster, async (store, mix) => {
        const own: OpenToWrite = await store.openToWrite(written(stores.indexOf(store)));
        const shared: OpenToAppend = await store.openToAppend(appended, false);
        const memory = new Uint8Array(largestBytes).fill(9);
        let position = 0;
        return {
          one: async () => {
            const { operation, bytes } = mix.mutation();
            const content = memory.subarray(0, bytes);
            if (operation === 'recordAppend') await shared.append(content);
            else {
              if (position + bytes > writtenBytes) position = 0;
              await own.writeAt(content, position);
              position += bytes;
            }
            return bytes;
          },
          end: async () => {
            await own.close();
            await shared.close();
          },
        };
      }),
  };
}

interface Worker {
  /** @returns the bytes it moved */
  one(): Promise<number>;
  end(): Promise<void>;
}
type Begin = (store: FileStore, mix: PaperMix, random: () => number) => Promise<Worker>;

async function untilOver(
  stores: readonly FileStore[],
  { mixMs, seed }: StepPlan,
  cluster: PaperCluster,
  begin: Begin,
): Promise<Done> {
  const workers = await Promise.all(
    stores.map((store, client) => {
      const random = randomFrom(seed * 1000 + client);
      return begin(store, new PaperMix(cluster, random), random);
    }),
  );
  const until = performance.now() + mixMs;
  let operations = 0;
  let bytes = 0;
  await Promise.all(
    workers.map(async (worker) => {
      while (performance.now() < until) {
        bytes += await worker.one();
        operations += 1;
      }
    }),
  );
  for (const worker of workers) await worker.end();
  return { amount: operations, megabytes: bytes / 1e6 };
}
