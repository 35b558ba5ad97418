import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { chunkBytes, codeOf, difference, joined, pattern, serverAddress, TestCluster } from './cluster.test-support.ts';

const kibi = 1024;
const h = toChunkHandle;
const v = toChunkVersion;

describe('leases', () => {
  test('an idle one is given up with a heartbeat, and its grant is refused from then on', async () => {
    const cluster = await TestCluster.start(1);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(300, 0)));
    const reports = () => cluster.master.heartbeats.flatMap(({ lengths }) => lengths);
    await cluster.world.run(1500);
    expect(reports()).toEqual([{ handle: 5, version: 1, length: 300, release: false }]);
    expect((await cluster.settle(cluster.client.write(grant, 300, pattern(10, 1)))).lengthBytes).toBe(310);
    await cluster.world.runUntil(() => reports().some(({ release }) => release), 5000);
    expect(reports().at(-1)).toEqual({ handle: 5, version: 1, length: 310, release: true });
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 310, pattern(10, 2))))).toBe('STALE_VERSION');
    const next = cluster.master.grant(5, [1, 2, 3]);
    expect((await cluster.settle(cluster.client.write(next, 310, pattern(10, 2)))).lengthBytes).toBe(320);
  });

  test('a length told under a version that has ended when the answer comes is told under the next one', async () => {
    const cluster = await TestCluster.start(4);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(300, 0)));
    const versionsTold = () =>
      cluster.master.heartbeats.flatMap(({ lengths }) => lengths).map(({ version, length }) => ({ version, length }));
    let answer: (() => void) | undefined;
    cluster.master.onHeartbeat = async ({ lengths }) => {
      if (lengths.length === 0 || answer !== undefined) return;
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
    };
    cluster.master.garbage.set(3, [{ handle: h(5), version: v(1), length: 300 }]);
    const isTheReplicaGone = () => !cluster.master.garbage.has(3);
    expect(await cluster.world.runUntil(() => answer !== undefined && isTheReplicaGone(), 500)).toBe(true);
    await cluster.settle(cluster.client.write(grant, 0, pattern(300, 1)));
    expect(cluster.master.grants.get(5)!.version).toBe(2);
    expect(versionsTold()).toEqual([{ version: 1, length: 300 }]);
    answer!();
    expect(await cluster.world.runUntil(() => versionsTold().length > 1, 1000)).toBe(true);
    expect(versionsTold()[1]).toEqual({ version: 2, length: 300 });
  });

  test('lengths and releases are told again while masters can log nothing, and the session holds', async () => {
    const cluster = await TestCluster.start(5, 1);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1]), 0, pattern(300, 0)));
    cluster.master.logsNothing = true;
    const told = () => cluster.master.heartbeats.flatMap(({ lengths }) => lengths);
    const releases = () => told().filter(({ release }) => release).length;
    expect(await cluster.world.runUntil(() => releases() > 2, 6000)).toBe(true);
    expect(told().filter(({ release }) => !release).length).toBeGreaterThan(2);
    cluster.master.logsNothing = false;
    await cluster.world.run(600);
    const before = told().length;
    await cluster.world.run(1000);
    expect(told().length).toBe(before);
  });

  test('a release that the master did not acknowledge is told again', async () => {
    const cluster = await TestCluster.start(2, 1);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1]), 0, pattern(300, 0)));
    const heal = cluster.world.network.blackhole(['m'], ['s1']);
    await cluster.world.run(3000);
    heal();
    const before = cluster.master.heartbeats.length;
    const told = () =>
      cluster.master.heartbeats.slice(before).some(({ lengths }) => lengths.some((one) => one.release));
    expect(await cluster.world.runUntil(told, 5000)).toBe(true);
  });

  test.each([1, 2])(
    'one of version %i begins no second time where the replica was dropped meanwhile',
    async (version) => {
      const cluster = await TestCluster.start(10, 4);
      let grant = cluster.master.grant(5, [1, 2, 3]);
      await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
      if (version > 1) grant = cluster.master.grant(5, [1, 2, 3]);
      await cluster.settle(cluster.client.write(grant, 100, pattern(100, 1)));
      // The chunk is sealed and moved from server 1 to server 4, all under this version; the client has its grant still.
      const held = { handle: h(5), version: v(version) };
      const sealed = await cluster.settle(cluster.master.order(1, 'release', held));
      const from = cluster.master.replica(2);
      await cluster.settle(cluster.master.order(4, 'clone', { ...held, from, bytesPerSecond: 0 }));
      await cluster.settle(cluster.master.order(1, 'drop', { handles: [{ ...held, ...sealed }] }));
      expect(await cluster.settle(codeOf(cluster.client.write(grant, 200, pattern(9, 9))))).not.toBe('OK');
      const next = cluster.master.grant(5, [2, 3, 4]);
      expect((await cluster.settle(cluster.client.write(next, 200, pattern(100, 2)))).lengthBytes).toBe(300);
      const bytes = joined([pattern(100, 0), pattern(100, 1), pattern(100, 2)]);
      for (const server of [2, 3, 4]) expect(difference(await cluster.content(server, 5), bytes)).toBe('none');
    },
  );

  test('when the master takes it back nothing under it succeeds, and what was under way is in the length', async () => {
    const cluster = await TestCluster.start(3);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    const writes = [1, 2, 3].map((n) => codeOf(cluster.client.write(grant, n * 100, pattern(100, n))));
    await cluster.world.run(0.5);
    const { length } = await cluster.settle(cluster.master.order(1, 'release', { handle: h(5), version: v(1) }));
    const codes = await cluster.settle(Promise.all(writes));
    expect(length).toBe(100 + 100 * codes.filter((code) => code === 'OK').length);
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(9, 9))))).toBe('STALE_VERSION');
  });

  test('it is given back only when what was ordered has come to its end on every member', async () => {
    const cluster = await TestCluster.start(9);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    const heal = cluster.world.network.blackhole(['s1'], ['s3']);
    const write = codeOf(cluster.client.write(grant, 100, pattern(100, 1)));
    await cluster.world.run(50);
    const released = cluster.master.order(1, 'release', { handle: h(5), version: v(1) });
    await cluster.world.run(200);
    heal();
    expect(await cluster.settle(released)).toEqual({ length: 200 });
    expect(await cluster.settle(write)).toBe('OK');
    for (const server of [1, 2, 3]) expect((await cluster.content(server, 5)).length).toBe(200);
  });

  test('it is given back only when what waited for its renewal has come to its end too', async () => {
    const cluster = await TestCluster.start(21, 3, { replicaTimeoutMs: 300 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.append(grant, 9, 1, [pattern(100, 1)]));
    cluster.kill(3);
    cluster.world.network.blackhole(['s1'], ['s3']);
    const first = cluster.client.append(grant, 9, 2, [pattern(100, 2)]);
    await cluster.world.run(550); // server 3 has failed, and is being excluded
    const second = codeOf(cluster.client.append(grant, 9, 3, [pattern(100, 3)]));
    await cluster.world.run(50);
    const released = cluster.master.order(1, 'release', { handle: grant.handle, version: grant.version });
    const [, code, { length }] = await cluster.settle(Promise.all([first, second, released]));
    expect([code, length]).toEqual(['OK', 300]);
    for (const server of [1, 2]) expect((await cluster.content(server, 5)).length).toBe(length);
  });

  test('once it was taken back it takes nothing, while it is renewed neither: what was refused would be laid behind it', async () => {
    const cluster = await TestCluster.start(22, 3, { replicaTimeoutMs: 300 });
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.append(grant, 9, 1, [pattern(100, 1)]));
    cluster.kill(3);
    cluster.world.network.blackhole(['s1'], ['s3']);
    const pending = cluster.client.append(grant, 9, 2, [pattern(100, 2)]);
    await cluster.world.run(50);
    const released = cluster.master.order(1, 'release', { handle: grant.handle, version: grant.version });
    await cluster.world.run(50);
    const first = codeOf(cluster.client.append(grant, 9, 3, [pattern(100, 3)]));
    await cluster.world.run(450); // server 3 has failed, and is being excluded
    expect(cluster.master.exclusions).toHaveLength(1);
    expect(cluster.master.grants.get(5)).toBe(grant);
    const second = codeOf(cluster.client.append(grant, 9, 4, [pattern(100, 4)]));
    const settled = await cluster.settle(Promise.all([pending, first, second, released]));
    expect(settled.slice(1)).toEqual(['STALE_VERSION', 'STALE_VERSION', { length: 200 }]);
    for (const server of [1, 2]) expect((await cluster.content(server, 5)).length).toBe(200);
  });

  test('one that this server does not have cannot be taken back: it must be recovered', async () => {
    const cluster = await TestCluster.start(4);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const release = () => codeOf(cluster.master.order(1, 'release', { handle: h(5), version: v(1) }));
    expect(await cluster.settle(release())).toBe('NOT_PRIMARY');
    await cluster.settle(cluster.client.write(grant, 0, pattern(9, 9)));
    cluster.kill(1);
    await cluster.restart(1);
    expect(await cluster.settle(release())).toBe('NOT_PRIMARY');
    const next = cluster.master.grant(5, [1, 2, 3]);
    expect(await cluster.settle(cluster.master.order(1, 'recover', { grant: next, seal: true }))).toEqual({
      length: 9,
    });
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(9, 8))))).toBe('STALE_VERSION');
    expect(await cluster.settle(codeOf(cluster.client.write(next, 0, pattern(9, 8))))).toBe('STALE_VERSION');
  });

  test('recover makes the members equal and seals', async () => {
    const cluster = await TestCluster.start(5);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const bytes = pattern(500 * kibi, 0);
    await cluster.settle(cluster.client.write(grant, 0, bytes));
    cluster.kill(1);
    const next = cluster.master.grant(5, [2, 3]);
    expect(await cluster.settle(cluster.master.order(2, 'recover', { grant: next, seal: true }))).toEqual({
      length: bytes.length,
    });
    expect(await cluster.settle(codeOf(cluster.client.write(next, 0, pattern(9, 9))))).toBe('STALE_VERSION');
    for (const server of [2, 3]) expect(difference(await cluster.content(server, 5), bytes)).toBe('none');
  });

  test('recover on fewer members than the file asks for acknowledges nothing of what was under way', async () => {
    const cluster = await TestCluster.start(15, 2);
    const grantTo = (servers: readonly number[]) => ({ ...cluster.master.grant(5, servers), minReplicas: 2 });
    const grant = grantTo([1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    cluster.world.network.blackhole(['s1'], ['s2']);
    const written = codeOf(cluster.client.write(grant, 100, pattern(100, 1)));
    await cluster.world.run(50);
    const recovered = cluster.master.order(1, 'recover', { grant: grantTo([1]), seal: true });
    expect(await cluster.settle(recovered)).toEqual({ length: 200 });
    expect(await cluster.settle(written)).toBe('REPLICA_FAILED');
  });

  test('what waits to be taken back ends when a set that is too small is recovered', async () => {
    const cluster = await TestCluster.start(16, 2);
    const grantTo = (servers: readonly number[]) => ({ ...cluster.master.grant(5, servers), minReplicas: 2 });
    const grant = grantTo([1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    cluster.world.network.blackhole(['s1'], ['s2']);
    const written = codeOf(cluster.client.write(grant, 100, pattern(100, 1)));
    await cluster.world.run(50);
    // Its order is under way when the newer set comes.
    const released = codeOf(cluster.master.order(1, 'release', { handle: grant.handle, version: grant.version }));
    await cluster.world.run(50);
    const recovered = cluster.master.order(1, 'recover', { grant: grantTo([1]), seal: true });
    await cluster.settle(Promise.all([released, codeOf(recovered)]));
    expect(await cluster.settle(written)).toBe('REPLICA_FAILED');
  });

  test.each([1, 2])('one of a chunk that was removed takes nothing any more (version %i)', async (version) => {
    const cluster = await TestCluster.start(12);
    let grant = cluster.master.grant(5, [1, 2, 3]);
    if (version > 1) {
      await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
      grant = cluster.master.grant(5, [1, 2, 3]);
    }
    // The client has just got its grant, and has not used it yet.
    const held = { handle: h(5), version: v(version), length: 0 };
    await cluster.settle(cluster.master.order(1, 'drop', { handles: [held] }));
    expect(await cluster.settle(codeOf(cluster.client.write(grant, 0, pattern(9, 9))))).toBe('STALE_VERSION');
  });

  test('one that comes while its replica is being removed does not begin: who cut the file is told that nothing succeeds any more', async () => {
    const cluster = await TestCluster.start(12);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(100, 0)));
    const grant = cluster.master.grant(5, [1, 2, 3]);
    const { disk } = cluster.world.node('s1');
    disk.slowness = 1000;
    const dropped = cluster.master.order(1, 'drop', { handles: [{ handle: h(5), version: grant.version, length: 0 }] });
    await cluster.world.run(20);
    const written = codeOf(cluster.client.write(grant, 100, pattern(9, 9)));
    await cluster.world.run(20);
    disk.healSpeed();
    await cluster.settle(dropped);
    expect(await cluster.settle(written)).toBe('STALE_VERSION');
  });

  test('one whose replica is dropped in the midst of its recovery leaves the other members what they have', async () => {
    const cluster = await TestCluster.start(11, 4);
    const bytes = pattern(100 * kibi, 0);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, bytes));
    const { disk } = cluster.world.node('s4');
    const next = cluster.master.grant(5, [4, 2, 3]);
    // What it copies from the others is being written when the order to drop it comes.
    disk.slowness = 1000;
    const recovered = codeOf(cluster.master.order(4, 'recover', { grant: next, seal: true }));
    await cluster.world.run(20);
    const held = { handle: h(5), version: next.version, length: bytes.length };
    const dropped = cluster.master.order(4, 'drop', { handles: [held] });
    await cluster.world.run(20);
    disk.healSpeed();
    expect(await cluster.settle(recovered)).not.toBe('OK');
    await cluster.settle(dropped);
    await cluster.world.run(1000);
    for (const server of [2, 3]) expect(difference(await cluster.content(server, 5), bytes)).toBe('none');
  });
});

describe('copies', () => {
  test('a clone is equal to its source, and a second one fetches only what differs', async () => {
    const cluster = await TestCluster.start(10, 4);
    const grant = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.append(grant, 3, 0, [pattern(200 * kibi, 0)]));
    await cluster.settle(cluster.client.write(grant, 200 * kibi, pattern(800 * kibi, 1)));
    const from = cluster.master.replica(2);
    const clone = () =>
      cluster.settle(cluster.master.order(4, 'clone', { handle: h(5), version: v(1), from, bytesPerSecond: 0 }));
    expect(await clone()).toEqual({ length: 1000 * kibi });
    const whole = joined([pattern(200 * kibi, 0), pattern(800 * kibi, 1)]);
    expect(difference(await cluster.content(4, 5), whole)).toBe('none');
    await cluster.settle(cluster.client.write(grant, 70 * kibi, pattern(10, 2)));
    expect(await clone()).toEqual({ length: 1000 * kibi });
    whole.set(pattern(10, 2), 70 * kibi);
    expect(difference(await cluster.content(4, 5), whole)).toBe('none');
    // The copy knows the writers of its source: as primary it recognises their retries.
    cluster.kill(1);
    const next = cluster.master.grant(5, [4, 2]);
    expect((await cluster.settle(cluster.client.append(next, 3, 0, [pattern(200 * kibi, 0)]))).offsets).toEqual([0]);
  });

  test('a chunk that is written to while it is cloned is copied as far as it was; its next clone has the rest', async () => {
    const cluster = await TestCluster.start(11, 3);
    const grant = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(900 * kibi, 0)));
    const from = cluster.master.replica(1);
    const order = () => cluster.master.order(3, 'clone', { handle: h(5), version: v(1), from, bytesPerSecond: 0 });
    const writes = [...Array(40).keys()].map(async (n) => {
      await new Promise<void>((resolve) => cluster.world.after(n, resolve));
      return cluster.client.write(grant, n * 20 * kibi, pattern(500, n));
    });
    await cluster.settle(Promise.all([order(), ...writes]));
    await cluster.settle(order());
    expect(difference(await cluster.content(3, 5), await cluster.content(1, 5))).toBe('none');
  });

  test('a copy under way is waited for by the same order, and by none for another version', async () => {
    const cluster = await TestCluster.start(15, 3);
    const grant = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(900 * kibi, 0)));
    const from = cluster.master.replica(1);
    const order = (version: number) =>
      codeOf(cluster.master.order(3, 'clone', { handle: h(5), version: v(version), from, bytesPerSecond: 0 }));
    const codes = Promise.all([order(1), order(1), order(1), order(2)]);
    expect(await cluster.settle(codes)).toEqual(['OK', 'OK', 'OK', 'BUSY']);
    expect(await cluster.settle(order(1))).toBe('OK');
  });

  test('a copy that is ordered when nobody writes any more is whole, though one that began before was under way', async () => {
    const cluster = await TestCluster.start(16, 3);
    const grant = cluster.master.grant(5, [1, 2]);
    const rewrite = (n: number) => cluster.settle(cluster.client.write(grant, 0, pattern(900 * kibi, n)));
    await rewrite(0);
    const held = { handle: h(5), version: v(1) };
    const from = cluster.master.replica(1);
    const order = () => cluster.master.order(3, 'clone', { ...held, from, bytesPerSecond: 900 * kibi });
    // It goes over the chunk once in a second, four times in all; the last time it does not see what is written last.
    const first = order();
    for (let n = 1; n <= 4; n++) {
      await cluster.world.run(n === 1 ? 500 : 950);
      await rewrite(n);
    }
    await cluster.settle(cluster.master.order(1, 'release', held));
    await cluster.settle(order());
    expect(difference(await cluster.content(3, 5), pattern(900 * kibi, 4))).toBe('none');
    await cluster.settle(first);
  });

  test('what was called garbage just before it is copied here is served once a later page is answered without that word, though nothing had to be fetched', async () => {
    const cluster = await TestCluster.start(14, 3);
    const grant = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(900 * kibi, 0)));
    const from = cluster.master.replica(1);
    const held = { handle: h(5), version: v(1) };
    const order = () => cluster.master.order(3, 'clone', { ...held, from, bytesPerSecond: 0 });
    await cluster.settle(order());
    let again: Promise<unknown> | undefined;
    cluster.master.onHeartbeat = async ({ server }) => {
      if (server !== 3 || again !== undefined) return;
      again = order(); // arrives before the answer to this heartbeat
      cluster.master.garbage.set(3, [{ ...held, length: 0 }]);
    };
    expect(await cluster.world.runUntil(() => again !== undefined, 3000)).toBe(true);
    expect(await cluster.settle(again!)).toEqual({ length: 900 * kibi });
    const isServed = () => cluster.settle(codeOf(cluster.client.read(3, 5, 0, 64 * kibi)));
    expect(await isServed()).toBe('LEASE_EXPIRED'); // the master may have called it garbage because it wants this copy no longer
    await cluster.world.run(1500);
    expect(difference(await cluster.content(3, 5), pattern(900 * kibi, 0))).toBe('none');
  });

  test('what is called garbage while it is copied here is not served when the copy is done, but removed', async () => {
    const cluster = await TestCluster.start(15, 3);
    const grant = cluster.master.grant(5, [1, 2]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(900 * kibi, 0)));
    const held = { handle: h(5), version: v(1) };
    const from = cluster.master.replica(1);
    let isUnderWay = true;
    cluster.master.onHeartbeat = async ({ server }) => {
      if (server === 3) cluster.master.garbage.set(3, [{ ...held, length: 0 }]); // in each answer
    };
    const copy = cluster.master.order(3, 'clone', { ...held, from, bytesPerSecond: 512 * kibi });
    const isServed = () => cluster.settle(codeOf(cluster.client.read(3, 5, 0, 64 * kibi)));
    void copy.finally(() => (isUnderWay = false));
    expect(await cluster.world.runUntil(() => !isUnderWay, 10_000)).toBe(true);
    expect(await isServed()).toBe('LEASE_EXPIRED');
    await cluster.world.run(1500);
    expect(await cluster.settle(cluster.client.length(3, 5))).toBeUndefined();
  });

  test('what is dropped is gone, unless it has a newer version by then', async () => {
    const cluster = await TestCluster.start(12);
    const grant = cluster.master.grant(5, [1, 2, 3]);
    await cluster.settle(cluster.client.write(grant, 0, pattern(100, 0)));
    for (const id of [1, 2, 3]) cluster.master.garbage.set(id, [{ handle: h(5), version: v(0), length: 0 }]);
    await cluster.world.run(600);
    expect(await cluster.settle(Promise.all([1, 2, 3].map((id) => cluster.client.length(id, 5))))).toEqual([
      100, 100, 100,
    ]);
    const drop = (version: number) =>
      codeOf(cluster.master.order(1, 'drop', { handles: [{ handle: h(5), version: v(version), length: 0 }] }));
    expect(await cluster.settle(drop(0))).toBe('STALE_VERSION');
    expect(await cluster.settle(drop(1))).toBe('OK');
    expect(await cluster.settle(drop(1))).toBe('OK');
    expect(await cluster.settle(cluster.client.length(1, 5))).toBeUndefined();
    cluster.master.garbage.set(2, [{ handle: h(5), version: v(1), length: 0 }]);
    await cluster.world.run(600);
    const left = await cluster.settle(Promise.all([2, 3].map((id) => cluster.client.length(id, 5))));
    expect(left).toEqual([undefined, 100]);
  });

  test('what a newer primary has fenced and left out is told of with that version, and dropped by it', async () => {
    const cluster = await TestCluster.start(13);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(100, 0)));
    await cluster.settle(cluster.client.to(serverAddress(2)).call('image', { handle: h(5), fence: v(2) }));
    const before = cluster.master.heartbeats.length;
    const toldBy = (id: number) =>
      cluster.master.heartbeats
        .slice(before)
        .filter(({ server }) => server === id)
        .flatMap(({ inventory }) => inventory);
    expect(await cluster.world.runUntil(() => toldBy(2).length > 0, 10_000)).toBe(true);
    const held = toldBy(2).at(-1)!;
    expect(held).toMatchObject({ handle: 5, version: 2, length: 100 });
    cluster.master.garbage.set(2, [held]);
    await cluster.world.run(600);
    expect(await cluster.settle(cluster.client.length(2, 5))).toBeUndefined();
  });
});

describe('damage', () => {
  test('a flipped bit is told to the reader and to the master; a clone mends it', async () => {
    const cluster = await TestCluster.start(20);
    const bytes = pattern(300 * kibi, 0);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3], 'disk'), 0, bytes));
    await cluster.world.run(3000);
    const { disk } = cluster.world.node('s2');
    const path = disk.paths().find((name) => disk.file(name).sizeBytes >= bytes.length && name.includes('chunk'))!;
    disk.flipBit(path, 100_000, 3);
    expect(await cluster.settle(codeOf(cluster.client.read(2, 5, 64 * kibi, 64 * kibi)))).toBe('DISK_CORRUPT');
    expect(difference(await cluster.content(1, 5), bytes)).toBe('none');
    const told = () => cluster.master.heartbeats.some(({ server, damaged }) => server === 2 && damaged.includes(h(5)));
    expect(await cluster.world.runUntil(told, 2000)).toBe(true);
    const from = cluster.master.replica(3);
    await cluster.settle(cluster.master.order(2, 'clone', { handle: h(5), version: v(1), from, bytesPerSecond: 0 }));
    expect(difference(await cluster.content(2, 5), bytes)).toBe('none');
  });

  test('bad blocks of which each comes in another step are all mended by a clone', async () => {
    const cluster = await TestCluster.start(21, 3, { copyStepBytes: 64 * kibi });
    const bytes = pattern(300 * kibi, 0);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3], 'disk'), 0, bytes));
    await cluster.world.run(3000);
    const { disk } = cluster.world.node('s2');
    const path = disk.paths().find((name) => disk.file(name).sizeBytes >= bytes.length && name.includes('chunk'))!;
    for (const block of [0, 2, 4]) {
      disk.flipBit(path, block * 64 * kibi + 100, 3);
      expect(await cluster.settle(codeOf(cluster.client.read(2, 5, block * 64 * kibi, 10)))).toBe('DISK_CORRUPT');
    }
    const order = { handle: h(5), version: v(1), from: cluster.master.replica(3), bytesPerSecond: 0 };
    await cluster.settle(cluster.master.order(2, 'clone', order));
    expect(difference(await cluster.content(2, 5), bytes)).toBe('none');
  });

  test('damage is told again to a master that may not have heard of it', async () => {
    const cluster = await TestCluster.start(22, 2);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2], 'disk'), 0, pattern(300 * kibi, 0)));
    await cluster.world.run(3000);
    const { disk } = cluster.world.node('s2');
    const path = disk.paths().find((name) => disk.file(name).sizeBytes >= 300 * kibi && name.includes('chunk'))!;
    disk.flipBit(path, 100_000, 3);
    expect(await cluster.settle(codeOf(cluster.client.read(2, 5, 64 * kibi, 64 * kibi)))).toBe('DISK_CORRUPT');
    const heartbeats = () => cluster.master.heartbeats.filter(({ server }) => server === 2);
    const told = () => heartbeats().filter(({ damaged }) => damaged.includes(h(5))).length;
    expect(await cluster.world.runUntil(() => told() === 1, 2000)).toBe(true);
    const before = heartbeats().length;
    cluster.master.servers.get(cluster.master.replica(2).server)!.rpc!.close('another one leads');
    const next = () => heartbeats().slice(before, before + 2);
    expect(await cluster.world.runUntil(() => next().length === 2, 3000)).toBe(true);
    expect(next().map(({ damaged }) => damaged)).toContainEqual([5]);
  });

  test.each([0, 1, 2, 3, 4, 5, 6])(
    'found while the chunk is copied here, %i ms after the copy began, is mended too',
    async (ms) => {
      const cluster = await TestCluster.start(23);
      const grant = cluster.master.grant(5, [1, 2], 'disk');
      const bytes = pattern(300 * kibi, 0);
      await cluster.settle(cluster.client.write(grant, 0, bytes));
      const from = cluster.master.replica(2);
      const clone = () => cluster.master.order(3, 'clone', { handle: h(5), version: v(1), from, bytesPerSecond: 0 });
      await cluster.settle(clone());
      await cluster.world.run(3000);
      await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2], 'disk'), 0, pattern(10, 1))); // the next copy fetches block 0
      bytes.set(pattern(10, 1));
      const { disk } = cluster.world.node('s3');
      const path = disk.paths().find((name) => disk.file(name).sizeBytes >= bytes.length && name.includes('chunk'))!;
      disk.flipBit(path, 200_000, 3);
      const find = async () => {
        await new Promise<void>((resolve) => cluster.world.after(ms, resolve));
        await codeOf(cluster.client.read(3, 5, 192 * kibi, 64 * kibi));
      };
      await cluster.settle(Promise.all([clone(), find()]));
      const isWhole = async () => difference(await cluster.content(3, 5), bytes) === 'none';
      const told = () =>
        cluster.master.heartbeats.some(({ server, damaged }) => server === 3 && damaged.includes(h(5)));
      const isKnown = await cluster.world.runUntil(told, 3000);
      const code = await cluster.settle(codeOf(cluster.client.read(3, 5, 192 * kibi, 64 * kibi)));
      if (code === 'OK') expect(await isWhole()).toBe(true);
      else expect([code, isKnown]).toEqual(['DISK_CORRUPT', true]);
    },
  );

  test('a damaged primary refuses to change the chunk, a damaged secondary is left behind', async () => {
    const cluster = await TestCluster.start(21);
    const bytes = pattern(300 * kibi, 0);
    const grant = cluster.master.grant(5, [1, 2, 3], 'disk');
    await cluster.settle(cluster.client.write(grant, 0, bytes));
    for (const id of [1, 2]) {
      const { disk } = cluster.world.node(`s${id}`);
      const path = disk.paths().find((name) => disk.file(name).sizeBytes >= bytes.length && name.includes('chunk'))!;
      disk.flipBit(path, 100_000, 3);
    }
    expect(await cluster.settle(codeOf(cluster.client.read(2, 5, 64 * kibi, 64 * kibi)))).toBe('DISK_CORRUPT');
    cluster.world.after(100, () => cluster.world.network.isolate('s2'));
    await cluster.settle(cluster.client.write(grant, 300 * kibi, pattern(10, 1)));
    expect(cluster.master.exclusions[0]?.failed).toEqual([2]);
    expect(await cluster.settle(codeOf(cluster.client.read(1, 5, 64 * kibi, 64 * kibi)))).toBe('DISK_CORRUPT');
    const next = cluster.master.grants.get(5)!;
    expect(await cluster.settle(codeOf(cluster.client.write(next, 0, pattern(10, 1))))).toBe('DISK_CORRUPT');
  });
});

describe('heartbeats', () => {
  test('bring a page of everything after a registration, and again over time', async () => {
    const cluster = await TestCluster.start(30, 2, { inventoryEveryMs: 400 });
    for (let n = 1; n <= 5; n++) {
      await cluster.settle(cluster.client.write(cluster.master.grant(n, [1, 2]), 0, pattern(n, n)));
    }
    const pages = () =>
      cluster.master.heartbeats.filter(({ server, inventory }) => server === 1 && inventory.length === 5);
    expect(await cluster.world.runUntil(() => pages().length >= 2, 5000)).toBe(true);
    expect(pages()[0]).toMatchObject({ inventoryFrom: 1, inventoryTo: Number.MAX_SAFE_INTEGER, chunks: 5 });
    expect(pages()[0]!.inventory.map(({ handle, length }) => [handle, length])).toEqual(
      [1, 2, 3, 4, 5].map((n) => [n, n]),
    );
    cluster.kill(1);
    await cluster.restart(1);
    const restarted = cluster.master.heartbeats.filter(({ server }) => server === 1);
    const first = restarted.findIndex(({ incarnation }) => incarnation === restarted.at(-1)!.incarnation);
    expect(restarted[first]!.inventory).toHaveLength(5);
  });

  test('that bring a session back serve nothing of what they call garbage, however slowly it is removed', async () => {
    const cluster = await TestCluster.start(33);
    await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(100, 0)));
    const heal = cluster.world.network.isolate('s2');
    await cluster.world.run(3000);
    const next = cluster.master.grant(5, [1, 3]);
    await cluster.settle(cluster.client.write(next, 0, pattern(100, 1)));
    cluster.master.garbage.set(2, [{ handle: h(5), version: v(1), length: 100 }]);
    cluster.world.node('s2').disk.slowness = 10_000;
    heal();
    expect(await cluster.world.runUntil(() => cluster.servers.get(2)!.isServing, 5000)).toBe(true);
    const read = codeOf(cluster.client.read(2, 5, 0, 100));
    await cluster.world.run(50);
    cluster.world.node('s2').disk.healSpeed();
    expect(await cluster.settle(read)).toBe('LEASE_EXPIRED');
  });

  test('a master that refuses for good ends the server', async () => {
    const cluster = await TestCluster.start(31, 1);
    const { CairnError } = await import('../../core/base/errors.ts');
    cluster.master.onRegister = () => {
      throw new CairnError('WRONG_CLUSTER', 'this is another cluster');
    };
    cluster.world.network.reset('m', 's1');
    expect(await cluster.world.runUntil(() => cluster.refusals.length > 0, 5000)).toBe(true);
    expect(cluster.refusals[0]!.code).toBe('WRONG_CLUSTER');
  });

  test('a mistake of the master ends no server: it is asked again until it does better', async () => {
    const cluster = await TestCluster.start(33, 1);
    let mistakes = 0;
    cluster.master.onHeartbeat = () => {
      if (++mistakes <= 8) throw new Error('ENOSPC: no space left on device, write');
    };
    expect(await cluster.world.runUntil(() => mistakes > 8, 10_000)).toBe(true);
    await cluster.serving();
    expect(cluster.refusals).toEqual([]);
  });

  test('a session that the master has forgotten is begun again', async () => {
    const cluster = await TestCluster.start(32, 1);
    const { CairnError } = await import('../../core/base/errors.ts');
    let registrations = 0;
    cluster.master.onRegister = () => {
      registrations += 1;
    };
    let isForgetting = true;
    cluster.master.onHeartbeat = () => {
      if (isForgetting) throw new CairnError('SESSION_EXPIRED', 'register first');
    };
    await cluster.world.run(3000);
    expect(registrations).toBeGreaterThan(0);
    isForgetting = false;
    await cluster.serving();
  });
});

test('a chunk may be filled to its last byte', async () => {
  const cluster = await TestCluster.start(40, 2);
  const grant = cluster.master.grant(5, [1, 2]);
  const answer = await cluster.settle(cluster.client.write(grant, chunkBytes - 10, pattern(10, 1)));
  expect(answer.lengthBytes).toBe(chunkBytes);
  expect(await cluster.settle(codeOf(cluster.client.write(grant, chunkBytes - 9, pattern(10, 1))))).toBe(
    'INVALID_ARGUMENT',
  );
  const content = await cluster.content(2, 5);
  expect(content.subarray(0, 1000).every((byte) => byte === 0)).toBe(true);
  expect(difference(content.subarray(chunkBytes - 10), pattern(10, 1))).toBe('none');
});

test('a file may have longer chunks than others, each file as it was made', async () => {
  const cluster = await TestCluster.start(41, 2);
  const grant = cluster.master.grant(5, [1, 2]);
  const bytes = pattern(300, 1);
  const kind = { kind: 'write' as const, offset: 2 * chunkBytes };
  const request = { grant, kind, crc: cluster.client.node.env.crc32(bytes), chunkBytes: 1024 * chunkBytes };
  const rpc = cluster.client.to(serverAddress(1));
  const answer = await cluster.settle(rpc.call('mutate', request, { body: [bytes], timeoutMs: 20_000 }));
  expect(answer.response.lengthBytes).toBe(2 * chunkBytes + 300);
  expect(difference(await cluster.settle(cluster.client.read(2, 5, 2 * chunkBytes, 300)), bytes)).toBe('none');
});

test('nothing is all of a chunk for a server that ran when it was made and never had any of it; not where it was dropped, nor before it ran', async () => {
  const cluster = await TestCluster.start(42);
  const isSound = async (handle: number) => {
    const { version, length, isSound } = await cluster.settle(cluster.master.order(1, 'holds', { handle: h(handle) }));
    expect([version, length]).toEqual([undefined, 0]);
    return isSound;
  };
  expect(await isSound(5)).toBe(true);
  await cluster.settle(cluster.client.write(cluster.master.grant(5, [1, 2, 3]), 0, pattern(300, 0)));
  const held = { handle: h(5), version: v(1), length: 300 };
  await cluster.settle(cluster.master.order(1, 'drop', { handles: [held] }));
  expect(await isSound(5)).toBe(false);
  cluster.master.grants.delete(5);
  cluster.master.nextHandle = 6;
  cluster.kill(1);
  await cluster.restart(1);
  expect([await isSound(4), await isSound(5), await isSound(6)]).toEqual([false, false, true]);
});
