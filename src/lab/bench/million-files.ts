/** A namespace of many files: what a master takes in memory and on disk, and how fast it is back after a stop. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CairnClient } from '../../system/client/client.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { type Benchmark, median } from './report.ts';
import { connect } from './workloads.ts';

const writers = 200;
const directory = '/all';
/** Listings that are timed. */
const listings = 5;

export async function million(program: string, files: number, say: (line: string) => void): Promise<Benchmark[]> {
  const cluster = await LocalCluster.start({ program });
  try {
    const client = await connect({ cluster });
    const seconds = await createFiles(client, files, say);
    const { leader } = await client.status();
    const pid = cluster.process('master', leader!).pid;
    const rssMB = residentBytes(pid) / 1e6;
    const diskMB = bytesBelow(join(cluster.dir, `master-${leader}`, 'data')) / 1e6;
    const firstPageMs = await firstPages(client, files);
    const restartMs = await restart(cluster, client, leader!);
    await client.close();
    const one = (name: string, unit: string, value: number, goal?: number, runs = [value]): Benchmark => ({
      name,
      unit,
      value,
      runs,
      lowerIsBetter: true,
      ...(goal === undefined ? {} : { goal }),
    });
    return [
      { ...one(`creates on the way to ${files} files`, 'files/s', files / seconds, 8000), lowerIsBetter: false },
      one(`memory of the leading master with ${files} files`, 'MB', rssMB, 500),
      one(`its log and state on disk`, 'MB', diskMB),
      one(`first page of ls of ${files} files in one directory`, 'ms', median(firstPageMs), 50, firstPageMs),
      one(`restart of a master on ${files} files, to caught up`, 'ms', restartMs, 5000),
    ];
  } finally {
    await cluster.stop();
  }
}

async function createFiles(client: CairnClient, files: number, say: (line: string) => void): Promise<number> {
  const startedAt = performance.now();
  let next = 0;
  await client.mkdir(directory);
  const writer = async (): Promise<void> => {
    for (let i = next++; i < files; i = next++) {
      await (await client.open(`${directory}/file-${i}`, 'wx')).close();
      if (i > 0 && i % 100_000 === 0) say(`${i} files, ${Math.round((i * 1000) / (performance.now() - startedAt))}/s`);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return (performance.now() - startedAt) / 1000;
}

/** Until the first entry is there, each time anew; the last listing goes on to the end, and must find all. */
async function firstPages(client: CairnClient, files: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < listings; n++) {
    const startedAt = performance.now();
    let found = 0;
    for await (const _entry of client.entries(directory)) {
      found += 1;
      if (found === 1) times.push(performance.now() - startedAt);
      if (n < listings - 1) break;
    }
    if (n === listings - 1 && found !== files) throw new Error(`${found} of ${files} files were listed`);
  }
  return times;
}

/** kill -9, then until the new process has applied what the leader had committed at the time of the kill. */
async function restart(cluster: LocalCluster, client: CairnClient, id: number): Promise<number> {
  const commitIndex = (await client.status()).masters.find((master) => master.id === id)!.commitIndex;
  const startedAt = performance.now();
  await cluster.killHard('master', id);
  for (;;) {
    const master = (await client.status()).masters.find((found) => found.id === id)!;
    if (master.role !== 'down' && master.appliedIndex >= commitIndex) return performance.now() - startedAt;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line![1]) * 1024;
}

function bytesBelow(dir: string): number {
  let sum = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) sum += statSync(join(entry.parentPath ?? entry.path, entry.name)).blocks * 512;
  }
  return sum;
}
