/** Bytes on their way down the chain, when one of its servers takes them slowly, or not at all. */
import { describe, expect, test } from 'vitest';
import { difference, pattern, TestClient, TestCluster } from './cluster.test-support.ts';
import { StallWatch } from './stall-watch.ts';

const mebi = 1024 * 1024;
const chunks = [...Array(16).keys()];

/** A whole chunk each, all at once over one connection: more than waits in the queue of another. */
function writeAll(cluster: TestCluster, firstHandle: number, servers: readonly number[]): Promise<unknown> {
  return Promise.all(
    chunks.map((n) => cluster.client.write(cluster.master.grant(firstHandle + n, servers), 0, pattern(mebi, n))),
  );
}

describe('a server that takes nothing any more', () => {
  test('takes nobody with it that stands before it in the chain', async () => {
    const cluster = await TestCluster.start(1);
    cluster.world.network.isolate('s3');
    const began = cluster.world.now;
    await cluster.settle(writeAll(cluster, 5, [1, 2, 3]));
    expect(cluster.world.now - began).toBeLessThan(8000);
    expect(new Set(cluster.master.exclusions.flatMap(({ failed }) => failed))).toEqual(new Set([3]));
    for (const n of chunks) expect(difference(await cluster.content(2, 5 + n), pattern(mebi, n))).toBe('none');
  });

  test('does not hold up for long what has nothing to do with it', async () => {
    const cluster = await TestCluster.start(2);
    cluster.world.network.isolate('s2');
    const under = writeAll(cluster, 5, [1, 2, 3]).catch(() => undefined);
    await cluster.world.run(50);
    const began = cluster.world.now;
    await cluster.settle(writeAll(cluster, 105, [1, 3]));
    expect(cluster.world.now - began).toBeLessThan(4000);
    await cluster.settle(under);
  });
});

test.each([1, 2, 3, 4, 5, 6])(
  'who waits in vain for bytes from a server that is gone is not left out with it (seed %i)',
  async (seed) => {
    const cluster = await TestCluster.start(`middle ${seed}`);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    await cluster.world.run(7 * seed);
    cluster.world.network.isolate('s2');
    await cluster.settle(cluster.client.write(grant, 0, pattern(mebi, seed)));
    expect(cluster.master.exclusions.map(({ failed }) => failed)).toEqual([[2]]);
    expect(difference(await cluster.content(3, 5), pattern(mebi, seed))).toBe('none');
  },
);

test('who waits in vain for the bytes of one chunk goes on with all others', async () => {
  const cluster = await TestCluster.start(5, 3, { replicaTimeoutMs: 300 });
  const [one, other] = [cluster.master.grant(5, [1, 2, 3]), cluster.master.grant(6, [1, 3])];
  cluster.world.network.isolate('s2');
  let isWritten = false;
  const written = cluster.client.write(one, 0, pattern(mebi, 0)).then(() => (isWritten = true));
  for (let n = 0; !isWritten; n++) {
    await cluster.settle(
      Promise.all([0, 1, 2, 3].map((k) => cluster.client.append(other, 1 + k, n, [pattern(100, n)]))),
    );
  }
  await cluster.settle(written);
  expect(cluster.master.exclusions.map(({ handle, failed }) => [handle, ...failed])).toEqual([[5, 2]]);
});

describe('connections to the next hop', () => {
  const connectionsOf = (cluster: TestCluster, id: number) => cluster.servers.get(id)!.load.connections;

  test('are as many as bodies are under way, however many clients there are', async () => {
    const cluster = await TestCluster.start(6);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const counts = [];
    for (let n = 0; n < 5; n++) {
      const client = new TestClient(cluster.world, `client${n}`);
      await cluster.settle(client.write(grant, 0, pattern(100_000, n)));
      counts.push([2, 3].map((id) => connectionsOf(cluster, id)));
    }
    for (const count of counts) expect(count).toEqual(counts[0]);
  });

  test('that nothing goes along any more are closed, though their source stays', async () => {
    const cluster = await TestCluster.start(7, 3, { pushIdleMs: 3000 });
    const [one, other] = [cluster.master.grant(5, [1, 2]), cluster.master.grant(6, [1, 3])];
    await cluster.settle(cluster.client.write(one, 0, pattern(100_000, 0)));
    const before = connectionsOf(cluster, 2);
    for (let n = 0; n < 12; n++) {
      await cluster.settle(cluster.client.write(other, 0, pattern(100_000, n)));
      await cluster.world.run(1000);
    }
    expect(connectionsOf(cluster, 2)).toBe(before - 1);
  });

  test('that takes nothing any more keeps no memory from others', async () => {
    const cluster = await TestCluster.start(8);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100_000, 0)));
    cluster.world.network.isolate('s2');
    await cluster.settle(cluster.client.write(grant, 0, pattern(mebi, 1)));
    expect(cluster.master.exclusions.map(({ failed }) => failed)).toEqual([[2]]);
    await cluster.world.run(6000);
    expect(cluster.servers.get(1)!.load.bulkBuffers).toBe(0);
  });
});

test('a slow link is waited for', async () => {
  const cluster = await TestCluster.start(3);
  cluster.world.network.shape('s2', 's3', { bytesPerMs: 8000 });
  await cluster.settle(writeAll(cluster, 5, [1, 2, 3]));
  expect(cluster.master.exclusions).toEqual([]);
});

test('who gives signs of life, or takes something, has not stalled', async () => {
  const { world, client } = await TestCluster.start(4, 0);
  const watched = { queuedBytes: 9, heard: 0 };
  let isStalled = false;
  let told = 0;
  const on = { moved: () => told++, stalled: () => (isStalled = true) };
  const watch = new StallWatch(client.node.env, watched, 1000, on);
  const moves = [() => watched.heard++, () => watched.queuedBytes--];
  for (let n = 0; n < 10; n++) {
    await world.run(900);
    moves[n % 2]!();
  }
  expect(isStalled).toBe(false);
  await world.run(200);
  expect(told).toBe(10);
  await world.run(1000);
  expect(isStalled).toBe(true);
  watch.cancel();
});
