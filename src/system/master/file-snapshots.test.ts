import { describe, expect, it } from 'vitest';
import type { ChunkHandle, InodeId } from '../../core/base/brand.ts';
import { toChunkIndex } from '../../core/base/brand.ts';
import { codeOf, TestMasters } from './cluster.test-support.ts';

function snapshot(c: TestMasters, from: string, to: string) {
  return c.call('fileSnapshot', { id: c.id(), from, to });
}
async function chunksOf(c: TestMasters, path: string): Promise<ChunkHandle[]> {
  const { inode } = await c.call('stat', { path });
  const { locations } = await c.call('locate', { inode, first: toChunkIndex(0), count: 10 });
  return locations.map(({ handle }) => handle);
}

describe('a file snapshot', () => {
  it('calls the leases of its source back first, and nobody else’s', async () => {
    const c = await TestMasters.start(1);
    const open = await c.create('/a/open');
    const other = await c.create('/b/open');
    c.write(open.grant!, 500);
    await snapshot(c, '/a', '/copy');
    expect(c.chunk(open.grant!.handle)).toMatchObject({ sealed: true, length: 500 });
    expect(c.chunk(other.grant!.handle)).toMatchObject({ sealed: false });
    expect((await c.call('stat', { path: '/copy/open' })).size).toBe(500);
    expect(await chunksOf(c, '/copy/open')).toEqual([open.grant!.handle]);
  });

  it('is laid out unasked, also by the next leader', async () => {
    const c = await TestMasters.start(2);
    for (let i = 0; i < 30; i++) await c.create(`/a/f${i}`, { allocate: false });
    await snapshot(c, '/a', '/copy');
    c.crash(c.leader!);
    await c.until('another leads', () => c.leader !== undefined);
    const tables = () => c.leader?.master?.machine.tables;
    await c.until('all is laid out', () => tables()?.counters.copies === 0 && tables()?.counters.files === 60);
  });

  it('can be looked at before it is laid out: each thing has an inode of its own, and keeps it', async () => {
    const c = await TestMasters.start(3);
    for (let i = 0; i < 20; i++) await c.create(`/a/d/f${String(i).padStart(2, '0')}`, { allocate: false });
    await c.call('mkdir', { id: c.id(), path: '/empty', parents: false, ...c.nothingAsked });
    const source = await c.call('stat', { path: '/a/d/f07' });
    await snapshot(c, '/a', '/copy');
    const [stats, page] = await c.world.settle(
      Promise.all([
        c.ask('stat', { path: '/copy/d/f07' }),
        c.ask('readdir', { path: '/copy/d', after: 'f05', limit: 5, withAttributes: true }),
      ]),
    );
    expect(stats.inode).not.toBe(source.inode);
    expect(page.entries.map(({ name }) => name)).toEqual(['f06', 'f07', 'f08', 'f09', 'f10']);
    expect(page.more).toBe(true);
    expect(page.entries[1]!.inode).toBe(stats.inode);
    await c.run(1000);
    expect((await c.call('stat', { path: '/copy/d/f07' })).inode).toBe(stats.inode);
    expect(await codeOf(c.call('stat', { path: '/copy/d/f99' }))).toBe('NOT_FOUND');
  });

  it('has a shared chunk copied by its servers before anybody may write to it; the other file keeps the old one', async () => {
    const c = await TestMasters.start(4);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.handle).not.toBe(grant.handle);
    expect(c.servers.flatMap(({ orders }) => orders).filter((order) => order.startsWith('split'))).toHaveLength(3);
    for (const { server } of mine.replicas) expect(c.server(server).chunks.get(mine.handle)?.length).toBe(700);
    expect(await chunksOf(c, '/a')).toEqual([mine.handle]);
    expect(await chunksOf(c, '/b')).toEqual([grant.handle]);
    // Readers who have the old chunk as /a's see a later version than they know.
    for (const { server } of grant.replicas)
      expect(c.server(server).chunks.get(grant.handle)!.version).toBeGreaterThan(grant.version);
    const theirs = (await c.acquire((await c.call('stat', { path: '/b' })).inode, 0)).grant;
    expect(theirs.handle).toBe(grant.handle);
    await c.run(3000);
    for (const { server } of mine.replicas) expect(c.server(server).chunks.has(mine.handle)).toBe(true);
  });

  it('splits an empty chunk too where it is, so that copies can be made of it', async () => {
    const c = await TestMasters.start(6);
    const { inode, grant } = await c.sealedFile('/a', 0);
    await snapshot(c, '/a', '/b');
    expect((await c.acquire(inode, 0)).grant.handle).not.toBe(grant.handle);
    for (const { server } of grant.replicas)
      expect(c.server(server).chunks.get(grant.handle)!.version).toBe(c.chunk(grant.handle)!.version);
  });

  it('splits a chunk without a server that has lost a part of it: the rest would follow that one', async () => {
    const c = await TestMasters.start(7);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const short = c.server(grant.replicas[0]!.server);
    short.chunks.get(grant.handle)!.length = 100;
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.replicas.map(({ server }) => server)).not.toContain(short.id);
    expect(c.chunk(grant.handle)!.servers).not.toContain(short.id);
    expect(short.chunks.has(grant.handle)).toBe(false);
  });

  it('splits a chunk of which all have lost a part, with those that have the most', async () => {
    const c = await TestMasters.start(8);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const [one, two, three] = grant.replicas.map(({ server }) => c.server(server));
    for (const [server, length] of [
      [one!, 300],
      [two!, 100],
      [three!, 300],
    ] as const)
      server.chunks.get(grant.handle)!.length = length;
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.replicas.map(({ server }) => server).toSorted()).toEqual([one!.id, three!.id].toSorted());
  });

  it('splits a chunk although a server is away, without that server, and completes both afterwards', async () => {
    const c = await TestMasters.start(5, { servers: 4, timing: { deadAfterMs: 3000 } });
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const away = c.server(grant.replicas[1]!.server);
    c.crashServer(away);
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.replicas.map(({ server }) => server)).not.toContain(away.id);
    expect(c.chunk(grant.handle)!.servers).not.toContain(away.id);
    c.release(mine, 700);
    const isWhole = (handle: ChunkHandle) => c.chunk(handle)!.servers.length === 3;
    await c.until('both have three copies', () => isWhole(mine.handle) && isWhole(grant.handle));
  });

  it('splits a chunk with a server that has done so and could not say it: it does not throw the later version away', async () => {
    const c = await TestMasters.start(15);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const unheard = c.server(grant.replicas[1]!.server);
    unheard.splitAnswersLost = 1;
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.handle).not.toBe(grant.handle);
    expect(mine.replicas.map(({ server }) => server)).toContain(unheard.id);
    expect(unheard.dropped).toEqual([]);
    expect(c.chunk(grant.handle)!.servers).toContain(unheard.id);
  });

  it('splits a chunk without a server that has done so once, for a split that came to nothing, and has no room now', async () => {
    const c = await TestMasters.start(24);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const full = c.server(grant.replicas[1]!.server);
    full.chunks.get(grant.handle)!.version = grant.version + 1;
    full.isFull = true;
    let mine: Awaited<ReturnType<typeof c.acquire>> | undefined;
    void c.ask('acquire', c.acquireRequest(inode, 0)).then((answer) => (mine = answer));
    await c.until('the chunk is granted', () => mine !== undefined, 5000);
    expect(mine!.grant.replicas.map(({ server }) => server)).not.toContain(full.id);
    expect(c.chunk(grant.handle)!.servers).not.toContain(full.id);
    expect(full.chunks.has(grant.handle)).toBe(false);
  });

  it('splits no chunk for ever: where a server neither does so nor leaves, the next who asks has it begun anew', async () => {
    const c = await TestMasters.start(25, { timing: { cloneMs: 1000 } });
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const failing = c.server(grant.replicas[1]!.server);
    failing.splitAnswersLost = Number.POSITIVE_INFINITY;
    const work = codeOf(c.ask('acquire', c.acquireRequest(inode, 0)));
    const begun = () => new Set(c.eventsNamed('chunk_not_split').map(({ fields }) => fields.into)).size;
    await c.until('it is begun anew', () => begun() > 1, 5000);
    failing.splitAnswersLost = 0;
    expect(await c.world.settle(work)).toBe('ok');
    const mine = (await c.acquire(inode, 0)).grant;
    expect(mine.handle).not.toBe(grant.handle);
    expect(mine.replicas).toHaveLength(3);
  });

  it('splits a chunk without a server that falls silent over it, though its connection stays', async () => {
    const c = await TestMasters.start(17);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const hung = c.server(grant.replicas[1]!.server);
    hung.splitMs = 200;
    const work = c.ask('acquire', c.acquireRequest(inode, 0));
    await c.until('it is asked', () => hung.orders.some((order) => order.startsWith('split')));
    hung.node.pause();
    let mine: Awaited<typeof work> | undefined;
    void work.then((answer) => (mine = answer));
    await c.until('the chunk is granted', () => mine !== undefined, 5000);
    expect(mine!.grant.replicas.map(({ server }) => server)).not.toContain(hung.id);
  });

  it('splits a chunk without a server that was away only if it is away still: of one that is back readers would have the old chunk', async () => {
    const c = await TestMasters.start(19);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const [, away, slow] = grant.replicas.map(({ server }) => c.server(server));
    c.crashServer(away!);
    await c.until('its session has lapsed', () => c.eventsNamed('chunkserver_silent').length > 0);
    slow!.splitAnswersLost = 8;
    const work = c.ask('acquire', c.acquireRequest(inode, 0));
    await c.until('the other is asked', () => slow!.orders.length > 0);
    c.restartServer(away!);
    let serves: boolean | undefined;
    await c.until('the chunk is split', () => {
      const now = c.chunk(grant.handle)!;
      if (now.version > grant.version)
        serves ??= away!.serves && away!.chunks.get(grant.handle)?.version === grant.version;
      return serves !== undefined;
    });
    expect(serves).toBe(false);
    expect((await c.world.settle(work)).grant.handle).not.toBe(grant.handle);
  });

  it('splits a chunk with a server that comes to a new leader only then: it does not throw away what it has', async () => {
    const c = await TestMasters.start(23);
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const [first, late] = grant.replicas.map(({ server }) => c.server(server));
    late!.node.pause();
    c.crash(c.leader!);
    await c.until('another leads, and knows the first', () => c.leader !== undefined && first!.serves);
    const work = c.ask('acquire', c.acquireRequest(inode, 0));
    await c.until('the first is asked', () => first!.orders.some((order) => order.startsWith('split')));
    await c.run(50);
    late!.node.resume();
    const mine = (await c.world.settle(work)).grant;
    expect(mine.replicas.map(({ server }) => server)).toContain(late!.id);
    expect(c.chunk(grant.handle)!.servers).toContain(late!.id);
    expect(late!.dropped).toEqual([]);
  });

  it('splits a chunk on the servers that it has begun with: a replica that is to move meanwhile moves afterwards', async () => {
    const c = await TestMasters.start(16, { servers: 4, timing: { deadAfterMs: 3000 } });
    await c.run(5000); // a new leader moves nothing
    const { inode, grant } = await c.sealedFile('/a', 700);
    await snapshot(c, '/a', '/b');
    const [, leaving] = grant.replicas.map(({ server }) => server);
    const spare = c.servers.find(({ id }) => !grant.replicas.some(({ server }) => server === id))!;
    c.server(leaving!).splitMs = 3000;
    const other = { client: 1000, sequence: 1, ackBelow: 1 }; // whom the drain does not wait for
    const work = c.ask('acquire', { ...c.acquireRequest(inode, 0), id: other });
    await c.run(100);
    await c.call('drain', { id: c.id(), server: leaving!, draining: true });
    await c.run(2000);
    expect(c.chunk(grant.handle)).toMatchObject({ servers: grant.replicas.map(({ server }) => server), refs: 2 });
    const mine = (await c.world.settle(work)).grant;
    expect(mine.handle).not.toBe(grant.handle);
    for (const { server } of mine.replicas) expect(c.server(server).chunks.get(mine.handle)?.length).toBe(700);
    c.release(mine, 700);
    const isMoved = (handle: ChunkHandle) => c.chunk(handle)!.servers.includes(spare.id);
    await c.until('both have moved', () => isMoved(mine.handle) && isMoved(grant.handle));
    await c.until('it has dropped both', () => c.server(leaving!).chunks.size === 0);
  });

  it('is of one moment while others write, make and rename: all that was acknowledged before is in it', async () => {
    const c = await TestMasters.start(6);
    const files: InodeId[] = [];
    for (let i = 0; i < 6; i++) files.push((await c.create(`/a/f${i}`)).attributes.inode);
    const own = (n: number) => ({ id: { client: 1000 + n, sequence: 1, ackBelow: 1 } }); // they do not wait for each other
    const work = [
      ...files.map((inode, n) => c.ask('acquire', { ...c.acquireRequest(inode, 0), ...own(n) })),
      c.ask('rename', { ...own(10), from: '/a/f0', to: '/a/renamed', replace: false }),
      c.ask('openForWrite', { ...c.openRequest('/a/made'), ...own(11) }),
      c.ask('fileSnapshot', { ...own(12), from: '/a', to: '/copy' }),
      c.ask('openForWrite', { ...c.openRequest('/a/later'), ...own(13) }),
      c.ask('rename', { ...own(14), from: '/a/renamed', to: '/a/again', replace: false }),
    ];
    await c.world.settle(Promise.all(work));
    const tables = c.leader!.master!.machine.tables;
    await c.until('it is laid out', () => tables.counters.copies === 0);
    const names = async (path: string) =>
      (await c.call('readdir', { path, after: '', limit: 100, withAttributes: false })).entries.map(({ name }) => name);
    expect(await names('/a')).toEqual(['again', 'f1', 'f2', 'f3', 'f4', 'f5', 'later', 'made']);
    const copy = await names('/copy');
    expect(copy.filter((name) => ['f0', 'renamed', 'again'].includes(name))).toHaveLength(1);
    for (const name of ['f1', 'f2', 'f3', 'f4', 'f5']) expect(copy).toContain(name);
    for (const [, chunk] of tables.chunks(0)) expect(chunk.sealed || chunk.refs === 1).toBe(true);
  });

  it('is of what is at the path at that moment: what was put there meanwhile has its leases called back too', async () => {
    const c = await TestMasters.start(17);
    const before = await c.create('/a/f');
    c.write(before.grant!, 10);
    const after = await c.create('/b/f');
    c.write(after.grant!, 20);
    const own = (n: number) => ({ id: { client: 1000 + n, sequence: 1, ackBelow: 1 } });
    const work = [
      c.ask('fileSnapshot', { ...own(0), from: '/a', to: '/copy' }),
      c.ask('rename', { ...own(1), from: '/a', to: '/old', replace: false }),
      c.ask('rename', { ...own(2), from: '/b', to: '/a', replace: false }),
    ];
    await c.world.settle(Promise.all(work));
    expect((await c.call('stat', { path: '/copy/f' })).size).toBe(20);
    expect(c.chunk(after.grant!.handle)).toMatchObject({ sealed: true, refs: 2 });
  });

  it('of what is not there yet is refused, or is of what was put there, its leases called back', async () => {
    const c = await TestMasters.start(18);
    const { grant } = await c.create('/b/f');
    c.write(grant!, 20);
    const own = (n: number) => ({ id: { client: 1000 + n, sequence: 1, ackBelow: 1 } });
    const move = c.ask('rename', { ...own(0), from: '/b', to: '/a', replace: false });
    const copy = codeOf(c.ask('fileSnapshot', { ...own(1), from: '/a', to: '/copy' }));
    const [, code] = await c.world.settle(Promise.all([move, copy]));
    expect(['ok', 'NOT_FOUND']).toContain(code);
    await c.until('it is laid out', () => c.leader!.master!.machine.tables.counters.copies === 0);
    const chunk = c.chunk(grant!.handle)!;
    expect(chunk.sealed || chunk.refs === 1).toBe(true);
  });

  it('is taken while files are made below its source all the time: they get their chunks afterwards', async () => {
    const c = await TestMasters.start(22);
    for (const server of c.servers) server.recoverMs = 50;
    await c.create('/a/open'); // of which its primary knows nothing yet: it is sealed by recovery
    let isTaken = false;
    const own = { id: { client: 1000, sequence: 1, ackBelow: 1 } };
    const taking = c.ask('fileSnapshot', { ...own, from: '/a', to: '/copy' }).then(() => (isTaken = true));
    const grants = { below: 0, elsewhere: 0 };
    let made = 0;
    for (; made < 300 && !isTaken; made++) {
      if ((await c.create(`/a/d/f${made}`)).grant !== undefined) grants.below += 1;
      if ((await c.create(`/b/f${made}`)).grant !== undefined) grants.elsewhere += 1;
    }
    expect(isTaken).toBe(true);
    await taking;
    expect(grants.elsewhere).toBe(made);
    expect(grants.below).toBeLessThan(made);
    const { attributes, grant } = await c.create('/a/d/f0');
    expect(grant ?? (await c.acquire(attributes.inode, 0)).grant).toBeDefined();
    expect((await c.create('/a/d/later')).grant).toBeDefined();
  });

  it('is taken though the disk of a primary does not let it recover what is open: another one does', async () => {
    for (const code of ['DISK_CORRUPT', 'DISK_FULL'] as const) {
      const c = await TestMasters.start(23);
      const { grant } = await c.create('/a/open'); // its primary knows nothing of it yet
      const [unable, other] = grant!.replicas.map(({ server }) => c.server(server));
      unable!.recoverFails = code;
      await c.call('fileSnapshot', { id: c.id(), from: '/a', to: '/copy' });
      expect(c.chunk(grant!.handle)).toMatchObject({ sealed: true, version: 3 });
      expect(other!.orders).toEqual([`recover ${grant!.handle} v3`]);
    }
  });

  it('is refused with why, and leaves what it froze usable', async () => {
    const c = await TestMasters.start(7);
    const { attributes } = await c.create('/a/f');
    expect(await codeOf(snapshot(c, '/a', '/a/copy'))).toBe('INTO_ITSELF');
    expect(await codeOf(snapshot(c, '/missing', '/copy'))).toBe('NOT_FOUND');
    expect(await codeOf(snapshot(c, '/a', '/a'))).toBe('EXISTS');
    expect(await codeOf(snapshot(c, '/a', 'copy'))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(c.acquire(attributes.inode, 0))).toBe('ok');
  });

  it('of what cannot be sealed is refused in time: servers that are away may hold more than is known', async () => {
    const c = await TestMasters.start(8, { timing: { recallMs: 400 } });
    const { attributes, grant } = await c.create('/a/f');
    c.write(grant!, 10);
    for (const { server } of grant!.replicas) c.crashServer(c.server(server));
    await c.run(1500);
    expect(await codeOf(snapshot(c, '/a', '/copy'))).toBe('UNAVAILABLE');
    for (const server of c.servers) c.restartServer(server);
    await c.until('they serve', () => c.servers.every((server) => server.serves));
    expect(await codeOf(snapshot(c, '/a', '/copy'))).toBe('ok');
    expect(await codeOf(c.acquire(attributes.inode, 0))).toBe('ok');
  });
});

describe('settings', () => {
  it('that are changed call back the grants that promise otherwise', async () => {
    const c = await TestMasters.start(20);
    const { attributes, grant } = await c.create('/a');
    c.write(grant!, 30);
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, mode: 'async', durability: 'disk' });
    expect(c.chunk(grant!.handle)).toMatchObject({ sealed: true, length: 30 });
    expect((await c.acquire(attributes.inode, 0)).grant).toMatchObject({ mode: 'async', durability: 'disk' });
  });

  it('that are changed while a grant is on its way are what it promises', async () => {
    const c = await TestMasters.start(23);
    const { inode, grant } = await c.sealedFile('/a', 30);
    const failed = [grant.replicas[1]!.server];
    for (const server of c.servers) server.holdsMs = 100;
    const own = { id: { client: 1000, sequence: 1, ackBelow: 1 } };
    const work = c.ask('acquire', { ...c.acquireRequest(inode, 0, { version: grant.version, failed }), ...own });
    await c.run(50);
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, mode: 'async', durability: 'disk' });
    expect(c.chunk(grant.handle)).toMatchObject({ version: grant.version, sealed: true }); // there is nothing to call back yet
    expect((await c.world.settle(work)).grant).toMatchObject({ mode: 'async', durability: 'disk' });
  });

  it('ask for a least number of replicas: with fewer servers up there is no grant, and no new file', async () => {
    const c = await TestMasters.start(21, { timing: { deadAfterMs: 60_000 } });
    const { attributes, grant } = await c.create('/a', { minReplicas: 3 });
    expect(grant).toMatchObject({ minReplicas: 3 });
    c.release(grant!, 0);
    await c.run(500);
    const away = c.server(grant!.replicas[2]!.server);
    c.crashServer(away);
    await c.run(1500);
    expect(await codeOf(c.acquire(attributes.inode, 0))).toBe('UNAVAILABLE');
    expect(await codeOf(c.create('/b', { minReplicas: 3 }))).toBe('NO_SERVERS');
    c.restartServer(away);
    await c.until('it serves', () => away.serves);
    expect(await codeOf(c.acquire(attributes.inode, 0))).toBe('ok');
  });
});
