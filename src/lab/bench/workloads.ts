/** The work that is measured, each against a cluster that runs already. Every one returns its figure in the unit it is named with. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import type { LocalCluster } from '../cluster/local-cluster.ts';
import { contentsOf } from './contents.ts';

const run = promisify(execFile);

export interface Bench {
  readonly cluster: LocalCluster;
  /** `bin/cairn`. */
  readonly program: string;
  /** A local file of `fileBytes`. */
  readonly file: string;
  readonly fileBytes: number;
  /** 1 for a full run; smaller makes every workload shorter. */
  readonly scale: number;
}

export function connect({ cluster }: Pick<Bench, 'cluster'>): Promise<CairnClient> {
  return CairnClient.start(nodeEnv({ dir: tmpdir() }), parseClusterUrl(cluster.url));
}

let unique = 0;
/** A new directory for one run. */
export async function freshDirectory(client: CairnClient, name: string): Promise<string> {
  const path = `/bench/${name}-${process.pid}-${unique++}`;
  await client.mkdir(path, { recursive: true });
  return path;
}

/** Runs `work` with so many clients, and closes them. */
export async function withClients<T>(
  bench: Bench,
  count: number,
  work: (clients: readonly CairnClient[]) => Promise<T>,
): Promise<T> {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(bench)));
  try {
    return await work(clients);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

async function inParallel(workers: number, work: (worker: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)));
}

function perSecond(count: number, startedAt: number): number {
  return (count * 1000) / (performance.now() - startedAt);
}

/** Creates of `count` empty files (in a full run), `inFlight` at a time: each one a command committed by a majority with fdatasync. */
export async function commits(bench: Bench, inFlight: number, count: number): Promise<number> {
  const client = await connect(bench);
  try {
    const directory = await freshDirectory(client, 'commits');
    const each = Math.max(1, Math.round((count * bench.scale) / inFlight));
    const startedAt = performance.now();
    await inParallel(inFlight, async (worker) => {
      for (let i = 0; i < each; i++) await (await client.open(`${directory}/${worker}-${i}`, 'wx')).close();
    });
    return perSecond(each * inFlight, startedAt);
  } finally {
    await client.close();
  }
}

/** `count` files of 4 KiB (in a full run), made and written, by 8 writers. */
export async function smallFiles(bench: Bench, count: number): Promise<number> {
  const client = await connect(bench);
  try {
    const directory = await freshDirectory(client, 'small');
    const each = Math.max(1, Math.round((count * bench.scale) / 8));
    const nextContent = contentsOf(4096);
    const startedAt = performance.now();
    await inParallel(8, async (worker) => {
      for (let i = 0; i < each; i++)
        await client.writeFile(`${directory}/${worker}-${i}`, nextContent(), { flags: 'wx' });
    });
    return perSecond(each * 8, startedAt);
  } finally {
    await client.close();
  }
}

/** Looking at files that are there, `inFlight` at a time: each answered by the leader, as of the moment when it was asked. */
export async function lookups(bench: Bench, inFlight: number): Promise<number> {
  return withClients(bench, 1, async ([client]) => {
    const directory = await freshDirectory(client!, 'lookups');
    const paths = Array.from({ length: 1000 }, (_, i) => `${directory}/${i}`);
    await inParallel(inFlight, async (worker) => {
      for (let i = worker; i < paths.length; i += inFlight) await (await client!.open(paths[i]!, 'wx')).close();
    });
    const each = Math.max(1, Math.round((lookupsPerRun * bench.scale) / inFlight));
    const startedAt = performance.now();
    await inParallel(inFlight, async (worker) => {
      for (let i = 0; i < each; i++) await client!.stat(paths[(worker * each + i) % paths.length]!);
    });
    return perSecond(each * inFlight, startedAt);
  });
}

export const lookupsPerRun = 150_000;

/** One file, opened for appending by each of the clients, as those who write a log do. */
export function openLogs(clients: readonly CairnClient[], path: string, durability: 'memory' | 'disk' = 'memory') {
  return Promise.all(clients.map((client) => client.open(path, 'a', { durability })));
}

/** 1 KiB records to one file by 8 clients, 32 in flight each. */
export async function appends(bench: Bench, durability: 'memory' | 'disk'): Promise<number> {
  return withClients(bench, 8, async (clients) => {
    const path = `${await freshDirectory(clients[0]!, 'appends')}/log`;
    const nextRecord = contentsOf(1024);
    const logs = await openLogs(clients, path, durability);
    const each = Math.max(1, Math.round((200_000 * bench.scale) / (8 * 32)));
    const startedAt = performance.now();
    await inParallel(8 * 32, async (worker) => {
      const log = logs[worker % 8]!;
      for (let i = 0; i < each; i++) await log.recordAppend(nextRecord());
    });
    return perSecond(each * 8 * 32, startedAt);
  });
}

/** `cairn put` of the file: MB/s as it reports them itself, so without the start of the program. */
export async function put(bench: Bench): Promise<number> {
  const target = freshPath('put');
  const bytesPerSecond = await copy(bench, ['put', bench.file, target]);
  await removeFile(bench, target);
  return bytesPerSecond / 1e6;
}

/** `cairn get` into a file. */
export async function get(bench: Bench, source: string): Promise<number> {
  const into = join(tmpdir(), `cairn-bench-get-${process.pid}-${unique++}`);
  try {
    return (await copy(bench, ['get', source, into])) / 1e6;
  } finally {
    rmSync(into, { force: true });
  }
}

/** Several equal shares at once, each of which gives its rate: all of them together in the time of the slowest. */
export async function atOnce(shares: readonly (() => Promise<number>)[]): Promise<number> {
  const rates = await Promise.all(shares.map((share) => share()));
  return rates.length * Math.min(...rates);
}

/** Reading it and throwing it away. */
export async function readToNowhere(
  bench: Bench,
  { path, client }: { readonly path: string; readonly client: CairnClient },
): Promise<number> {
  const startedAt = performance.now();
  let bytes = 0;
  for await (const piece of client.readStream(path, { reuseMemory: true })) bytes += piece.length;
  if (bytes !== bench.fileBytes) throw new Error(`read ${bytes} of ${bench.fileBytes} bytes`);
  return perSecond(bytes, startedAt) / 1e6;
}

/** Puts the file, for readers. */
export async function putFile(bench: Bench): Promise<string> {
  const target = freshPath('source');
  await cairn(bench, ['put', bench.file, target]);
  return target;
}

export async function removeFile(bench: Bench, path: string): Promise<void> {
  await cairn(bench, ['rm', '--no-trash', path]);
}

function freshPath(name: string): string {
  return `/bench-${name}-${process.pid}-${unique++}`;
}

async function cairn(bench: Bench, args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [bench.program, ...args, '--json', '--cluster', bench.cluster.url]);
  return stdout;
}

async function copy(bench: Bench, args: readonly string[]): Promise<number> {
  const last = (await cairn(bench, args)).trim().split('\n').at(-1)!;
  const { bytes, seconds } = JSON.parse(last) as { bytes: number; seconds: number };
  if (bytes !== bench.fileBytes) throw new Error(`${args[0]} moved ${bytes} of ${bench.fileBytes} bytes`);
  return bytes / seconds;
}

/** From the kill -9 of the leading master to the next acknowledged create, in ms. */
export async function masterFailover(bench: Bench): Promise<number> {
  const client = await connect(bench);
  try {
    const directory = await freshDirectory(client, 'failover');
    const { leader } = await client.status();
    const restarted = bench.cluster.killHard('master', leader!);
    const startedAt = performance.now();
    await (await client.open(`${directory}/after`, 'wx')).close();
    const gapMs = performance.now() - startedAt;
    await restarted;
    await untilWell(client);
    return gapMs;
  } finally {
    await client.close();
  }
}

/** From the kill -9 of the chunkserver that is primary to the next acknowledged append, in ms. */
export async function chunkserverFailover(bench: Bench): Promise<number> {
  const client = await connect(bench);
  try {
    const path = `${await freshDirectory(client, 'failover')}/log`;
    const record = new Uint8Array(1024).fill(7);
    await client.recordAppend(path, record);
    const before = await client.servers();
    const victim = before.find(({ chunks }) => chunks > 0)?.id ?? before[0]!.id;
    const restarted = bench.cluster.killHard('chunkserver', victim);
    const startedAt = performance.now();
    await client.recordAppend(path, record);
    const gapMs = performance.now() - startedAt;
    await restarted;
    await untilWell(client);
    return gapMs;
  } finally {
    await client.close();
  }
}

/** All masters and chunkservers are back. */
async function untilWell(client: CairnClient): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const { masters, servers } = await client.status();
    if (masters.every(({ role }) => role !== 'down') && servers.every(({ state }) => state === 'healthy')) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the cluster did not recover within 30 s');
}
