import { describe, expect, it } from 'vitest';
import { TestNetwork } from '../testing/test-network.test-support.ts';
import { Raft } from './raft.ts';

describe('a Raft group in calm weather', () => {
  it('elects one leader and commits what is proposed to it', () => {
    const group = new TestNetwork(Raft, { seed: 1, voters: 3 });
    const leader = group.awaitLeader();
    group.propose(leader, 10);
    group.runUntil('everybody has applied', () => group.converged && leader.applied === 11);
    expect(group.leaders).toHaveLength(1);
    group.checker.checkAll();
  });
});
