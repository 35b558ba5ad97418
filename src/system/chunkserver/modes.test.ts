import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import type { Durability, Grant, Mode } from '../../core/protocol/types.ts';
import { chunkBytes, codeOf, difference, joined, pattern, resize, TestCluster } from './cluster.test-support.ts';
import type { Limits } from './limits.ts';

const kibi = 1024;

/** A record on all, and three more that the third server does not get to write: its disk is stalled. Undefined: one that has failed. */
async function withThreeUnderWay(cluster: TestCluster, open: Grant) {
  await cluster.settle(cluster.client.append(open, 9, 1, [pattern(100, 1)]));
  const { disk } = cluster.world.node('s3');
  disk.stall();
  const under = [2, 3, 4].map(async (n) => {
    await new Promise<void>((go) => cluster.world.after(20 * n, go));
    return cluster.client.append(open, 9, n, [pattern(100, n)]).catch(() => undefined);
  });
  await cluster.world.run(200);
  return { under, disk };
}

async function inMode(mode: Mode, seed: number, limits: Partial<Limits> = {}, durability: Durability = 'memory') {
  const cluster = await TestCluster.start(seed, 3, limits);
  const grant = (servers: readonly number[]): Grant => {
    const made = { ...cluster.master.grant(5, servers), mode, durability };
    cluster.master.grants.set(5, made);
    return made;
  };
  return { cluster, grant };
}

describe('mode async', () => {
  test('acknowledges what the primary holds; the others follow, and how far they lag is told', async () => {
    const { cluster, grant } = await inMode('async', 1);
    const heal = cluster.world.network.blackhole(['s1'], ['s2', 's3']);
    const from = cluster.world.now;
    const first = grant([1, 2, 3]);
    await cluster.settle(cluster.client.append(first, 9, 1, [pattern(1000, 1)]));
    expect(cluster.world.now - from).toBeLessThan(100);
    expect(await cluster.settle(cluster.client.length(1, 5))).toBe(1000);
    expect(await cluster.settle(cluster.client.length(2, 5))).toBeUndefined();
    const lag = () => cluster.master.heartbeats.filter(({ server }) => server === 1).at(-1)!.lagBytes;
    await cluster.world.runUntil(() => lag() === 1000, 2000);
    expect(lag()).toBe(1000);
    heal();
    expect(await cluster.world.runUntil(() => lag() === 0, 5000)).toBe(true);
    for (const server of [1, 2, 3]) {
      expect(difference(await cluster.content(server, 5), pattern(1000, 1))).toBe('none');
    }
  });

  test('holds acknowledgements back while the others lag further than the bound', async () => {
    const { cluster, grant } = await inMode('async', 2, { asyncLagBytesMax: 3000, replicaTimeoutMs: 20_000 });
    const heal = cluster.world.network.blackhole(['s1'], ['s3']);
    const open = grant([1, 2, 3]);
    const codes: string[] = [];
    const appends = [1, 2, 3, 4, 5].map((n) =>
      codeOf(cluster.client.append(open, 9, n, [pattern(1000, n)])).then((code) => codes.push(code)),
    );
    await cluster.world.run(1000);
    expect(codes).toEqual(['OK', 'OK', 'OK']);
    heal();
    await cluster.settle(Promise.all(appends));
    expect(codes).toEqual(['OK', 'OK', 'OK', 'OK', 'OK']);
  });

  test('loses a suffix when the primary dies: what the next primary has is a beginning of what was acknowledged', async () => {
    const { cluster, grant } = await inMode('async', 3);
    const open = grant([1, 2, 3]);
    const records = Array.from({ length: 20 }, (_, n) => pattern(500 + n, n));
    await cluster.settle(
      Promise.all(records.slice(0, 8).map((one, n) => cluster.client.append(open, 9, n + 1, [one]))),
    );
    await cluster.world.run(500);
    cluster.world.network.blackhole(['s1'], ['s2', 's3']);
    for (const [n, one] of records.slice(8).entries())
      await cluster.settle(cluster.client.append(open, 9, n + 9, [one]));
    const acknowledged = joined(records);
    cluster.kill(1);
    const next = grant([2, 3]);
    await cluster.settle(cluster.client.write(next, chunkBytes - 1, Uint8Array.of(1)));
    for (const server of [2, 3]) {
      const content = (await cluster.content(server, 5)).subarray(0, 8 * 520);
      const kept = joined(records.slice(0, 8)).length;
      expect(bytesEqual(content.subarray(0, kept), acknowledged.subarray(0, kept))).toBe(true);
      expect(content.subarray(kept).every((byte) => byte === 0)).toBe(true);
    }
  });

  test('acknowledges nothing that the primary alone holds when its session is over: another one may be the primary', async () => {
    const { cluster, grant } = await inMode('async', 10, { replicaTimeoutMs: 20_000 }, 'disk');
    const open = grant([1, 2, 3]);
    await cluster.settle(cluster.client.append(open, 9, 1, [pattern(1000, 1)]));
    const { disk } = cluster.world.node('s1');
    disk.stall();
    const heal = cluster.world.network.blackhole(['s1'], ['m', 's2', 's3']);
    let answer = 'none';
    const append = codeOf(cluster.client.append(open, 9, 2, [pattern(1000, 2)])).then((code) => {
      answer = code;
    });
    await cluster.world.run(1500);
    disk.unstall();
    await cluster.world.run(500);
    expect(cluster.servers.get(1)!.isServing).toBe(false);
    expect(answer).toBe('none');
    heal();
    await cluster.settle(append);
    const isHeld = async (server: number) => (await cluster.content(server, 5)).length === 2000;
    expect(answer).toBe((await isHeld(2)) && (await isHeld(3)) ? 'OK' : 'REPLICA_FAILED');
  });

  test('closes a lease only when all members hold all of it', async () => {
    const { cluster, grant } = await inMode('async', 4);
    const open = grant([1, 2, 3]);
    await cluster.settle(cluster.client.append(open, 9, 1, [pattern(200 * kibi, 1)]));
    const { length } = await cluster.settle(
      cluster.master.order(1, 'release', { handle: open.handle, version: open.version }),
    );
    expect(length).toBe(200 * kibi);
    for (const server of [1, 2, 3]) expect((await cluster.content(server, 5)).length).toBe(length);
  });

  test('goes on without a member that fails, with all that was acknowledged on the others', async () => {
    const { cluster, grant } = await inMode('async', 5, { replicaTimeoutMs: 500 });
    const open = grant([1, 2, 3]);
    await cluster.settle(cluster.client.append(open, 9, 1, [pattern(1000, 1)]));
    cluster.kill(3);
    await cluster.settle(cluster.client.append(open, 9, 2, [pattern(1000, 2)]));
    await cluster.world.run(5000);
    expect(cluster.master.exclusions.length).toBeGreaterThan(0);
    const expected = joined([pattern(1000, 1), pattern(1000, 2)]);
    for (const server of [1, 2]) expect(difference(await cluster.content(server, 5), expected)).toBe('none');
  });
});

test.each(['strong', 'async', 'gfs'] as const)(
  'whom a full chunk sends on is answered when every member holds all of it, in mode %s: nothing in the next outlives it',
  async (mode) => {
    const { cluster, grant } = await inMode(mode, 13, { replicaTimeoutMs: 20_000 });
    const open = grant([1, 2, 3]);
    const before = chunkBytes - 1000;
    await cluster.settle(cluster.client.write(open, 0, pattern(before, 1)));
    const heal = cluster.world.network.blackhole(['s1'], ['s2', 's3']);
    const fits = [pattern(600, 2), pattern(300, 3)] as const;
    const answers: (readonly number[])[] = [];
    const append = async (writer: number, sequence: number, records: readonly Uint8Array[]) =>
      answers.push((await cluster.client.append(open, writer, sequence, records)).offsets);
    const all = [
      append(9, 1, [fits[0]]),
      append(9, 2, [fits[1], pattern(900, 4)]), // fills the chunk
      append(8, 1, [pattern(500, 5)]), // finds it full
    ];
    await cluster.world.run(1000);
    expect(answers).toEqual(mode === 'async' ? [[before]] : []);
    heal();
    await cluster.settle(Promise.all(all));
    expect(answers).toEqual([[before], [before + 600], []]);
    for (const server of [2, 3]) {
      const end = (await cluster.content(server, 5)).subarray(before);
      expect(difference(end, joined([...fits, new Uint8Array(100)]))).toBe('none');
    }
  },
);

describe('mode gfs', () => {
  test('what is repeated lands again', async () => {
    const { cluster, grant } = await inMode('gfs', 6);
    const open = grant([1, 2, 3]);
    const offsets = [];
    for (let n = 0; n < 3; n++)
      offsets.push(await cluster.settle(cluster.client.append(open, 9, 1, [pattern(100, 1)])));
    expect(offsets.map((one) => one.offsets[0])).toEqual([0, 100, 200]);
    for (const server of [1, 2, 3]) expect((await cluster.content(server, 5)).length).toBe(300);
  });

  test('a failed append leaves an inconsistent region, and the next grant leaves it as it is', async () => {
    const { cluster, grant } = await inMode('gfs', 7, { replicaTimeoutMs: 500 }, 'disk');
    const open = grant([1, 2, 3]);
    await cluster.settle(cluster.client.append(open, 9, 1, [pattern(100, 1)]));
    const heal = cluster.world.network.blackhole(['s1'], ['s3']);
    expect(await cluster.settle(codeOf(cluster.client.append(open, 9, 2, [pattern(200, 2)])))).toBe('REPLICA_FAILED');
    heal();
    const next = grant([1, 2, 3]);
    const { offsets } = await cluster.settle(cluster.client.append(next, 9, 2, [pattern(200, 2)]));
    expect(offsets).toEqual([300]);
    const contents = [];
    for (const server of [1, 2, 3]) contents.push(await cluster.content(server, 5));
    for (const content of contents) {
      expect(difference(content.subarray(0, 100), pattern(100, 1))).toBe('none');
      expect(difference(content.subarray(300), pattern(200, 2))).toBe('none');
    }
    expect(difference(contents[0]!.subarray(100, 300), pattern(200, 2))).toBe('none');
    expect(contents[2]!.subarray(100, 300).every((byte) => byte === 0)).toBe(true);
  });

  test('a newer grant for the same primary acknowledges nothing that was under way: not every member may hold it', async () => {
    const { cluster, grant } = await inMode('gfs', 11, { appliesMax: 1 }, 'disk');
    const open = grant([1, 2, 3]);
    const { under, disk } = await withThreeUnderWay(cluster, open);
    const last = cluster.client.append(grant([1, 2, 3]), 9, 9, [pattern(100, 9)]);
    await cluster.world.run(200);
    disk.unstall();
    const appended = await cluster.settle(Promise.all([...under, last]));
    const records = [2, 3, 4, 9].map((n) => pattern(100, n));
    for (const server of [1, 2, 3]) {
      const content = await cluster.content(server, 5);
      for (const [n, one] of appended.entries()) {
        if (one === undefined) continue;
        const [offset] = one.offsets;
        expect(difference(content.subarray(offset, offset! + 100), records[n]!)).toBe('none');
      }
    }
    expect(appended.at(-1)).toBeDefined();
  });

  test('what was ordered in mode strong is made equal under a first grant of mode gfs, before it is acknowledged', async () => {
    const { cluster, grant } = await inMode('strong', 14, { appliesMax: 1 }, 'disk');
    const open = grant([1, 2, 3]);
    const { under, disk } = await withThreeUnderWay(cluster, open);
    const next = { ...grant([1, 2, 3]), mode: 'gfs' as const };
    const last = cluster.client.append(next, 9, 9, [pattern(100, 9)]);
    await cluster.world.run(200);
    disk.unstall();
    expect(await cluster.settle(Promise.all([...under, last]))).not.toContain(undefined);
    const expected = joined([1, 2, 3, 4, 9].map((n) => pattern(100, n)));
    for (const server of [1, 2, 3]) expect(difference(await cluster.content(server, 5), expected)).toBe('none');
  });

  test.each([150, 250])(
    'a resize makes all replicas so long, however long a failed append has left each (%s bytes)',
    async (lengthBytes) => {
      const { cluster, grant } = await inMode('gfs', 12, { replicaTimeoutMs: 500 }, 'disk');
      const open = grant([1, 2, 3]);
      await cluster.settle(cluster.client.append(open, 9, 1, [pattern(100, 1)]));
      const heal = cluster.world.network.blackhole(['s1'], ['s3']);
      expect(await cluster.settle(codeOf(cluster.client.append(open, 9, 2, [pattern(200, 2)])))).toBe('REPLICA_FAILED');
      heal();
      const primary = lengthBytes === 150 ? [1, 2, 3] : [3, 1, 2];
      expect(await cluster.settle(codeOf(resize(cluster, grant(primary), 1, lengthBytes)))).toBe('OK');
      for (const server of [1, 2, 3]) expect((await cluster.content(server, 5)).length).toBe(lengthBytes);
    },
  );

  test.each([1, 2])('nothing of durability memory is lost with the power of one member (server %s)', async (weak) => {
    const { cluster, grant } = await inMode('gfs', 10);
    const records = [1, 2, 3, 4, 5, 6].map((n) => pattern(50_000 + n, n));
    const append = (open: Grant, n: number) => cluster.settle(cluster.client.append(open, 9, n, [records[n]!]));
    const flushed = { ...grant([1, 2, 3]), durability: 'disk' as const };
    for (const n of [0, 1, 2]) await append(flushed, n);
    const held = grant([1, 2, 3]);
    for (const n of [3, 4, 5]) await append(held, n);
    cluster.kill(weak, true);
    await cluster.restart(weak);
    const left = await cluster.settle(cluster.client.length(weak, 5));
    expect(left).toBeGreaterThanOrEqual(joined(records.slice(0, 3)).length);
    expect(left).toBeLessThan(joined(records).length);
    await cluster.settle(cluster.client.append(grant([1, 2, 3]), 9, 9, [pattern(10, 9)]));
    for (const server of [1, 2, 3])
      expect(difference(await cluster.content(server, 5), joined([...records, pattern(10, 9)]))).toBe('none');
  });

  test('nothing acknowledged is lost with the primary', async () => {
    const { cluster, grant } = await inMode('gfs', 8, { replicaTimeoutMs: 500 });
    const open = grant([1, 2, 3]);
    const records = [1, 2, 3].map((n) => pattern(1000, n));
    for (const [n, one] of records.entries()) await cluster.settle(cluster.client.append(open, 9, n, [one]));
    cluster.kill(1);
    await cluster.settle(cluster.client.append(grant([2, 3]), 9, 9, [pattern(10, 9)]));
    for (const server of [2, 3]) {
      expect(difference(await cluster.content(server, 5), joined([...records, pattern(10, 9)]))).toBe('none');
    }
  });
});
