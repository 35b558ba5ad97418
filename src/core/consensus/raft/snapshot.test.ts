import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming, type SnapshotPoint } from '../engine.ts';
import {
  appendEntriesOf,
  index,
  logOf,
  node,
  OneNode,
  pointOf,
  preVoteAnswer,
  recordsOf,
  sent,
  term,
} from './one-node.test-support.ts';

const { heartbeatIntervalMs } = defaultTiming;

/** A leader in term 1 that has compacted its log up to `upTo` of `entries`. */
function compacted(entries: number, upTo: number): OneNode {
  const leader = new OneNode();
  leader.lead();
  leader.propose(entries - 1);
  leader.persist();
  leader.ack(2);
  leader.applied(entries);
  leader.input({ kind: 'compact', index: index(upTo) });
  return leader;
}

function install(on: OneNode, at: SnapshotPoint) {
  return on.input({ kind: 'snapshotInstalled', at, now: toMillis(on.now) });
}

function streamEnded(leader: OneNode, to: number, at: number, delivered: boolean) {
  const [, log] = [leader, logOf(...Array.from({ length: at }, () => 1))];
  return leader.input({
    kind: 'snapshotSent',
    to: node(to),
    at: pointOf(log, at),
    delivered,
    now: toMillis(leader.now),
  });
}

describe('a leader whose log is compacted', () => {
  it('lets go only of what is applied', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose(5);
    leader.ackAll();
    leader.applied(3);
    leader.input({ kind: 'compact', index: index(6) });
    expect(leader.status.firstIndex).toBe(4);
  });

  it('asks for a snapshot to a follower that needs what is gone, one at a time (§7)', () => {
    const leader = compacted(10, 8);
    const effects = leader.receive(3, leader.rejected(10, 2, 1));
    expect(effects.snapshots).toEqual([{ to: 3 }]);
    for (let i = 0; i < 5; i++) {
      leader.ack(2);
      const beat = leader.tick(heartbeatIntervalMs);
      expect(beat.snapshots).toEqual([]);
      expect(sent(beat, 'appendEntries').find(({ to }) => to === 3)!.message).toMatchObject({
        prevLogIndex: 8,
        entries: [],
      });
      expect(leader.receive(3, leader.rejected(8, 2, 1)).snapshots).toEqual([]);
    }
  });

  it('asks for none as long as the follower that needs it is silent', () => {
    const leader = compacted(10, 5);
    const asked = Array.from({ length: 300 }, () => {
      leader.propose();
      leader.persist();
      leader.ack(2);
      const { lastIndex } = leader.status;
      leader.applied(lastIndex);
      leader.input({ kind: 'compact', index: index(lastIndex) });
      return leader.tick(heartbeatIntervalMs).snapshots;
    });
    expect(asked.flat()).toEqual([]);
    leader.receive(3, leader.rejected(8, 2, 1));
    expect(leader.tick(heartbeatIntervalMs).snapshots).toEqual([{ to: 3 }]);
  });

  it('goes on with entries when the follower says that it has the state', () => {
    const leader = compacted(10, 8);
    leader.receive(3, leader.rejected(10, 2, 1));
    const effects = leader.ack(3, 9);
    expect(sent(effects, 'appendEntries')).toMatchObject([{ to: 3, message: { prevLogIndex: 9 } }]);
    leader.ack(3, 10);
    expect(leader.status.lagPerPeer.get(node(3))).toBe(0);
  });

  it('goes on by the next heartbeat when the follower was not heard', () => {
    const leader = compacted(10, 8);
    leader.receive(3, leader.rejected(10, 2, 1));
    streamEnded(leader, 3, 9, true);
    const beat = sent(leader.tick(heartbeatIntervalMs), 'appendEntries').find(({ to }) => to === 3)!;
    expect(beat.message.prevLogIndex).toBe(9);
    expect(sent(leader.ack(3, 9), 'appendEntries')).toMatchObject([{ to: 3, message: { prevLogIndex: 9 } }]);
  });

  it('asks again when the stream failed, as long as the follower is there', () => {
    const leader = compacted(10, 8);
    leader.receive(3, leader.rejected(10, 2, 1));
    expect(streamEnded(leader, 3, 9, false).snapshots).toEqual([]);
    expect(leader.tick(heartbeatIntervalMs).snapshots).toEqual([{ to: 3 }]);
    streamEnded(leader, 3, 9, false);
    for (let i = 0; i < 10; i++) {
      leader.ack(2);
      leader.tick(heartbeatIntervalMs);
    }
    streamEnded(leader, 3, 9, false);
    leader.ack(2);
    expect(leader.tick(heartbeatIntervalMs).snapshots).toEqual([]);
    leader.receive(3, leader.rejected(8, 2, 1));
    expect(leader.tick(heartbeatIntervalMs).snapshots).toEqual([{ to: 3 }]);
  });
});

describe('a follower whose state was replaced by a snapshot', () => {
  const log = logOf(1, 1, 1, 2, 2, 2);

  it('begins its log anew after it, and tells the leader at once (Figure 13, 7)', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(2, log, 6));
    follower.persist();
    const at = pointOf(log, 5);
    const effects = install(follower, at);
    expect(effects.persist?.records).toEqual([{ kind: 'snapshotPoint', point: at }]);
    expect(follower.status).toMatchObject({ firstIndex: 6, lastIndex: 5, commitIndex: 5, appliedIndex: 5 });
    expect(follower.persist().released).toMatchObject([{ kind: 'appendEntriesAccepted', term: 2, matchIndex: 5 }]);
    const next = follower.receive(2, appendEntriesOf(2, log, 5, { commit: 6 }));
    expect(next.committed.map((entry) => entry.index)).toEqual([6]);
  });

  it('keeps the entries that follow it in a log that holds its last entry (Figure 13, 6)', () => {
    const follower = new OneNode({ records: recordsOf(2, log) });
    install(follower, pointOf(log, 4));
    expect(follower.status).toMatchObject({ firstIndex: 5, lastIndex: 6, commitIndex: 4 });
    const next = follower.receive(2, appendEntriesOf(2, log, 6, { commit: 6 }));
    expect(next.committed.map((entry) => entry.index)).toEqual([5, 6]);
  });

  it('drops a log that differs at its last entry, with all that follows (hashicorp/raft #697)', () => {
    const follower = new OneNode({ records: recordsOf(1, logOf(1, 1, 1, 1, 1, 1, 1)) });
    install(follower, pointOf(log, 5));
    expect(follower.status).toMatchObject({ firstIndex: 6, lastIndex: 5, term: 2 });
  });

  it('is not taken back by an older snapshot (etcd #1763)', () => {
    const follower = new OneNode({ records: recordsOf(2, log), applied: pointOf(log, 6) });
    expect(() => install(follower, pointOf(log, 4))).toThrow('a snapshot never takes the state back');
  });

  it('does not acknowledge entries of its old log that a write completes later', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1, 1, 1, 1), 0));
    const oldWrite = follower.lastIo;
    install(follower, pointOf(log, 4));
    follower.receive(3, appendEntriesOf(2, [], 0));
    follower.persist(oldWrite);
    follower.persist();
    const [answer] = sent(follower.receive(3, appendEntriesOf(2, log, 4, { upTo: 4 })), 'appendEntriesAccepted');
    expect(answer!.message).toMatchObject({ acceptedIndex: 4, matchIndex: 4 });
  });

  it('is in a configuration that comes with it', () => {
    const members = { voters: [node(1), node(2), node(5)], nonVoters: [node(3)] };
    const follower = new OneNode();
    install(follower, { ...pointOf(log, 5), members });
    expect(follower.status.members).toEqual(members);
  });
});

describe('a node that seeks election, or leads, while a snapshot takes the place of its log', () => {
  const others = (...voters: number[]) => ({ voters: voters.map(node), nonVoters: [] });

  /** Node 5 of 5 with the vote of node 4, which it has, and its own. */
  function candidate(): OneNode {
    const five = new OneNode({ id: 5, voters: 5 });
    five.timeOut();
    for (const id of [3, 4]) five.receive(id, preVoteAnswer(1, true));
    five.persist();
    five.receive(4, { kind: 'requestVoteResponse', term: term(1), voteGranted: true });
    expect(five.status.role).toBe('candidate');
    return five;
  }

  it('does not lead a term in which another has led and changed the members, by votes of before', () => {
    const five = candidate();
    install(five, { ...pointOf(logOf(1, 1, 1), 3), members: others(4, 5, 6) });
    expect(five.status.role).toBe('follower');
    five.receive(4, { kind: 'requestVoteResponse', term: term(1), voteGranted: true });
    expect(five.leads).toBe(false);
  });

  it.each([
    ['a candidate', candidate],
    [
      'who asks whether it would be elected',
      () => {
        const five = new OneNode({ id: 5, voters: 5 });
        five.timeOut();
        five.receive(4, preVoteAnswer(1, true));
        return five;
      },
    ],
  ])('is not elected once it has no vote any more: %s', (_, seeker) => {
    const five = seeker();
    install(five, { ...pointOf(logOf(0, 0, 0), 3), members: others(1, 2, 3, 4) });
    expect(five.status.role).toBe('follower');
    five.receive(3, preVoteAnswer(1, true));
    expect(five.timeOut().send).toEqual([]);
  });

  it('leads no longer if others have committed something else', () => {
    const deposed = new OneNode({ records: recordsOf(2, logOf(1, 1)) });
    deposed.elect();
    deposed.propose(2);
    const { dropped } = install(deposed, pointOf(logOf(1, 1, 2, 2), 4));
    expect(dropped).toMatchObject([{ kind: 'proposal', reason: 'steppedDown' }, { reason: 'steppedDown' }]);
    expect(deposed.status).toMatchObject({ role: 'follower', term: 3, firstIndex: 5, commitIndex: 4 });
  });

  it('leads on if it is told of what it has itself', () => {
    const leader = new OneNode({ records: recordsOf(1, logOf(1, 1)) });
    leader.lead();
    install(leader, pointOf(logOf(1, 1), 2));
    expect(leader.status).toMatchObject({ role: 'leader', firstIndex: 3 });
  });
});
