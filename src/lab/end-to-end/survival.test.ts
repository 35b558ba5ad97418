/** The promise of the first page, on real processes and real files: kill -9 anything, lose nothing. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { checksums, makeTree, noise } from './tree.test-support.ts';

const program = fileURLToPath(new URL('../../../bin/cairn', import.meta.url));
const run = promisify(execFile);
const mebi = 1024 * 1024;

let scratch: string;
let cluster: LocalCluster | undefined;
let clients: CairnClient[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-survival-'));
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  await cluster?.stop();
  cluster = undefined;
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function connect(to: LocalCluster): Promise<CairnClient> {
  const client = await CairnClient.start(nodeEnv({ dir: scratch }), parseClusterUrl(to.url), { deadlineMs: 30_000 });
  clients.push(client);
  return client;
}

async function cairn(to: LocalCluster, ...args: string[]): Promise<string> {
  return (await run(process.execPath, [program, ...args, '--cluster', to.url], { maxBuffer: 64 * mebi })).stdout;
}

async function leaderOf(client: CairnClient): Promise<number> {
  return (await client.status()).leader!;
}

describe('a cluster of real processes', () => {
  it('keeps a tree of 2,000 files and 1 GiB bit for bit while masters and chunkservers are killed', {
    timeout: 600_000,
  }, async () => {
    const source = join(scratch, 'source');
    const made = makeTree(source, { smallFiles: 2000, largeFiles: 4, largeBytes: 250 * mebi });
    expect(made.files).toBeGreaterThanOrEqual(2000);
    expect(made.bytes).toBeGreaterThanOrEqual(2 ** 30);
    cluster = await LocalCluster.start({ program, chunkservers: 4 });
    const client = await connect(cluster);

    let done = false;
    const putting = cairn(cluster, 'put', '-r', source, '/tree', '--json').finally(() => {
      done = true;
    });
    let kills = 0;
    for (; !done && kills < 6; kills++) {
      const victim =
        kills % 2 === 0 ? (['master', await leaderOf(client)] as const) : (['chunkserver', 1 + (kills % 4)] as const);
      await cluster.killHard(victim[0], victim[1]);
      await client.mkdir(`/after-kill-${kills}`); // service goes on
      await settled(client);
    }
    expect(kills).toBeGreaterThan(0);
    const summary = JSON.parse((await putting).trim().split('\n').at(-1)!) as { files: number; failed: number };
    expect(summary).toMatchObject({ files: made.files, failed: 0 });

    const fetched = join(scratch, 'fetched');
    await cairn(cluster, 'get', '-r', '/tree', fetched);
    expect(await checksums(fetched)).toEqual(await checksums(source));
    rmSync(fetched, { recursive: true });
    rmSync(source, { recursive: true });
  });

  it('loses no acknowledged append, doubles none, and tears none, whichever process is killed in the middle', {
    timeout: 240_000,
  }, async () => {
    cluster = await LocalCluster.start({ program });
    const writers = await Promise.all(Array.from({ length: 4 }, () => connect(cluster!)));
    const acknowledged = new Set<string>();
    let stop = false;
    const write = async (client: CairnClient, writer: number): Promise<void> => {
      for (let i = 0; !stop; i++) {
        const line = `${writer}:${i}:${'x'.repeat((i * 37) % 300)}`;
        await client.recordAppend('/log', Buffer.from(`${line}\n`));
        acknowledged.add(line);
      }
    };
    const writing = Promise.all(writers.map(write));
    const watcher = await connect(cluster);
    for (let round = 0; round < 6; round++) {
      const before = acknowledged.size;
      if (round % 2 === 0) await cluster.killHard('chunkserver', 1 + ((round / 2) % 3));
      else await cluster.killHard('master', await leaderOf(watcher));
      await until(() => acknowledged.size > before + 50);
      await settled(watcher);
    }
    stop = true;
    await writing;
    const lines = Buffer.from(await watcher.readFile('/log'))
      .toString('utf8')
      .split('\n')
      .map((line) => line.replaceAll('\0', ''))
      .filter((line) => line !== '');
    expect(lines.length).toBe(acknowledged.size);
    expect(new Set(lines)).toEqual(acknowledged);
  });

  it('has everything acknowledged with durability disk after kill -9 of all processes at once', {
    timeout: 240_000,
  }, async () => {
    const dir = join(scratch, 'all');
    cluster = await LocalCluster.start({ program, dir });
    const { portBase } = cluster;
    const client = await connect(cluster);
    const acknowledged = new Map<string, Uint8Array>();
    let stop = false;
    const write = async (writer: number): Promise<void> => {
      for (let i = 0; !stop; i++) {
        const path = `/all/${writer}-${i}`;
        const content = noise(writer * 1000 + i, (i * 9973) % 300_000);
        try {
          await client.writeFile(path, content, { durability: 'disk', parents: true });
        } catch (error) {
          if (stop) return; // the cluster is gone; this one was not acknowledged
          throw error;
        }
        if (!stop) acknowledged.set(path, content);
      }
    };
    const writing = Promise.all([0, 1, 2, 3].map(write));
    await until(() => acknowledged.size >= 60);
    stop = true;
    await cluster.killAll();
    await client.close();
    await writing;

    cluster = await LocalCluster.start({ program, dir, portBase });
    const again = await connect(cluster);
    for (const [path, content] of acknowledged)
      expect(Buffer.compare(await again.readFile(path), content), path).toBe(0);
    await again.writeFile('/all/new', 'goes on');
  });
});

/** All nodes are back, so that the next kill is again the only one. */
async function settled(client: CairnClient): Promise<void> {
  await until(async () => {
    const { masters, servers, underReplicatedChunks } = await client.status();
    return (
      masters.every(({ role }) => role !== 'down') &&
      servers.every(({ state }) => state === 'healthy') &&
      underReplicatedChunks === 0
    );
  });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 60 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
