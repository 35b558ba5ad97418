import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import { standstillMaxTimeouts } from '../catch-up-round.ts';
import { type DropReason, defaultTiming, type Entry, type EntryPayload, type Members, toControlId } from '../engine.ts';
import { makeEntry } from '../entry-format.ts';
import {
  appendEntriesOf,
  index,
  logOf,
  node,
  OneNode,
  preVoteAnswer,
  recordsOf,
  said,
  sent,
  term,
} from './one-node.test-support.ts';
import type { RaftEffects } from './outbox.ts';

const { electionTimeoutMaxMs, heartbeatIntervalMs } = defaultTiming;
const standstillMs = standstillMaxTimeouts * electionTimeoutMaxMs;

function members(
  voters: readonly number[],
  nonVoters: readonly number[] = [],
  votersNext?: readonly number[],
): Members {
  const next = votersNext === undefined ? {} : { votersNext: votersNext.map(node) };
  return { voters: voters.map(node), nonVoters: nonVoters.map(node), ...next };
}

function change(leader: OneNode, goal: Members): RaftEffects {
  const request = { kind: 'changeMembers', members: goal } as const;
  return leader.input({ kind: 'control', id: toControlId(1), request, now: toMillis(leader.now) });
}

const reasons = ({ dropped }: RaftEffects): DropReason[] => dropped.map(({ reason }) => reason);
const entered = ({ persist }: RaftEffects) =>
  (persist?.records ?? []).flatMap((record) =>
    record.kind === 'entry' && record.entry.payload.kind === 'members' ? [record.entry.payload.members] : [],
  );

/** A leader that hears everybody and has nothing uncommitted. */
function leaderOf(voters: number, nonVoters: readonly number[] = [], id = 1): OneNode {
  const leader = new OneNode({ id, voters, nonVoters });
  leader.lead();
  return leader;
}

/** Its disk and these peers have everything. */
function commit(leader: OneNode, ...acks: readonly number[]): RaftEffects[] {
  const { effects } = leader.persist();
  return [effects, ...acks.map((id) => leader.ack(id))];
}

const completed = (all: readonly RaftEffects[]) => all.flatMap((effects) => effects.completed);

describe('a change of members (dissertation §4.3, Raft §6)', () => {
  it('goes through the joint configuration to the new one, each in force when it is appended', () => {
    const leader = leaderOf(3, [4]);
    leader.ack(4);
    expect(entered(change(leader, members([1, 2, 4])))).toEqual([members([1, 2, 3], [], [1, 2, 4])]);
    expect(leader.status.members).toEqual(members([1, 2, 3], [], [1, 2, 4]));
    const effects = commit(leader, 2);
    expect(leader.status.members).toEqual(members([1, 2, 4]));
    expect(effects.flatMap(entered)).toEqual([members([1, 2, 4])]);
    expect(completed(effects)).toEqual([]);
    expect(completed(commit(leader, 2))).toEqual([1]);
  });

  it('commits nothing under the joint configuration without a majority of each half', () => {
    const leader = leaderOf(3, [4, 5]);
    leader.ack(4);
    leader.ack(5);
    change(leader, members([1, 4, 5]));
    const { commitIndex } = leader.status;
    commit(leader, 2, 3);
    expect(leader.status.commitIndex).toBe(commitIndex);
    leader.ack(4);
    expect(leader.status.commitIndex).toBe(commitIndex + 1);
  });

  it('lets strangers listen before they vote, until they have caught up (§4.2.1)', () => {
    const leader = leaderOf(3);
    expect(entered(change(leader, members([1, 2, 3, 4])))).toEqual([members([1, 2, 3], [4])]);
    commit(leader, 2);
    expect(leader.status.members).toEqual(members([1, 2, 3], [4]));
    leader.ack(4);
    expect(leader.status.members).toEqual(members([1, 2, 3], [], [1, 2, 3, 4]));
  });

  it('takes a node that needs long for a round through another, for what has come meanwhile (§4.2.1)', () => {
    const leader = leaderOf(3, [4]);
    leader.propose();
    commit(leader, 2);
    change(leader, members([1, 2, 3, 4]));
    const keepAlive = () => {
      leader.tick(heartbeatIntervalMs);
      leader.ack(2);
      leader.ack(3);
    };
    for (let ms = 0; ms < electionTimeoutMaxMs; ms += heartbeatIntervalMs) keepAlive();
    const first = leader.status.lastIndex;
    leader.propose();
    leader.ack(4, first);
    expect(leader.status.members.votersNext).toBeUndefined();
    leader.ack(4);
    expect(leader.status.members.votersNext).toEqual([1, 2, 3, 4]);
  });

  it('gives up a node that is to vote and never answers, and is as it was before', () => {
    const leader = leaderOf(3);
    change(leader, members([1, 2, 3, 4]));
    const all: RaftEffects[] = commit(leader, 2);
    for (let ms = 0; ms < 21 * electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      all.push(leader.tick(heartbeatIntervalMs), leader.ack(2), leader.ack(3));
      leader.persist();
    }
    expect(all.flatMap(reasons)).toEqual(['targetUnavailable']);
    expect(leader.status.members).toEqual(members([1, 2, 3]));
  });

  it('gives up a node that answers and comes no nearer, and is as it was before', () => {
    const leader = leaderOf(3);
    leader.propose();
    commit(leader, 2);
    change(leader, members([1, 2, 3, 4]));
    const all: RaftEffects[] = commit(leader, 2);
    const answer = () => {
      all.push(leader.tick(heartbeatIntervalMs), leader.ack(2), leader.ack(3), leader.ack(4, index(1)));
      leader.persist();
    };
    for (let ms = 0; ms < standstillMs; ms += heartbeatIntervalMs) answer();
    expect(all.flatMap(reasons)).toEqual([]);
    for (let ms = 0; ms < electionTimeoutMaxMs; ms += heartbeatIntervalMs) answer();
    expect(all.flatMap(reasons)).toEqual(['targetUnavailable']);
    expect(leader.status.members).toEqual(members([1, 2, 3]));
  });

  it('does not give up a node to which the state is on its way, and leaves it time to say that it has it', () => {
    const leader = leaderOf(3);
    for (let i = 0; i < 3; i++) leader.propose();
    commit(leader, 2);
    leader.applied(leader.status.commitIndex);
    leader.input({ kind: 'compact', index: leader.status.commitIndex });
    change(leader, members([1, 2, 3, 4]));
    const all: RaftEffects[] = commit(leader, 2);
    const to = node(4);
    const reject = (prev: number) =>
      leader.receive(4, {
        kind: 'appendEntriesRejected',
        term: term(1),
        prevLogIndex: index(prev),
        hintIndex: index(0),
        hintTerm: term(0),
        round: 0,
      });
    all.push(reject(leader.status.lastIndex - 1));
    const answer = () => {
      all.push(leader.tick(heartbeatIntervalMs), leader.ack(2), leader.ack(3), reject(0));
      leader.persist();
    };
    for (let ms = 0; ms < 2 * standstillMs; ms += heartbeatIntervalMs) answer();
    expect(all.flatMap(({ snapshots }) => snapshots)).toEqual([{ to }]);
    const at = { index: leader.status.commitIndex, term: 1, checksum: 0, members: leader.status.members };
    all.push(leader.input({ kind: 'snapshotSent', to, at, delivered: true, now: toMillis(leader.now) }));
    answer();
    expect(all.flatMap(reasons)).toEqual([]);
    leader.ack(4);
    expect(leader.status.members.votersNext).toBeUndefined(); // that round was a long one
    leader.ack(4);
    expect(leader.status.members.votersNext).toEqual([1, 2, 3, 4]);
  });

  it('is one entry when who votes stays the same', () => {
    const leader = leaderOf(3);
    expect(entered(change(leader, members([1, 2, 3], [7])))).toEqual([members([1, 2, 3], [7])]);
    expect(completed(commit(leader, 3))).toEqual([1]);
    expect(change(leader, members([3, 2, 1], [7])).completed).toEqual([1]);
  });

  it('does not count listeners, and does not need them (openraft d882e743)', () => {
    const leader = leaderOf(3, [4, 5]);
    leader.propose();
    const { commitIndex } = leader.status;
    commit(leader, 4, 5);
    expect(leader.status.commitIndex).toBe(commitIndex);
    leader.ack(2);
    expect(leader.status.commitIndex).toBe(commitIndex + 1);
  });

  it('is refused while another is under way, or a transfer', () => {
    const leader = leaderOf(3);
    change(leader, members([1, 2, 3], [7]));
    expect(reasons(change(leader, members([1, 2])))).toEqual(['changeInProgress']);
    commit(leader, 2);
    const request = { kind: 'transferLeadership', to: node(2) } as const;
    leader.input({ kind: 'control', id: toControlId(5), request, now: toMillis(leader.now) });
    expect(reasons(change(leader, members([1, 2])))).toEqual(['changeInProgress']);
  });

  it.each([
    ['nobody votes', members([])],
    ['somebody votes twice', members([1, 2, 2])],
    ['somebody votes and listens', members([1, 2, 3], [3])],
    ['it is half a change itself', members([1, 2, 3], [], [1])],
    ['there are more than a configuration holds', members(Array.from({ length: 65 }, (_, i) => i + 1))],
  ])('is refused when %s', (_, goal) => {
    expect(reasons(change(leaderOf(3), goal))).toEqual(['membersInvalid']);
  });

  it('is refused when those who would vote and are heard could not commit anything', () => {
    const leader = leaderOf(5);
    for (let ms = 0; ms < electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      leader.tick(heartbeatIntervalMs);
      leader.ack(2);
      leader.ack(3);
    }
    expect(reasons(change(leader, members([1, 4, 5])))).toEqual(['membersInvalid']);
    expect(reasons(change(leader, members([1, 2, 5])))).toEqual([]);
  });

  it('is refused by who does not lead', () => {
    expect(reasons(change(new OneNode(), members([1, 2])))).toEqual(['notLeader']);
  });

  it('waits until an entry of the own term is committed (Ongaro 2015)', () => {
    const leader = new OneNode({ voters: 4 });
    leader.elect();
    expect(entered(change(leader, members([1, 2, 3])))).toEqual([]);
    leader.persist();
    leader.ack(2);
    expect(leader.status.members.votersNext).toBeUndefined();
    leader.ack(3);
    leader.ack(4);
    expect(leader.status.members.votersNext).toEqual([1, 2, 3]);
  });

  it('has an unknown outcome when the leader steps down meanwhile', () => {
    const leader = leaderOf(3);
    change(leader, members([1, 2]));
    const { dropped } = leader.receive(3, appendEntriesOf(9, logOf(1), 1));
    expect(dropped).toMatchObject([{ kind: 'control', id: 1, reason: 'steppedDown' }]);
  });
});

/** A log of no-ops in term 1 that ends with these configurations. */
function logWith(...configurations: readonly Members[]): Entry[] {
  const log = logOf(1);
  for (const payload of configurations.map((m): EntryPayload => ({ kind: 'members', members: m })))
    log.push(makeEntry(crc32, log.at(-1)!.checksum, 1, index(log.length + 1), payload));
  return log;
}

describe('a configuration in the log', () => {
  const joint = members([1, 2, 3], [], [1, 2, 4]);

  it('is in force on a follower when it arrives, committed or not (§4.1)', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, logWith(joint), 0));
    expect(follower.status).toMatchObject({ members: joint, commitIndex: 0 });
  });

  it('goes when it is cut off the log, and the one before is in force again (§4.1)', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, logWith(joint), 0));
    const other = [...logOf(1), makeEntry(crc32, logOf(1)[0]!.checksum, 2, index(2), { kind: 'noop' })];
    follower.receive(3, appendEntriesOf(2, other, 1));
    expect(follower.status.members).toEqual(members([1, 2, 3]));
  });

  it('survives a restart, joint or not (etcd e515a67)', () => {
    const again = new OneNode({ records: recordsOf(1, logWith(joint)) });
    expect(again.status.members).toEqual(joint);
  });

  it('is in the compaction point only when it is committed (canonical/raft #250)', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, logWith(joint), 0, { commit: 1 }));
    follower.applied(1);
    follower.input({ kind: 'compact', index: index(2) });
    expect(follower.engine.baseline()).toContainEqual(
      expect.objectContaining({
        kind: 'snapshotPoint',
        point: expect.objectContaining({ index: 1, members: members([1, 2, 3]) }),
      }),
    );
    expect(follower.status.members).toEqual(joint);
  });

  it('needs a majority of each half for an election (§4.3)', () => {
    const candidate = new OneNode({ records: recordsOf(1, logWith(members([1, 2, 3], [], [1, 4, 5]))) });
    candidate.timeOut();
    candidate.receive(2, preVoteAnswer(2, true));
    expect(candidate.status.role).toBe('preCandidate');
    candidate.receive(4, preVoteAnswer(2, true));
    expect(candidate.status.role).toBe('candidate');
  });

  it('does not let anybody go whom it leaves out before it is committed: a crash may bring the joint one back', () => {
    const leader = leaderOf(2);
    expect(leader.status.membersSettled).toBe(true);
    change(leader, members([1]));
    leader.persist();
    expect(leader.status.membersSettled).toBe(false);
    leader.ack(2);
    expect(leader.status).toMatchObject({ members: members([1]), membersSettled: false });
    const unsaved = leader.written.filter((r) => r.kind !== 'entry' || r.entry.index < leader.status.lastIndex);
    const again = new OneNode({ voters: 2, records: unsaved });
    expect(said(again.timeOut(), 'preVote').map(({ to }) => to)).toEqual([2]);
    leader.persist();
    expect(leader.status.membersSettled).toBe(true);
  });

  it('is carried on by the next leader: from the joint to the new one (§4.3)', () => {
    const next = new OneNode({ records: recordsOf(1, logWith(joint)) });
    next.elect();
    next.persist();
    next.ack(2);
    expect(next.status.members).toEqual(members([1, 2, 4]));
  });
});

describe('a node that is left out by a configuration which is not known to be committed (§4.2.2)', () => {
  const joint = members([1, 2], [], [1]);

  it('seeks election all the same, as nobody else may hold that configuration, and does not count itself', () => {
    const left = new OneNode({ id: 2, voters: 2, records: recordsOf(1, logWith(joint, members([1]))) });
    expect(said(left.timeOut(), 'preVote').map(({ to }) => to)).toEqual([1]);
    expect(left.status.role).toBe('preCandidate');
    left.receive(1, preVoteAnswer(2, true));
    left.persist();
    expect(left.status.role).toBe('candidate');
    left.receive(1, { kind: 'requestVoteResponse', term: term(2), voteGranted: true });
    expect(left.leads).toBe(true);
    left.persist();
    expect(left.leads).toBe(true);
    left.ack(1);
    expect(left.status).toMatchObject({ role: 'follower', commitIndex: 4 });
  });

  it('does not once it knows that it is committed', () => {
    const left = new OneNode({ id: 2, voters: 2 });
    left.receive(1, appendEntriesOf(1, logWith(joint, members([1])), 0, { commit: 3 }));
    left.persist();
    expect(left.timeOut().send).toEqual([]);
  });
});

describe('a leader that is left out (§4.2.2)', () => {
  function leaving(): OneNode {
    const leader = leaderOf(3);
    change(leader, members([2, 3]));
    commit(leader, 2, 3);
    expect(leader.status.members).toEqual(members([2, 3]));
    return leader;
  }

  it('leads until the new configuration is committed, without counting itself', () => {
    const leader = leaving();
    leader.persist();
    const { commitIndex } = leader.status;
    leader.ack(2);
    expect(leader.leads).toBe(true);
    expect(leader.status.commitIndex).toBe(commitIndex);
    const effects = leader.ack(3);
    expect(effects.completed).toEqual([1]);
    expect(leader.leads).toBe(false);
  });

  it('takes no proposals meanwhile: all that it took is committed before it goes', () => {
    const leader = leaving();
    expect(reasons(leader.propose())).toEqual(['changeInProgress']);
  });

  it('tells everybody of the commit, and one that has the whole log to succeed it', () => {
    const leader = leaving();
    leader.persist();
    leader.ack(2);
    const effects = leader.ack(3);
    expect(sent(effects, 'appendEntries').map(({ message }) => message.leaderCommit)).toEqual([3, 3]);
    expect(sent(effects, 'timeoutNow')).toEqual([
      { to: 2, message: { kind: 'timeoutNow', term: 1, leaseEnded: true } },
    ]);
  });

  it('does not seek election any more', () => {
    const leader = leaving();
    commit(leader, 2, 3);
    expect(leader.timeOut().send).toEqual([]);
    expect(leader.status.role).toBe('follower');
  });
});

describe('a node that leaves', () => {
  it('is told that it has left, then forgotten', () => {
    const leader = leaderOf(3);
    change(leader, members([1, 2]));
    commit(leader, 2);
    leader.ack(3);
    commit(leader, 2);
    expect(leader.status.members).toEqual(members([1, 2]));
    const told = sent(leader.tick(heartbeatIntervalMs), 'appendEntries').find(({ to }) => to === 3)!;
    expect(told.message).toMatchObject({ leaderCommit: leader.status.lastIndex });
    leader.ack(2);
    leader.ack(3);
    expect(sent(leader.tick(heartbeatIntervalMs), 'appendEntries').map(({ to }) => to)).toEqual([2]);
  });

  it('is forgotten after a while when it does not answer', () => {
    const leader = leaderOf(3);
    change(leader, members([1, 2]));
    commit(leader, 2);
    commit(leader, 2);
    for (let ms = 0; ms <= 5 * electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      leader.tick(heartbeatIntervalMs);
      leader.ack(2);
    }
    expect(sent(leader.tick(heartbeatIntervalMs), 'appendEntries').map(({ to }) => to)).toEqual([2]);
  });
});
