import { describe, expect, test } from 'vitest';
import { toChunkHandle } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { codeOf, pattern, serverAddress, TestCluster } from './cluster.test-support.ts';
import type { Limits } from './limits.ts';

const kibi = 1024;
const chunkBytes = 300 * kibi;
const handles = [1, 2, 3, 4];
const pathOf = (handle: number) => `chunks/chunks/00/${handle.toString(16).padStart(16, '0')}`;

/** Four chunks of 300 KiB, each on three servers, on disk. */
async function withChunks(seed: number, limits: Partial<Limits> = {}) {
  const cluster = await TestCluster.start(seed, 3, { leaseIdleMs: 300, ...limits });
  for (const handle of handles) {
    const grant = cluster.master.grant(handle, [1, 2, 3], 'disk');
    await cluster.settle(cluster.client.write(grant, 0, pattern(chunkBytes, handle)));
  }
  await cluster.world.run(1500);
  return cluster;
}

async function statusOf(cluster: TestCluster, now = false) {
  const rpc = cluster.client.to(serverAddress(1));
  return (await cluster.settle(rpc.call('scrub', { now }))).response;
}

/** Has server 1 look at everything; what it found. */
async function scrub(cluster: TestCluster) {
  await statusOf(cluster, true);
  for (let n = 0; n < 200; n++) {
    const status = await statusOf(cluster);
    if (!status.isRunning) return status;
    await cluster.world.run(50);
  }
  throw new Error('the pass does not end');
}

const reported = (cluster: TestCluster) => cluster.master.heartbeats.flatMap(({ damaged }) => damaged);

describe('the scrubber', () => {
  test('goes over all blocks and finds nothing where nothing is wrong', async () => {
    const cluster = await withChunks(1);
    expect(await scrub(cluster)).toMatchObject({
      isRunning: false,
      chunks: 4,
      chunksTotal: 4,
      bytes: 4 * chunkBytes,
      damaged: [],
    });
  });

  test('finds flipped bits, shortened and removed files, also of files that are open; the master is told', async () => {
    const cluster = await withChunks(2);
    const { disk, env } = cluster.world.node('s1');
    disk.flipBit(pathOf(1), 200_000);
    await cluster.settle(env.disk.remove(pathOf(2)));
    const file = env.disk.openNow(pathOf(3), 'write');
    await cluster.settle(file.truncate(100_000));
    const { damaged } = await scrub(cluster);
    expect(damaged).toEqual([
      { handle: 1, blocks: 1 },
      { handle: 2, blocks: 0 },
      { handle: 3, blocks: 4 },
    ]);
    await cluster.world.run(600);
    expect([...new Set(reported(cluster))].toSorted()).toEqual([1, 2, 3]);
  });

  test("finds two files that have each other's name", async () => {
    const cluster = await withChunks(3);
    const { disk } = cluster.world.node('s1').env;
    await cluster.settle(disk.rename(pathOf(1), 'aside'));
    await cluster.settle(disk.rename(pathOf(2), pathOf(1)));
    await cluster.settle(disk.rename('aside', pathOf(2)));
    expect((await scrub(cluster)).damaged.map(({ handle }) => handle)).toEqual([1, 2]);
  });

  test('a file that cannot be read is damage too', async () => {
    const cluster = await withChunks(4);
    cluster.world.node('s1').disk.arm('readError', (path) => path === pathOf(3));
    expect((await scrub(cluster)).damaged).toEqual([{ handle: 3, blocks: 0 }]);
  });

  test('calls nothing damaged because this server can open no more files just now, nor does a read', async () => {
    const cluster = await withChunks(9);
    const { disk } = cluster.world.node('s1').env;
    const open = disk.openNow.bind(disk);
    disk.openNow = (path, mode) => {
      if (path.startsWith('chunks/chunks/')) throw new CairnError('BUSY', 'too many files are open');
      return open(path, mode);
    };
    expect(await scrub(cluster)).toMatchObject({ damaged: [] });
    const read = cluster.client
      .to(serverAddress(1))
      .call('read', { handle: toChunkHandle(2), offset: 0, length: 1000 });
    expect(await cluster.settle(codeOf(read))).toBe('BUSY');
    disk.openNow = open;
    expect(await scrub(cluster)).toMatchObject({ chunks: 4, damaged: [] });
    expect(reported(cluster)).toEqual([]);
  });

  test('begins by itself, keeps within its rate, and not again before it is due', async () => {
    const cluster = await withChunks(5, {
      scrubDelayMs: 5000,
      scrubEveryMs: 60_000,
      scrubBytesPerSecond: 100 * kibi,
    });
    expect((await statusOf(cluster)).startedAt).toBeUndefined();
    await cluster.world.run(6000);
    const under = await statusOf(cluster);
    expect(under.isRunning).toBe(true);
    await cluster.world.run(13_000);
    const done = await statusOf(cluster);
    expect(done).toMatchObject({ isRunning: false, chunks: 4 });
    expect(done.finishedAt! - done.startedAt!).toBeGreaterThan(11_900);
    await cluster.world.run(50_000);
    expect((await statusOf(cluster)).startedAt).toBe(done.startedAt);
    await cluster.world.run(15_000);
    expect((await statusOf(cluster)).startedAt).toBeGreaterThan(done.startedAt!);
  });

  test('gives way to whoever reads or writes, but goes on by a piece each second', async () => {
    const cluster = await withChunks(6, { scrubDelayMs: 4000, scrubEveryMs: 1e9, scrubBytesPerSecond: 1e9 });
    let isOver = false;
    const reads = async (): Promise<void> => {
      while (!isOver) {
        await cluster.client.read(1, 1, 0, 100);
        await new Promise<void>((resolve) => cluster.world.after(20, () => resolve()));
      }
    };
    void reads();
    await cluster.world.run(4000);
    expect(await statusOf(cluster)).toMatchObject({ isRunning: true });
    await cluster.world.run(5000);
    expect(await statusOf(cluster)).toMatchObject({ isRunning: false, chunks: 4 });
    isOver = true;
  });

  test('goes on where it was after a restart', async () => {
    const limits = { scrubDelayMs: 1, scrubEveryMs: 1e9, scrubBytesPerSecond: 200 * kibi };
    const cluster = await TestCluster.start(7, 3, { leaseIdleMs: 300, ...limits, scrubDelayMs: 3000 });
    for (const handle of handles) {
      const grant = cluster.master.grant(handle, [1, 2, 3], 'disk');
      await cluster.settle(cluster.client.write(grant, 0, pattern(chunkBytes, handle)));
    }
    await cluster.world.run(6000);
    const before = await statusOf(cluster);
    expect(before.chunks).toBeGreaterThan(0);
    expect(before.isRunning).toBe(true);
    await cluster.settle(cluster.servers.get(1)!.stop());
    cluster.kill(1);
    await cluster.restart(1);
    await cluster.world.run(12_000);
    const after = await statusOf(cluster);
    expect(after).toMatchObject({ isRunning: false, startedAt: before.startedAt });
    expect(after.chunks + before.chunks).toBeLessThanOrEqual(5);
  });
});
