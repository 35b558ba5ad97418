/** `files`: the work of a file system: bulk bytes, small files, appends with and without a flush, and the GFS paper's own mixes. */
import { join } from 'node:path';
import { MooseFs, mooseFsVersion, whyNoMooseFs } from '../cluster/moosefs.ts';
import { UpCluster } from '../cluster/up-cluster.ts';
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import { whyNoNetworks } from '../network/possible.ts';
import { Asking } from '../process/asking.ts';
import { nodePlan, OwnedProcess } from '../process/owned-process.ts';
import type { Findings } from '../report/findings.ts';
import type { Scope } from '../scope.ts';
import type { DriverAnswers } from './driver.ts';
import type { StoreSpec } from './file-store.ts';
import { mutationMetric, readMetric } from './paper-steps.ts';
import { clientCount, recordBytes, smallBytes } from './steps.ts';

const mebi = 1024 * 1024;
const native = 'native client';
const clusters = ['X', 'Y'] as const;

interface Plan {
  readonly rounds: number;
  readonly bulkBytes: number;
  readonly smallFiles: number;
  readonly appends: number;
  readonly mixMs: number;
}

function planOf({ quick, runs, seconds }: LabOptions): Plan {
  if (quick) return { rounds: 1, bulkBytes: 8 * mebi, smallFiles: 60, appends: 200, mixMs: 200 };
  const mixMs = (seconds ?? 3) * 1000;
  return { rounds: runs ?? 4, bulkBytes: 512 * mebi, smallFiles: 4000, appends: 20_000, mixMs };
}

interface Subject {
  readonly name: string;
  /** @returns how the driver reaches it */
  start(scope: Scope): Promise<{ readonly spec: StoreSpec; readonly masters?: readonly string[] }>;
}

export const files: Experiment = {
  name: 'files',
  question:
    'How fast are bulk writes and reads, small files, appends by one and by eight, and the GFS paper’s own mixes, on three copies?',
  diskMiB: 16_384,

  expected(options) {
    const { rounds, mixMs } = planOf(options);
    const secondsOfSystem = 30 + (4 * mixMs) / 1000;
    return { rounds, secondsEach: 2 * secondsOfSystem + (2 * mixMs) / 1000, secondsOnce: 15 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const subjects = chosen(allSubjects(lab, findings), lab, findings);
    describe(findings, plan);
    const running = [];
    for (const { name, start } of subjects) running.push({ name, ...(await begin(lab, name, await start(lab.scope))) });
    for (let round = 1; round <= plan.rounds; round++)
      for (const subject of running) {
        lab.say(`round ${round} of ${plan.rounds}: ${subject.name}`);
        await measure(lab, findings, subject, plan, round);
      }
    compare(findings);
    draw(findings, running);
  },
};

function allSubjects(lab: Lab, findings: Findings): Subject[] {
  const cairn: Subject = {
    name: native,
    start: async (scope) => {
      const { url, masters } = await UpCluster.start(lab, scope, { chunkservers: 3 });
      return { spec: { kind: 'native', url }, masters };
    },
  };
  const lacking = whyNoMooseFs() ?? whyNoNetworks();
  if (lacking !== undefined) {
    findings.skip('MooseFS', lacking);
    return [cairn];
  }
  findings.settings.mooseFs = mooseFsVersion();
  const mooseFs: Subject = {
    name: 'MooseFS, mounted',
    start: async (scope) => {
      const [writing, reading] = (await MooseFs.start(lab, scope)).mounts;
      return { spec: { kind: 'directory', writing, reading } };
    },
  };
  return [cairn, mooseFs];
}

function describe(findings: Findings, plan: Plan): void {
  Object.assign(findings.settings, plan, {
    smallBytes,
    recordBytes,
    copies: 3,
    chunkservers: 3,
    masters: 'Cairn 3, MooseFS 1',
    clients: clientCount,
  });
  findings.note(
    'Everything runs on this machine; one process does the same steps on each system. Writes are acknowledged when they are in the page cache of all three copies; appends “with fsync” when Cairn’s three have flushed them, while MooseFS’s fsync reaches the page cache of its chunkservers only. Cairn’s metadata is flushed by a majority of its three masters in any case; MooseFS has one master, which does not wait for its disk.',
  );
  findings.note(
    'Cairn is measured by its own client, MooseFS through two mounts: one that writes, another that reads, so that reads do not come from the cache of whoever wrote. A mount costs a way through the kernel which the client does not have.',
  );
  findings.note(
    'The paper’s mixes: sizes after its Table 4, writes to record appends after §6.3, requests to the master after Table 6, clusters X (research) and Y (production); eight clients, one operation each under way. Reads are of random places of 16 files of 8 MiB; each client writes its own file and all append to one. Master requests are made without a client’s caches; a deletion is two of them (what is deleted is made first), counted as one.',
  );
}

interface Running {
  readonly name: string;
  readonly driver: Asking<DriverAnswers>;
  readonly masters?: readonly string[];
}

async function begin(
  lab: Lab,
  name: string,
  { spec, masters }: { readonly spec: StoreSpec; readonly masters?: readonly string[] },
): Promise<Omit<Running, 'name'>> {
  const { scope } = lab;
  const directory = await lab.directory(scope);
  const plan = {
    name: `the work on ${name}`,
    logFile: join(directory, 'driver.log'),
    env: { UV_THREADPOOL_SIZE: String(2 * clientCount) }, // a call on a mount holds a thread
  };
  const driver = new Asking<DriverAnswers>(
    await OwnedProcess.start(scope, nodePlan('files', plan, lab.options.profileDir)),
  );
  await driver.ask('open', spec);
  return { driver, ...(masters === undefined ? {} : { masters }) };
}

async function measure(lab: Lab, findings: Findings, subject: Running, plan: Plan, round: number): Promise<void> {
  const { name, driver, masters } = subject;
  const { rounds: _, ...work } = plan;
  const dir = `/files-${round}`;
  const add = (metric: string, unit: string, value: number) => {
    findings.add(name, metric, unit, value);
    lab.say(`  ${metric}: ${Math.round(value)} ${unit}`);
  };
  const steps = await driver.ask('plan', { ...work, dir, seed: round });
  for (const [i, { metric, unit }] of steps.entries()) {
    const { rate, megabytesPerSecond } = await driver.ask('run', i);
    add(metric, unit, rate);
    if (megabytesPerSecond !== undefined) add(`${metric}, bytes`, 'MB/s', megabytesPerSecond);
  }
  if (masters !== undefined)
    for (const cluster of clusters) {
      const asked = { masters, dir: `${dir}/requests-${cluster}`, cluster, forMs: plan.mixMs, seed: round };
      add(requestMetric(cluster), 'requests/s', await driver.ask('masterRequests', asked));
    }
  await driver.ask('remove', dir);
}

function requestMetric(cluster: (typeof clusters)[number]): string {
  return `master requests of the paper’s cluster ${cluster}`;
}

const bulk = ['sequential write', 'sequential read'];
const small = ['create 4 KiB', 'stat', 'read 4 KiB', 'rename', 'delete'].map(
  (name) => `${name}, ${clientCount} clients`,
);
const appends = ['append 1 KiB', 'append 1 KiB with fsync'].flatMap((what) =>
  ['1 writer', `${clientCount} writers`].map((who) => `${what}, ${who}`),
);
const mixes = clusters.flatMap((cluster) => [readMetric(cluster), mutationMetric(cluster)]);

function compare(findings: Findings): void {
  for (const metric of [...bulk, ...small, ...appends, ...mixes]) findings.ratio(native, 'MooseFS, mounted', metric);
}

function draw(findings: Findings, subjects: readonly { readonly name: string }[]): void {
  const bars = (title: string, label: string, metrics: readonly string[], short: (metric: string) => string) =>
    findings.chart({
      kind: 'bars',
      title,
      y: { label, scale: 'linear' },
      groups: metrics.map(short),
      series: subjects.map(({ name }) => ({
        name,
        values: metrics.map((metric) => findings.median(name, metric) ?? null),
      })),
    });
  bars('Bulk bytes', 'MB/s', bulk, (metric) => metric);
  bars(`Small files, ${clientCount} clients`, 'files/s', small, (metric) => metric.split(',')[0]!);
  bars('Appends of 1 KiB to one file', 'appends/s', appends, (metric) =>
    metric.replace('append 1 KiB', '').replace(/^,? /, ''),
  );
  bars('The GFS paper’s mixes', 'operations/s', mixes, (metric) => metric.replace(' of the paper’s cluster', ''));
}
