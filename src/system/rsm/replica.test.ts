import { describe, expect, it } from 'vitest';
import { toUtf8 } from '../../core/base/bytes.ts';
import { readKey, TestCluster } from './cluster.test-support.ts';

describe('a replicated state machine', () => {
  it('answers a command with its result and applies it everywhere', async () => {
    const cluster = await TestCluster.start(1);
    expect(await cluster.execute(7, 1, 'a=1')).toBe('1,');
    expect(await cluster.execute(7, 2, 'a=2')).toBe('1,2,');
    const everywhere = () => cluster.members.every((member) => readKey(member.replica!.store, 'a') === '1,2,');
    expect(await cluster.world.runUntil(everywhere, 5000)).toBe(true);
  });

  it('answers a retry with the first result, and applies it once', async () => {
    const cluster = await TestCluster.start(2);
    expect(await cluster.execute(7, 1, 'a=1')).toBe('1,');
    const leader = await cluster.untilLeader();
    const again = leader.replica!.execute({ client: 7, sequence: 1, ackBelow: 1 }, toUtf8('a=1'));
    expect(await cluster.world.settle(again)).toEqual(toUtf8('1,'));
    expect(readKey(leader.replica!.store, 'a')).toBe('1,');
  });

  it('refuses a retry of what the client has acknowledged', async () => {
    const cluster = await TestCluster.start(3);
    await cluster.execute(7, 1, 'a=1');
    await cluster.execute(7, 2, 'a=2');
    const leader = await cluster.untilLeader();
    const stale = leader.replica!.execute({ client: 7, sequence: 1, ackBelow: 2 }, toUtf8('a=1'));
    await expect(cluster.world.settle(stale)).rejects.toMatchObject({ code: 'SESSION_EXPIRED' });
  });

  it('keeps what was acknowledged through power loss of all, sessions included', async () => {
    const cluster = await TestCluster.start(4);
    for (let i = 1; i <= 20; i++) await cluster.execute(7, i, `a=${i}`);
    for (const member of cluster.members) cluster.crash(member, true);
    for (const member of cluster.members) cluster.restart(member);
    expect(await cluster.execute(7, 20, 'a=20')).toMatch(/,19,20,$/);
    expect(await cluster.execute(7, 21, 'a=21')).toMatch(/,20,21,$/);
  });

  it('goes on after the leader is killed, and the killed one catches up', async () => {
    const cluster = await TestCluster.start(5);
    await cluster.execute(7, 1, 'a=1');
    const first = await cluster.untilLeader();
    cluster.crash(first, false);
    for (let i = 2; i <= 10; i++) await cluster.execute(7, i, `a=${i}`);
    cluster.restart(first);
    const caughtUp = () => first.replica !== undefined && readKey(first.replica.store, 'a') === '1,2,3,4,5,6,7,8,9,10,';
    expect(await cluster.world.runUntil(caughtUp, 10_000)).toBe(true);
  });

  it('brings a member back by a snapshot when the log no longer reaches it, and that member survives a crash', async () => {
    const seen: string[] = [];
    const cluster = await TestCluster.start(6, {
      limits: { keepEntries: 2, segmentBytes: 64 * 1024 },
      world: { onEvent: ({ name }) => seen.push(name) },
    });
    await cluster.execute(7, 1, 'a=1');
    const leader = await cluster.untilLeader();
    const away = cluster.members.find((member) => member !== leader)!;
    cluster.crash(away, true);
    for (let i = 2; i <= 30; i++) await cluster.execute(7, i, `a=${i}`);
    for (const member of cluster.members) if (member !== away) await cluster.world.settle(member.replica!.flush());
    for (let i = 31; i <= 33; i++) await cluster.execute(7, i, `a=${i}`);
    cluster.restart(away);
    const caughtUp = () => away.replica !== undefined && readKey(away.replica.store, 'a').endsWith(',32,33,');
    expect(await cluster.world.runUntil(caughtUp, 20_000)).toBe(true);
    cluster.crash(away, true);
    cluster.restart(away);
    expect(await cluster.world.runUntil(caughtUp, 20_000)).toBe(true);
    expect(away.failure).toBeUndefined();
    expect(seen).toContain('snapshot_installed');
  });

  it('closes its store when nothing reads it any more: a state that was on its way to a member is let go of before', async () => {
    const seen: string[] = [];
    const cluster = await TestCluster.start(7, {
      limits: { keepEntries: 2, segmentBytes: 64 * 1024 },
      world: { onEvent: ({ name }) => seen.push(name) },
    });
    await cluster.execute(7, 1, 'a=1');
    const { id, replica } = await cluster.untilLeader();
    const away = cluster.members.find((member) => member.id !== id)!;
    cluster.crash(away, true);
    for (let i = 2; i <= 30; i++) await cluster.execute(7, i, `a=${i}`);
    const { store } = replica!;
    await cluster.world.settle(replica!.flush());
    const [freeze, close] = [store.freeze.bind(store), store.close.bind(store)];
    store.freeze = async () => {
      const frozen = await freeze();
      const thaw = frozen.close.bind(frozen);
      frozen.close = () => {
        seen.push('thawed');
        thaw();
      };
      return frozen;
    };
    store.close = async () => {
      seen.push('closed');
      await close();
    };
    cluster.restart(away);
    expect(await cluster.world.runUntil(() => seen.includes('snapshot_started'), 20_000)).toBe(true);
    cluster.crash(away, false);
    await cluster.world.run(150); // it is tried again for a second
    await cluster.world.settle(replica!.close());
    await cluster.world.run(2000);
    expect(seen.filter((what) => what === 'thawed' || what === 'closed')).toEqual(['thawed', 'closed']);
  });

  it('that cannot begin, because its log does not reach back to its state, lets go of the log: another may take its place', async () => {
    const cluster = await TestCluster.start(7, { limits: { keepEntries: 0, segmentBytes: 64 * 1024 } });
    const [member] = cluster.members;
    const { disk } = member!.node;
    let sequence = 0;
    do {
      await cluster.execute(7, ++sequence, `k${sequence}=${'x'.repeat(5000)}`);
      await cluster.world.settle(member!.replica!.flush());
    } while (disk.paths().includes('log/0000000000000001.wal'));
    cluster.crash(member!, false);
    const prepared = disk.paths().findLast((path) => path.endsWith('.wal'))!;
    for (const path of ['store/map', prepared]) disk.remove(path);
    cluster.restart(member!);
    await cluster.world.runUntil(() => member!.failure !== undefined);
    expect(member!.failure).toMatchObject({ code: 'LOG_CORRUPT' });
    const left = disk.paths();
    await cluster.world.run(10_000);
    expect(disk.paths()).toEqual(left);
  });

  it('restarts on a flushed store and the rest of the log, with the log behind it dropped', async () => {
    const cluster = await TestCluster.start(7, { limits: { keepEntries: 0, segmentBytes: 16 * 1024 } });
    const value = 'x'.repeat(200);
    for (let i = 1; i <= 150; i++) {
      await cluster.execute(7, i, `k${i % 10}=${value}${i}`);
      if (i % 40 === 0) for (const member of cluster.members) await cluster.world.settle(member.replica!.flush());
    }
    const before = readKey((await cluster.untilLeader()).replica!.store, 'k1');
    for (const member of cluster.members) cluster.crash(member, true);
    for (const member of cluster.members) cluster.restart(member);
    await cluster.execute(7, 151, 'z=1');
    for (const member of cluster.members) {
      expect(member.failure).toBeUndefined();
      expect(await cluster.world.runUntil(() => readKey(member.replica!.store, 'z') === '1,', 10_000)).toBe(true);
      expect(readKey(member.replica!.store, 'k1')).toBe(before);
      expect(member.replica!.status.firstIndex).toBeGreaterThan(100);
    }
  });

  it('reads after a barrier see every acknowledged command; a cut-off leader does not answer', async () => {
    const cluster = await TestCluster.start(8);
    await cluster.execute(7, 1, 'a=1');
    const leader = await cluster.untilLeader();
    await cluster.world.settle(leader.replica!.barrier());
    expect(readKey(leader.replica!.store, 'a')).toBe('1,');
    for (const member of cluster.members) if (member !== leader) cluster.crash(member, false);
    const late = leader.replica!.barrier();
    late.catch(() => {});
    await expect(cluster.world.settle(late, 5000)).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });

  it('gathers few commands in one batch while another is on its way, and overlaps batches of many', async () => {
    for (const [overlapMinCommands, entries] of [
      [10, 2],
      [9, 3],
    ] as const) {
      const cluster = await TestCluster.start(9, { limits: { overlapMinCommands } });
      await cluster.execute(7, 1, 'a=1');
      const { replica } = await cluster.untilLeader();
      const before = replica!.appliedIndex;
      const asked: Promise<Uint8Array>[] = [];
      // Three turns, in less time than a message takes to a follower and back.
      for (const sequences of [[2], [3, 4, 5, 6, 7, 8, 9, 10, 11], [12]]) {
        for (const sequence of sequences)
          asked.push(replica!.execute({ client: 7, sequence, ackBelow: 2 }, toUtf8('b=1')));
        await cluster.world.run(0.05);
      }
      expect(replica!.appliedIndex).toBe(before);
      await cluster.world.settle(Promise.all(asked));
      expect(replica!.appliedIndex - before).toBe(entries);
    }
  });

  it('refuses commands at once where it does not lead, and oversize ones', async () => {
    const cluster = await TestCluster.start(9);
    const leader = await cluster.untilLeader();
    const other = cluster.members.find((member) => member !== leader)!;
    const id = { client: 7, sequence: 1, ackBelow: 1 };
    await expect(other.replica!.execute(id, toUtf8('a=1'))).rejects.toMatchObject({ code: 'NOT_LEADER' });
    await expect(leader.replica!.execute(id, new Uint8Array(2 ** 20))).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  it('never loses or doubles an acknowledged command under crashes, and the same seed gives the same run', async () => {
    const run = async (seed: number): Promise<string> => {
      const cluster = await TestCluster.start(seed, {
        limits: { keepEntries: 3, segmentBytes: 32 * 1024, flushDirtyBytes: 2000 },
      });
      const random = cluster.world.random.fork('scenario');
      for (let i = 1; i <= 40; i++) {
        if (random.below(4) === 0) {
          const victim = cluster.members[random.below(3)]!;
          cluster.crash(victim, random.below(2) === 0);
          cluster.restart(victim);
        }
        const expected = Array.from({ length: i }, (_, k) => `${k + 1},`).join('');
        expect(await cluster.execute(7, i, `a=${i}`)).toBe(expected);
      }
      for (const member of cluster.members) expect(member.failure).toBeUndefined();
      return cluster.world.hash;
    };
    for (let seed = 100; seed < 112; seed++) await run(seed);
    expect(await run(100)).toBe(await run(100));
  });
});
