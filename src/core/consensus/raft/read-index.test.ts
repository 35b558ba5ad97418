import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming, toControlId } from '../engine.ts';
import { node, OneNode, sent, term } from './one-node.test-support.ts';

function leading(voters = 3): OneNode {
  const leader = new OneNode({ voters });
  leader.lead();
  return leader;
}

describe('a linearizable read (dissertation §6.4)', () => {
  it('is granted at the commit index of its arrival, once a quorum has answered a round that began after it', () => {
    const leader = leading();
    const { id, effects } = leader.read();
    expect(effects.reads).toEqual([]);
    expect(sent(effects, 'appendEntries').map(({ message }) => message.round)).toEqual([1, 1]);
    expect(leader.ack(2, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('is not confirmed by an answer to a heartbeat that left before it came', () => {
    const leader = leading();
    leader.tick(defaultTiming.heartbeatIntervalMs);
    leader.read();
    expect(leader.ack(2, 1, 0).reads).toEqual([]);
  });

  it('is not confirmed by a late answer to the round of an earlier read (etcd raft #20418)', () => {
    const leader = leading();
    leader.read();
    leader.ack(2, 1, 1);
    const { id } = leader.read();
    expect(leader.ack(3, 1, 1).reads).toEqual([]);
    expect(leader.ack(3, 1, 2).reads).toEqual([{ id, index: 1 }]);
  });

  it('waits for the next round when one is under way, and that round serves all who wait', () => {
    const leader = leading();
    const first = leader.read().id;
    const second = leader.read();
    const third = leader.read();
    expect([...second.effects.send, ...third.effects.send]).toEqual([]);
    const effects = leader.ack(2, 1, 1);
    expect(effects.reads).toEqual([{ id: first, index: 1 }]);
    expect(sent(effects, 'appendEntries').map(({ message }) => message.round)).toEqual([2, 2]);
    expect(leader.ack(3, 1, 2).reads).toEqual([
      { id: second.id, index: 1 },
      { id: third.id, index: 1 },
    ]);
  });

  it('takes the commit index of its own round, not of an earlier one (TiKV #7971)', () => {
    const leader = leading();
    leader.read();
    const { id } = leader.read();
    leader.propose();
    leader.persist();
    leader.ack(2, 2, 1);
    expect(leader.ack(2, 2, 2).reads).toEqual([{ id, index: 2 }]);
  });

  it('needs a majority of five, not one answer', () => {
    const leader = leading(5);
    const { id } = leader.read();
    expect(leader.ack(2, 1, 1).reads).toEqual([]);
    expect(leader.ack(2, 1, 1).reads).toEqual([]);
    expect(leader.ack(4, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('is confirmed by a refusal too: who refuses in our term follows us', () => {
    const leader = leading();
    const { id } = leader.read();
    expect(leader.receive(2, leader.rejected(1, 0, 0, 1)).reads).toEqual([{ id, index: 1 }]);
  });

  it('is repeated with the heartbeat when the round is lost', () => {
    const leader = leading();
    leader.read();
    const effects = leader.tick(defaultTiming.heartbeatIntervalMs);
    expect(sent(effects, 'appendEntries').map(({ message }) => message.round)).toEqual([1, 1]);
  });

  it('waits until an entry of the own term is committed: before, the commit index may be old (§8)', () => {
    const leader = new OneNode();
    leader.elect();
    const { id, effects } = leader.read();
    expect(effects.send).toEqual([]);
    leader.persist();
    const established = leader.ack(2, 1);
    expect(established.reads).toEqual([]);
    expect(sent(established, 'appendEntries').some(({ message }) => message.round === 1)).toBe(true);
    expect(leader.ack(2, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('is dropped when the leader steps down, granted or not at all', () => {
    const leader = leading();
    const first = leader.read().id;
    const second = leader.read().id;
    const effects = leader.receive(3, { ...leader.rejected(0, 0, 0), term: term(5) });
    expect(effects.dropped).toEqual([
      { kind: 'read', id: first, reason: 'steppedDown' },
      { kind: 'read', id: second, reason: 'steppedDown' },
    ]);
    expect(leader.ack(2, 1, 1).reads).toEqual([]);
  });

  it('is refused by a follower', () => {
    const follower = new OneNode();
    const { id, effects } = follower.read();
    expect(effects.dropped).toEqual([{ kind: 'read', id, reason: 'notLeader' }]);
  });

  it('is granted when a change leaves nobody to be asked who has not answered, and holds up no later one', () => {
    const leader = leading(2);
    const request = { kind: 'changeMembers', members: { voters: [node(1)], nonVoters: [] } } as const;
    leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
    const first = leader.read();
    leader.persist();
    const alone = leader.ack(2);
    expect(alone.reads.map(({ id }) => id)).toEqual([first.id]);
    const second = leader.read();
    expect(second.effects.reads.map(({ id }) => id)).toEqual([second.id]);
  });

  it('of a group of one is granted at once', () => {
    const alone = new OneNode({ voters: 1 });
    alone.timeOut();
    alone.persist();
    alone.persist();
    const { id, effects } = alone.read();
    expect(effects.reads).toEqual([{ id, index: 1 }]);
  });
});

describe('other reads', () => {
  it('stale ones are granted at once, by anybody, at what is applied', () => {
    const leader = leading();
    leader.applied(1);
    const { id, effects } = leader.read('stale');
    expect(effects.reads).toEqual([{ id, index: 1 }]);
    expect(new OneNode().read('stale').effects.reads).toMatchObject([{ index: 0 }]);
  });

  it('lease reads take a round where no lease is set', () => {
    const leader = leading();
    const { id, effects } = leader.read('lease');
    expect(effects).toMatchObject({ reads: [], dropped: [] });
    expect(leader.ack(2, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('quorum reads are not offered, and say so', () => {
    const { id, effects } = leading().read('quorum');
    expect(effects.dropped).toEqual([{ kind: 'read', id, reason: 'readLevelNotOffered' }]);
  });
});
