/** What is measured, in this order: each row of the table with its goal, its limit and its peer. */

import * as latencies from './latencies.ts';
import type { DiskLimits } from './limits.ts';
import type { Benchmark } from './report.ts';
import type { Sources } from './sources.ts';
import * as workloads from './workloads.ts';

/** What a row may be compared with. */
export interface Measured {
  readonly disk: DiskLimits;
  /** The rows so far of this run: the median of one, if it was measured. */
  median(name: string): number | undefined;
}

export interface Plan extends Omit<Benchmark, 'value' | 'runs' | 'goal' | 'limit' | 'cpuUs'> {
  readonly goal?: number | ((measured: Measured) => number | undefined);
  readonly limit?: (measured: Measured) => number | undefined;
  /** How much of the unit one run does. */
  readonly amount?: (bench: workloads.Bench) => number;
  /** The same work, done once before the first run, and not counted: until it has run a while, code is interpreted and compiled. */
  readonly warmUp?: (bench: workloads.Bench) => Promise<unknown>;
  /** What is done before each run, and does not count. */
  readonly prepare?: (sources: Sources) => Promise<void>;
  readonly run: (bench: workloads.Bench, sources: Sources, measured: Measured) => Promise<number>;
}

const appendsName = 'append 1 KiB, 8 writers × 32';
const appendsGoal = 50_000;
const putName = 'put, 3 replicas';
const hopName = 'one bare hop with checksums';
const toNowhereName = 'get to nowhere, warm';
const clientsAtOnce = 4;
/** The masters flush their stores once in some 65,000 creates: a run has that in it as often as a long one would. */
const commitsPerRun = 130_000;
const commitsToWarm = 40_000;
const smallFilesPerRun = 10_000;
const smallFilesToWarm = 20_000;

const metadata: readonly Plan[] = [
  {
    name: 'metadata commits, 100 in flight',
    unit: 'commits/s',
    goal: 20_000,
    peer: 8420,
    peerName: 'etcd',
    limit: ({ disk }) => disk.flushesPerSecond * 100,
    amount: ({ scale }) => commitsPerRun * scale,
    warmUp: (bench) => workloads.commits(bench, 100, commitsToWarm),
    run: (bench) => workloads.commits(bench, 100, commitsPerRun),
  },
  {
    name: 'metadata commits, 1 in flight',
    unit: 'commits/s',
    peer: 1280,
    peerName: 'etcd',
    limit: ({ disk }) => disk.flushesPerSecond,
    amount: ({ scale }) => 3000 * scale,
    run: (bench) => workloads.commits(bench, 1, 3000),
  },
  {
    name: 'lookups, 100 in flight',
    unit: 'lookups/s',
    goal: 50_000,
    peer: 15_700,
    peerName: 'MooseFS',
    amount: ({ scale }) => workloads.lookupsPerRun * scale,
    run: (bench) => workloads.lookups(bench, 100),
  },
  {
    name: 'files of 4 KiB, 8 writers',
    unit: 'files/s',
    goal: 3000,
    peer: 710,
    peerName: 'MooseFS',
    amount: ({ scale }) => smallFilesPerRun * scale,
    warmUp: (bench) => workloads.smallFiles(bench, smallFilesToWarm),
    run: (bench) => workloads.smallFiles(bench, smallFilesPerRun),
  },
];

const appends: readonly Plan[] = [
  {
    name: appendsName,
    unit: 'appends/s',
    goal: appendsGoal,
    peer: 5006,
    peerName: 'MooseFS',
    amount: ({ scale }) => 200_000 * scale,
    warmUp: (bench) => workloads.appends(bench, 'memory'),
    run: (bench) => workloads.appends(bench, 'memory'),
  },
  {
    name: 'append 1 KiB, 8 writers × 32, fdatasync',
    unit: 'appends/s',
    goal: 10_000,
    peer: 1330,
    peerName: 'MooseFS',
    amount: ({ scale }) => 200_000 * scale,
    run: (bench) => workloads.appends(bench, 'disk'),
  },
  {
    // Half of the goal: the same rate on every machine, so that its latency can be compared.
    name: 'append 1 KiB, 8 writers, 25,000/s: p99',
    unit: 'ms',
    goal: 20,
    lowerIsBetter: true,
    run: (bench) => latencies.appendAtRate(bench, appendsGoal / 2),
  },
  {
    name: 'append 1 KiB, 8 writers, half of the rate reached: p99',
    unit: 'ms',
    goal: 20,
    lowerIsBetter: true,
    run: async (bench, _sources, measured) => {
      const full = measured.median(appendsName) ?? (await workloads.appends(bench, 'memory'));
      return latencies.appendAtRate(bench, full / 2);
    },
  },
  {
    name: 'append 1 KiB, 1 writer, one at a time: p50',
    unit: 'ms',
    goal: 1,
    lowerIsBetter: true,
    run: latencies.appendOneByOne,
  },
];

const bulk: readonly Plan[] = [
  {
    name: putName,
    unit: 'MB/s',
    goal: 330,
    peer: 346,
    peerName: 'MooseFS',
    limit: ({ disk }) => disk.writeMBps / 3,
    amount: megabytes,
    run: workloads.put,
  },
  {
    name: `put, 3 replicas, ${clientsAtOnce} clients at once`,
    unit: 'MB/s',
    goal: (measured) => measured.median(putName),
    peer: 309,
    peerName: 'MooseFS',
    amount: megabytes,
    prepare: (sources) => sources.makeParts(clientsAtOnce),
    run: (_bench, { parts }) => workloads.atOnce(parts.map((part) => () => workloads.put(part.bench))),
  },
  {
    name: 'get into a file',
    unit: 'MB/s',
    goal: 600,
    peer: 548,
    peerName: 'MooseFS cold',
    limit: ({ disk }) => Math.min(disk.readMBps, disk.writeMBps),
    amount: megabytes,
    prepare: (sources) => sources.makeFresh(),
    run: (bench, { fresh }) => workloads.get(bench, fresh),
  },
  {
    name: hopName,
    unit: 'MB/s',
    amount: megabytes,
    prepare: (sources) => sources.startHop(),
    run: ({ fileBytes }, { hop }) => hop.run(fileBytes),
  },
  {
    name: toNowhereName,
    unit: 'MB/s',
    goal: (measured) => Math.max(1200, 0.8 * (measured.median(hopName) ?? 0)),
    peer: 848,
    peerName: 'MooseFS warm',
    limit: (measured) => measured.median(hopName),
    amount: megabytes,
    prepare: (sources) => sources.makeWarm(),
    run: (bench, { warm }) => workloads.readToNowhere(bench, warm),
  },
  {
    name: `get to nowhere, warm, ${clientsAtOnce} clients at once`,
    unit: 'MB/s',
    goal: (measured) => measured.median(toNowhereName),
    peer: 618,
    peerName: 'MooseFS',
    amount: megabytes,
    prepare: (sources) => sources.makeParts(clientsAtOnce),
    run: (_bench, { parts }) =>
      workloads.atOnce(
        parts.map(
          ({ bench, warm }) =>
            () =>
              workloads.readToNowhere(bench, warm),
        ),
      ),
  },
];

const failures: readonly Plan[] = [
  {
    name: 'gap after kill -9 of the leading master',
    unit: 'ms',
    goal: 1000,
    peer: 1340,
    peerName: 'etcd',
    lowerIsBetter: true,
    run: workloads.masterFailover,
  },
  {
    name: 'gap after kill -9 of a chunkserver',
    unit: 'ms',
    goal: 2000,
    lowerIsBetter: true,
    run: workloads.chunkserverFailover,
  },
];

export const plans: readonly Plan[] = [...metadata, ...appends, ...bulk, ...failures];

function megabytes({ fileBytes }: workloads.Bench): number {
  return fileBytes / 1e6;
}
