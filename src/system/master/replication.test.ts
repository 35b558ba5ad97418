import { describe, expect, it } from 'vitest';
import { type ChunkHandle, toChunkHandle, toChunkIndex } from '../../core/base/brand.ts';
import { codeOf, TestMasters } from './cluster.test-support.ts';
import { candidatesMax } from './replication.ts';

const timing = { deadAfterMs: 3000 };

function members(c: TestMasters, handle: ChunkHandle): number[] {
  return [...(c.chunk(handle)?.servers ?? [])].sort();
}

describe('placement', () => {
  it('takes distinct servers, and distinct racks where it can', async () => {
    const c = await TestMasters.start(1, { servers: 4, racks: ['a', 'a', 'a', 'b'] });
    for (let i = 0; i < 10; i++) {
      const { grant } = await c.create(`/f${i}`, { replication: 2 });
      const ids = grant!.replicas.map(({ server }) => server as number);
      expect(new Set(ids).size).toBe(2);
      expect(ids).toContain(4);
    }
  });

  it('spreads over all servers that are equally full', async () => {
    const c = await TestMasters.start(2, { servers: 6 });
    const counts = new Map<number, number>();
    for (let i = 0; i < 40; i++) {
      const { grant } = await c.create(`/f${i}`, { replication: 3 });
      for (const { server } of grant!.replicas) counts.set(server, (counts.get(server) ?? 0) + 1);
    }
    for (const { id } of c.servers) expect(counts.get(id)).toBeGreaterThan(10);
  });

  it('gives each of the servers that are equally full its share of what is made at once', async () => {
    const c = await TestMasters.start(12, { servers: 16 });
    const counts = new Map<number, number>();
    for (let i = 0; i < 16; i++) {
      const { grant } = await c.create(`/f${i}`, { replication: 3 });
      for (const { server } of grant!.replicas) counts.set(server, (counts.get(server) ?? 0) + 1);
    }
    for (const { id } of c.servers) {
      expect(counts.get(id), `server ${id}`).toBeGreaterThanOrEqual(2);
      expect(counts.get(id), `server ${id}`).toBeLessThanOrEqual(4);
    }
  });

  it('makes files with fewer replicas than asked for while servers lack, and completes them when one comes', async () => {
    const c = new TestMasters(3, { servers: 3, timing });
    for (const master of c.masters) c.boot(master);
    c.server(1).boot();
    await c.until('one serves', () => c.server(1).serves);
    const { grant } = await c.create('/a');
    expect(grant!.replicas.length).toBe(1);
    c.write(grant!, 10);
    expect((await c.call('status', {})).underReplicatedChunks).toBe(1);
    c.server(2).boot();
    c.server(3).boot();
    await c.until('three members', () => members(c, grant!.handle).length === 3);
    expect(c.server(3).chunks.get(grant!.handle)?.length).toBe(10);
    await c.until('counted', () => c.leader?.master !== undefined);
    expect((await c.call('status', {})).underReplicatedChunks).toBe(0);
  });
});

describe('re-replication', () => {
  it('restores every chunk after a chunkserver has died, and takes the dead out of the sets', async () => {
    const c = await TestMasters.start(4, { servers: 4, timing });
    const handles: ChunkHandle[] = [];
    for (let i = 0; i < 12; i++) handles.push((await c.sealedFile(`/f${i}`, 100 + i)).grant.handle);
    const dead = c.server(1);
    const had = handles.filter((handle) => members(c, handle).includes(1));
    expect(had.length).toBeGreaterThan(0);
    c.crashServer(dead);
    await c.until('all have three again', () => handles.every((handle) => !members(c, handle).includes(1)));
    for (const handle of handles) {
      expect(members(c, handle)).toEqual([2, 3, 4]);
      for (const id of [2, 3, 4]) expect(c.server(id).chunks.has(handle)).toBe(true);
    }
    const status = await c.call('status', {});
    expect(status).toMatchObject({ underReplicatedChunks: 0, lostChunks: 0 });
    expect(status.servers[0]).toMatchObject({ id: 1, state: 'dead' });
  });

  it('has a copy made elsewhere as soon as the server that makes it is silent, though its connection stays', async () => {
    const c = await TestMasters.start(41, { servers: 5, timing });
    const { grant } = await c.sealedFile('/a', 100);
    const spares = c.servers.filter((server) => !members(c, grant.handle).includes(server.id));
    for (const spare of spares) spare.cloneMs = 200;
    c.crashServer(c.server(grant.replicas[0]!.server));
    const isAsked = (server: (typeof spares)[number]) => server.orders.length > 0;
    await c.until('one is asked', () => spares.some(isAsked));
    const hung = spares.find(isAsked)!;
    hung.node.pause();
    const other = spares.find((server) => server !== hung)!;
    await c.until('the other has made it', () => members(c, grant.handle).includes(other.id), 6000);
  });

  it('has a copy made from elsewhere as soon as the server that gives it is silent', async () => {
    const c = await TestMasters.start(42, { servers: 5, timing });
    const { grant } = await c.sealedFile('/a', 100);
    const spares = c.servers.filter((server) => !members(c, grant.handle).includes(server.id));
    for (const spare of spares) spare.cloneMs = 1_000_000;
    c.crashServer(c.server(grant.replicas[0]!.server));
    const ordersOf = () => spares.flatMap(({ orders }) => orders);
    await c.until('one is asked', () => ordersOf().length > 0);
    const source = Number(/from (\d+)/.exec(ordersOf()[0]!)![1]);
    c.server(source).node.pause();
    await c.until('another gives it', () => ordersOf().some((order) => !order.endsWith(`from ${source}`)), 6000);
  });

  it('keeps nobody from a chunk that is sealed for its copy by a server which falls silent over it', async () => {
    const c = await TestMasters.start(43, { servers: 4, timing });
    const { grant, attributes } = await c.create('/log');
    c.write(grant!, 77);
    const [primary, ...others] = grant!.replicas.map(({ server }) => c.server(server));
    for (const server of others) server.recoverMs = 200;
    c.crashServer(primary!);
    const isAsked = (server: (typeof others)[number]) => server.orders.some((order) => order.startsWith('recover'));
    await c.until('one is to seal it', () => others.some(isAsked));
    const hung = others.find(isAsked)!;
    hung.node.pause();
    const other = others.find((server) => server !== hung)!;
    other.recoverMs = 0;
    await c.run(2500);
    const { grant: next } = await c.acquire(attributes.inode, 0);
    expect(next.replicas[0]!.server).toBe(other.id);
  });

  it('does not copy while a server is only suspect', async () => {
    const c = await TestMasters.start(5, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const away = c.server(grant.replicas[0]!.server);
    c.crashServer(away);
    await c.run(2500);
    c.restartServer(away);
    await c.run(4000);
    expect(c.servers.flatMap(({ orders }) => orders)).toEqual([]);
    expect(members(c, grant.handle)).toContain(away.id);
  });

  it('reports chunks whose replicas are all gone as lost, and as found when one is back', async () => {
    const c = await TestMasters.start(6, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const holders = grant.replicas.map(({ server }) => c.server(server));
    for (const server of holders) c.crashServer(server);
    await c.until('the chunk counts as lost', () => c.eventsNamed('chunk_lost').length > 0);
    expect((await c.call('status', {})).lostChunks).toBe(1);
    expect(c.chunk(grant.handle)!.servers.length).toBe(3);
    c.restartServer(holders[1]!);
    await c.until('copied to the server that never had it', () => members(c, grant.handle).length === 2);
    expect((await c.call('status', {})).lostChunks).toBe(0);
  });

  it('reports a lost chunk no longer when its file is removed', async () => {
    const c = await TestMasters.start(45, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    for (const { server } of grant.replicas) c.crashServer(c.server(server));
    await c.until('the chunk counts as lost', () => c.eventsNamed('chunk_lost').length > 0);
    expect((await c.call('status', {})).lostChunks).toBe(1);
    await c.call('remove', { id: c.id(), path: '/a', recursive: false });
    await c.until('it is gone', () => c.chunk(grant.handle) === undefined);
    expect((await c.call('status', {})).lostChunks).toBe(0);
  });

  it('seals an open chunk whose primary died through another member, and copies it', async () => {
    const c = await TestMasters.start(7, { servers: 4, timing });
    const { grant } = await c.create('/log');
    c.write(grant!, 77);
    const primary = c.server(grant!.replicas[0]!.server);
    c.crashServer(primary);
    const spare = c.servers.find((server) => !grant!.replicas.some((replica) => replica.server === server.id))!;
    await c.until('copied', () => members(c, grant!.handle).includes(spare.id));
    expect(members(c, grant!.handle)).not.toContain(primary.id);
    expect(c.chunk(grant!.handle)).toMatchObject({ sealed: true, length: 77 });
    expect(spare.chunks.get(grant!.handle)?.length).toBe(77);
  });

  it('copies an open chunk while clients go on, also at a rate that the copy itself uses up', async () => {
    const c = await TestMasters.start(44, { servers: 4, timing: { ...timing, serverBytesPerSecond: 1000 } });
    const { grant, attributes } = await c.create('/log');
    const { handle, version, replicas } = grant!;
    c.write(grant!, 1000);
    const [primary, secondary] = replicas.map(({ server }) => c.server(server));
    primary!.reports.push({ handle, version, length: 1000, release: false });
    const spare = c.servers.find(({ id }) => !replicas.some(({ server }) => server === id))!;
    spare.cloneMs = 2000;
    c.crashServer(secondary!);
    await c.until('it is being copied', () => spare.orders.length > 0);
    expect(primary!.orders).toEqual([]); // its lease is not called back yet
    expect((await c.acquire(attributes.inode, 0)).grant.version).toBe(version);
    await c.until('the copy is complete', () => members(c, handle).includes(spare.id));
  });

  it('seals an open chunk for its copy although a member must be left out for that', async () => {
    const c = await TestMasters.start(46, { servers: 5, timing });
    const { grant } = await c.create('/log');
    c.write(grant!, 77);
    const [primary, refusing, dead] = grant!.replicas.map(({ server }) => c.server(server));
    primary!.hasLostLeases = true;
    refusing!.refusesRecovery = true;
    c.crashServer(dead!);
    const isThere = () => members(c, grant!.handle).length === 3 && !members(c, grant!.handle).includes(dead!.id);
    await c.until('three others have it', isThere, 60_000);
    expect(c.chunk(grant!.handle)).toMatchObject({ sealed: true, length: 77 });
  });

  it('tries others when a copy cannot be made where it should go', async () => {
    const c = await TestMasters.start(47, { servers: 5, timing });
    for (const server of c.servers) server.reportsUse = true;
    const { grant } = await c.sealedFile('/a', 100);
    const [bad, good] = c.servers.filter(({ id }) => !members(c, grant.handle).includes(id));
    good!.chunks.set(toChunkHandle(1e6), { version: 1, length: 5e8 }); // the fuller one, with what is not of this table
    bad!.refusesClones = true;
    await c.run(500);
    c.crashServer(c.server(grant.replicas[0]!.server));
    await c.until('the other one has it', () => members(c, grant.handle).includes(good!.id), 30_000);
  });

  it('makes another copy of a replica that its server found damaged', async () => {
    const c = await TestMasters.start(8, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const bad = c.server(grant.replicas[1]!.server);
    bad.chunks.delete(grant.handle);
    bad.damaged.push(grant.handle);
    const spare = c.servers.find((server) => !grant.replicas.some((replica) => replica.server === server.id))!;
    await c.until('three again', () => spare.chunks.has(grant.handle) && members(c, grant.handle).length === 3);
    expect(c.eventsNamed('replica_gone').length).toBe(1);
  });

  it.each([true, false])(
    'grants nothing before a damaged replica serves the chunk no longer (sealed: %s)',
    async (isSealed) => {
      const c = await TestMasters.start(40, { servers: 3, timing });
      const { attributes, grant } = await c.create('/a');
      c.write(grant!, 10);
      if (isSealed) {
        c.release(grant!, 10);
        await c.until('sealed', () => c.chunk(grant!.handle)?.sealed === true);
      }
      const bad = c.server(grant!.replicas[1]!.server);
      bad.damage(grant!.handle);
      let isServedAtGrant: boolean | undefined;
      await c.until('it has left', () => {
        const now = c.chunk(grant!.handle)!;
        if (!now.sealed && now.version > 1) isServedAtGrant ??= bad.serves && bad.chunks.has(grant!.handle);
        return !now.servers.includes(bad.id);
      });
      const next = await c.acquire(attributes.inode, 0);
      isServedAtGrant ??= bad.serves && bad.chunks.has(grant!.handle);
      expect(next.grant.replicas.map(({ server }) => server)).not.toContain(bad.id);
      expect(isServedAtGrant).toBe(false);
    },
  );

  it('calls no copy garbage that is being made, though another one of the chunk ended just before it began', async () => {
    const c = await TestMasters.start(43, { servers: 5, timing: { ...timing, cloneMs: 30_000 } });
    const { grant } = await c.sealedFile('/a', 10);
    const spares = c.servers.filter((server) => !grant.replicas.some((replica) => replica.server === server.id));
    for (const spare of spares) spare.cloneMs = 8000;
    for (const { server } of grant.replicas.slice(1)) c.crashServer(c.server(server));
    await c.until('three again', () => spares.every(({ id }) => members(c, grant.handle).includes(id)), 60_000);
    expect(spares.flatMap(({ dropped }) => dropped)).toEqual([]);
  });

  it.each([
    ['is damaged', 200],
    ['is damaged', 1500],
    ['is drained', 200],
    ['is drained', 1500],
  ] as const)('leaves nobody behind that serves a chunk and %s, whoever leads %i ms later', async (why, laterMs) => {
    const servers = why === 'is damaged' ? 3 : 4;
    const c = await TestMasters.start(44, { servers, timing: { ...timing, sessionMs: 3000 } });
    const { inode, grant } = await c.sealedFile('/a', 10);
    const leader = c.leader!;
    const away = c.server(grant.replicas[1]!.server);
    if (why === 'is damaged') away.damage(grant.handle);
    else await c.call('drain', { id: c.id(), server: away.id, draining: true });
    c.world.network.blackhole([leader.node.name], [away.node.name]);
    const isDone = () => c.eventsNamed('replica_gone').length > 0 || members(c, grant.handle).includes(4);
    await c.until('it is told, or another has come in its place', isDone);
    away.isMute = true;
    await c.run(laterMs);
    c.crash(leader);
    const next = await c.acquire(inode, 0);
    const isMember = next.grant.replicas.some(({ server }) => server === away.id);
    expect(isMember || !(away.serves && away.chunks.has(grant.handle))).toBe(true);
  });

  it('copies at once to one that never had it, also where another leader has just begun', async () => {
    const c = await TestMasters.start(50, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const spare = c.servers.find(({ id }) => !members(c, grant.handle).includes(id))!;
    c.crashServer(spare);
    await c.until('the spare one is dead', () => c.eventsNamed('chunkserver_dead').length > 0);
    c.server(grant.replicas[1]!.server).damage(grant.handle);
    await c.until('one has left', () => members(c, grant.handle).length === 2);
    c.crash(c.leader!);
    c.restartServer(spare);
    await c.until('another leads', () => c.leader !== undefined);
    await c.until('it has a copy', () => members(c, grant.handle).includes(spare.id), 2000);
  });

  it('copies nothing to a server that left the set under the leader before, as long as readers may believe that it is there', async () => {
    const c = await TestMasters.start(49, { servers: 3, timing });
    const { inode, grant } = await c.sealedFile('/a', 10);
    const left = c.server(grant.replicas[1]!.server);
    left.damage(grant.handle);
    await c.until('it has left', () => !members(c, grant.handle).includes(left.id));
    const leftAt = c.world.now;
    left.cloneMs = 3000;
    c.crash(c.leader!);
    await c.until('another leads, and has had time', () => c.leader !== undefined && c.world.now > leftAt + 3000);
    const next = await c.acquire(inode, 0);
    expect(c.write(next.grant, 20)).toBe(true);
    const isBelieved = () => left.serves && left.chunks.get(grant.handle)?.version === grant.version;
    await c.until('nobody believes it', () => isBelieved() || c.world.now > leftAt + 5000);
    expect(isBelieved()).toBe(false);
    c.release(next.grant, 20);
    await c.until('it has a copy', () => members(c, grant.handle).includes(left.id));
  });

  it('keeps a damaged replica as long as no other member has said that it has all of the chunk', async () => {
    const c = await TestMasters.start(41, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const [best, ...others] = c.servers;
    for (const server of others) c.crashServer(server);
    await c.until('the others are dead', () => c.eventsNamed('chunkserver_dead').length === 2);
    best!.damage(grant.handle);
    await c.run(3000);
    expect(members(c, grant.handle)).toContain(best!.id);
    expect(best!.chunks.has(grant.handle)).toBe(true);
    expect((await c.call('status', {})).lostChunks).toBe(1);
    c.restartServer(others[0]!);
    await c.until('another is up, and it has left', () => !members(c, grant.handle).includes(best!.id));
    await c.until('it has got a good one', () => members(c, grant.handle).includes(best!.id), 30_000);
  });

  it('lets a damaged replica go that is longer than the other for want of a cut alone, under a version that was never begun', async () => {
    const c = await TestMasters.start(45, { servers: 3, timing });
    const { grant, attributes } = await c.create('/cut', { replication: 2 });
    const { handle, version, replicas } = grant!;
    c.write(grant!, 100);
    const [primary, other] = replicas.map(({ server }) => c.server(server));
    primary!.reports.push({ handle, version, length: 100, release: false });
    await c.until('the length is known', () => c.chunk(handle)?.length === 100);
    const next = await c.acquire(attributes.inode, 0, { version, failed: [] });
    expect(next.grant.version).toBeGreaterThan(version);
    primary!.chunks.set(handle, { version, length: 40, serial: 2 });
    other!.chunks.set(handle, { version, length: 100, serial: 1 });
    other!.refusesRecovery = true;
    other!.damage(handle);
    await c.until('it has left', () => !members(c, handle).includes(other!.id), 30_000);
    await c.until(
      'there are two again',
      () => members(c, handle).length === 2 && c.chunk(handle)?.sealed === true,
      30_000,
    );
    expect(c.chunk(handle)?.length).toBe(40);
  });

  it('knows of the damage of the only member also when that comes with the session of a server that was away', async () => {
    const c = await TestMasters.start(42, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 10, { replication: 1 });
    const only = c.server(grant.replicas[0]!.server);
    c.crashServer(only);
    await c.until('it is dead', () => c.eventsNamed('chunkserver_dead').length === 1);
    only.damage(grant.handle);
    c.restartServer(only);
    await c.until('it serves', () => only.serves);
    await c.run(500);
    expect((await c.call('status', {})).lostChunks).toBe(1);
  });

  it('knows when the only member has again what was missing there, and copies it', async () => {
    const c = await TestMasters.start(52, { servers: 2, timing });
    const { grant } = await c.sealedFile('/a', 10, { replication: 1 });
    const { handle } = grant;
    const only = c.server(members(c, handle)[0]!);
    const kept = only.chunks.get(handle)!;
    only.chunks.delete(handle);
    await c.until('it is missed', () => c.eventsNamed('replica_gone').length > 0);
    await c.run(1500);
    expect((await c.call('status', {})).lostChunks).toBe(1);
    only.chunks.set(handle, kept);
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication: 2 });
    await c.until('there are two', () => members(c, handle).length === 2, 5000);
    expect((await c.call('status', {})).lostChunks).toBe(0);
  });

  it('notices a replica that is missing where it should be, by the inventory', async () => {
    const c = await TestMasters.start(9, { servers: 4, timing });
    const { grant } = await c.sealedFile('/a', 10);
    const poor = c.server(grant.replicas[2]!.server);
    poor.chunks.delete(grant.handle);
    const whole = () => members(c, grant.handle).every((id) => c.server(id).chunks.has(grant.handle));
    await c.until('whole again', () => members(c, grant.handle).length === 3 && whole());
  });
});

describe('copies where they should be', () => {
  const needed = async (c: TestMasters, id: number) =>
    (await c.call('status', {})).servers.find((server) => server.id === id)!;

  it('leave a server that is drained, also while they are written, and come back to it when that is undone', async () => {
    const c = await TestMasters.start(30, { servers: 4, timing });
    const handles: ChunkHandle[] = [];
    for (let i = 0; i < 6; i++) handles.push((await c.sealedFile(`/f${i}`, 100 + i)).grant.handle);
    const { grant } = await c.create('/open');
    c.write(grant!, 40);
    const id = c.server(grant!.replicas[0]!.server).id;
    await c.call('drain', { id: c.id(), server: id, draining: true });
    await c.until('no chunk needs it', () => c.leader!.master!.machine.tables.chunksOn(id) === 0);
    expect(await needed(c, id)).toMatchObject({ state: 'drained', needed: 0 });
    for (const handle of [...handles, grant!.handle]) expect(members(c, handle)).toHaveLength(3);
    await c.until('it has dropped them', () => c.server(id).chunks.size === 0);
    for (let i = 0; i < 6; i++)
      expect((await c.create(`/new${i}`)).grant!.replicas.some(({ server }) => server === id)).toBe(false);
    await c.call('drain', { id: c.id(), server: id, draining: false });
    expect((await needed(c, id)).state).toBe('healthy');
    expect(await codeOf(c.call('drain', { id: c.id(), server: 99 as typeof id, draining: true }))).toBe('NOT_FOUND');
  });

  it('go to the rack of the server that is drained, where another is: no two copies end up in one rack for want of that', async () => {
    const racks = ['a', 'b', 'c', 'a', 'b', 'c'];
    const c = await TestMasters.start(29, { servers: 6, racks, timing });
    const handles: ChunkHandle[] = [];
    for (let i = 0; i < 12; i++) handles.push((await c.sealedFile(`/f${i}`, 100)).grant.handle);
    await c.call('drain', { id: c.id(), server: c.server(1).id, draining: true });
    await c.until('it is empty', () => handles.every((handle) => !members(c, handle).includes(1)));
    for (const handle of handles) expect(new Set(members(c, handle).map((id) => racks[id - 1])).size).toBe(3);
  });

  it('stay on a server that is drained if another is lost while they are copied: there is one copy more before it may go', async () => {
    const c = await TestMasters.start(30, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 100, { replication: 2 });
    const [other, drained] = grant.replicas.map(({ server }) => c.server(server));
    const target = c.servers.find((server) => server !== other && server !== drained)!;
    for (const server of c.servers) server.cloneMs = 1000;
    await c.call('drain', { id: c.id(), server: drained!.id, draining: true });
    await c.until('it is copied', () => target.orders.some((order) => order.startsWith('clone')));
    other!.damage(grant.handle);
    await c.until('the other has none', () => !members(c, grant.handle).includes(other!.id));
    await c.until('it was copied', () => members(c, grant.handle).includes(target.id));
    await c.run(500);
    expect(members(c, grant.handle)).toEqual([drained!.id, target.id].sort());
    await c.until('it is empty', () => !members(c, grant.handle).includes(drained!.id));
    expect(members(c, grant.handle)).toEqual([other!.id, target.id].sort());
  });

  it('stay on a server that is drained and silent for a moment if what was copied from another is short', async () => {
    const c = await TestMasters.start(28, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 100, { replication: 2 });
    const { handle } = grant;
    const [short, drained] = grant.replicas.map(({ server }) => c.server(server));
    const target = c.servers.find((server) => server !== short && server !== drained)!;
    target.cloneMs = 1500;
    await c.call('drain', { id: c.id(), server: drained!.id, draining: true });
    await c.until('it is copied', () => target.orders.length > 0);
    expect(target.orders).toEqual([`clone ${handle} from ${short!.id}`]);
    // It had lost the end with its power, which nobody has seen yet.
    short!.chunks.get(handle)!.length = 40;
    c.crashServer(drained!);
    await c.until('the copy is a member', () => members(c, handle).includes(target.id));
    c.restartServer(drained!);
    const isWhole = (id: number) => c.server(id).chunks.get(handle)?.length === 100;
    await c.until('two have all of it', () => members(c, handle).filter(isWhole).length === 2, 30_000);
    await c.until('nobody has less', () => members(c, handle).every(isWhole), 30_000);
  });

  it('leave a server that is drained also where all have lost the end of a chunk, and where nobody has anything of one never written to', async () => {
    const c = await TestMasters.start(27, { servers: 4, timing });
    const { grant: lost } = await c.sealedFile('/lost', 100);
    const { grant: empty } = await c.create('/empty');
    c.release(empty!, 0);
    await c.until('it is sealed', () => c.chunk(empty!.handle)?.sealed === true);
    for (const server of c.servers) if (server.chunks.has(lost.handle)) server.chunks.get(lost.handle)!.length = 40;
    const handles = [lost.handle, empty!.handle];
    for (const handle of handles) {
      const id = c.server(members(c, handle)[0]!).id;
      await c.call('drain', { id: c.id(), server: id, draining: true });
      await c.until(`chunk ${handle} has left it`, () => !members(c, handle).includes(id));
      expect(members(c, handle)).toHaveLength(3);
      await c.call('drain', { id: c.id(), server: id, draining: false });
    }
  });

  it('stay on a server that is drained if it is the only one that has all of a chunk', async () => {
    const c = await TestMasters.start(26, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 100, { replication: 1 });
    const { handle } = grant;
    const only = c.server(members(c, handle)[0]!);
    const others = c.servers.filter((server) => server !== only);
    for (const server of others) server.cloneMs = 500;
    await c.call('drain', { id: c.id(), server: only.id, draining: true });
    const target = () => others.find(({ chunks }) => chunks.get(handle)?.length === 100);
    await c.until('it is copied', () => target() !== undefined);
    target()!.chunks.get(handle)!.length = 40; // no sooner was it there than half of it was lost
    const isWhole = (id: number) => c.server(id).chunks.get(handle)?.length === 100;
    for (let n = 0; n < 10; n++) {
      await c.run(500);
      expect(members(c, handle).some(isWhole)).toBe(true);
    }
  });

  it('stay on a server that is drained as long as there is no other place', async () => {
    const c = await TestMasters.start(31, { servers: 3, timing });
    const { grant } = await c.sealedFile('/a', 10);
    await c.call('drain', { id: c.id(), server: c.server(2).id, draining: true });
    await c.run(3000);
    expect(members(c, grant.handle)).toEqual([1, 2, 3]);
    expect(await needed(c, 2)).toMatchObject({ state: 'draining', needed: 1 });
  });

  it('are not dropped as too many while one that stays has none, which nobody has been told', async () => {
    const c = await TestMasters.start(49, { timing });
    for (const server of c.servers) server.reportsUse = true;
    const { grant } = await c.sealedFile('/a', 100);
    const { handle } = grant;
    const [full, empty] = c.servers;
    full!.chunks.set(toChunkHandle(1e6), { version: 1, length: 5e8 }); // of all others it would be taken from here
    await c.run(500);
    empty!.chunks.delete(handle);
    empty!.dropped.push(handle);
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication: 2 });
    const copies = () => c.servers.filter(({ chunks }) => chunks.has(handle)).length;
    let least = copies();
    await c.until('there are two', () => {
      least = Math.min(least, copies());
      return members(c, handle).length === 2;
    });
    expect([least, copies()]).toEqual([2, 2]);
  });

  it('are not dropped as too many while the one that stays is just being left out', async () => {
    const c = await TestMasters.start(51, { servers: 2, timing });
    const { inode, grant } = await c.sealedFile('/a', 100, { replication: 2 });
    const { handle, version, replicas } = grant;
    const [tooMany, failed] = replicas.map(({ server }) => c.server(server));
    tooMany!.holdsMs = 500;
    const other = { id: { client: 1000, sequence: 1, ackBelow: 1 } };
    const work = c.ask('acquire', { ...c.acquireRequest(inode, 0, { version, failed: [failed!.id] }), ...other });
    await c.run(100);
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication: 1 });
    await c.world.settle(work);
    expect(members(c, handle).some((id) => c.server(id).chunks.get(handle)?.length === 100)).toBe(true);
  });

  it('are dropped as too many of an empty chunk, wherever there is nothing of it', async () => {
    const c = await TestMasters.start(50, { timing });
    const { grant } = await c.sealedFile('/a', 0);
    const { handle } = grant;
    for (const server of c.servers) {
      server.chunks.delete(handle);
      server.dropped.push(handle);
    }
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication: 2 });
    await c.until('there are two', () => members(c, handle).length === 2);
    expect(c.eventsNamed('replica_gone')).toEqual([]);
  });

  it('leave a server that is drained also if it has an empty replica, and the others have dropped theirs', async () => {
    const c = await TestMasters.start(51, { timing });
    const { grant } = await c.sealedFile('/a', 0);
    const [drained, ...others] = grant.replicas.map(({ server }) => c.server(server));
    for (const server of others) {
      server.chunks.delete(grant.handle);
      server.dropped.push(grant.handle);
    }
    await c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication: 2 });
    await c.call('drain', { id: c.id(), server: drained!.id, draining: true });
    await c.until('it is empty', () => !members(c, grant.handle).includes(drained!.id));
    expect(drained!.chunks.has(grant.handle)).toBe(false);
  });

  it('are as many as the file asks for: more are made, surplus ones are dropped before anybody can write', async () => {
    const c = await TestMasters.start(32, { servers: 4, timing });
    const { inode, grant } = await c.sealedFile('/a', 10);
    const set = (replication: number) => c.call('set', { id: c.id(), path: '/a', ...c.nothingAsked, replication });
    await set(4);
    await c.until('four copies', () => members(c, grant.handle).length === 4);
    await set(2);
    await c.until('two copies', () => members(c, grant.handle).length === 2);
    const left = members(c, grant.handle);
    await c.acquire(inode, 0);
    for (const server of c.servers) expect(server.chunks.has(grant.handle)).toBe(left.includes(server.id));
  });

  it('of some that cannot be met, however many and pressing, keep no others from being met', async () => {
    const c = await TestMasters.start(34, { servers: 3, timing });
    const set = (path: string, replication: number) =>
      c.call('set', { id: c.id(), path, ...c.nothingAsked, replication });
    const { grant } = await c.sealedFile('/a', 10);
    for (let n = 0; n < candidatesMax + 6; n++) {
      await c.sealedFile(`/four-${n}`, 10);
      await set(`/four-${n}`, 4);
    }
    await set('/a', 2);
    await c.until('two copies', () => members(c, grant.handle).length === 2);
  });

  it('make good first what has one copy left', async () => {
    const c = await TestMasters.start(33, { servers: 4, timing: { deadAfterMs: 3000, serverBytesPerSecond: 200 } });
    for (let i = 0; i < 4; i++) await c.sealedFile(`/three${i}`, 100);
    const { grant: two } = await c.create('/two', { replication: 2 });
    c.write(two!, 100);
    c.release(two!, 100);
    await c.until('it is sealed', () => c.chunk(two!.handle)?.sealed === true);
    c.crashServer(c.server(two!.replicas[0]!.server));
    await c.until('the first copy is made', () => c.eventsNamed('chunk_replicated').length > 0);
    const first = c.servers.flatMap(({ orders }) => orders).find((order) => order.startsWith('clone'));
    expect(first).toContain(`clone ${two!.handle} `);
  });

  it.each(['read', 'written'])('make good first, of those that lack as many, what is %s', async (use) => {
    const c = await TestMasters.start(48, { servers: 4, timing: { deadAfterMs: 3000, serverBytesPerSecond: 200 } });
    const files: Awaited<ReturnType<typeof c.sealedFile>>[] = [];
    for (let i = 0; i < 8; i++) files.push(await c.sealedFile(`/f${i}`, 100));
    const { inode, grant } = files.at(-1)!;
    if (use === 'read') await c.call('locate', { inode, first: toChunkIndex(0), count: 1 });
    else {
      c.release((await c.acquire(inode, 0)).grant, 100);
      await c.until('it is sealed again', () => c.chunk(grant.handle)?.sealed === true);
    }
    c.crashServer(c.server(grant.replicas[0]!.server));
    await c.until('the first copy is made', () => c.eventsNamed('chunk_replicated').length > 0);
    const orders = c.servers.flatMap((server) => server.orders).filter((order) => order.startsWith('clone'));
    expect(orders[0]).toContain(`clone ${grant.handle} `);
  });
});

describe('garbage', () => {
  it('is dropped by the servers after a file was removed', async () => {
    const c = await TestMasters.start(10);
    const { grant } = await c.sealedFile('/d/a', 10);
    const kept = await c.sealedFile('/b', 20);
    await c.call('remove', { id: c.id(), path: '/d', recursive: true });
    await c.until('dropped everywhere', () => c.servers.every((server) => !server.chunks.has(grant.handle)));
    expect(c.servers.every((server) => server.chunks.has(kept.grant.handle))).toBe(true);
    expect((await c.call('status', {})).chunks).toBe(1);
  });

  it('is found by the inventory when the leader that removed it is gone', async () => {
    const c = await TestMasters.start(11);
    const { grant } = await c.sealedFile('/a', 10);
    const away = c.server(grant.replicas[0]!.server);
    c.crashServer(away);
    await c.call('remove', { id: c.id(), path: '/a', recursive: false });
    await c.run(500);
    c.crash(c.leader!);
    c.restartServer(away);
    await c.until('dropped', () => !away.chunks.has(grant.handle));
  });

  it('comes from the trash when the time of retention is over, and not before', async () => {
    const c = await TestMasters.start(12, { timing: { trashRetentionMs: 4000 } });
    const { inode, grant } = await c.sealedFile('/a', 10);
    expect(await c.call('discard', { id: c.id(), path: '/a', recursive: false })).toEqual({ isKept: true });
    await c.run(3000);
    expect(await c.call('trash', { after: '', limit: 10 })).toMatchObject({
      entries: [{ inode, path: '/a' }],
      retentionMs: 4000,
    });
    expect(c.servers.every((server) => server.chunks.has(grant.handle))).toBe(true);
    await c.until('dropped everywhere', () => c.servers.every((server) => !server.chunks.has(grant.handle)));
    expect(await codeOf(c.call('restore', { id: c.id(), inode, to: undefined }))).toBe('NOT_FOUND');
  });

  it('is kept for its time by the clocks of most masters: a leader that is days ahead throws nothing away early', async () => {
    const c = await TestMasters.start(13, { timing: { trashRetentionMs: 4000 } });
    const { grant } = await c.sealedFile('/a', 10);
    await c.call('discard', { id: c.id(), path: '/a', recursive: false });
    c.leader!.node.clock.jumpWall(10 * 24 * 3600 * 1000);
    await c.run(3000);
    expect((await c.call('trash', { after: '', limit: 10 })).entries).toHaveLength(1);
    expect(c.eventsNamed('trash_kept_by_other_clocks')).toHaveLength(1);
    await c.until('dropped everywhere', () => c.servers.every((server) => !server.chunks.has(grant.handle)));
  });

  it('comes from the trash at once when that is emptied, also of what a leader whose clock was ahead has removed', async () => {
    const c = await TestMasters.start(14, { timing: { trashRetentionMs: 60_000 } });
    c.leader!.node.clock.jumpWall(24 * 3600 * 1000);
    await c.create('/a', { allocate: false });
    await c.call('discard', { id: c.id(), path: '/a', recursive: false });
    c.leader!.node.clock.jumpWall(-24 * 3600 * 1000);
    expect(await c.call('emptyTrash', { id: c.id(), inode: undefined })).toEqual({ removed: 1, more: false });
  });

  it('never takes what a file leads to, through kills of servers and leaders', async () => {
    for (let seed = 20; seed < 24; seed++) {
      const c = await TestMasters.start(seed, { servers: 4, timing: { deadAfterMs: 1500 } });
      const random = c.world.random.fork('scenario');
      const files: { path: string; handle: ChunkHandle }[] = [];
      for (let i = 0; i < 8; i++) {
        const { grant } = await c.sealedFile(`/f${i}`, 10);
        files.push({ path: `/f${i}`, handle: grant.handle });
      }
      for (let round = 0; round < 4; round++) {
        const victim = c.servers[random.below(4)]!;
        c.crashServer(victim);
        await c.run(random.below(3000));
        const leader = c.leader;
        if (leader !== undefined && round % 2 === 0) {
          c.crash(leader);
          await c.run(random.below(1000));
          c.restart(leader);
        }
        const gone = files.pop()!;
        expect(await codeOf(c.call('remove', { id: c.id(), path: gone.path, recursive: false }))).toBe('ok');
        c.restartServer(victim);
        await c.run(random.below(2000));
        for (const { handle } of files) {
          const holders = c.servers.filter((server) => server.chunks.has(handle));
          expect(holders.length).toBeGreaterThanOrEqual(2);
        }
      }
      await c.until('every file has its three replicas', () =>
        files.every(({ handle }) => {
          const set = members(c, handle);
          return set.length === 3 && set.every((id) => c.server(id).chunks.has(handle));
        }),
      );
      await c.until('nothing else is held', () =>
        c.servers.every((server) =>
          [...server.chunks.keys()].every((handle) => members(c, handle).includes(server.id)),
        ),
      );
    }
  });
});
