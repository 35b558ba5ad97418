import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion, toServerId } from '../../core/base/brand.ts';
import type { Grant } from '../../core/protocol/types.ts';
import { chunkBytes, codeOf, difference, joined, pattern, serverAddress, TestCluster } from './cluster.test-support.ts';

const kibi = 1024;

async function sameOn(cluster: TestCluster, servers: readonly number[], handle: number): Promise<Uint8Array> {
  const [first, ...others] = servers;
  const content = await cluster.content(first!, handle);
  for (const other of others) expect(difference(await cluster.content(other, handle), content)).toBe('none');
  return content;
}

/** How often `record` stands in `content`. */
function count(content: Uint8Array, record: Uint8Array): number {
  let found = 0;
  for (let at = 0; at + record.length <= content.length; at++) {
    let same = 0;
    while (same < record.length && content[at + same] === record[same]) same += 1;
    if (same === record.length) found += 1;
  }
  return found;
}

describe('exactly-once appends', () => {
  test('a retry returns the first offset and writes nothing, also while the first try is under way', async () => {
    const cluster = await TestCluster.start(1);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const records = [pattern(100, 1), pattern(200, 2)];
    const twice = [cluster.client.append(grant, 1, 1, records), cluster.client.append(grant, 1, 1, records)];
    const [first, second] = await cluster.settle(Promise.all(twice));
    expect(second).toEqual(first);
    // Records that were batched differently: one known, one new.
    const third = await cluster.settle(cluster.client.append(grant, 1, 2, [records[1]!, pattern(50, 3)]));
    expect(third).toEqual({ offsets: [100, 300], lengthBytes: 350 });
    const content = await sameOn(cluster, [1, 2, 3], 5);
    expect(difference(content, joined([...records, pattern(50, 3)]))).toBe('none');
  });

  test('a retry of a large frame of which some is known writes the rest once', async () => {
    const cluster = await TestCluster.start(2);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const records = [0, 1, 2].map((n) => pattern(60 * kibi, n));
    await cluster.settle(cluster.client.append(grant, 1, 2, [records[1]!]));
    const answer = await cluster.settle(cluster.client.append(grant, 1, 1, records));
    expect(answer.offsets).toEqual([60 * kibi, 0, 120 * kibi]);
    const content = await sameOn(cluster, [1, 2, 3], 5);
    expect(difference(content, joined([records[1]!, records[0]!, records[2]!]))).toBe('none');
  });

  test('a sequence that lies too far back is refused, never appended twice', async () => {
    const cluster = await TestCluster.start(3, 1);
    const grant = cluster.master.grant(5, [1]);
    const ones = (n: number) => Array.from({ length: n }, () => Uint8Array.of(1));
    for (let n = 0; n < 3; n++) await cluster.settle(cluster.client.append(grant, 1, n * 1000, ones(1000)));
    expect(await cluster.settle(codeOf(cluster.client.append(grant, 1, 10, ones(1))))).toBe('UNKNOWN_OUTCOME');
    expect((await cluster.settle(cluster.client.append(grant, 1, 2999, ones(1)))).offsets).toEqual([2999]);
  });

  test('a retry whose writer was forgotten meanwhile is refused, never appended twice; so it is after a change of primary', async () => {
    const cluster = await TestCluster.start(4, 3, { windowWritersMax: 2 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const one = (n: number) => [pattern(100, n)];
    for (const writer of [1, 2, 3]) await cluster.settle(cluster.client.append(grant, writer, 1, one(writer)));
    const again = (under: Grant, writer: number, since = grant.version) =>
      cluster.client.append(under, writer, 1, one(writer), since);
    expect(await cluster.settle(codeOf(again(grant, 1)))).toBe('UNKNOWN_OUTCOME');
    expect((await cluster.settle(again(grant, 2))).offsets).toEqual([100]);
    const next = cluster.master.grant(5, [2, 3]);
    expect(await cluster.settle(codeOf(again(next, 1)))).toBe('UNKNOWN_OUTCOME');
    expect((await cluster.settle(again(next, 3))).offsets).toEqual([200]);
    // Who was sent first under this version is not among those that were forgotten under the one before.
    expect((await cluster.settle(again(next, 9, next.version))).offsets).toEqual([300]);
    // By now writer 2 is forgotten. What it sends first is new, what it had sent before that is not.
    expect((await cluster.settle(cluster.client.append(next, 2, 5, one(5)))).offsets).toEqual([400]);
    expect(await cluster.settle(codeOf(again(next, 2)))).toBe('UNKNOWN_OUTCOME');
    expect((await sameOn(cluster, [2, 3], 5)).length).toBe(500);
  });

  test('what a sealed chunk took it takes no second time: not by a retry, after a change of primary, nor after a crash of all', async () => {
    const cluster = await TestCluster.start(7);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const filling = Array.from({ length: 4 }, (_, n) => pattern(chunkBytes / 4 - 100, n));
    await cluster.settle(cluster.client.append(grant, 1, 1, filling));
    // The frame that fills the chunk: it takes two of these records, and padding in place of the third.
    const last = [pattern(150, 5), pattern(200, 6), pattern(300, 7)];
    const first = await cluster.settle(cluster.client.append(grant, 2, 1, last));
    expect(first).toEqual({ offsets: [chunkBytes - 400, chunkBytes - 250], lengthBytes: chunkBytes });
    const content = await sameOn(cluster, [1, 2, 3], 5);
    await cluster.settle(cluster.master.order(1, 'release', grant));
    const retry = (under: Grant) => cluster.settle(cluster.client.append(under, 2, 1, last, grant.version));

    cluster.kill(1);
    expect(await retry(cluster.master.grant(5, [2, 3]))).toEqual(first);
    // The file has gone on in another chunk meanwhile: what the writer has there changes nothing here.
    const next = cluster.master.grant(6, [2, 3]);
    await cluster.settle(cluster.client.append(next, 2, 3, last.slice(2)));
    for (const id of [2, 3]) cluster.kill(id);
    for (const id of [2, 3]) await cluster.restart(id);
    expect(await retry(cluster.master.grant(5, [3, 2]))).toEqual(first);
    expect(difference(await sameOn(cluster, [2, 3], 5), content)).toBe('none');
  });

  test('a primary that has nothing leaves nobody out who may have it, nor takes a mutation for fewer than are asked for', async () => {
    const cluster = await TestCluster.start(6);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.append(grant, 1, 1, [pattern(100, 1)]));
    cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.master.order(1, 'drop', { handles: [{ ...grant, length: 100 }] }));
    for (const server of [2, 3]) cluster.kill(server);
    const granted = (more: Partial<Grant>) => {
      const next = { ...cluster.master.grant(5, [1, 2, 3]), ...more };
      cluster.master.grants.set(5, next);
      return next;
    };
    const next = granted({ knownLength: 100 });
    expect(await cluster.settle(codeOf(cluster.client.append(next, 1, 2, [pattern(100, 2)])))).toBe('UNAVAILABLE');
    expect(cluster.master.exclusions.flatMap(({ failed }) => failed)).toEqual([]);
    const few = granted({ knownLength: 100, minReplicas: 4 });
    expect(await cluster.settle(codeOf(cluster.client.append(few, 1, 2, [pattern(100, 2)])))).toBe('UNAVAILABLE');
  });

  test('what was ordered is not refused as if it had not been, when its lease ends', async () => {
    const cluster = await TestCluster.start(5);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.append(grant, 1, 1, [pattern(100, 1)]));
    cluster.world.node('s2').pause();
    const pending = cluster.client.append(grant, 1, 2, [pattern(100, 2)]);
    await cluster.world.run(5);
    const next = cluster.master.grant(5, [3, 1]);
    const later = cluster.client.append(next, 2, 1, [pattern(100, 3)]);
    expect(await cluster.settle(codeOf(pending))).toBe('REPLICA_FAILED');
    await cluster.settle(later);
    expect(await cluster.settle(codeOf(cluster.client.append(grant, 1, 2, [pattern(100, 2)])))).toBe('STALE_VERSION');
  });

  test.each([...Array(12).keys()])('holds through a kill of the primary in mid-flight (seed %i)', async (seed) => {
    const cluster = await TestCluster.start(`kill ${seed}`);
    let grant = cluster.master.grant(5, [1, 2, 3], seed % 2 === 0 ? 'memory' : 'disk');
    const records = [...Array(24).keys()].map((n) => pattern(n % 5 === 0 ? 70 * kibi : 300, 100 + n));
    const known = new Map<number, number>();
    const send = (sequence: number) =>
      cluster.client.append(grant, 1, sequence, [records[sequence]!]).then(
        ({ offsets }) => void known.set(sequence, offsets[0]!),
        () => undefined,
      );
    for (let n = 0; n < records.length; n += 6) {
      for (let k = n; k < n + 6; k++) void send(k);
      await cluster.world.run(1);
    }
    await cluster.world.run(seed / 2);
    cluster.kill(1);
    const acknowledged = new Map(known);
    grant = cluster.master.grant(5, [2, 3]);
    await cluster.settle(Promise.all(records.map((_, sequence) => send(sequence))));
    expect(known.size).toBe(records.length);
    for (const [sequence, offset] of acknowledged) expect(known.get(sequence)).toBe(offset);
    const content = await sameOn(cluster, [2, 3], 5);
    records.forEach((record, sequence) => {
      const offset = known.get(sequence)!;
      expect(difference(content.subarray(offset, offset + record.length), record)).toBe('none');
      expect(count(content, record.subarray(0, 100))).toBe(1);
    });
  });
});

describe('a secondary that fails', () => {
  test('is excluded, and what was under way is acknowledged under the new version', async () => {
    const cluster = await TestCluster.start(10);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.append(grant, 1, 0, [pattern(100, 0)]));
    const pending = [1, 2, 3, 4].map((n) => cluster.client.append(grant, 1, n, [pattern(n * 40 * kibi, n)]));
    await cluster.world.run(0.3);
    cluster.kill(2);
    const answers = await cluster.settle(Promise.all(pending));
    expect(cluster.master.exclusions.map(({ failed, version }) => ({ failed, version }))).toEqual([
      { failed: [toServerId(2)], version: grant.version },
    ]);
    const content = await sameOn(cluster, [1, 3], 5);
    answers.forEach(({ offsets: [offset] }, i) => {
      const record = pattern((i + 1) * 40 * kibi, i + 1);
      expect(difference(content.subarray(offset!, offset! + record.length), record)).toBe('none');
    });
    // The old grant names the failed one: its holder must ask anew.
    expect(await cluster.settle(codeOf(cluster.client.append(grant, 1, 9, [pattern(10, 9)])))).toBe('STALE_VERSION');
    const next = cluster.master.grants.get(5)!;
    expect((await cluster.settle(cluster.client.append(next, 1, 9, [pattern(10, 9)]))).offsets).toHaveLength(1);
  });

  test('by not answering at all is noticed and excluded', async () => {
    const cluster = await TestCluster.start(11);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    cluster.world.node('s3').pause();
    const before = cluster.world.now;
    await cluster.settle(cluster.client.write(grant, 1000, pattern(200 * kibi, 1)));
    expect(cluster.world.now - before).toBeLessThan(4500);
    expect(cluster.master.exclusions.map(({ failed }) => failed)).toEqual([[3]]);
    await sameOn(cluster, [1, 2], 5);
  });

  test('fails the mutation when the master does not exclude it, and the chunk waits for a new grant', async () => {
    const cluster = await TestCluster.start(12, 3, { excludeTimeoutMs: 1500 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    cluster.kill(2);
    cluster.world.network.isolate('m');
    const failed = cluster.client.write(grant, 1000, pattern(1000, 1));
    await expect(cluster.settle(failed)).rejects.toMatchObject({ code: 'REPLICA_FAILED', hint: '2' });
    cluster.world.network.heal();
    await cluster.serving();
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 1000, pattern(1000, 1))))).toBe('STALE_VERSION');
    const next = cluster.master.grant(5, [1, 3]);
    await cluster.settle(cluster.client.write(next, 1000, pattern(1000, 1)));
    expect(difference(await sameOn(cluster, [1, 3], 5), joined([pattern(1000, 0), pattern(1000, 1)]))).toBe('none');
  });

  test('with a full disk is excluded; a full primary says so and names itself', async () => {
    const cluster = await TestCluster.start(13);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    const disk = cluster.world.node('s2').disk;
    disk.capacityBytes = disk.usedBytes;
    // The failed one lives: the script waits for its session, which the real master ends by asking it.
    cluster.world.after(200, () => cluster.world.network.isolate('s2'));
    await cluster.settle(cluster.client.write(grant, 1000, pattern(500 * kibi, 1)));
    expect(cluster.master.exclusions[0]?.failed).toEqual([2]);
    await sameOn(cluster, [1, 3], 5);
    const primary = cluster.world.node('s1').disk;
    primary.capacityBytes = primary.usedBytes;
    const refused = cluster.client.write(cluster.master.grants.get(5)!, 513_000, pattern(400 * kibi, 2));
    await expect(cluster.settle(refused)).rejects.toMatchObject({ code: 'DISK_FULL', hint: '1' });
  });

  test('that has only its reserve left says that there is no room, so that it gets no new chunks', async () => {
    const cluster = await TestCluster.start(13);
    const last = () => cluster.master.heartbeats.at(-1)!;
    expect(last().freeBytes).toBeGreaterThan(0);
    for (const id of [1, 2, 3]) {
      const { disk } = cluster.world.node(`s${id}`);
      disk.capacityBytes = disk.usedBytes + 500 * kibi; // half of what is kept
    }
    expect(await cluster.world.runUntil(() => last().freeBytes === 0, 5000)).toBe(true);
  });
});

describe('a disk that fails', () => {
  test('in a sync ends the server; the others go on, and its next start has what it acknowledged', async () => {
    const cluster = await TestCluster.start(15);
    const grant = cluster.master.grant(5, [1, 2, 3], 'disk');
    await cluster.settle(cluster.client.write(grant, 0, pattern(1000, 0)));
    cluster.world.node('s2').disk.arm('syncError');
    const pending = cluster.client.write(grant, 1000, pattern(1000, 1));
    expect(await cluster.world.runUntil(() => cluster.diskFailures.length > 0, 5000)).toBe(true);
    expect(cluster.diskFailures[0]).toMatchObject({ id: 2, error: { code: 'DISK_FAILED' } });
    cluster.kill(2);
    await cluster.settle(pending);
    expect(cluster.master.exclusions[0]?.failed).toEqual([2]);
    expect(difference(await sameOn(cluster, [1, 3], 5), joined([pattern(1000, 0), pattern(1000, 1)]))).toBe('none');
    await cluster.restart(2);
    expect(difference((await cluster.content(2, 5)).subarray(0, 1000), pattern(1000, 0))).toBe('none');
  });

  test('to be written to fails one chunk only', async () => {
    const cluster = await TestCluster.start(16);
    const [one, other] = [cluster.master.grant(5, [1, 2, 3]), cluster.master.grant(6, [1, 2, 3])];
    await cluster.settle(
      Promise.all([one, other].map((grant) => cluster.client.write(grant, 0, pattern(100 * kibi, 0)))),
    );
    const { disk } = cluster.world.node('s1');
    const path = disk.paths().filter((name) => disk.file(name).sizeBytes >= 100 * kibi && name.includes('chunk'));
    disk.arm('writeError', (name) => path.includes(name));
    const writes = [one, other].map((grant) => codeOf(cluster.client.write(grant, 100 * kibi, pattern(100 * kibi, 1))));
    const codes = await cluster.settle(Promise.all(writes));
    expect(codes.sort()).toEqual(['DISK_FAILED', 'OK']);
    expect(cluster.diskFailures).toEqual([]);
  });
});

describe('versions', () => {
  test('a newer primary makes the others equal to itself and deposes the old one', async () => {
    const cluster = await TestCluster.start(20);
    const old = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(old, 0, pattern(900 * kibi, 0)));
    const next = cluster.master.grant(5, [2, 1, 3]);
    const [late, answer] = await cluster.settle(
      Promise.all([
        codeOf(cluster.client.write(old, 0, pattern(800 * kibi, 1))),
        cluster.client.write(next, 900 * kibi, pattern(100, 2)),
      ]),
    );
    expect(answer.lengthBytes).toBe(900 * kibi + 100);
    expect(['OK', 'STALE_VERSION']).toContain(late);
    const content = await sameOn(cluster, [1, 2, 3], 5);
    expect(difference(content.subarray(900 * kibi), pattern(100, 2))).toBe('none');
    expect(await cluster.settle(codeOf(cluster.client.write(old, 0, pattern(10, 3))))).toBe('STALE_VERSION');
    expect(
      await cluster.settle(codeOf(cluster.client.write({ ...old, version: next.version }, 0, pattern(10, 3)))),
    ).toBe('STALE_VERSION');
  });

  test('recovery copies what differs, cuts what is too long and brings what is missing', async () => {
    const cluster = await TestCluster.start(21);
    const alone = cluster.master.grant(5, [2]);
    await cluster.settle(cluster.client.append(alone, 7, 0, [pattern(250 * kibi, 0), pattern(200 * kibi, 9)]));
    const longer = cluster.master.grant(5, [3]);
    // Server 3 has never seen the chunk: to the master's script that does not matter.
    cluster.master.grants.set(5, { ...alone });
    const other = { ...longer, version: alone.version };
    await cluster.settle(cluster.client.write(other, 0, pattern(700 * kibi, 1)));
    const all = cluster.master.grant(5, [2, 3, 1]);
    const answer = await cluster.settle(cluster.client.append(all, 7, 1, [pattern(200 * kibi, 9), pattern(5, 2)]));
    expect(answer.offsets).toEqual([250 * kibi, 450 * kibi]);
    const content = await sameOn(cluster, [1, 2, 3], 5);
    expect(difference(content, joined([pattern(250 * kibi, 0), pattern(200 * kibi, 9), pattern(5, 2)]))).toBe('none');
  });

  test('a primary that holds less than a member first takes the rest from it; a chunk that nobody holds begins empty', async () => {
    const cluster = await TestCluster.start(22);
    const grant = cluster.master.grant(5, [2, 3]);
    const bytes = pattern(700 * kibi, 0);
    await cluster.settle(cluster.client.write(grant, 0, bytes));
    const absent = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(absent, bytes.length, pattern(100, 1)));
    expect(difference(await sameOn(cluster, [1, 2, 3], 5), joined([bytes, pattern(100, 1)]))).toBe('none');
    cluster.master.grant(6, [1, 2, 3]);
    const second = cluster.master.grant(6, [2, 3]);
    await cluster.settle(cluster.client.write(second, 0, pattern(100, 2)));
    expect(difference(await sameOn(cluster, [2, 3], 6), pattern(100, 2))).toBe('none');
  });

  test.each([false, true])(
    'a primary whose machine lost what was not synced loses nothing of it (old grant used: %s)',
    async (isOld) => {
      const cluster = await TestCluster.start(`amnesia ${isOld} 5`);
      let grant = cluster.master.grant(5, [1, 2, 3]);
      const records = [...Array(6).keys()].map((n) => pattern(50 * kibi + n, n));
      for (const [n, record] of records.entries()) await cluster.settle(cluster.client.append(grant, 1, n, [record]));
      cluster.world.node('s1').crash({ loseUnsynced: true });
      cluster.servers.delete(1);
      await cluster.restart(1);
      expect(await cluster.settle(cluster.client.length(1, 5))).not.toBe(joined(records).length);
      if (isOld) {
        const code = await cluster.settle(codeOf(cluster.client.append(grant, 1, 6, [pattern(10, 6)])));
        expect(['CHUNK_MISSING', 'STALE_VERSION']).toContain(code);
      }
      grant = cluster.master.grant(5, [1, 2, 3]);
      const again = await cluster.settle(cluster.client.append(grant, 1, 2, [records[2]!]));
      expect(again.offsets).toEqual([records[0]!.length + records[1]!.length]);
      expect(difference(await sameOn(cluster, [1, 2, 3], 5), joined(records))).toBe('none');
      expect(cluster.master.exclusions.flatMap(({ failed }) => failed)).toEqual([]);
    },
  );

  test('a grant does not outlast the process: after a restart it must be a new one', async () => {
    const cluster = await TestCluster.start(23);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    cluster.kill(1);
    await cluster.restart(1);
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(100, 1))))).toBe('STALE_VERSION');
    const next = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(next, 100, pattern(100, 1)));
    await sameOn(cluster, [1, 2, 3], 5);
  });

  test.each([1, 2])(
    'nor does one of version %i of a chunk that was removed before: nothing begins anew where it was',
    async (version) => {
      const cluster = await TestCluster.start(25);
      let grant = cluster.master.grant(5, [1, 2, 3]);
      await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
      if (version > 1) grant = cluster.master.grant(5, [1, 2, 3]);
      await cluster.settle(cluster.client.write(grant, 100, pattern(100, 1)));
      // The file was cut by another client. The one with the grant does not know of it.
      const held = { handle: toChunkHandle(5), version: toChunkVersion(version), length: 200 };
      for (const id of [1, 2, 3]) await cluster.settle(cluster.master.order(id, 'drop', { handles: [held] }));
      cluster.master.grants.delete(5);
      cluster.master.nextHandle = 6;
      cluster.kill(1);
      await cluster.restart(1);
      expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(100, 2))))).toBe('STALE_VERSION');
      expect(await cluster.settle(cluster.client.length(1, 5))).toBeUndefined();
    },
  );

  test('a chunk that was made before, and never begun, begins once the master has confirmed it', async () => {
    const cluster = await TestCluster.start(26);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.master.nextHandle = 6;
    cluster.kill(1);
    await cluster.restart(1);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    expect(cluster.master.exclusions).toEqual([expect.objectContaining({ handle: 5, version: 1, failed: [] })]);
    await sameOn(cluster, [1, 2, 3], 5);
    const made = cluster.master.grant(6, [1, 2, 3]);
    await cluster.settle(cluster.client.write(made, 0, pattern(100, 0)));
    expect(cluster.master.exclusions).toHaveLength(1);
  });

  test('nor does it begin if no master confirms it: who waits is not told that nobody knows what became of it', async () => {
    const cluster = await TestCluster.start(28);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.master.nextHandle = 6;
    cluster.kill(1);
    await cluster.restart(1);
    cluster.world.network.blackhole(['s1'], ['m']);
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(100, 0))))).toBe('NO_QUORUM');
  });

  test('one that is confirmed does not hide a later one that has come meanwhile', async () => {
    const cluster = await TestCluster.start(27);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    cluster.master.nextHandle = 6;
    cluster.kill(1);
    await cluster.restart(1);
    cluster.world.network.shape('m', 's1', { extraLatencyMs: 100 });
    const first = codeOf(cluster.client.write(grant, 0, pattern(100, 0)));
    await cluster.world.runUntil(() => cluster.master.exclusions.length > 0, 1000);
    await cluster.world.run(20);
    const later = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.write(later, 100, pattern(100, 1)));
    await cluster.settle(first);
    const { response } = await cluster.settle(
      cluster.client.to(serverAddress(2)).call('image', { handle: later.handle, fence: undefined }),
    );
    expect(response.version).toBe(later.version);
  });

  test('a server that is not first in the grant refuses', async () => {
    const cluster = await TestCluster.start(24);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const misdirected: Grant = { ...grant, replicas: [{ ...grant.replicas[1]!, address: serverAddress(1) }] };
    expect(await cluster.settle(codeOf(cluster.client.write(misdirected, 0, pattern(10, 0))))).toBe('NOT_PRIMARY');
  });
});

describe('the session', () => {
  test('lapses without the master: reads and mutations are refused, and it comes back by itself', async () => {
    const cluster = await TestCluster.start(30);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    const heal = cluster.world.network.partition(['m'], ['s1', 's2', 's3']);
    await cluster.world.run(1100);
    expect(await cluster.settle(codeOf(cluster.client.read(2, 5, 0, 100)))).toBe('LEASE_EXPIRED');
    expect(await cluster.settle(codeOf(cluster.client.length(1, 5)))).toBe('LEASE_EXPIRED');
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(100, 1))))).toBe('LEASE_EXPIRED');
    heal();
    await cluster.serving();
    await cluster.world.run(500);
    expect(difference(await cluster.content(2, 5), pattern(100, 0))).toBe('none');
  });

  test('is counted from when the heartbeat was sent', async () => {
    const cluster = await TestCluster.start(31, 1);
    cluster.world.network.shape('m', 's1', { extraLatencyMs: 600 });
    await cluster.world.run(3000);
    // Each answer takes 600 ms: of 1000 ms no more than 400 are left when it comes.
    const server = cluster.servers.get(1)!;
    let served = 0;
    for (let n = 0; n < 400; n++) {
      await cluster.world.run(10);
      if (server.isServing) served += 1;
    }
    expect(served).toBeGreaterThan(0);
    const { response } = await cluster.settle(cluster.client.to(serverAddress(1)).call('describe', {}));
    expect(response.sessionLeftMs).toBeLessThanOrEqual(400);
  });

  test('begins again with a heartbeat that names what this server holds', async () => {
    const cluster = await TestCluster.start(32, 1);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1]), 0, pattern(100, 0)));
    const heal = cluster.world.network.partition(['m'], ['s1']);
    await cluster.world.run(1500);
    expect(cluster.servers.get(1)!.isServing).toBe(false);
    heal();
    const before = cluster.master.heartbeats.length;
    await cluster.serving();
    const since = cluster.master.heartbeats.slice(before).map(({ inventory }) => inventory.map(({ handle }) => handle));
    expect(since).toContainEqual([5]);
    expect(difference(await cluster.content(1, 5), pattern(100, 0))).toBe('none');
  });
});

describe('a session', () => {
  const isPage = ({
    server,
    inventoryFrom,
    inventoryTo,
  }: {
    server: number;
    inventoryFrom: number;
    inventoryTo: number;
  }) => server === 2 && inventoryTo >= inventoryFrom;

  test.each([
    [
      'of the same leader that has begun anew, unnoticed here, puts all chunks in doubt',
      { leader: 1, number: 2 },
      true,
    ],
    ['of another leader that it has assumed goes on', { leader: 2, number: 1 }, false],
    ['of another leader that has lapsed there puts all chunks in doubt', { leader: 2, number: 2 }, true],
  ])('%s', async (_, session, isDoubted) => {
    const cluster = await TestCluster.start(70, 3, { inventoryEveryMs: 60_000 });
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(100, 0)));
    await cluster.world.run(1000);
    const before = cluster.master.heartbeats.length;
    cluster.master.session = session;
    await cluster.world.run(1000);
    expect(cluster.master.heartbeats.slice(before).filter(isPage).length).toBe(isDoubted ? 1 : 0);
    expect(difference(await cluster.content(2, 5), pattern(100, 0))).toBe('none');
  });

  test('that the master does not give ends the one that there may be by the own clock', async () => {
    const cluster = await TestCluster.start(71);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(100, 0)));
    cluster.master.refusesSessions = true;
    await cluster.world.run(300); // a heartbeat; the session before it has longer
    expect(await cluster.settle(codeOf(cluster.client.read(2, 5, 0, 100)))).toBe('LEASE_EXPIRED');
    cluster.master.refusesSessions = false;
    await cluster.world.run(1000);
    expect(difference(await cluster.content(2, 5), pattern(100, 0))).toBe('none');
  });
});
