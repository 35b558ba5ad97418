import { describe, expect, test } from 'vitest';
import { encode } from '../../core/base/codec.ts';
import type { Connection, ConnectionHandler } from '../../core/base/env.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import { requestHead } from '../rpc/frames.ts';
import {
  chunkBytes,
  codeOf,
  difference,
  joined,
  pattern,
  serverAddress,
  TestClient,
  TestCluster,
} from './cluster.test-support.ts';

const kibi = 1024;
const mebi = 1024 * kibi;

/** A connection that speaks frames, but no calls. */
function rawConnection(cluster: TestCluster, server: number, name = 'stranger') {
  const state = { frames: 0, closed: '' };
  const handler: ConnectionHandler = {
    frame: () => {
      state.frames += 1;
      return undefined;
    },
    closed: (reason) => {
      state.closed = reason;
    },
  };
  const connection: Connection = cluster.world.node(name).env.network.connect(serverAddress(server), handler);
  return { connection, state };
}

function mutateHead(grant: Grant, crc: number): Uint8Array {
  const request = { grant, kind: { kind: 'write', offset: 0 } as const, crc, chunkBytes };
  return requestHead(0, 1, chunkCalls.mutate.tag, chunkCalls.mutate.request, request);
}

describe('what no client asks for', () => {
  test('a sequence beyond all numbers harms no mutation of others', async () => {
    const cluster = await TestCluster.start(30);
    const [one, other] = [5, 6].map((handle) => cluster.master.grant(handle, [1, 2, 3]));
    const records = [pattern(10, 1), pattern(10, 2)];
    const codes = Promise.all([
      codeOf(cluster.client.append(one!, 1, Number.MAX_SAFE_INTEGER, records)),
      codeOf(cluster.client.append(other!, 2, 1, records)),
    ]);
    expect(await cluster.settle(codes)).toEqual(['INVALID_ARGUMENT', 'OK']);
    expect(await cluster.settle(codeOf(cluster.client.append(one!, 1, 1, records)))).toBe('OK');
  });
});

describe('what comes damaged', () => {
  test.each([1000, 300 * kibi])('a body of %i bytes with a wrong checksum changes nothing', async (length) => {
    const cluster = await TestCluster.start(`crc ${length}`);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(length, 0)));
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(length, 1), 12345)))).toBe(
      'CHECKSUM_MISMATCH',
    );
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), pattern(length, 0))).toBe('none');
    // The same connections go on.
    await cluster.settle(cluster.client.write(grant, 0, pattern(length, 2)));
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), pattern(length, 2))).toBe('none');
    await cluster.world.run(100);
    for (const id of [1, 2, 3]) {
      expect(cluster.servers.get(id)!.load).toMatchObject({
        stagedBytes: 0,
        mutationBytes: 0,
        bulkBuffers: 0,
        smallBuffers: 0,
      });
    }
  });

  test('frames of garbage close their connection and nothing else', async () => {
    const cluster = await TestCluster.start(2);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    for (let seed = 0; seed < 30; seed++) {
      const { connection } = rawConnection(cluster, 1 + (seed % 3), `stranger${seed}`);
      const head = pattern(seed * 7, seed);
      if (seed % 3 === 0) head.set(encode(chunkCalls.lengths.request, { handles: [] }).subarray(0, head.length));
      if (head.length > 6) head.set([seed % 4, 0, 0, 0, 0, [1, 2, 3, 16, 17, 18, 19][seed % 7]!]);
      connection.send(head, [pattern(seed * 100, seed)]);
    }
    await cluster.world.run(100);
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), pattern(1000, 0))).toBe('none');
  });

  test('what is too large, empty, or not what it says is refused', async () => {
    const cluster = await TestCluster.start(3);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const { client } = cluster;
    expect(await cluster.settle(codeOf(client.write(grant, 0, pattern(mebi + 1, 0))))).toBe('TOO_LARGE');
    expect(await cluster.settle(codeOf(client.write(grant, 0, new Uint8Array(0))))).toBe('INVALID_ARGUMENT');
    expect(await cluster.settle(codeOf(client.write(grant, chunkBytes, pattern(1, 0))))).toBe('INVALID_ARGUMENT');
    expect(await cluster.settle(codeOf(client.append(grant, 1, 0, [new Uint8Array(0)])))).toBe('INVALID_ARGUMENT');
    expect(await cluster.settle(codeOf(client.append(grant, 0, 1, [pattern(9, 0)])))).toBe('INVALID_ARGUMENT');
    const rpc = client.to(serverAddress(1));
    const kind = { kind: 'append', writer: 1, since: undefined, firstSequence: 0, lengths: [5] } as const;
    const lying = rpc.call('mutate', { grant, kind, crc: 0, chunkBytes }, { body: [pattern(6, 0)] });
    expect(await cluster.settle(codeOf(lying))).toBe('INVALID_ARGUMENT');
    expect(await cluster.settle(codeOf(client.read(1, 5, 0, mebi + 1)))).toBe('INVALID_ARGUMENT');
    expect(await cluster.settle(codeOf(client.read(1, 99, 0, 10)))).toBe('CHUNK_MISSING');
  });
});

describe('a slow hop', () => {
  test('of the chain gets every byte as it was, though the memory of those before it is used again', async () => {
    const cluster = await TestCluster.start(15, 3, { replicaTimeoutMs: 20_000 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.world.network.shape('s2', 's3', { bytesPerMs: 3000 });
    // One after another at the primary, so that a secondary has done with the first while later ones arrive.
    const pieces = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => pattern(120 * kibi, n));
    const writes = pieces.map(async (piece, n) => {
      await new Promise<void>((resolve) => cluster.world.after(n * 10, resolve));
      return cluster.client.write(grant, n * 120 * kibi, piece);
    });
    await cluster.settle(Promise.all(writes));
    expect(cluster.master.exclusions).toEqual([]);
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), joined(pieces))).toBe('none');
  });
});

describe('a client that breaks off', () => {
  test('in the middle of a body leaves the chain in order for others', async () => {
    const cluster = await TestCluster.start(10);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const { connection } = rawConnection(cluster, 1);
    const whole = pattern(600 * kibi, 7);
    const crc = cluster.client.node.env.crc32(whole);
    const frame = connection.startFrame(mutateHead(grant, crc), whole.length);
    frame.piece(whole.subarray(0, 400 * kibi));
    await cluster.world.run(20);
    connection.close('enough');
    await cluster.world.run(20);
    await cluster.settle(cluster.client.write(grant, 0, pattern(500 * kibi, 1)));
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), pattern(500 * kibi, 1))).toBe('none');
    expect(cluster.master.exclusions).toEqual([]);
    await cluster.world.run(100);
    for (const id of [1, 2, 3]) {
      expect(cluster.servers.get(id)!.load).toMatchObject({
        stagedBytes: 0,
        mutationBytes: 0,
        bulkBuffers: 0,
        smallBuffers: 0,
      });
    }
  });

  test('after a whole mutation does not take that one with it, however slow the chain is', async () => {
    const cluster = await TestCluster.start(12);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.world.network.shape('s1', 's2', { bytesPerMs: 3000 });
    const { connection } = rawConnection(cluster, 1);
    const whole = pattern(600 * kibi, 7);
    const crc = cluster.client.node.env.crc32(whole);
    connection.send(mutateHead(grant, crc), [whole]);
    const frame = connection.startFrame(mutateHead(grant, crc), whole.length);
    frame.piece(whole.subarray(0, 100 * kibi));
    await cluster.world.run(20);
    connection.close('enough');
    await cluster.world.run(1500);
    expect(cluster.master.exclusions).toEqual([]);
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), whole)).toBe('none');
  });

  test('or just stops holds up nobody, and is disconnected in the end', async () => {
    const cluster = await TestCluster.start(11, 3, { bodyStallMs: 3000 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const { connection, state } = rawConnection(cluster, 1);
    const frame = connection.startFrame(mutateHead(grant, 0), 600 * kibi);
    frame.piece(pattern(300 * kibi, 7));
    await cluster.world.run(20);
    const before = cluster.world.now;
    await cluster.settle(cluster.client.write(grant, 0, pattern(500 * kibi, 1)));
    expect(cluster.world.now - before).toBeLessThan(100);
    expect(await cluster.world.runUntil(() => state.closed !== '', 10_000)).toBe(true);
  });
});

describe('bounds', () => {
  test('a reader that stops taking does not make memory grow, others read on, and it is disconnected in the end', async () => {
    const readBytesPerPeerMax = 512 * kibi;
    const limits = { readBytesMax: 2 * mebi, readBytesPerPeerMax, readStallMs: 5000 };
    const cluster = await TestCluster.start(20, 1, limits);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1]), 0, pattern(mebi, 0)));
    const slow = new TestClient(cluster.world, 'slow');
    const rpc = slow.to(serverAddress(1));
    await cluster.settle(rpc.call('describe', {}));
    rpc.hold();
    const codes = [...Array(200).keys()].map(() => codeOf(slow.read(1, 5, 0, 256 * kibi)));
    let most = 0;
    for (let n = 0; n < 100; n++) {
      await cluster.world.run(20);
      most = Math.max(most, cluster.servers.get(1)!.load.readBytes);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(readBytesPerPeerMax);
    expect(difference(await cluster.content(1, 5), pattern(mebi, 0))).toBe('none');
    const all = await cluster.settle(Promise.all(codes));
    expect(new Set(all)).toEqual(new Set(['TIMED_OUT']));
    expect(await cluster.world.runUntil(() => cluster.servers.get(1)!.load.readBytes === 0, 20_000)).toBe(true);
  });

  test('mutations over the bound are refused as BUSY, and taken again when there is room', async () => {
    const cluster = await TestCluster.start(21, 3, { mutationBytesMax: 300 * kibi });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const codes = await cluster.settle(
      Promise.all(
        [...Array(10).keys()].map((n) => codeOf(cluster.client.write(grant, n * 60 * kibi, pattern(60 * kibi, n)))),
      ),
    );
    expect(new Set(codes)).toEqual(new Set(['OK', 'BUSY']));
    expect(cluster.servers.get(1)!.load.mutationBytes).toBe(0);
    await cluster.settle(cluster.client.write(grant, 0, pattern(60 * kibi, 1)));
  });

  test('a client with much under way is read from more slowly, and all of it succeeds', async () => {
    const cluster = await TestCluster.start(22, 3, { mutationBytesPerPeerMax: 400 * kibi });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const writes = [...Array(12).keys()].map((n) => cluster.client.write(grant, n * 80 * kibi, pattern(80 * kibi, n)));
    let most = 0;
    const watch = () => {
      most = Math.max(most, cluster.servers.get(1)!.load.mutationBytes);
      cluster.world.after(0.2, watch);
    };
    watch();
    await cluster.settle(Promise.all(writes));
    expect(most).toBeLessThanOrEqual(560 * kibi);
    for (let n = 0; n < 12; n++) {
      const part = await cluster.settle(cluster.client.read(3, 5, n * 80 * kibi, 80 * kibi));
      expect(difference(part, pattern(80 * kibi, n))).toBe('none');
    }
  });

  test('a secondary without room for pushed bytes is left behind, no mutation is lost', async () => {
    const cluster = await TestCluster.start(23, 3, { stagedBytesMax: 0, stagedMaxMs: 500 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    for (const id of [2, 3]) cluster.world.after(2600, () => cluster.world.network.isolate(`s${id}`));
    await cluster.settle(cluster.client.write(grant, 0, pattern(200 * kibi, 1)));
    expect(difference(await cluster.content(1, 5), pattern(200 * kibi, 1))).toBe('none');
  });

  test('bytes that were pushed and got no order make way for others', async () => {
    const cluster = await TestCluster.start(25, 3, { stagedBytesMax: 400 * kibi });
    const full = cluster.master.grant(5, [1, 2, 3]);
    for (let n = 0; n < 4; n++) await cluster.settle(cluster.client.append(full, 1, n, [pattern(chunkBytes / 4, n)]));
    const appends = [4, 5, 6, 7].map((n) => cluster.client.append(full, 1, n, [pattern(80 * kibi, n)]));
    const appended = await cluster.settle(Promise.all(appends));
    expect(appended.map(({ offsets }) => offsets)).toEqual([[], [], [], []]);
    await cluster.settle(cluster.client.write(cluster.master.grant(6, [1, 2, 3]), 0, pattern(200 * kibi, 8)));
    expect(cluster.master.exclusions).toEqual([]);
    for (const id of [1, 2, 3]) {
      expect(difference(await cluster.content(id, 6), pattern(200 * kibi, 8))).toBe('none');
      expect(cluster.servers.get(id)!.load.stagedBytes).toBeLessThanOrEqual(400 * kibi);
    }
  });

  test('whatever is pushed leaves buffers for the mutations of clients', async () => {
    const cluster = await TestCluster.start(26, 1, { bulkBuffersMax: 8, bulkMutationsMax: 4 });
    const bytes = pattern(70 * kibi, 1);
    const crc = cluster.client.node.env.crc32(bytes);
    const rpc = cluster.client.to(serverAddress(1));
    for (let n = 0; n < 12; n++) rpc.notify('push', { dataId: 100 + n, crc, chain: [] }, [bytes]);
    await cluster.world.run(100);
    expect(cluster.servers.get(1)!.load.stagedBytes).toBe(12 * bytes.length);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1]), 0, bytes));
    expect(difference(await cluster.content(1, 5), bytes)).toBe('none');
  });

  test('an order that comes long after its bytes, as its chunk was made equal first, counts on none that were pushed', async () => {
    const limits = { stagedMaxMs: 600, pushedMaxMs: 200, recoveryStepBytes: 64 * kibi };
    const cluster = await TestCluster.start(27, 3, limits);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2]), 0, pattern(mebi, 1)));
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.world.network.shape('s1', 's3', { extraLatencyMs: 100 });
    const began = cluster.world.now;
    await cluster.settle(cluster.client.write(grant, 0, pattern(200 * kibi, 2)));
    expect(cluster.world.now - began).toBeGreaterThan(1200);
    expect(cluster.master.exclusions).toEqual([]);
    const expected = joined([pattern(200 * kibi, 2), pattern(mebi, 1).subarray(200 * kibi)]);
    for (const id of [1, 2, 3]) expect(difference(await cluster.content(id, 5), expected)).toBe('none');
  });

  test('when more is pushed than there are buffers nobody is left behind, and clients are told to come again', async () => {
    const cluster = await TestCluster.start(24, 3, { bulkBuffersMax: 8, bulkMutationsMax: 4 });
    const sets = [
      [1, 2, 3],
      [2, 3, 1],
      [3, 1, 2],
    ];
    const writeUntilTaken = async (n: number): Promise<number> => {
      const grant = cluster.master.grant(5 + n, sets[n % 3]!);
      for (let busy = 0; ; busy++) {
        const code = await codeOf(cluster.client.write(grant, 0, pattern(70 * kibi, n)));
        if (code === 'OK') return busy;
        expect(code).toBe('BUSY');
        await new Promise<void>((resolve) => cluster.world.after(5, resolve));
      }
    };
    const writes = Array.from({ length: 60 }, (_, n) => writeUntilTaken(n));
    const busy = await cluster.settle(Promise.all(writes));
    expect(busy.some((count) => count > 0)).toBe(true);
    expect(cluster.master.exclusions).toEqual([]);
  });
});
