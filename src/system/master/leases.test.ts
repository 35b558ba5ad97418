import { describe, expect, it, test } from 'vitest';
import { toChunkHandle, toChunkIndex, toServerId } from '../../core/base/brand.ts';
import type { IfMissing } from '../../core/protocol/master-calls.ts';
import { type Grant, nothingAsked } from '../../core/protocol/types.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { codeOf, TestMasters, testChunkBytes } from './cluster.test-support.ts';
import { Gate } from './gate.ts';
import { Holds } from './holds.ts';
import type { LeaderWorld } from './leader-world.ts';
import { Leases } from './leases.ts';
import type { Regrants } from './regrants.ts';
import { chunkBytes, must, TestMachine } from './state/machine.test-support.ts';

function ids(grant: Grant): number[] {
  return grant.replicas.map(({ server }) => server);
}

async function openFile(seed: number) {
  const c = await TestMasters.start(seed);
  const { attributes, grant } = await c.create('/log');
  if (grant === undefined) throw new Error('the first chunk came with the file');
  return { c, inode: attributes.inode, grant };
}

describe('leases', () => {
  it('are repeated while they are open, to whoever asks', async () => {
    const { c, inode, grant } = await openFile(1);
    const again = await c.acquire(inode, 0);
    expect(again).toEqual({ grant, created: false });
    const many = await c.world.settle(
      Promise.all([1, 2, 3, 4].map(() => c.ask('acquire', c.acquireRequest(inode, 1)))),
    );
    expect(new Set(many.map((answer) => answer.grant.handle)).size).toBe(1);
    expect(many.filter((answer) => answer.created).length).toBe(1);
  });

  it('are told to all who ask at one time by one round among the masters', async () => {
    const { c, inode } = await openFile(16);
    const asked = async (count: number) => {
      const from = c.world.now;
      const all = Array.from({ length: count }, () => c.ask('acquire', c.acquireRequest(inode, 0)));
      await c.world.settle(Promise.all(all));
      return c.world.now - from;
    };
    const alone = await asked(1);
    expect(await asked(32)).toBeLessThan(4 * alone);
  });

  it('for an append make a chunk only where the file ends, even if it is cut while they are asked for', async () => {
    const { c, inode, grant } = await openFile(17);
    const ask = (index: number, ifMissing: IfMissing) =>
      c.ask('acquire', { ...c.acquireRequest(inode, index), ifMissing });
    const codes = (...asked: Promise<unknown>[]) => c.world.settle(Promise.all(asked.map(codeOf)));
    const makeBehind = { kind: 'makeBehind', last: grant.handle } as const;
    expect(await codes(ask(1, { kind: 'refuse' }), ask(2, makeBehind))).toEqual(['CHUNK_CUT', 'CHUNK_CUT']);
    const cut = c.ask('truncate', c.truncateRequest(inode, 0));
    expect(await codes(cut, ask(1, makeBehind))).toEqual(['ok', 'CHUNK_CUT']);
    expect(await codes(ask(0, { kind: 'refuse' }))).toEqual(['CHUNK_CUT']);
    const { grant: first } = await c.acquire(inode, 0);
    const next = { kind: 'makeBehind', last: first.handle } as const;
    expect(await codes(ask(1, next), ask(1, next), ask(1, { kind: 'refuse' }))).toEqual(['ok', 'ok', 'ok']);
    expect((await c.call('stat', { path: '/log' })).chunkCount).toBe(2);
  });

  it('are for whoever takes the file for what it is: not under another chunk size, even if that changes just then', async () => {
    const c = await TestMasters.start(18);
    const { attributes } = await c.create('/log', { allocate: false });
    const { inode } = attributes;
    const resize = (chunkBytes: number) => c.ask('set', { id: c.id(), path: '/log', ...nothingAsked, chunkBytes });
    const codes = (...asked: Promise<unknown>[]) => c.world.settle(Promise.all(asked.map(codeOf)));
    const twice = 2 * testChunkBytes;
    expect(await codes(resize(twice), c.ask('acquire', c.acquireRequest(inode, 0)))).toEqual(['ok', 'STALE_HANDLE']);
    expect(await codes(c.ask('truncate', c.truncateRequest(inode, 0)))).toEqual(['STALE_HANDLE']);
    const own = { ...c.acquireRequest(inode, 0), chunkBytes: twice };
    expect(await codes(c.ask('acquire', own), c.ask('acquire', c.acquireRequest(inode, 0)))).toEqual([
      'ok',
      'STALE_HANDLE',
    ]);
    expect(await codes(resize(testChunkBytes))).toEqual(['INVALID_ARGUMENT']);
  });

  it('are granted anew, one version higher, after the primary gave them up', async () => {
    const { c, inode, grant } = await openFile(2);
    c.write(grant, 10);
    c.release(grant, 10);
    await c.until('sealed', () => c.chunk(grant.handle)?.sealed === true);
    expect(await c.call('stat', { path: '/log' })).toMatchObject({ size: 10, tail: undefined });
    const next = await c.acquire(inode, 0);
    expect(next.grant).toMatchObject({ handle: grant.handle, version: 2 });
    expect(ids(next.grant)).toEqual(ids(grant));
    expect((await c.call('stat', { path: '/log' })).tail).toMatchObject({ version: 2 });
  });

  it('move to another member at once when the primary is up but failed the client', async () => {
    const { c, inode, grant } = await openFile(3);
    const [primary, ...others] = ids(grant);
    const from = c.world.now;
    const next = await c.acquire(inode, 0, { version: grant.version, failed: [toServerId(primary!)] });
    expect(next.grant.version).toBe(2);
    expect(ids(next.grant)).toEqual([...others, primary]);
    expect(c.world.now - from).toBeLessThan(500);
  });

  it('leave a killed server out only after its session has lapsed, and within two seconds', async () => {
    const { c, inode, grant } = await openFile(4);
    expect(c.write(grant, 5)).toBe(true);
    const [primary] = ids(grant);
    const dead = c.server(primary!);
    const lapsesAt = c.world.now + 1000;
    c.crashServer(dead);
    const from = c.world.now;
    const next = await c.acquire(inode, 0, { version: grant.version, failed: [dead.id] });
    expect(ids(next.grant)).not.toContain(primary);
    expect(c.world.now).toBeGreaterThanOrEqual(Math.min(lapsesAt, from + 700));
    expect(c.world.now - from).toBeLessThan(2000);
    expect(c.write(next.grant, 6)).toBe(true);
  });

  it('never leave out a server that may still serve the chunk', async () => {
    for (let seed = 100; seed < 106; seed++) {
      const { c, inode, grant } = await openFile(seed);
      c.write(grant, 5);
      const mute = c.server(ids(grant)[seed % 3]!);
      mute.isMute = true;
      const asked = c.ask('acquire', c.acquireRequest(inode, 0, { version: grant.version, failed: [mute.id] }));
      let next: Grant | undefined;
      void asked.then((answer) => (next = answer.grant));
      await c.until('the grant came', () => {
        if (!c.chunk(grant.handle)!.servers.includes(mute.id))
          expect(mute.serves && mute.chunks.has(grant.handle)).toBe(false);
        return next !== undefined;
      });
      expect(ids(next!)[0]).not.toBe(mute.id);
    }
  });

  it('leave a failed secondary out once it has dropped its replica', async () => {
    const { c, grant } = await openFile(5);
    c.write(grant, 5);
    const [primary, second, third] = ids(grant);
    const answer = await c.call('exclude', {
      server: toServerId(primary!),
      handle: grant.handle,
      version: grant.version,
      failed: [toServerId(second!)],
    });
    expect(ids(answer.grant)).toEqual([primary, third]);
    expect(c.server(second!).dropped).toEqual([grant.handle]);
    expect(c.server(primary!).chunks.has(grant.handle)).toBe(true);
  });

  it('are excluded from by the primary only, and of the present version', async () => {
    const { c, grant } = await openFile(6);
    const [primary, second, third] = ids(grant).map(toServerId);
    const request = { handle: grant.handle, version: grant.version, failed: [third!] };
    expect(await codeOf(c.call('exclude', { ...request, server: second! }))).toBe('NOT_PRIMARY');
    expect(await codeOf(c.call('exclude', { ...request, handle: toChunkHandle(99), server: primary! }))).toBe(
      'STALE_HANDLE',
    );
    expect(c.chunk(grant.handle)!.servers.length).toBe(3);
  });

  it('change one after another: nobody drops a replica for one change and is a member by another', async () => {
    const { c, inode, grant } = await openFile(10);
    c.write(grant, 5);
    const [primary, second] = ids(grant).map(toServerId);
    const { handle, version } = grant;
    await c.world.settle(
      Promise.allSettled([
        c.ask('exclude', { server: primary!, handle, version, failed: [second!] }),
        c.ask('acquire', c.acquireRequest(inode, 0, { version, failed: [primary!] })),
      ]),
    );
    for (const id of c.chunk(handle)!.servers) expect(c.server(id).chunks.has(handle)).toBe(true);
  });

  it('are given to nobody with fewer members than the file asks for: the chunk is copied first', async () => {
    const c = await TestMasters.start(11);
    const { attributes, grant } = await c.create('/log', { replication: 2, minReplicas: 2 });
    c.write(grant!, 5);
    const [primary, second] = ids(grant!).map(toServerId);
    const { handle, version } = grant!;
    // Refused, or answered when there is another copy: whichever of the two comes first.
    const exclude = c.ask('exclude', { server: primary!, handle, version, failed: [second!] });
    const members = exclude.then(
      ({ grant }) => ids(grant).length,
      () => 'refused',
    );
    let least = 2;
    const next = c.ask('acquire', c.acquireRequest(attributes.inode, 0, { version, failed: [second!] }));
    const answered = next.then(({ grant }) => grant);
    await c.until('it is left out, and copied', () => {
      least = Math.min(least, c.chunk(handle)!.servers.length);
      return least === 1 && c.chunk(handle)!.servers.length === 2;
    });
    expect(['refused', 2]).toContain(await c.world.settle(members));
    expect(ids(await c.world.settle(answered))).toHaveLength(2);
    expect(c.write(await answered, 6)).toBe(true);
  });

  it('leave nobody out for one that is up and has nothing of the chunk', async () => {
    const { c, inode, grant } = await openFile(12);
    c.write(grant, 500);
    const [primary, ...others] = ids(grant).map((id) => c.server(id));
    primary!.reports.push({ handle: grant.handle, version: grant.version, length: 500, release: false });
    await c.until('the length is known', () => c.chunk(grant.handle)!.length === 500);
    for (const server of [primary!, ...others]) c.crashServer(server);
    primary!.chunks.clear(); // it comes back with an empty disk
    await c.run(1500);
    c.restartServer(primary!);
    await c.until('it is back', () => primary!.sessionUntil > 0);
    const after = { version: grant.version, failed: [] };
    expect(await codeOf(c.acquire(inode, 0, after))).toBe('UNAVAILABLE');
    expect(c.chunk(grant.handle)!.servers).toHaveLength(3);
    c.restartServer(others[0]!);
    await c.until('another is back', () => others[0]!.serves);
    const next = await c.acquire(inode, 0, after);
    expect(ids(next.grant)).toContain(others[0]!.id);
    expect(others[0]!.chunks.get(grant.handle)?.length).toBe(500);
  });

  it('leave a chunk of which no length was told yet to nobody whose replica is damaged, even if the other is dead', async () => {
    const c = await TestMasters.start(22, { timing: { deadAfterMs: 1500 } });
    const { attributes, grant } = await c.create('/a', { replication: 2 });
    c.write(grant!, 500);
    const [other, damaged] = ids(grant!).map((id) => c.server(id));
    c.crashServer(other!);
    damaged!.damage(grant!.handle);
    await c.until('the other is dead', () => c.eventsNamed('chunkserver_dead').length > 0);
    await c.run(3000);
    expect(await codeOf(c.acquire(attributes.inode, 0))).toBe('UNAVAILABLE');
    expect(c.chunk(grant!.handle)).toMatchObject({ length: 0, servers: ids(grant!) });
    c.restartServer(other!);
    await c.until('the damaged one has left', () => !c.chunk(grant!.handle)!.servers.includes(toServerId(damaged!.id)));
    expect(other!.chunks.get(grant!.handle)?.length).toBe(500);
  });

  it('leave a chunk of which no length was told yet to one that never had any of it, not to one that has dropped it', async () => {
    for (const hasDropped of [true, false]) {
      const c = await TestMasters.start(21, { timing: { deadAfterMs: 30_000 } });
      const { attributes, grant } = await c.create('/a', { replication: 2 });
      const { handle, version } = grant!;
      const [other, left] = ids(grant!).map((id) => c.server(id));
      if (hasDropped) {
        c.write(grant!, 500);
        left!.chunks.delete(handle);
        left!.dropped.push(handle);
      }
      c.crashServer(other!);
      await c.until('the other is silent', () => c.eventsNamed('chunkserver_silent').length > 0);
      const next = c.acquire(attributes.inode, 0, { version, failed: [toServerId(other!.id)] });
      if (!hasDropped) {
        expect(ids((await next).grant)).toEqual([left!.id]);
        continue;
      }
      expect(await codeOf(next)).toBe('UNAVAILABLE');
      expect(c.chunk(handle)).toMatchObject({ length: 0, servers: ids(grant!) });
      c.restartServer(other!);
      await c.until('the other is back', () => other!.serves);
      expect(ids((await c.acquire(attributes.inode, 0)).grant)).toContain(other!.id);
    }
  });

  it.each(['sealed', 'open'])(
    'leave nobody out for one whose replica is short, though it has the version (%s)',
    async (what) => {
      const c = await TestMasters.start(19, { timing: { deadAfterMs: 30_000 } });
      const { inode, grant } = await c.fileOf('/a', 500, what === 'sealed', { replication: 2 });
      const [other, short] = grant.replicas.map(({ server }) => c.server(server));
      // It lost the end with its power, and the other is away for a moment: nobody has seen yet that it is short.
      c.crashServer(other!);
      short!.chunks.set(grant.handle, { version: grant.version, length: 100 });
      await c.until('the other is silent', () => c.eventsNamed('chunkserver_silent').length > 0);
      expect(await codeOf(c.acquire(inode, 0))).toBe('UNAVAILABLE');
      expect(c.chunk(grant.handle)).toMatchObject({ sealed: what === 'sealed', length: 500, servers: ids(grant) });
      c.restartServer(other!);
      await c.until('the other is back', () => other!.serves);
      expect(ids((await c.acquire(inode, 0)).grant)).toContain(other!.id);
      expect(other!.chunks.get(grant.handle)?.length).toBe(500);
    },
  );

  it('go on with what is left of a sealed chunk when the others are dead', async () => {
    const c = await TestMasters.start(20, { timing: { deadAfterMs: 3000 }, servers: 2 });
    const { inode, grant } = await c.sealedFile('/a', 500, { replication: 2 });
    const [other, short] = grant.replicas.map(({ server }) => c.server(server));
    c.crashServer(other!);
    short!.chunks.set(grant.handle, { version: grant.version, length: 100 });
    await c.until('the other is dead', () => c.eventsNamed('chunkserver_dead').length > 0);
    expect(ids((await c.acquire(inode, 0)).grant)).toEqual([short!.id]);
  });

  it.each([false, true])(
    'go on with those that have all of a chunk which was cut, where the next version was never begun (another leader: %s)',
    async (isOther) => {
      const c = await TestMasters.start(21, { timing: { deadAfterMs: 3000 } });
      const { attributes, grant } = await c.create('/cut');
      const { handle, version, replicas } = grant!;
      const [primary, second, third] = replicas.map(({ server }) => c.server(server));
      const report = async (length: number) => {
        primary!.reports.push({ handle, version, length, release: false });
        await c.run(600);
      };
      c.write(grant!, 100);
      await report(100);
      for (const { chunks } of [primary!, second!, third!]) chunks.set(handle, { version, length: 40, serial: 2 });
      await report(40);
      const next = await c.acquire(attributes.inode, 0, { version, failed: [] });
      c.crashServer(third!);
      if (isOther) c.crash(c.leader!);
      await c.until('one is dead', () => c.eventsNamed('chunkserver_dead').length > 0);
      const last = await c.acquire(attributes.inode, 0, { version: next.grant.version, failed: [] });
      expect(ids(last.grant)).toEqual([primary!.id, second!.id]);
    },
  );

  it('are known to the next leader, which gives every server one session before it leaves one out', async () => {
    const { c, inode, grant } = await openFile(7);
    c.write(grant, 5);
    c.crash(c.leader!);
    const same = await c.acquire(inode, 0);
    expect(same.grant).toEqual(grant);
    const electedAt = c.eventsNamed('master_leads').at(-1)!.atMs;
    const dead = c.server(ids(grant)[0]!);
    c.crashServer(dead);
    const next = await c.acquire(inode, 0, { version: grant.version, failed: [dead.id] });
    expect(ids(next.grant)).not.toContain(dead.id);
    expect(c.world.now - electedAt).toBeGreaterThanOrEqual(990);
  });

  it('leave no server out that may still hold a session of the leader before', async () => {
    for (let seed = 200; seed < 204; seed++) {
      const { c, inode, grant } = await openFile(seed);
      c.write(grant, 5);
      const mute = c.server(ids(grant)[0]!);
      mute.isMute = true;
      c.crash(c.leader!);
      const asked = c.ask('acquire', c.acquireRequest(inode, 0, { version: grant.version, failed: [mute.id] }));
      let isAnswered = false;
      void asked.then(() => (isAnswered = true));
      await c.until('the grant came', () => {
        const set = c.chunk(grant.handle)?.servers;
        if (set !== undefined && !set.includes(mute.id)) expect(mute.serves).toBe(false);
        return isAnswered;
      });
      expect(ids((await asked).grant)).not.toContain(mute.id);
    }
  });

  it('are refused with the names of the servers while no member is up', async () => {
    const { c, inode, grant } = await openFile(8);
    for (const server of c.servers) c.crashServer(server);
    await c.run(1500);
    const failed = c.servers.map(({ id }) => id);
    expect(await codeOf(c.acquire(inode, 0, { version: grant.version, failed }))).toBe('UNAVAILABLE');
    expect(c.chunk(grant.handle)!.servers.length).toBe(3);
    for (const server of c.servers) c.restartServer(server);
    await c.until('they are back', () => c.servers.every((server) => server.serves));
    const next = await c.acquire(inode, 0, { version: grant.version, failed: [] });
    expect(next.grant.version).toBeGreaterThan(grant.version);
  });

  it('a server that was left out while silent never serves what it held, whoever leads by then', async () => {
    const { c, inode, grant } = await openFile(9);
    c.write(grant, 5);
    const away = c.server(ids(grant)[1]!);
    c.crashServer(away);
    const { grant: next } = await c.acquire(inode, 0, { version: grant.version, failed: [away.id] });
    expect(c.write(next, 9)).toBe(true);
    c.crash(c.leader!); // what the old leader knew is gone
    c.restartServer(away);
    await c.until('it serves again', () => {
      if (away.serves) expect(away.chunks.get(grant.handle)?.length).not.toBe(5);
      return away.serves;
    });
    expect(away.dropped).toContain(grant.handle);
  });
});

test('a chunk that leaves the table just as it is asked for is given as it was before, or as it is after', async () => {
  const { env } = testWorld(1).node('m');
  const m = new TestMachine();
  const { inode } = must(m.open('/f'));
  const tables = {
    ...{ counters: m.tables.counters, server: m.tables.server.bind(m.tables), chunk: m.tables.chunk.bind(m.tables) },
    inode: m.tables.inode.bind(m.tables),
    handleAt: (...asked: Parameters<typeof m.tables.handleAt>) => {
      void Promise.resolve().then(() => m.truncate(inode, 0));
      return m.tables.handleAt(...asked);
    },
  };
  const world = {
    ...{ env, tables, timing: { acquireMs: 500 }, servers: { hasSession: () => true } },
    barrier: async () => {},
    checkLeading: () => {},
  } as unknown as LeaderWorld;
  const leases = new Leases(world, new Gate(), new Holds(world), {} as Regrants);
  const asked = { inode, index: toChunkIndex(0), chunkBytes, after: undefined, ifMissing: { kind: 'refuse' } } as const;
  const id = { client: 7, sequence: 1, ackBelow: 1 };
  expect(await codeOf(leases.acquire({ ...asked, id }))).toBe('ok');
});
