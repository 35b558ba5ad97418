/** What a secondary takes from a primary, and what it refuses: asked directly, as no primary that is right would. */
import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion, toMutationSerial, toServerId } from '../../core/base/brand.ts';
import type { OrderedMutation } from '../../core/protocol/chunk-calls.ts';
import { codeOf, difference, joined, pattern, serverAddress, TestCluster } from './cluster.test-support.ts';

const kibi = 1024;

/** Mutation `serial` of chunk 5, which appends `bytes` at `offset`. */
function ordered(
  cluster: TestCluster,
  serial: number,
  offset: number,
  bytes: Uint8Array,
  changes: Partial<OrderedMutation> = {},
): OrderedMutation {
  return {
    handle: toChunkHandle(5),
    version: toChunkVersion(1),
    serial: toMutationSerial(serial),
    offset,
    bytes: bytes.length,
    crc: cluster.client.node.env.crc32(bytes),
    lengthBytes: offset + bytes.length,
    window: [],
    isCut: false,
    sync: false,
    from: { kind: 'body', at: 0 },
    ...changes,
  };
}

async function applyAll(
  cluster: TestCluster,
  mutations: readonly OrderedMutation[],
  body: readonly Uint8Array[],
): Promise<readonly string[]> {
  const rpc = cluster.client.to(serverAddress(1));
  const request = { from: toServerId(9), mutations };
  const { response } = await cluster.settle(rpc.call('apply', request, { body, timeoutMs: 20_000 }));
  const codes = mutations.map(() => 'OK');
  for (const { at, code } of response.failures) codes[at] = code;
  return codes;
}

const first = pattern(100, 1);
const second = pattern(200, 2);

describe('a secondary', () => {
  test('carries out what follows what it has, and refuses what leaves a gap, repeats or is of another version', async () => {
    const cluster = await TestCluster.start(1, 1);
    const apply = (serial: number, version = 1) =>
      applyAll(cluster, [ordered(cluster, serial, 100, second, { version: toChunkVersion(version) })], [second]);
    expect(await apply(1, 2)).toEqual(['CHUNK_MISSING']);
    expect(await apply(2)).toEqual(['CHUNK_MISSING']);
    expect(await applyAll(cluster, [ordered(cluster, 1, 0, first)], [first])).toEqual(['OK']);
    expect(await apply(3)).toEqual(['REPLICA_FAILED']);
    expect(await apply(1)).toEqual(['EXISTS']);
    expect(await apply(1, 2)).toEqual(['REPLICA_FAILED']);
    expect(await apply(2)).toEqual(['OK']);
    expect(difference(await cluster.content(1, 5), joined([first, second]))).toBe('none');
  });

  test('refuses an older version from the moment a newer primary has asked for its image', async () => {
    const cluster = await TestCluster.start(2, 1);
    await applyAll(cluster, [ordered(cluster, 1, 0, first)], [first]);
    const rpc = cluster.client.to(serverAddress(1));
    const image = (fence: number) => rpc.call('image', { handle: toChunkHandle(5), fence: toChunkVersion(fence) });
    const { response } = await cluster.settle(image(3));
    expect(response).toMatchObject({ version: 1, serial: 1, lengthBytes: 100 });
    expect(await applyAll(cluster, [ordered(cluster, 2, 100, second)], [second])).toEqual(['STALE_VERSION']);
    expect(await cluster.settle(codeOf(image(2)))).toBe('STALE_VERSION');
    expect(await cluster.settle(codeOf(image(4)))).toBe('OK');
  });

  test('refuses bytes that are not what their order says, and all that follows them in the chunk, but no other chunk', async () => {
    const cluster = await TestCluster.start(3, 1);
    const other = ordered(cluster, 1, 0, second, { handle: toChunkHandle(6), from: { kind: 'body', at: 100 } });
    const wrong = ordered(cluster, 1, 0, first, { crc: 12345 });
    const next = ordered(cluster, 2, 100, second, { from: { kind: 'body', at: 100 } });
    const codes = await applyAll(cluster, [wrong, next, other], [first, second]);
    expect(codes).toEqual(['CHECKSUM_MISMATCH', 'CHUNK_MISSING', 'OK']);
    const beyond = ordered(cluster, 1, 0, first, { from: { kind: 'body', at: 50 } });
    expect(await applyAll(cluster, [beyond], [first])).toEqual(['CHECKSUM_MISMATCH']);
    expect(difference(await cluster.content(1, 6), second)).toBe('none');
    // It holds nothing against the chunk: what is right is taken.
    expect(await applyAll(cluster, [ordered(cluster, 1, 0, first)], [first])).toEqual(['OK']);
    expect(await applyAll(cluster, [ordered(cluster, 2, 100, second, { crc: 1 })], [second])).toEqual([
      'CHECKSUM_MISMATCH',
    ]);
    expect(await applyAll(cluster, [ordered(cluster, 2, 100, second)], [second])).toEqual(['OK']);
  });

  test('refuses what no chunk is long enough for, and nothing else with it', async () => {
    const cluster = await TestCluster.start(9, 1);
    const far = ordered(cluster, 1, 2 ** 40, first);
    const long = ordered(cluster, 1, 0, first, { handle: toChunkHandle(6), lengthBytes: 2 ** 40 });
    const other = ordered(cluster, 1, 0, first, { handle: toChunkHandle(7) });
    expect(await applyAll(cluster, [far, long, other], [first])).toEqual(['PROTOCOL', 'PROTOCOL', 'OK']);
    expect(difference(await cluster.content(1, 7), first)).toBe('none');
  });

  test('does not take what follows a mutation that it has refused for one that it has carried out', async () => {
    const cluster = await TestCluster.start(11, 1);
    const rpc = cluster.client.to(serverAddress(1));
    const bytes = pattern(100 * kibi, 7);
    const { disk } = cluster.world.node('s1');
    disk.slowness = 300;
    const from = { kind: 'pushed', dataId: 77, at: 10 } as const;
    const slow = ordered(cluster, 1, 0, first, { sync: true });
    const wrong = ordered(cluster, 2, 100, second, { from });
    const under = rpc.call('apply', { from: toServerId(9), mutations: [slow, wrong] }, { body: [first] });
    await cluster.world.run(20);
    rpc.notify('push', { dataId: 77, crc: cluster.client.node.env.crc32(bytes), chain: [] }, [bytes]);
    expect(await applyAll(cluster, [ordered(cluster, 3, 300, first)], [first])).toEqual(['REPLICA_FAILED']);
    disk.healSpeed();
    const { response } = await cluster.settle(under);
    expect(response.failures).toMatchObject([{ at: 1, code: 'CHECKSUM_MISMATCH' }]);
  });

  test('refuses bytes of which only a part was pushed', async () => {
    const cluster = await TestCluster.start(10, 1);
    const rpc = cluster.client.to(serverAddress(1));
    const bytes = pattern(100 * kibi, 7);
    rpc.notify('push', { dataId: 77, crc: cluster.client.node.env.crc32(bytes), chain: [] }, [bytes]);
    const from = { kind: 'pushed', dataId: 77, at: 10 } as const;
    expect(await applyAll(cluster, [ordered(cluster, 1, 0, bytes, { from })], [])).toEqual(['CHECKSUM_MISMATCH']);
  });

  test('gives back the memory of pushed bytes whose order it refuses', async () => {
    const cluster = await TestCluster.start(8, 1, { bulkBuffersMax: 2, bulkMutationsMax: 0 });
    const rpc = cluster.client.to(serverAddress(1));
    const bytes = pattern(100 * kibi, 7);
    const crc = cluster.client.node.env.crc32(bytes);
    for (let n = 0; n < 6; n++) {
      rpc.notify('push', { dataId: 100 + n, crc, chain: [] }, [bytes]);
      const from = { kind: 'pushed', dataId: 100 + n, at: n % 2 === 0 ? 0 : 10 } as const;
      const short = n % 2 === 0 ? bytes : bytes.subarray(0, 50 * kibi);
      const code = n % 2 === 0 ? 'CHUNK_MISSING' : 'CHECKSUM_MISMATCH';
      expect(await applyAll(cluster, [ordered(cluster, 5, 0, short, { from })], [])).toEqual([code]);
    }
    const whole = ordered(cluster, 1, 0, bytes, { from: { kind: 'pushed', dataId: 200, at: 0 } });
    rpc.notify('push', { dataId: 200, crc, chain: [] }, [bytes]);
    expect(await applyAll(cluster, [whole], [])).toEqual(['OK']);
    expect(cluster.servers.get(1)!.load.bulkBuffers).toBe(0);
  });

  test('does not begin a chunk anew that was removed here under the same version: its primary has not heard of that', async () => {
    const cluster = await TestCluster.start(12, 1);
    const { handle, version } = ordered(cluster, 1, 0, first);
    const drop = { handles: [{ handle, version, length: 0 }] };
    expect(await cluster.settle(codeOf(cluster.master.order(1, 'drop', drop)))).toBe('OK');
    expect(await applyAll(cluster, [ordered(cluster, 1, 0, first)], [first])).toEqual(['CHUNK_MISSING']);
    const other = ordered(cluster, 1, 0, first, { handle: toChunkHandle(6) });
    expect(await applyAll(cluster, [other], [first])).toEqual(['OK']);
  });

  test('waits for bytes that were ordered before they came, and keeps the order of what comes meanwhile', async () => {
    const cluster = await TestCluster.start(4, 1);
    const rpc = cluster.client.to(serverAddress(1));
    const late = pattern(100 * kibi, 7);
    const push = () => rpc.notify('push', { dataId: 77, crc: cluster.client.node.env.crc32(late), chain: [] }, [late]);
    cluster.world.after(300, push);
    const pushed = ordered(cluster, 1, 0, late, { from: { kind: 'pushed', dataId: 77, at: 0 } });
    const codes = await applyAll(cluster, [pushed, ordered(cluster, 2, late.length, first)], [first]);
    expect(codes).toEqual(['OK', 'OK']);
    expect(difference(await cluster.content(1, 5), joined([late, first]))).toBe('none');
    expect(cluster.servers.get(1)!.load.stagedBytes).toBe(0);
  });

  test('gives up bytes that never come, with all that waits behind them', async () => {
    const cluster = await TestCluster.start(5, 1, { stagedMaxMs: 1000 });
    const never = ordered(cluster, 1, 0, first, { from: { kind: 'pushed', dataId: 78, at: 0 } });
    const codes = await applyAll(cluster, [never, ordered(cluster, 2, 100, second)], [second]);
    expect(codes).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    expect(await applyAll(cluster, [ordered(cluster, 3, 300, first)], [first])).toEqual(['REPLICA_FAILED']);
  });

  test('throws away bytes that were pushed and never ordered', async () => {
    const cluster = await TestCluster.start(6, 1, { stagedMaxMs: 1000 });
    const rpc = cluster.client.to(serverAddress(1));
    const bytes = pattern(100 * kibi, 7);
    rpc.notify('push', { dataId: 79, crc: cluster.client.node.env.crc32(bytes), chain: [] }, [bytes]);
    await cluster.world.run(100);
    expect(cluster.servers.get(1)!.load.stagedBytes).toBe(bytes.length);
    await cluster.world.run(2000);
    expect(cluster.servers.get(1)!.load.stagedBytes).toBe(0);
  });

  test('takes an adoption only in the state that its image showed', async () => {
    const cluster = await TestCluster.start(7, 1);
    await applyAll(cluster, [ordered(cluster, 1, 0, first)], [first]);
    const rpc = cluster.client.to(serverAddress(1));
    const adopt = (serial: number) =>
      rpc.call(
        'adopt',
        {
          handle: toChunkHandle(5),
          under: toChunkVersion(4),
          base: { version: toChunkVersion(1), serial: toMutationSerial(serial), lengthBytes: 100 },
          version: toChunkVersion(4),
          serial: toMutationSerial(0),
          lengthBytes: 200,
          window: [],
          blocks: [{ block: 0, crc: cluster.client.node.env.crc32(second) }],
        },
        { body: [second] },
      );
    expect(await cluster.settle(codeOf(adopt(2)))).toBe('REPLICA_FAILED');
    expect(difference(await cluster.content(1, 5), first)).toBe('none');
    expect(await cluster.settle(codeOf(adopt(1)))).toBe('OK');
    expect(difference(await cluster.content(1, 5), second)).toBe('none');
    expect(await cluster.settle(codeOf(adopt(1)))).toBe('REPLICA_FAILED');
  });
});
