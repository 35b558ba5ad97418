/** `files`: the work of a file system, by the native client: bulk bytes, small files, appends with and without a flush. */
import type { CairnClient } from '../../../system/client/client.ts';
import { UpCluster } from '../cluster/up-cluster.ts';
import type { Experiment, Lab, LabOptions } from '../experiment.ts';
import type { Findings } from '../report/findings.ts';
import { type Scope, scoped } from '../scope.ts';

const mebi = 1024 * 1024;
const smallBytes = 4096;
const recordBytes = 1024;
const subject = 'native client';

interface Plan {
  readonly rounds: number;
  readonly bulkBytes: number;
  readonly smallFiles: number;
  readonly appends: number;
}

function planOf({ quick, runs }: LabOptions): Plan {
  if (quick) return { rounds: 1, bulkBytes: 8 * mebi, smallFiles: 60, appends: 200 };
  return { rounds: runs ?? 5, bulkBytes: 512 * mebi, smallFiles: 8000, appends: 40_000 };
}

export const files: Experiment = {
  name: 'files',
  question: 'How fast are bulk writes and reads, small files, and appends by one and by eight, on three copies?',

  expected(options) {
    return { rounds: planOf(options).rounds, secondsEach: 60, secondsOnce: 10 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    Object.assign(findings.settings, plan, { smallBytes, recordBytes, copies: 3, chunkservers: 3, masters: 3 });
    findings.note(
      'Everything runs on this machine. Writes are acknowledged when they are in the page cache of all three copies; appends “with fsync” when all three have flushed them. Metadata is flushed by a majority of the masters in any case.',
    );
    for (const door of ['mount', 'S3', 'MooseFS']) findings.skip(door, 'the lab does not drive it yet');
    await scoped(lab.scope, async (scope) => {
      const cluster = await UpCluster.start(lab, scope, { chunkservers: 3 });
      for (let round = 1; round <= plan.rounds; round++) {
        lab.say(`round ${round} of ${plan.rounds}`);
        await scoped(scope, (inner) => measure(lab, findings, cluster, inner, plan, round));
      }
    });
    draw(findings);
  },
};

interface Step {
  readonly metric: string;
  readonly unit: string;
  /** @returns how much was done, in units */
  run(): Promise<number>;
}

async function measure(
  lab: Lab,
  findings: Findings,
  cluster: UpCluster,
  scope: Scope,
  plan: Plan,
  round: number,
): Promise<void> {
  const clients = await Promise.all(Array.from({ length: 8 }, () => cluster.connect(scope)));
  const [client] = clients as [CairnClient];
  const dir = `/files-${round}`;
  await client.mkdir(dir);
  for (const step of [
    ...bulkSteps(client, dir, plan),
    ...smallSteps(clients, dir, plan),
    ...appendSteps(clients, dir, plan),
  ]) {
    const startedAt = performance.now();
    const done = await step.run();
    const rate = (done * 1000) / (performance.now() - startedAt);
    findings.add(subject, step.metric, step.unit, rate);
    lab.say(`  ${step.metric}: ${Math.round(rate)} ${step.unit}`);
  }
  await client.rm(dir, { recursive: true });
}

function bulkSteps(client: CairnClient, dir: string, { bulkBytes }: Plan): Step[] {
  const path = `${dir}/bulk`;
  const piece = new Uint8Array(mebi).fill(7);
  return [
    {
      metric: 'sequential write',
      unit: 'MB/s',
      run: async () => {
        await client.writeFile(path, repeated(piece, bulkBytes / mebi));
        return bulkBytes / 1e6;
      },
    },
    {
      metric: 'sequential read',
      unit: 'MB/s',
      run: async () => {
        let bytes = 0;
        for await (const part of client.readStream(path, { reuseMemory: true })) bytes += part.length;
        if (bytes !== bulkBytes) throw new Error(`read ${bytes} of ${bulkBytes} bytes`);
        return bytes / 1e6;
      },
    },
  ];
}

function* repeated(piece: Uint8Array, count: number): Iterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield piece;
}

/** Eight clients, one operation each under way. */
function smallSteps(clients: readonly CairnClient[], dir: string, { smallFiles }: Plan): Step[] {
  const content = new Uint8Array(smallBytes).fill(5);
  const each = (metric: string, one: (client: CairnClient, path: string) => Promise<unknown>): Step => ({
    metric,
    unit: 'files/s',
    run: async () => {
      let next = 0;
      await Promise.all(
        clients.map(async (client) => {
          for (let i = next++; i < smallFiles; i = next++) await one(client, `${dir}/small-${i}`);
        }),
      );
      return smallFiles;
    },
  });
  return [
    each('create 4 KiB, 8 clients', (client, path) => client.writeFile(path, content, { flags: 'wx' })),
    each('stat, 8 clients', (client, path) => client.stat(path)),
    each('read 4 KiB, 8 clients', (client, path) => client.readFile(path)),
    each('rename, 8 clients', (client, path) => client.rename(path, `${path}-renamed`)),
    each('delete, 8 clients', (client, path) => client.rm(`${path}-renamed`)),
  ];
}

const durabilities = [
  ['memory', ''],
  ['disk', ' with fsync'],
] as const;

/** One append under way for each writer, all to one file. */
function appendSteps(clients: readonly CairnClient[], dir: string, { appends }: Plan): Step[] {
  const record = new Uint8Array(recordBytes).fill(6);
  return durabilities.flatMap(([durability, how]) =>
    [1, 8].map(
      (writers): Step => ({
        metric: `append 1 KiB${how}, ${writers} ${writers === 1 ? 'writer' : 'writers'}`,
        unit: 'appends/s',
        run: async () => {
          const path = `${dir}/appended-${durability}-${writers}`;
          const count = Math.ceil(appends / (durability === 'disk' || writers === 1 ? 8 : 1));
          await clients[0]!.recordAppend(path, record, { durability });
          let next = 0;
          const writer = async (client: CairnClient): Promise<void> => {
            while (next++ < count) await client.recordAppend(path, record);
          };
          await Promise.all(clients.slice(0, writers).map(writer));
          return count;
        },
      }),
    ),
  );
}

function draw(findings: Findings): void {
  const bars = (title: string, label: string, metrics: readonly string[]) =>
    findings.chart({
      kind: 'bars',
      title,
      y: { label, scale: 'linear' },
      groups: metrics.map((metric) =>
        metric.replace(', 8 clients', '').replace('append 1 KiB', '').replace(/^,? /, ''),
      ),
      series: [{ name: subject, values: metrics.map((metric) => findings.median(subject, metric) ?? null) }],
    });
  bars('Bulk bytes', 'MB/s', ['sequential write', 'sequential read']);
  const small = ['create 4 KiB', 'stat', 'read 4 KiB', 'rename', 'delete'].map((name) => `${name}, 8 clients`);
  bars('Small files, 8 clients', 'files/s', small);
  const writers = ['1 writer', '8 writers'];
  bars('Appends of 1 KiB to one file', 'appends/s', [
    ...writers.map((who) => `append 1 KiB, ${who}`),
    ...writers.map((who) => `append 1 KiB with fsync, ${who}`),
  ]);
}
