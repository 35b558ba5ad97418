/**
 * Many files in one directory, a million if no other number is asked for: how fast they are made and found, what they take, the first page
 * of the listing, a rename of the directory above them all, and how soon a master is back.
 */
import { join } from 'node:path';
import type { CairnClient } from '../../system/client/client.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { bytesBelow, residentOf } from './memory-and-disk.ts';
import { type Benchmark, median } from './report.ts';
import type { SuiteOptions } from './suite.ts';
import { connect } from './workloads.ts';

const inFlight = 100;
const usualCount = 1_000_000;
const quickCount = 20_000;
const lookupsPerRun = 150_000;
/** Listings, and renames, that are timed. */
const repeats = 5;

export async function namespace({ program, quick, count, say }: SuiteOptions): Promise<Benchmark[]> {
  const files = count ?? (quick ? quickCount : usualCount);
  const cluster = await LocalCluster.start({ program });
  const client = await connect({ cluster });
  try {
    const { leader } = await client.status();
    const { pid } = cluster.process('master', leader!);
    const dir = join(cluster.dir, `master-${leader}`, 'data');
    const empty = { ...residentOf(pid), disk: bytesBelow(dir) };
    const createsPerSecond = await createFiles(client, '/all/below', files, say);
    const full = { ...residentOf(pid), disk: bytesBelow(dir) };
    const lookupsPerSecond = await lookUp(client, '/all/below', files);
    const firstPageMs = await firstPages(client, '/all/below', files);
    const renames = await renameAbove(client, files);
    const restartMs = await restart(cluster, client, leader!);
    const has = (name: string, unit: string, value: number, goal?: number): Benchmark => ({
      name: `${files} files: ${name}`,
      unit,
      value,
      runs: [value],
      lowerIsBetter: true,
      ...(goal === undefined ? {} : { goal }),
    });
    const median1 = (row: Benchmark, runs: readonly number[]): Benchmark => ({ ...row, value: median(runs), runs });
    return [
      { ...has(`creates, ${inFlight} in flight`, 'files/s', createsPerSecond, 8000), lowerIsBetter: false },
      { ...has(`lookups, ${inFlight} in flight`, 'lookups/s', lookupsPerSecond, 50_000), lowerIsBetter: false },
      has('memory of the leading master', 'MB', full.bytes / 1e6, files <= usualCount ? 500 : undefined),
      has('of which its own, not mapped files', 'MB', full.ownBytes / 1e6),
      has('its own memory for each file', 'bytes', (full.ownBytes - empty.ownBytes) / files),
      has('log and state on its disk for each file', 'bytes', (full.disk - empty.disk) / files),
      median1(has('first page of ls', 'ms', 0, 50), firstPageMs),
      median1(has('rename of the directory above', 'ms', 0), renames.ms),
      median1(has('log entries of that rename', 'entries', 0, 1), renames.entries),
      has('restart of a master, to caught up', 'ms', restartMs, 5000),
    ];
  } finally {
    await client.close();
    await cluster.stop();
  }
}

/** @returns files a second. */
export async function createFiles(
  client: CairnClient,
  directory: string,
  files: number,
  say: (line: string) => void,
): Promise<number> {
  await client.mkdir(directory, { recursive: true });
  const startedAt = performance.now();
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < files; i = next++) {
      await (await client.open(pathOf(directory, i), 'wx')).close();
      if (i > 0 && i % 100_000 === 0) say(`${i} files, ${Math.round((i * 1000) / (performance.now() - startedAt))}/s`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, writer));
  return (files * 1000) / (performance.now() - startedAt);
}

function pathOf(directory: string, i: number): string {
  return `${directory}/file-${i}`;
}

/** Files far from each other, so that most are looked for in the store. @returns lookups a second. */
async function lookUp(client: CairnClient, directory: string, files: number): Promise<number> {
  const count = Math.min(lookupsPerRun, files);
  const stride = 7919; // a prime: it comes by every file before it repeats one
  const startedAt = performance.now();
  let next = 0;
  const reader = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await client.stat(pathOf(directory, (i * stride) % files));
  };
  await Promise.all(Array.from({ length: inFlight }, reader));
  return (count * 1000) / (performance.now() - startedAt);
}

/** Until the first entry is there, each time anew; the last listing goes on to the end, and must find all. */
async function firstPages(client: CairnClient, directory: string, files: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < repeats; n++) {
    const startedAt = performance.now();
    let found = 0;
    for await (const _entry of client.entries(directory)) {
      found += 1;
      if (found === 1) times.push(performance.now() - startedAt);
      if (n < repeats - 1) break;
    }
    if (n === repeats - 1 && found !== files) throw new Error(`${found} of ${files} files were listed`);
  }
  return times;
}

/** The directory that has the one with all the files in it, there and back: the time of each, and by how much the log grew. */
async function renameAbove(client: CairnClient, files: number): Promise<{ ms: number[]; entries: number[] }> {
  const ms: number[] = [];
  const entries: number[] = [];
  const names = ['/all', '/moved'];
  for (let n = 0; n < repeats; n++) {
    const before = await commitIndex(client);
    const startedAt = performance.now();
    await client.rename(names[n % 2]!, names[(n + 1) % 2]!);
    ms.push(performance.now() - startedAt);
    entries.push((await commitIndex(client)) - before);
    await client.stat(pathOf(`${names[(n + 1) % 2]!}/below`, files - 1));
  }
  return { ms, entries };
}

async function commitIndex(client: CairnClient): Promise<number> {
  const { leader, masters } = await client.status();
  return masters.find(({ id }) => id === leader)!.commitIndex;
}

/** kill -9, then until the new process has applied what the leader had committed at the time of the kill. */
async function restart(cluster: LocalCluster, client: CairnClient, id: number): Promise<number> {
  const committed = await commitIndex(client);
  const startedAt = performance.now();
  await cluster.killHard('master', id);
  for (;;) {
    const master = (await client.status()).masters.find((found) => found.id === id)!;
    if (master.role !== 'down' && master.appliedIndex >= committed) return performance.now() - startedAt;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
