import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming, toControlId } from '../engine.ts';
import type { RaftMessage } from './messages.ts';
import { appendEntriesOf, index, logOf, node, OneNode, recordsOf, sent, term } from './one-node.test-support.ts';

function transfer(leader: OneNode, to: number) {
  const request = { kind: 'transferLeadership', to: node(to) } as const;
  return leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
}

const refused = (reason: string, to: number) => [
  { kind: 'control', id: 1, request: { kind: 'transferLeadership', to: node(to) }, reason },
];
const timeoutNow = (ofTerm: number): RaftMessage => ({
  ...{ kind: 'timeoutNow', term: term(ofTerm), leaseEnded: true },
});
const requestVote = (ofTerm: number, lastLogIndex: number, lastLogTerm: number): RaftMessage => ({
  ...{ kind: 'requestVote', term: term(ofTerm), lastLogIndex: index(lastLogIndex), lastLogTerm: term(lastLogTerm) },
  transfer: true,
});

describe('leadership transfer (dissertation §3.10)', () => {
  it('tells a target that has the whole log to seek election at once', () => {
    const leader = new OneNode();
    leader.lead();
    const effects = transfer(leader, 2);
    expect(sent(effects, 'timeoutNow')).toEqual([{ to: 2, message: timeoutNow(1) }]);
  });

  it('brings the target up to date first, and takes no proposals meanwhile', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    expect(sent(transfer(leader, 2), 'timeoutNow')).toEqual([]);
    const { dropped, persist } = leader.propose();
    expect(dropped).toEqual([{ kind: 'proposal', session: 9, sequence: 2, reason: 'changeInProgress' }]);
    expect(persist).toBeUndefined();
    expect(sent(leader.ack(3), 'timeoutNow')).toEqual([]);
    expect(sent(leader.ack(2), 'timeoutNow')).toEqual([{ to: 2, message: timeoutNow(1) }]);
  });

  it('says it again with each heartbeat, in case it was lost', () => {
    const leader = new OneNode();
    leader.lead();
    transfer(leader, 2);
    expect(sent(leader.tick(defaultTiming.heartbeatIntervalMs), 'timeoutNow')).toHaveLength(1);
  });

  it('is completed when the target is known to lead', () => {
    const leader = new OneNode();
    leader.lead();
    transfer(leader, 2);
    const vote = leader.receive(2, requestVote(2, 1, 1));
    expect(vote.completed).toEqual([]);
    expect(leader.status).toMatchObject({ role: 'follower', term: 2 });
    expect(leader.receive(2, appendEntriesOf(2, logOf(1), 1)).completed).toEqual([1]);
  });

  it('has failed when another leads instead', () => {
    const leader = new OneNode();
    leader.lead();
    transfer(leader, 2);
    const effects = leader.receive(3, appendEntriesOf(3, logOf(1), 1));
    expect(effects).toMatchObject({ completed: [], dropped: refused('targetUnavailable', 2) });
  });

  it('is abandoned after an election timeout, and proposals are taken again', () => {
    const leader = new OneNode();
    leader.lead();
    transfer(leader, 2);
    for (let i = 0; i < 7; i++) {
      leader.tick(defaultTiming.heartbeatIntervalMs);
      leader.ack(3);
    }
    expect(leader.engine.nextTickAt - leader.now).toBeLessThanOrEqual(20);
    expect(leader.tick(20).dropped).toEqual(refused('targetUnavailable', 2));
    expect(leader.leads).toBe(true);
    expect(leader.propose().dropped).toEqual([]);
  });

  it('to oneself is done already; to a node without a vote, or unknown, it is refused', () => {
    const leader = new OneNode({ nonVoters: [9] });
    leader.lead();
    expect(transfer(leader, 1).completed).toEqual([1]);
    expect(transfer(leader, 9).dropped).toEqual(refused('targetUnavailable', 9));
    expect(transfer(leader, 77).dropped).toEqual(refused('targetUnavailable', 77));
  });

  it('is one at a time, and the affair of the leader', () => {
    const leader = new OneNode();
    expect(transfer(leader, 2).dropped).toEqual(refused('notLeader', 2));
    leader.lead();
    transfer(leader, 2);
    expect(transfer(leader, 3).dropped).toEqual(refused('changeInProgress', 3));
  });

  it('switching the engine is not supported here, by name', () => {
    const leader = new OneNode();
    const request = { kind: 'switchEngine', engine: 'paxos', members: leader.config.bootstrap } as const;
    const { dropped } = leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
    expect(dropped).toEqual([{ kind: 'control', id: 1, request, reason: 'notSupported' }]);
  });
});

describe('TimeoutNow', () => {
  it('starts an election without a pre-vote, marked so that voters do not protect the leader (§4.2.3)', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, [], 0));
    follower.receive(2, timeoutNow(1));
    expect(follower.status).toMatchObject({ role: 'candidate', term: 2 });
    expect(follower.persist().released.filter(({ kind }) => kind === 'requestVote')).toEqual([
      requestVote(2, 0, 0),
      requestVote(2, 0, 0),
    ]);
  });

  it('counts only from the leader that is followed, and in its term', () => {
    const follower = new OneNode({ records: recordsOf(3, []) });
    follower.receive(2, appendEntriesOf(3, [], 0));
    follower.receive(3, timeoutNow(3));
    follower.receive(2, timeoutNow(2));
    expect(follower.status).toMatchObject({ role: 'follower', leader: 2, term: 3 });
  });

  it('does not move a leader, a node without a vote, or one whose disk stalls', () => {
    const leader = new OneNode();
    leader.lead();
    leader.receive(2, timeoutNow(1));
    expect(leader.leads).toBe(true);
    const listener = new OneNode({ id: 9, nonVoters: [9] });
    listener.receive(2, appendEntriesOf(1, [], 0));
    listener.receive(2, timeoutNow(1));
    expect(listener.status.role).toBe('follower');
    const stalled = new OneNode();
    stalled.receive(2, appendEntriesOf(1, logOf(1), 0));
    stalled.now += defaultTiming.electionTimeoutMaxMs + 1;
    stalled.receive(2, timeoutNow(1));
    expect(stalled.status.role).toBe('follower');
  });

  it('makes voters vote although they hear the leader; a candidate of its own accord does not', () => {
    const voter = new OneNode();
    voter.receive(2, appendEntriesOf(1, [], 0));
    voter.persist();
    voter.receive(3, { ...requestVote(2, 0, 0), transfer: false } as RaftMessage);
    expect(voter.status).toMatchObject({ term: 1, leader: 2 });
    voter.receive(3, requestVote(2, 0, 0));
    expect(voter.persist().released).toContainEqual({ kind: 'requestVoteResponse', term: 2, voteGranted: true });
  });
});
