import { describe, expect, it } from 'vitest';
import { toInodeId, toServerId } from '../../core/base/brand.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { masterCalls } from '../../core/protocol/master-calls.ts';
import { type Grant, nothingAsked, protocolVersion } from '../../core/protocol/types.ts';
import { codeOf, TestMasters } from './cluster.test-support.ts';
import { removedKeptMs } from './removed-lately.ts';
import { inlineChunksMax } from './state/commands.ts';

describe('a cluster of masters', () => {
  it('is initialised by its first leader, creates files and reads them back', async () => {
    const c = await TestMasters.start(1);
    const made = await c.create('/logs/a');
    expect(made.created).toBe(true);
    expect(made.grant).toMatchObject({ version: 1, durability: 'memory' });
    expect(new Set(made.grant?.replicas.map(({ address }) => address))).toEqual(
      new Set(['s1:7000', 's2:7000', 's3:7000']),
    );
    const attributes = await c.call('stat', { path: '/logs/a' });
    expect(attributes).toMatchObject({ inode: made.attributes.inode, kind: 'file', chunkCount: 1, size: 0 });
    expect(attributes.tail).toMatchObject({ handle: made.grant?.handle, version: 1, sealedLength: undefined });
    const listed = await c.call('readdir', { path: '/', after: '', limit: 10, withAttributes: true });
    expect(listed).toMatchObject({
      entries: [{ name: 'logs', kind: 'directory', attributes: { links: 1 } }],
      more: false,
    });
  });

  it('answers at any master by naming the leader', async () => {
    const c = await TestMasters.start(2);
    const leader = c.leader!;
    for (let i = 0; i < 6; i++) {
      const who = await c.call('whoLeads', {});
      expect(who).toMatchObject({ clusterId: 'test', leader: leader.address, protocolVersion });
    }
    for (const { id } of c.masters) expect((await c.call('status', {})).masters.map((m) => m.id)).toContain(id);
  });

  it('tells the status of every master and server, and who is down', async () => {
    const c = await TestMasters.start(3);
    await c.create('/a');
    const down = c.masters.find((member) => member !== c.leader)!;
    c.crash(down);
    const status = await c.call('status', {});
    expect(status).toMatchObject({
      clusterId: 'test',
      leader: c.leader!.id,
      files: 1,
      directories: 1,
      chunks: 1,
      replication: 3,
    });
    expect(status.masters.find(({ id }) => id === down.id)?.role).toBe('down');
    expect(status.masters.find(({ id }) => id === c.leader!.id)).toMatchObject({ role: 'leader', engine: 'raft' });
    expect(status.servers.map(({ id, state }) => [id, state])).toEqual([
      [1, 'healthy'],
      [2, 'healthy'],
      [3, 'healthy'],
    ]);
  });

  it('goes on after the leader is killed: nothing acknowledged is lost, retries take effect once', async () => {
    const c = await TestMasters.start(4);
    const first = await c.create('/a');
    const retried: RequestOf<typeof masterCalls.openForWrite> = {
      ...{
        id: c.id(),
        path: '/b',
        create: 'exclusive' as const,
        truncate: false,
        allocate: true,
        parents: false,
        isSmall: false,
      },
      ...nothingAsked,
    };
    const before = await c.call('openForWrite', retried);
    c.crash(c.leader!);
    const after = await c.call('openForWrite', retried);
    expect(after.created).toBe(true);
    expect(after.attributes.inode).toBe(before.attributes.inode);
    expect(after.grant).toEqual(before.grant);
    expect((await c.call('stat', { path: '/a' })).inode).toBe(first.attributes.inode);
  });

  it('comes back with everything after all masters were killed at once', async () => {
    const c = await TestMasters.start(5);
    const { inode } = await c.sealedFile('/kept', 1234);
    for (const member of c.masters) c.crash(member);
    for (const member of c.masters) c.restart(member);
    expect(await c.call('stat', { path: '/kept' })).toMatchObject({ inode, size: 1234, tail: undefined });
    const made = await c.create('/new');
    expect(made.attributes.inode).toBeGreaterThan(inode);
  });

  it('refuses what clients ask wrongly, with the code that says why', async () => {
    const c = await TestMasters.start(6);
    await c.create('/f');
    expect(await codeOf(c.call('stat', { path: '/missing' }))).toBe('NOT_FOUND');
    expect(await codeOf(c.call('stat', { path: 'relative' }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(c.call('readdir', { path: '/f', after: '', limit: 1, withAttributes: false }))).toBe(
      'NOT_A_DIRECTORY',
    );
    expect(await codeOf(c.call('readdir', { path: '/', after: '', limit: 0, withAttributes: false }))).toBe(
      'INVALID_ARGUMENT',
    );
    expect(await codeOf(c.acquire(toInodeId(1), 0))).toBe('IS_A_DIRECTORY');
    expect(await codeOf(c.acquire(toInodeId(999), 0))).toBe('STALE_HANDLE');
    expect(await codeOf(c.create('/f', { create: 'exclusive' }))).toBe('EXISTS');
    expect(await codeOf(c.call('rename', { id: c.id(), from: '/f', to: '/../x', replace: false }))).toBe(
      'INVALID_NAME',
    );
    expect(await codeOf(c.call('remove', { id: c.id(), path: '/', recursive: true }))).toBe('INVALID_ARGUMENT');
  });

  it.each([1, 30])(
    'tells so of a file of %i chunks also where the leader that had cut it fell before the primary heard of it',
    async (chunks) => {
      const c = await TestMasters.start(31);
      const { attributes, grant } = await c.create('/f');
      let open = grant!;
      for (let index = 1; index < chunks; index++) open = (await c.acquire(attributes.inode, index)).grant;
      const primary = c.server(open.replicas[0]!.server);
      c.write(open, 10);
      const fallen = c.leader!;
      c.world.network.blackhole([fallen.node.name], [primary.node.name]);
      const cut = c.ask('truncate', c.truncateRequest(attributes.inode, 0));
      await c.run(50);
      c.crash(fallen);
      await c.world.settle(cut);
      expect(primary.serves && primary.chunks.has(open.handle)).toBe(false);
    },
  );

  it.each([1, 20])(
    'tells that a file of %i chunks was cut, or emptied, only when nothing succeeds any more in what it has lost',
    async (count) => {
      const c = await TestMasters.start(10);
      const { attributes } = await c.create('/f');
      const { inode } = attributes;
      const openTail = async () => {
        const { grant } = await c.acquire(inode, count - 1);
        expect(c.write(grant, 10)).toBe(true);
        return { handle: grant.handle, primary: c.server(grant.replicas[0]!.server) };
      };
      const cut = await openTail();
      await c.call('truncate', c.truncateRequest(inode, 0));
      expect(cut.primary.chunks.has(cut.handle)).toBe(false);
      const emptied = await openTail();
      await c.create('/f', { truncate: true });
      expect(emptied.primary.chunks.has(emptied.handle)).toBe(false);
    },
  );

  it('tells so only when also who was its primary takes no more: its clients have that grant still', async () => {
    const c = await TestMasters.start(35);
    const { attributes, grant } = await c.create('/f');
    const { handle, version, replicas } = grant!;
    const first = c.server(replicas[0]!.server);
    const next = await c.acquire(attributes.inode, 0, { version, failed: [first.id] });
    expect(next.grant.replicas.at(-1)!.server).toBe(first.id);
    first.chunks.set(handle, { version, length: 10 }); // what it takes under the grant from before
    await c.call('truncate', c.truncateRequest(attributes.inode, 0));
    expect(first.serves && first.chunks.has(handle)).toBe(false);
  });

  it('tells so also of what a file got just before, by which it became too long to go at once', async () => {
    const c = await TestMasters.start(34);
    await c.run(removedKeptMs); // a new leader looks everywhere
    const inode = (await c.create('/f')).attributes.inode;
    for (let index = 1; index < inlineChunksMax; index++) await c.acquire(inode, index);
    for (let lead = 0; lead < 3; lead += 0.1) {
      const own = { client: 1000, sequence: 1 + Math.round(lead * 10), ackBelow: 1 };
      let grown: Grant | undefined;
      const growing = c.ask('acquire', { ...c.acquireRequest(inode, inlineChunksMax), id: own }).then(({ grant }) => {
        if (c.write(grant, 10)) grown = grant;
      });
      await c.run(lead);
      await c.create('/f', { truncate: true, allocate: false });
      const primary = grown === undefined ? undefined : c.server(grown.replicas[0]!.server);
      const isCut = (await c.call('stat', { path: '/f' })).chunkCount === 0;
      if (isCut) expect(primary?.serves === true && primary.chunks.has(grown!.handle)).toBe(false);
      await c.world.settle(growing);
      for (let index = 0; index < inlineChunksMax; index++) await c.acquire(inode, index);
      await c.call('truncate', c.truncateRequest(inode, inlineChunksMax));
    }
  });

  it('refuses pages of the trash that nobody can have asked for', async () => {
    const c = await TestMasters.start(33);
    for (const [after, limit] of [['é'.repeat(300_000), 10] as const, ['', 0] as const, ['', 1_000_000] as const])
      expect(await codeOf(c.call('trash', { after, limit }))).toBe('INVALID_ARGUMENT');
  });

  it('collects what was cut off a long file without being asked again', async () => {
    const c = await TestMasters.start(32);
    const { attributes } = await c.create('/f');
    for (let index = 1; index < 40; index++) await c.acquire(attributes.inode, index);
    await c.call('truncate', c.truncateRequest(attributes.inode, 2));
    const { counters } = c.leader!.master!.machine.tables;
    await c.until('it is collected', () => counters.chunks === 2, 5000);
  });

  it('gives a clear error within the deadline when there is no quorum', async () => {
    const c = await TestMasters.start(7);
    const [a, b] = c.masters.filter((member) => member !== c.leader);
    c.crash(a!);
    c.crash(b!);
    const from = c.world.now;
    expect(await codeOf(c.create('/x'))).toMatch(/^(NO_QUORUM|TIMED_OUT|UNKNOWN_OUTCOME)$/);
    expect(c.world.now - from).toBeLessThan(12_000);
  });

  it('refuses chunkservers of another cluster or protocol', async () => {
    const c = await TestMasters.start(8);
    const request = {
      clusterId: 'test',
      server: toServerId(9),
      incarnation: 1,
      address: 's9:1' as never,
      rack: '',
      pid: 1,
      protocolVersion,
    };
    expect(await codeOf(c.call('register', { ...request, clusterId: 'other' }))).toBe('WRONG_CLUSTER');
    expect(await codeOf(c.call('register', { ...request, protocolVersion: 99 }))).toBe('PROTOCOL');
  });

  it('has no place for new chunks without chunkservers, and says so; names can still be made', async () => {
    const c = await TestMasters.start(9, { servers: 0 });
    expect(await codeOf(c.create('/a'))).toBe('NO_SERVERS');
    expect((await c.create('/a', { allocate: false })).created).toBe(true);
    // What no number of servers would help is told as what it is.
    expect(await codeOf(c.create('/b', { replication: 2, minReplicas: 3 }))).toBe('INVALID_ARGUMENT');
  });

  it('knows a client whose first calls did not reach the log', async () => {
    const c = await TestMasters.start(12);
    const early = await codeOf(c.create('/../x')); // sequence 1
    expect(early).toBe('INVALID_NAME');
    const { attributes } = await c.create('/f', { allocate: false });
    const other = 78;
    const id = (sequence: number) => ({ client: other, sequence, ackBelow: sequence });
    await c.call('acquire', { ...c.acquireRequest(attributes.inode, 0), id: id(1) });
    await c.call('mkdir', { id: id(2), path: '/d', parents: false, ...nothingAsked });
    expect(
      await codeOf(
        c.call('mkdir', { id: { client: 79, sequence: 5, ackBelow: 5 }, path: '/e', parents: false, ...nothingAsked }),
      ),
    ).toBe('SESSION_EXPIRED');
  });

  it('runs the same way twice from one seed', async () => {
    const run = async () => {
      const c = await TestMasters.start(10);
      await c.sealedFile('/a', 10);
      c.crash(c.leader!);
      await c.create('/b');
      await c.run(500);
      return c.world.hash;
    };
    expect(await run()).toBe(await run());
  });
});
