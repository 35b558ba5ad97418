import { describe, expect, test } from 'vitest';
import { chunkBytes, codeOf, difference, joined, pattern, resize, TestCluster } from './cluster.test-support.ts';

async function expectContent(cluster: TestCluster, servers: readonly number[], expected: Uint8Array): Promise<void> {
  for (const server of servers) expect(difference(await cluster.content(server, 5), expected)).toBe('none');
}

async function chunkOf(seed: number, lengthBytes: number) {
  const cluster = await TestCluster.start(seed);
  const grant = cluster.master.grant(5, [1, 2, 3]);
  const bytes = pattern(lengthBytes, seed);
  await cluster.settle(cluster.client.write(grant, 0, bytes));
  return { cluster, grant, bytes };
}

describe('a resize', () => {
  test('cuts the chunk on every replica, and adds zeros to it', async () => {
    const { cluster, grant, bytes } = await chunkOf(1, 150_000);
    expect(await cluster.settle(resize(cluster, grant, 1, 70_001))).toMatchObject({ lengthBytes: 70_001 });
    await expectContent(cluster, [1, 2, 3], bytes.subarray(0, 70_001));
    expect(await cluster.settle(cluster.client.length(1, 5))).toBe(70_001);
    await cluster.settle(resize(cluster, grant, 2, 140_000));
    await expectContent(cluster, [1, 2, 3], joined([bytes.subarray(0, 70_001), new Uint8Array(69_999)]));
  });

  test('makes a chunk that was never written to', async () => {
    const cluster = await TestCluster.start(2);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(resize(cluster, grant, 1, 3000));
    await expectContent(cluster, [1, 2, 3], new Uint8Array(3000));
  });

  test('keeps its place among writes and appends that are sent with it', async () => {
    const { cluster, grant, bytes } = await chunkOf(3, 1000);
    await cluster.settle(
      Promise.all([
        cluster.client.append(grant, 9, 1, [pattern(100, 1)]),
        resize(cluster, grant, 1, 500),
        cluster.client.append(grant, 9, 2, [pattern(100, 2)]),
        cluster.client.write(grant, 0, pattern(10, 3)),
        resize(cluster, grant, 2, 550),
        resize(cluster, grant, 3, 800),
      ]),
    );
    const expected = joined([pattern(10, 3), bytes.subarray(10, 500), pattern(50, 2), new Uint8Array(250)]);
    await expectContent(cluster, [1, 2, 3], expected);
  });

  test('that is repeated is done once: what was appended since stays', async () => {
    const { cluster, grant, bytes } = await chunkOf(4, 1000);
    await cluster.settle(resize(cluster, grant, 1, 500));
    await cluster.settle(cluster.client.append(grant, 9, 1, [pattern(300, 1)]));
    const expected = joined([bytes.subarray(0, 500), pattern(300, 1)]);
    expect(await cluster.settle(resize(cluster, grant, 1, 500))).toMatchObject({ lengthBytes: 800 });
    await expectContent(cluster, [1, 2, 3], expected);
    // Also by the next primary, under another version.
    cluster.kill(1);
    await cluster.settle(resize(cluster, cluster.master.grant(5, [2, 3]), 1, 500));
    await expectContent(cluster, [2, 3], expected);
  });

  test('that is repeated is done once in mode gfs too, after two primaries that went on with what they had', async () => {
    const cluster = await TestCluster.start(8);
    const grantTo = (servers: readonly number[]) =>
      ({ ...cluster.master.grant(5, servers), mode: 'gfs', durability: 'disk' }) as const;
    const first = grantTo([1, 2, 3]);
    const bytes = pattern(1000, 8);
    await cluster.settle(cluster.client.write(first, 0, bytes));
    await cluster.settle(resize(cluster, first, 1, 500));
    cluster.kill(1);
    await cluster.settle(cluster.client.append(grantTo([2, 3]), 9, 1, [pattern(300, 1)]));
    cluster.kill(2);
    const again = resize(cluster, grantTo([3]), 1, 500, { since: first.version });
    expect(await cluster.settle(again)).toMatchObject({ lengthBytes: 800 });
    await expectContent(cluster, [3], joined([bytes.subarray(0, 500), pattern(300, 1)]));
  });

  test('outlasts a loss of power of all replicas, whatever the durability', async () => {
    const { cluster, grant, bytes } = await chunkOf(5, 100_000);
    await cluster.settle(resize(cluster, grant, 1, 4000));
    for (const server of [1, 2, 3]) cluster.kill(server, true);
    for (const server of [1, 2, 3]) await cluster.restart(server);
    await expectContent(cluster, [1, 2, 3], bytes.subarray(0, 4000));
  });

  test('that a replica did not take is made up for by recovery: the others go on without it, then it is made equal', async () => {
    const { cluster, grant, bytes } = await chunkOf(6, 200_000);
    cluster.world.network.blackhole(['s1'], ['s3']);
    cluster.kill(3);
    await cluster.settle(resize(cluster, grant, 1, 90_000));
    expect(cluster.master.exclusions.length).toBeGreaterThan(0);
    await expectContent(cluster, [1, 2], bytes.subarray(0, 90_000));
  });

  test('beyond the chunk, with bytes, or of a version that is over, is refused', async () => {
    const { cluster, grant } = await chunkOf(7, 1000);
    expect(await cluster.settle(codeOf(resize(cluster, grant, 1, chunkBytes + 1)))).toBe('INVALID_ARGUMENT');
    const rpc = cluster.client.to(grant.replicas[0]!.address);
    const kind = { kind: 'resize' as const, writer: 77, since: undefined, sequence: 1, lengthBytes: 10 };
    const withBytes = rpc.call('mutate', { grant, kind, crc: 0, chunkBytes }, { body: [pattern(1, 1)] });
    expect(await cluster.settle(codeOf(withBytes))).toBe('INVALID_ARGUMENT');
    const next = cluster.master.grant(5, [2, 1, 3]);
    await cluster.settle(resize(cluster, next, 1, 900));
    expect(await cluster.settle(codeOf(resize(cluster, grant, 2, 10)))).toBe('STALE_VERSION');
  });
});
