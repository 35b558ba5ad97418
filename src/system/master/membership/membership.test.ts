/** The group of masters in the simulated world, both engines: founding, coming back without a disk, coming and going. */
import { describe, expect, it, vi } from 'vitest';
import { nodeIdOf } from '../../../core/base/node-id.ts';
import type { EngineName } from '../../../core/consensus/index.ts';
import type { MasterStatus } from '../../../core/protocol/master-calls.ts';
import { codeOf, type TestMaster, TestMasters } from '../cluster.test-support.ts';
import { MetadataMachine, metadataRules } from '../state/metadata-machine.ts';

async function start(seed: number, engine: EngineName): Promise<TestMasters> {
  const c = await TestMasters.start(seed, { engine, servers: 0 });
  await c.until('a master leads', () => c.leader !== undefined);
  return c;
}

function make(c: TestMasters, path: string) {
  return c.create(path, { allocate: false });
}

async function status(c: TestMasters, id: number): Promise<MasterStatus | undefined> {
  return (await c.call('status', {})).masters.find((master) => master.id === id);
}

async function untilVotes(c: TestMasters, id: number, incarnation: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const found = await status(c, id);
    if (found?.standing === 'voter' && found.incarnation === incarnation && found.role !== 'down') return;
    await c.run(100);
  }
  throw new Error(`master ${id} does not vote: ${JSON.stringify(await status(c, id))}`);
}

async function untilAdded(c: TestMasters, { address }: TestMaster): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await c.call('addMaster', { address })).standing === 'voter') return;
    await c.run(100);
  }
  throw new Error('it was not added');
}

async function untilRemoved(c: TestMasters, id: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await c.call('removeMaster', { id })).done) return;
    await c.run(100);
  }
  throw new Error('it was not removed');
}

const ids = async (c: TestMasters) => (await c.call('status', {})).masters.map(({ id }) => id);

describe.each(['raft', 'paxos'] as const)('a group of masters under %s', (engine) => {
  it('is founded when all have met, and says who is missing until then', async () => {
    const c = new TestMasters(1, { engine, servers: 0 });
    const [first, second, third] = c.masters as [TestMaster, TestMaster, TestMaster];
    c.boot(first);
    c.boot(second);
    await c.run(5000);
    expect([first.master, second.master]).toEqual([undefined, undefined]);
    const why = c.eventsNamed('master_waits').map(({ fields }) => String(fields.why));
    expect(why[0]).toMatch(/missing: master 3 at m3:7000/);
    c.boot(third);
    await c.until('it leads', () => c.leader !== undefined);
    expect(c.masters.map(({ master }) => Number(master?.node))).toEqual([1, 2, 3]);
    await c.run(3000); // all are booked by the first leader, which stays
    expect(c.eventsNamed('master_leads').length).toBe(1);
    expect(await ids(c)).toEqual([1, 2, 3]);
  });

  it('takes a master that has lost its disk back under another incarnation, never under its old name', async () => {
    const c = await start(2, engine);
    await make(c, '/before');
    const victim = c.masters.find((member) => member !== c.leader)!;
    c.wipe(victim);
    c.restart(victim);
    await untilVotes(c, victim.id, 1);
    expect(victim.master?.node).toBe(nodeIdOf(victim.id, 1));
    // With one of the others gone it is needed for a majority, and has everything.
    const other = c.masters.find((member) => member !== c.leader && member !== victim)!;
    c.crash(other);
    await make(c, '/after');
    expect((await c.call('stat', { path: '/before' })).kind).toBe('file');
  });

  it('takes its leader back the same way, again and again', async () => {
    const c = await start(3, engine);
    for (let round = 1; round <= 3; round++) {
      const leader = c.leader!;
      const { incarnation } = (await status(c, leader.id))!;
      c.wipe(leader);
      c.restart(leader);
      await untilVotes(c, leader.id, incarnation + 1);
      await make(c, `/round-${round}`);
    }
    expect((await c.call('readdir', { path: '/', after: '', limit: 10, withAttributes: false })).entries.length).toBe(
      3,
    );
  });

  it('comes together again when all lose power after their disks were replaced: what is booked on them is older than their log', async () => {
    const c = await start(16, engine);
    for (const master of c.masters) {
      c.wipe(master);
      c.restart(master);
      await untilVotes(c, master.id, 1);
    }
    for (const master of c.masters) c.crash(master);
    for (const master of c.masters) c.restart(master);
    await c.until('one leads', () => c.leader !== undefined);
    await make(c, '/after');
  });

  it('makes nobody vote who has forgotten while there is no majority without it', async () => {
    const c = await start(4, engine);
    const [one, two] = c.masters.filter((member) => member !== c.leader) as [TestMaster, TestMaster];
    c.crash(one);
    c.wipe(two);
    c.restart(two);
    await c.run(10_000);
    expect(c.leader).toBeUndefined();
    expect(two.master).toBeUndefined();
    const why = c.eventsNamed('master_waits').map(({ fields }) => String(fields.why));
    expect(why.at(-1)).toMatch(/new to a group that has run/);
    c.restart(one);
    await c.until('it leads again', () => c.leader !== undefined);
    await untilVotes(c, two.id, 1);
  });

  it('repairs a log with damage in the middle from the others, and keeps the damaged one', async () => {
    const c = await start(5, engine);
    for (let i = 0; i < 20; i++) await make(c, `/f${i}`);
    const victim = c.masters.find((member) => member !== c.leader)!;
    c.crash(victim);
    flipInLog(victim);
    c.restart(victim);
    await untilVotes(c, victim.id, 1);
    const kept = victim.node.disk.paths().filter((path) => path.startsWith('damaged-'));
    expect(kept.some((path) => path.endsWith('/log/0000000000000001.wal'))).toBe(true);
    expect(c.eventsNamed('log_damaged').map(({ fields }) => String(fields.why))[0]).toMatch(/\.wal at offset \d+/);
  });

  it('refuses a damaged log when nobody can repair it, and touches nothing', async () => {
    const c = await start(6, engine);
    for (let i = 0; i < 20; i++) await make(c, `/f${i}`);
    for (const member of c.masters) c.crash(member);
    const [victim] = c.masters as [TestMaster];
    flipInLog(victim);
    // A segment that is not whole yet has never held anything.
    const files = () => victim.node.disk.paths().filter((path) => !path.endsWith('.tmp'));
    const before = files();
    c.restart(victim);
    await c.until('it gives up', () => victim.failure !== undefined, 30_000);
    expect(victim.failure).toMatchObject({
      code: 'LOG_CORRUPT',
      message: expect.stringMatching(/\.wal at offset \d+.*cannot be repaired from the other masters now/),
    });
    expect(files()).toEqual(before);
  });

  it('takes a log that is gone, with the rest still there, for what it is', async () => {
    const c = await start(7, engine);
    await make(c, '/a');
    const victim = c.masters.find((member) => member !== c.leader)!;
    c.crash(victim);
    const { disk } = victim.node;
    for (const path of disk.paths()) if (path.startsWith('log/')) disk.remove(path);
    c.restart(victim);
    await untilVotes(c, victim.id, 1);
  });

  it('grows and shrinks, one step after another, while it serves', async () => {
    const c = await start(8, engine);
    for (const id of [4, 5]) {
      const added = c.addMaster(id);
      c.boot(added);
      await untilAdded(c, added);
      await make(c, `/with-${id}`);
    }
    expect(await ids(c)).toEqual([1, 2, 3, 4, 5]);
    for (const id of [1, 2]) {
      await untilRemoved(c, id);
      await make(c, `/without-${id}`);
    }
    expect(await ids(c)).toEqual([3, 4, 5]);
    for (const id of [1, 2]) {
      const removed = c.masters.find((member) => member.id === id)!;
      await c.until('it says so and ends', () => removed.failure?.code === 'NOT_A_MEMBER');
      // Started again, it ends again, and disturbs nobody.
      c.crash(removed);
      removed.failure = undefined;
      c.restart(removed);
      await c.until('it refuses to start', () => removed.failure?.code === 'NOT_A_MEMBER');
    }
    // The new ones survive a restart of all, with a configuration that knows nothing of them.
    const rest = c.masters.filter(({ id }) => id >= 3);
    for (const member of rest) c.crash(member);
    for (const member of rest) c.restart(member);
    await c.until('one leads', () => c.leader !== undefined);
    expect((await c.call('stat', { path: '/without-2' })).kind).toBe('file');
  });

  it('removes a master that is away, which learns of it when it comes back', async () => {
    const c = await start(9, engine);
    const away = c.masters.find((member) => member !== c.leader)!;
    c.crash(away);
    await untilRemoved(c, away.id);
    await make(c, '/a');
    c.restart(away);
    await c.until('it is told', () => away.failure?.code === 'NOT_A_MEMBER');
    await make(c, '/b');
  });

  it('refuses what would lose the quorum, with the reason, and what makes no sense', async () => {
    const c = await start(10, engine);
    const [down, up] = c.masters.filter((member) => member !== c.leader) as [TestMaster, TestMaster];
    c.crash(down);
    await c.run(1000);
    expect(await codeOf(c.call('removeMaster', { id: up.id }))).toBe('WOULD_LOSE_QUORUM');
    expect(await codeOf(c.call('removeMaster', { id: c.leader!.id }))).toBe('WOULD_LOSE_QUORUM');
    expect(await codeOf(c.call('removeMaster', { id: 77 }))).toBe('NOT_FOUND');
    expect(await codeOf(c.call('transferLeadership', { id: 77 }))).toBe('NOT_FOUND');
    await untilRemoved(c, down.id);
    await untilRemoved(c, up.id);
    expect(await codeOf(c.call('removeMaster', { id: c.leader!.id }))).toBe('WOULD_LOSE_QUORUM');
    await make(c, '/alone');
  });

  it('hands leadership to nobody who does not answer, and only once to one who hangs: nothing is committed meanwhile', async () => {
    const c = await start(14, engine);
    const [down, hanging] = c.masters.filter((member) => member !== c.leader) as [TestMaster, TestMaster];
    const { leader } = c;
    const transfers = () => c.eventsNamed('transfer_started').length;
    c.crash(down);
    expect(await codeOf(c.call('transferLeadership', { id: down.id }))).toBe('ABORTED');
    expect(transfers()).toBe(0);
    c.restart(down);
    await c.run(1000);
    hanging.node.disk.stall();
    expect(await codeOf(c.call('transferLeadership', { id: hanging.id }))).toBe('ABORTED');
    expect([transfers(), c.leader]).toEqual([1, leader]);
    await make(c, '/a');
    hanging.node.disk.unstall();
    await c.call('transferLeadership', { id: hanging.id });
    await c.until('it leads', () => c.leader === hanging);
  });

  it('carries out two changes that are asked for at once one after the other', async () => {
    const c = await start(11, engine);
    const added = [4, 5].map((id) => c.addMaster(id));
    for (const member of added) c.boot(member);
    await c.run(500);
    await c.world.settle(Promise.all(added.map(({ address }) => c.ask('addMaster', { address }))));
    for (const member of added) await untilAdded(c, member);
    const gone = c.masters.filter((member) => member !== c.leader).slice(0, 2);
    await c.world.settle(Promise.all(gone.map(({ id }) => c.ask('removeMaster', { id }))));
    for (const { id } of gone) await untilRemoved(c, id);
    expect((await ids(c)).length).toBe(3);
    await make(c, '/a');
  });

  it('refuses a master that applies commands by other rules, until it is of the same version as the others', async () => {
    const c = await start(17, engine);
    const odd = c.masters.find((member) => member !== c.leader)!;
    c.crash(odd);
    const rules = vi.spyOn(MetadataMachine.prototype, 'rules', 'get').mockReturnValue(metadataRules + 1);
    c.restart(odd);
    await c.until('it gives up', () => odd.failure !== undefined, 10_000);
    rules.mockRestore();
    expect(odd.failure).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/rules \d+, master \d with .*rules \d+; .*one version/),
    });
    const refusals = c.eventsNamed('master_refused').filter(({ node }) => node === odd.node.name);
    expect(refusals.map(({ fields }) => fields.code)).toEqual(['CONFIG_INVALID', 'CONFIG_INVALID']);
    await make(c, '/meanwhile');
    expect(odd.master?.machine.tables.counters.files).toBe(0); // nothing came to it
    c.crash(odd);
    odd.failure = undefined;
    c.restart(odd);
    await untilVotes(c, odd.id, 0);
    await c.until('it has caught up', () => odd.master?.machine.tables.counters.files === 1);
  });

  it('refuses a second process under an id that is taken, and the first goes on', async () => {
    const c = await start(12, engine);
    const double = c.addMaster(3, 'elsewhere');
    c.boot(double);
    await c.until('it is refused', () => double.failure !== undefined, 30_000);
    expect(double.failure?.code).toBe('DUPLICATE_ID');
    await untilVotes(c, 3, 0);
  });

  it('refuses a second process on a copy of a directory', async () => {
    const c = await start(13, engine);
    const original = c.masters.find((member) => member !== c.leader)!;
    const double = c.addMaster(original.id, 'elsewhere');
    await c.copyDisk(original, double);
    c.boot(double);
    await c.until('it is refused', () => double.failure?.code === 'DUPLICATE_ID', 30_000);
    expect(original.failure).toBeUndefined();
    await untilVotes(c, original.id, 0);
  });

  it('is quiet once all are back: nobody asks who the others are any more', async () => {
    const c = await start(15, engine);
    for (const member of c.masters) c.crash(member);
    for (const member of c.masters) c.restart(member);
    await c.until('a master leads again', () => c.leader !== undefined);
    await c.run(3000);
    const before = c.world.network.attemptCount;
    await c.run(5000);
    expect(c.world.network.attemptCount).toBe(before);
  });

  it('asks each other once in a while who it is, while one is missing', async () => {
    const c = new TestMasters(16, { engine, servers: 0 });
    for (const member of c.masters.slice(0, 2)) c.boot(member);
    await c.run(3000);
    const before = c.world.network.attemptCount;
    await c.run(5000);
    expect(c.world.network.attemptCount - before).toBeLessThanOrEqual(4 * (5000 / 250));
  });

  it('finds a master that has moved', async () => {
    const c = await start(14, engine);
    const moved = c.masters.find((member) => member !== c.leader)!;
    c.crash(moved);
    const again = c.addMaster(moved.id, 'new-rack');
    await c.copyDisk(moved, again);
    c.boot(again);
    await c.until('it is back', () => again.master !== undefined);
    await untilVotes(c, moved.id, 0);
    const { masters } = await c.call('whoLeads', {});
    expect(masters).toContain('new-rack:7000');
  });

  it('comes together again when all of its masters have moved at once, where they are configured now', async () => {
    const c = await start(15, engine);
    await c.run(1000); // until all are booked where they are
    const old = c.masters.splice(0);
    for (const master of old) c.crash(master);
    c.configured.splice(0);
    for (const master of old) {
      const moved = c.addMaster(master.id, `new-${master.id}`);
      await c.copyDisk(master, moved);
      c.configured.push(moved);
    }
    for (const master of c.configured) c.boot(master);
    await c.until('one leads', () => c.leader !== undefined);
    await make(c, '/after');
    for (const { id } of c.configured) await untilVotes(c, id, 0);
    const booked = () => c.leader?.master?.machine.tables.roster.members.map(({ address }) => address) ?? [];
    await c.until('all are booked where they are', () => booked().every((address) => address.startsWith('new-')));
  });

  it('does not give up because masters of another cluster run where its own were configured', async () => {
    const c = await start(16, engine);
    const [first, ...others] = c.masters.splice(0) as [TestMaster, ...TestMaster[]];
    c.masters.push(first);
    for (const master of others) {
      c.crash(master);
      const moved = c.addMaster(master.id, `new-${master.id}`);
      await c.copyDisk(master, moved);
      c.boot(moved);
      await untilVotes(c, master.id, 0);
      master.node.restart();
      c.wipe(master);
      master.node.restart();
      c.boot(master, 'another');
    }
    await c.world.settle(first.master!.stop()); // what it knows of where they are is in its store then
    for (const master of c.masters) c.crash(master);
    c.restart(first);
    await c.until('it is refused', () => c.eventsNamed('master_refused').length >= 2);
    await c.run(2000);
    expect(first.failure).toBeUndefined();
    for (const master of c.masters) if (master !== first) c.restart(master);
    await c.until('one leads', () => c.leader !== undefined);
  });
});

/** One bit of a record that was durable long ago. */
function flipInLog({ node: { disk } }: TestMaster): void {
  const path = disk.paths().find((found) => found.startsWith('log/') && found.endsWith('.wal'))!;
  const bytes = disk.read(path);
  const used = bytes.findLastIndex((byte) => byte !== 0);
  disk.flipBit(path, used >> 1);
}
