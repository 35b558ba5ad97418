import { describe, expect, it } from 'vitest';
import { flexibleWeather, rivalReaders, rivalry, weather } from '../testing/storm.test-support.ts';
import { TestNetwork } from '../testing/test-network.test-support.ts';
import { MultiPaxos } from './multi-paxos.ts';

/** More of them, elsewhere: CAIRN_SEEDS=2000 CAIRN_SEED_FROM=1000. */
const seeds = Number(process.env.CAIRN_SEEDS ?? 24);
const seedFrom = Number(process.env.CAIRN_SEED_FROM ?? 1);

describe('a Multi-Paxos group', () => {
  it('elects one leader and chooses what is proposed to it', () => {
    const group = new TestNetwork(MultiPaxos, { seed: 1, voters: 3 });
    const leader = group.awaitLeader();
    group.propose(leader, 10);
    group.runUntil('everybody has applied', () => group.converged && leader.applied === 10);
    expect(group.leaders).toHaveLength(1);
    group.checker.checkAll();
  });

  it('is safe in any weather, and live when it clears', { timeout: 600_000 }, () => {
    let committed = 0;
    let snapshots = 0;
    for (let seed = seedFrom; seed < seedFrom + seeds; seed++) {
      const group = weather(MultiPaxos, seed);
      committed += group.checker.highestCommitted;
      snapshots += group.snapshots;
    }
    expect(committed).toBeGreaterThan(seeds * 20);
    expect(snapshots).toBeGreaterThan(seeds / 20);
  });

  it('is so with quorums of different sizes for its two phases (Flexible Paxos)', { timeout: 600_000 }, () => {
    for (let seed = seedFrom; seed < seedFrom + seeds / 2; seed++) flexibleWeather(MultiPaxos, seed);
  });

  it('has at most one leader a round, however proposers and crashes coincide', { timeout: 600_000 }, () => {
    for (let seed = seedFrom; seed < seedFrom + seeds / 2; seed++) rivalry(MultiPaxos, seed);
  });

  it('serves no read by a lease that has ended elsewhere, at whatever rates clocks run', { timeout: 600_000 }, () => {
    for (let seed = seedFrom; seed < seedFrom + seeds / 2; seed++) rivalReaders(MultiPaxos, seed);
  });

  it('does the same again from the same seed', () => {
    expect(weather(MultiPaxos, 17).digest).toBe(weather(MultiPaxos, 17).digest);
    expect(weather(MultiPaxos, 17).digest).not.toBe(weather(MultiPaxos, 18).digest);
  });
});
