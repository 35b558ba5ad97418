import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming, toControlId } from '../engine.ts';
import {
  appendEntriesOf,
  index,
  logOf,
  node,
  OneNode,
  pointOf,
  recordsOf,
  sent,
  term,
} from './one-node.test-support.ts';
import type { RaftEffects } from './outbox.ts';

const lease = { durationMs: 100, driftMax: 0.1 };
/** Longer than an election takes. */
const longLease = { durationMs: 1000, driftMax: 0.1 };
const { heartbeatIntervalMs } = defaultTiming;

/** It leads, with its no-op committed and as old as the lease is young. */
function leading(): OneNode {
  const leader = new OneNode({ lease });
  leader.lead();
  return leader;
}

const granted = ({ reads }: RaftEffects) => reads.map((read) => read.index);

/** Elected in the term after the log's, by 2; its no-op is durable here and there. */
function elected(of: OneNode): RaftEffects {
  of.elect();
  of.persist();
  return of.ack(2);
}

/** Time passes, and 2 answers all along. */
function leadsUntil(leader: OneNode, until: number): RaftEffects[] {
  const all: RaftEffects[] = [];
  while (leader.now < until) {
    all.push(leader.tick(Math.min(heartbeatIntervalMs, until - leader.now)));
    all.push(leader.ack(2));
  }
  return all;
}

describe('a lease read (LeaseGuard)', () => {
  it('is granted without a round while a committed entry of the own term is young', () => {
    const leader = leading();
    leader.now += lease.durationMs - 1;
    const { effects } = leader.read('lease');
    expect(granted(effects)).toEqual([1]);
    expect(effects.send).toEqual([]);
  });

  it('takes a round when the log has been idle for as long as the lease lasts', () => {
    const leader = leading();
    leader.now += lease.durationMs;
    const { id, effects } = leader.read('lease');
    expect(effects.reads).toEqual([]);
    expect(sent(effects, 'appendEntries')).toHaveLength(2);
    expect(leader.ack(2, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('counts the age of an entry from when it was appended, not from when it was committed', () => {
    const leader = leading();
    leader.now += 90;
    leader.propose();
    leader.persist();
    leader.now += 90;
    leader.ack(2);
    leader.now += 9;
    expect(granted(leader.read('lease').effects)).toEqual([2]);
    leader.now += 1;
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('does not rely on entries that are not committed', () => {
    const leader = leading();
    leader.now += lease.durationMs;
    leader.propose();
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('waits for the first commit of the term, as any read does', () => {
    const leader = new OneNode({ lease });
    leader.elect();
    const { id, effects } = leader.read('lease');
    expect(effects.reads).toEqual([]);
    leader.persist();
    leader.ack(2);
    expect(leader.ack(3, 1, 1).reads).toEqual([{ id, index: 1 }]);
  });

  it('is not granted once another has been asked to lead, although that may fail', () => {
    const leader = leading();
    const request = { kind: 'transferLeadership', to: node(2) } as const;
    leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('is refused by who does not lead', () => {
    expect(new OneNode({ lease }).read('lease').effects.dropped).toMatchObject([{ reason: 'notLeader' }]);
  });
});

describe('a new leader where leases are set', () => {
  const waits = lease.durationMs * (1 + lease.driftMax);

  /** Follows 3 and takes an entry from it, then loses sight of it. */
  function follower(): OneNode {
    const one = new OneNode({ lease, voters: 3 });
    one.receive(3, appendEntriesOf(1, logOf(1), 0));
    one.persist();
    return one;
  }

  /** Seeks election `ms` after it got that entry. */
  function electedAfter(ms: number): OneNode {
    const one = follower();
    const at = one.now;
    one.now = at + ms;
    one.receive(3, { kind: 'timeoutNow', term: term(1), leaseEnded: false });
    one.persist();
    one.receive(2, { kind: 'requestVoteResponse', term: term(2), voteGranted: true });
    one.persist();
    one.ack(2);
    return one;
  }

  it('commits nothing until the last entry that another left has been there for as long as a lease may last', () => {
    const leader = electedAfter(waits - 20);
    expect(leader.status).toMatchObject({ role: 'leader', commitIndex: 0, established: false });
    expect(leader.engine.nextTickAt).toBe(leader.now + 20);
    leader.tick(19);
    expect(leader.status.commitIndex).toBe(0);
    expect(leader.tick(1).committed).toHaveLength(2);
    expect(leader.status.established).toBe(true);
  });

  it('need not wait when that is so already', () => {
    expect(electedAfter(waits).status).toMatchObject({ commitIndex: 2, established: true });
  });

  it('does not take part in a lease that was not its own: what it found in its log renews nothing', () => {
    const leader = electedAfter(waits);
    leader.now += lease.durationMs;
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('takes what it finds at a restart for new', () => {
    const again = new OneNode({ lease: longLease, records: recordsOf(1, logOf(1)) });
    const until = again.now + 1100;
    expect(elected(again).committed).toEqual([]);
    expect(leadsUntil(again, until - 1).flatMap(({ committed }) => committed)).toEqual([]);
    expect(again.tick(1).committed).toHaveLength(2);
  });

  it('takes a state that was put in place for new', () => {
    const one = new OneNode({ lease: longLease });
    const until = one.now + 1100;
    one.input({ kind: 'snapshotInstalled', at: pointOf(logOf(1), 1), now: toMillis(one.now) });
    one.persist();
    expect(elected(one).committed).toEqual([]);
    expect(leadsUntil(one, until - 1).flatMap(({ committed }) => committed)).toEqual([]);
    expect(one.tick(1).committed).toHaveLength(1);
  });

  it('need not wait when the leader before it says that no lease is left, and it leads the next term', () => {
    const one = follower();
    one.receive(3, { kind: 'timeoutNow', term: term(1), leaseEnded: true });
    one.persist();
    one.receive(2, { kind: 'requestVoteResponse', term: term(2), voteGranted: true });
    one.persist();
    expect(one.ack(2).committed).toHaveLength(2);
  });

  it('waits if it is elected in a later term than that one', () => {
    const one = follower();
    one.receive(3, { kind: 'timeoutNow', term: term(1), leaseEnded: true });
    one.receive(2, { kind: 'requestVoteResponse', term: term(5), voteGranted: false });
    one.persist();
    one.now += 1;
    one.receive(3, appendEntriesOf(5, logOf(1, 5), 1));
    one.receive(3, { kind: 'timeoutNow', term: term(5), leaseEnded: false });
    one.persist();
    one.receive(2, { kind: 'requestVoteResponse', term: term(6), voteGranted: true });
    one.persist();
    expect(one.ack(2).committed).toEqual([]);
  });

  it('says that no lease is left only when it has waited itself', () => {
    const leader = electedAfter(10);
    const request = { kind: 'transferLeadership', to: node(2) } as const;
    const { send } = leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
    expect(send).toContainEqual({ to: 2, message: { kind: 'timeoutNow', term: 2, leaseEnded: false } });
  });

  it('waits for nobody when its log is empty, or no lease is set', () => {
    expect(elected(new OneNode({ lease })).committed).toHaveLength(1);
    expect(elected(new OneNode({ records: recordsOf(1, logOf(1)) })).committed).toHaveLength(2);
  });

  it('keeps its followers meanwhile', () => {
    const leader = electedAfter(0);
    const effects = leader.tick(heartbeatIntervalMs);
    expect(sent(effects, 'appendEntries').map(({ message }) => message.leaderCommit)).toEqual([0, 0].map(index));
  });
});
