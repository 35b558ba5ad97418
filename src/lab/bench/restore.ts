/**
 * GFS §6.2.5 in small: a chunkserver that holds 2 GiB is killed for good, then two at once, and all chunks get their copies back. How much of
 * the rate that is configured for copying that reaches, and what goes first.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CairnClient } from '../../system/client/client.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { LoneChunkserver } from './lone-chunkserver.ts';
import type { Benchmark } from './report.ts';
import type { SuiteOptions } from './suite.ts';
import { connect } from './workloads.ts';

const mebi = 1024 * 1024;
const kept = 3;
const deadAfterMs = 3000;
const pollMs = 20;
const readyDeadlineMs = 30_000;

interface Amount {
  /** On each server that is killed, at least. */
  readonly heldBytes: number;
  readonly fileBytes: number;
  readonly bytesPerSecond: number;
}

const usual: Amount = { heldBytes: 2048 * mebi, fileBytes: 64 * mebi, bytesPerSecond: 100 * mebi };
const quickly: Amount = { heldBytes: 32 * mebi, fileBytes: 4 * mebi, bytesPerSecond: 10 * mebi };

export async function restore({ program, quick, say }: SuiteOptions): Promise<Benchmark[]> {
  const amount = quick ? quickly : usual;
  const one = await inCluster(program, 1, amount, say);
  const two = await inCluster(program, 2, amount, say);
  const share = ({ bytes, ms }: Restored): number => ((bytes / ms) * 1000 * 100) / amount.bytesPerSecond;
  const held = `${Math.round(amount.heldBytes / mebi)} MiB`;
  const row = (name: string, unit: string, value: number): Benchmark => ({ name, unit, value, runs: [value] });
  const seconds = (name: string, ms: number, goalMs?: number): Benchmark => ({
    ...row(name, 's', ms / 1000),
    lowerIsBetter: true,
    ...(goalMs === undefined ? {} : { goal: goalMs / 1000 }),
  });
  const oneLeftGoalMs = (two.oneLeft.bytes / (0.9 * amount.bytesPerSecond)) * 1000;
  return [
    { ...row(`restore of ${held}: share of the configured rate`, '%', share(one.all)), goal: 90 },
    seconds(`restore of ${held}: from the server's death on`, one.all.ms),
    { ...row(`restore of two servers' ${held} each: share of the configured rate`, '%', share(two.all)), goal: 90 },
    seconds(`restore of two servers: until no chunk has one copy only`, two.oneLeft.ms, oneLeftGoalMs),
    seconds(`restore of two servers: until all have three`, two.all.ms),
  ];
}

interface Restored {
  readonly bytes: number;
  /** Since the servers were taken for dead. */
  readonly ms: number;
}

async function inCluster(program: string, victims: number, amount: Amount, say: SuiteOptions['say']) {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-restore-'));
  const config = join(dir, 'given.yaml');
  const copying = `copying:\n  per_cluster: ${amount.bytesPerSecond}\n  per_server: 0\n`;
  writeFileSync(config, `chunk_size: ${amount.fileBytes}\ndead_after: ${deadAfterMs}ms\n${copying}`);
  const cluster = await LocalCluster.start({ program, dir: join(dir, 'cluster'), args: ['--config', config] });
  const lone = Array.from({ length: victims }, (_, i) => LoneChunkserver.start(program, cluster, kept + 1 + i));
  const client = await connect({ cluster });
  try {
    await untilHealthy(client, kept + victims);
    await fill(client, lone, amount);
    say(`${victims} of ${kept + victims} chunkservers are killed`);
    return await killAndWatch(cluster, client, lone, amount);
  } finally {
    await client.close();
    await Promise.all(lone.map((server) => server.kill()));
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function untilHealthy(client: CairnClient, servers: number): Promise<void> {
  const deadline = performance.now() + readyDeadlineMs;
  for (;;) {
    const { servers: found } = await client.status();
    if (found.filter(({ state }) => state === 'healthy').length === servers) return;
    if (performance.now() > deadline) throw new Error(`there are not ${servers} chunkservers within 30 s`);
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pollMs));
}

/** Files of one chunk each, until every one of the victims holds enough. */
async function fill(client: CairnClient, victims: readonly LoneChunkserver[], amount: Amount): Promise<void> {
  const content = new Uint8Array(amount.fileBytes).fill(9);
  const enough = Math.ceil(amount.heldBytes / amount.fileBytes);
  for (let n = 0; ; n++) {
    const { servers } = await client.status();
    const held = servers.filter(({ id }) => victims.some((victim) => victim.id === id)).map(({ chunks }) => chunks);
    if (Math.min(...held) >= enough) return;
    await client.writeFile(`/file-${n}`, content);
  }
}

async function killAndWatch(
  cluster: LocalCluster,
  client: CairnClient,
  victims: readonly LoneChunkserver[],
  amount: Amount,
): Promise<{ all: Restored; oneLeft: Restored }> {
  const { leader } = await client.status();
  await Promise.all(victims.map((victim) => victim.kill()));
  const missing = await missingCopies(client, victims);
  while (!(await areDead(client, victims))) await pause();
  const deadAt = performance.now();
  const deadAtWall = Date.now();
  const events = join(cluster.dir, `master-${leader}`, 'events.log');
  const oneLeft = new Set([...missing].filter(([, count]) => count === kept - 1).map(([handle]) => handle));
  while ((await client.status()).underReplicatedChunks > 0) await pause();
  const ms = performance.now() - deadAt;
  const copies = [...missing.values()].reduce((sum, count) => sum + count, 0);
  return {
    all: { bytes: copies * amount.fileBytes, ms },
    oneLeft: {
      bytes: oneLeft.size * amount.fileBytes,
      ms: oneLeft.size === 0 ? 0 : lastFirstCopy(events, oneLeft) - deadAtWall,
    },
  };
}

/** Chunk → how many copies of it the victims had. They must not be taken for dead yet, else some may have been copied. */
async function missingCopies(client: CairnClient, victims: readonly LoneChunkserver[]): Promise<Map<number, number>> {
  const missing = new Map<number, number>();
  await client.fsck('/', {
    onFinding: ({ handle, replicas }) =>
      missing.set(handle, replicas.filter(({ condition }) => condition !== 'good').length),
  });
  if (await areDead(client, victims)) throw new Error('looking at the chunks took too long');
  return missing;
}

async function areDead(client: CairnClient, victims: readonly LoneChunkserver[]): Promise<boolean> {
  const { servers } = await client.status();
  return victims.every((victim) => servers.find(({ id }) => id === victim.id)?.state === 'dead');
}

/** When the last of these chunks had its first new copy, by the leader's events: wall time in ms. */
function lastFirstCopy(events: string, handles: ReadonlySet<number>): number {
  const firsts = new Map<number, number>();
  for (const line of readFileSync(events, 'utf8').trimEnd().split('\n')) {
    const event = JSON.parse(line) as { event: string; time: string; handle: number };
    if (event.event !== 'chunk_replicated' || !handles.has(event.handle) || firsts.has(event.handle)) continue;
    firsts.set(event.handle, Date.parse(event.time));
  }
  if (firsts.size !== handles.size) throw new Error(`${events} tells of ${firsts.size} of ${handles.size} copies`);
  return Math.max(...firsts.values());
}
