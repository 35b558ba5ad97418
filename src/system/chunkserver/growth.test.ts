import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { codeOf, pattern, serverAddress, TestCluster } from './cluster.test-support.ts';

const h = toChunkHandle(5);
type Known = RequestOf<(typeof chunkCalls)['awaitGrowth']>['known'];

/** A chunk of 100 bytes on three servers, and what it is at the first, its primary. */
async function chunkOf100(seed: number, limits = {}) {
  const cluster = await TestCluster.start(seed, 3, limits);
  const grant = cluster.master.grant(5, [1, 2, 3]);
  await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
  const known = { version: toChunkVersion(1), length: 100, isOpen: true };
  return { cluster, grant, known };
}

function waitAt(cluster: TestCluster, server: number, known: Known, waitMs = 10_000) {
  const rpc = cluster.client.to(serverAddress(server));
  const answer = rpc.call('awaitGrowth', { handle: h, known, waitMs }, { timeoutMs: 20_000 });
  return answer.then(({ response }) => response);
}

describe('waiting for a chunk to grow', () => {
  test('is over at once when it is not what was known, and told what it is', async () => {
    const { cluster, known } = await chunkOf100(1);
    expect(await cluster.settle(waitAt(cluster, 1, undefined))).toEqual(known);
    expect(await cluster.settle(waitAt(cluster, 1, { ...known, length: 90 }))).toEqual(known);
  });

  test('ends at the primary with the acknowledgement, not before', async () => {
    const { cluster, grant, known } = await chunkOf100(2);
    const heal = cluster.world.network.blackhole(['s1'], ['s3']);
    let told: unknown;
    void waitAt(cluster, 1, known).then((present) => (told = present));
    const write = cluster.client.write(grant, 100, pattern(50, 1));
    await cluster.world.run(500);
    expect(told).toBeUndefined();
    heal();
    await cluster.settle(write);
    await cluster.world.run(5);
    expect(told).toMatchObject({ length: 150 });
  });

  test('ends when the lease is given up, and when another server becomes the primary', async () => {
    const { cluster, known } = await chunkOf100(3);
    expect(await cluster.settle(waitAt(cluster, 1, known))).toEqual({ ...known, isOpen: false });
    const moved = waitAt(cluster, 1, { ...known, isOpen: false });
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [2, 1, 3]), 100, pattern(9, 1)));
    expect(await cluster.settle(moved)).toEqual({ version: 2, length: 100, isOpen: false });
  });

  test('ends when the replica is dropped', async () => {
    const { cluster, known } = await chunkOf100(4);
    const code = codeOf(waitAt(cluster, 2, { ...known, isOpen: false }));
    const held = { handle: h, version: toChunkVersion(1), length: 100 };
    await cluster.settle(cluster.master.order(2, 'drop', { handles: [held] }));
    expect(await cluster.settle(code)).toBe('CHUNK_MISSING');
  });

  test('is bounded in time and in number', async () => {
    const { cluster, known } = await chunkOf100(5, { growthWaitsMax: 2, leaseIdleMs: 60_000 });
    const from = cluster.world.now;
    const two = [waitAt(cluster, 1, known, 300), waitAt(cluster, 1, known, 1e9)];
    expect(await cluster.settle(codeOf(waitAt(cluster, 1, known)))).toBe('BUSY');
    expect(await cluster.settle(two[0]!)).toEqual(known);
    expect(cluster.world.now - from).toBeLessThan(400);
    await cluster.settle(two[1]!);
    expect(cluster.world.now - from).toBeLessThan(10_200);
  });
});
