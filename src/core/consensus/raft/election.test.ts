import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming } from '../engine.ts';
import type { RequestVote, RequestVoteResponse } from './messages.ts';
import {
  appendEntriesOf,
  index,
  logOf,
  node,
  OneNode,
  preVote,
  preVoteAnswer,
  recordsOf,
  said,
  sent,
  term,
} from './one-node.test-support.ts';

function requestVote(ofTerm: number, lastLogIndex = 0, lastLogTerm = 0): RequestVote {
  return {
    kind: 'requestVote',
    term: term(ofTerm),
    lastLogIndex: index(lastLogIndex),
    lastLogTerm: term(lastLogTerm),
    transfer: false,
  };
}

function answer(ofTerm: number, voteGranted: boolean): RequestVoteResponse {
  return { kind: 'requestVoteResponse', term: term(ofTerm), voteGranted };
}

/** Asks for a vote, lets the disk finish, and returns the answer. */
function vote(of: OneNode, from: number, request: RequestVote): RequestVoteResponse {
  const effects = of.receive(from, request);
  const { released } = of.persist();
  return [...effects.send.map(({ message }) => message), ...released].find(
    (message): message is RequestVoteResponse => message.kind === 'requestVoteResponse',
  )!;
}

describe('a voter', () => {
  it('grants its vote to a candidate of a higher term, and lets the answer wait for the disk (Figure 2)', () => {
    const voter = new OneNode();
    const effects = voter.receive(2, requestVote(5));
    expect(effects.send).toEqual([]);
    expect(effects.persist?.records).toEqual([{ kind: 'hardState', currentTerm: 5, votedFor: 2 }]);
    expect(effects.persist?.mustSync).toBe(true);
    expect(effects.sendAfter).toEqual([
      { io: effects.persist!.io, envelopes: [{ to: node(2), message: answer(5, true) }] },
    ]);
  });

  it('votes once in a term, first come first served (§5.2)', () => {
    const voter = new OneNode();
    expect(vote(voter, 2, requestVote(5)).voteGranted).toBe(true);
    expect(vote(voter, 3, requestVote(5)).voteGranted).toBe(false);
    expect(vote(voter, 2, requestVote(5)).voteGranted).toBe(true);
  });

  it('remembers its vote after a restart (Figure 2, persistent state)', () => {
    const voter = new OneNode();
    vote(voter, 2, requestVote(5));
    const again = voter.restart();
    expect(vote(again, 3, requestVote(5)).voteGranted).toBe(false);
    expect(vote(again, 2, requestVote(5)).voteGranted).toBe(true);
  });

  it('keeps its vote when it steps down within the term (CCF #8094)', () => {
    const voter = new OneNode();
    vote(voter, 2, requestVote(5));
    voter.receive(2, appendEntriesOf(5, [], 0));
    voter.tick(1000);
    expect(vote(voter, 3, requestVote(5)).voteGranted).toBe(false);
  });

  it('refuses a candidate of an older term and tells it the newer one (§5.1)', () => {
    const voter = new OneNode({ records: recordsOf(7, []) });
    expect(vote(voter, 2, requestVote(6))).toEqual(answer(7, false));
  });

  it.each([
    ['a higher last term with a shorter log', [1, 1, 1], 1, 2, true],
    ['the same last term with a longer log', [1, 1], 3, 1, true],
    ['the same last term and length', [1, 1], 2, 1, true],
    ['the same last term with a shorter log', [1, 1], 1, 1, false],
    ['a lower last term with a longer log', [1, 2], 9, 1, false],
  ] as const)('compares logs by last term, then by length: %s (§5.4.1)', (_, own, lastIndex, lastTerm, granted) => {
    const voter = new OneNode({ records: recordsOf(3, logOf(...own)) });
    expect(vote(voter, 2, requestVote(4, lastIndex, lastTerm)).voteGranted).toBe(granted);
  });

  it('takes over a higher term even where it refuses the vote (§5.1)', () => {
    const voter = new OneNode({ records: recordsOf(3, logOf(3)) });
    expect(vote(voter, 2, requestVote(9, 5, 2))).toEqual(answer(9, false));
    expect(voter.status.term).toBe(9);
  });

  it('neither votes nor takes over the term while it hears a leader (dissertation §4.2.3)', () => {
    const voter = new OneNode();
    voter.receive(2, appendEntriesOf(1, [], 0));
    expect(vote(voter, 3, requestVote(5))).toEqual(answer(1, false));
    expect(voter.status).toMatchObject({ term: 1, leader: 2 });
    voter.now += defaultTiming.electionTimeoutMinMs;
    expect(vote(voter, 3, requestVote(5))).toEqual(answer(5, true));
  });

  it('waits anew when it has voted, not when it has refused (§5.2)', () => {
    const voter = new OneNode({ records: recordsOf(1, logOf(1)) });
    const first = voter.engine.nextTickAt;
    voter.now += 100;
    vote(voter, 2, requestVote(2, 0, 0));
    expect(voter.engine.nextTickAt).toBe(first);
    vote(voter, 2, requestVote(3, 1, 1));
    expect(voter.engine.nextTickAt).toBeGreaterThanOrEqual(voter.now + defaultTiming.electionTimeoutMinMs);
  });
});

describe('pre-vote (dissertation §9.6)', () => {
  it('is asked before the term rises: a node that is cut off disturbs nobody when it returns', () => {
    const lonely = new OneNode();
    for (let i = 0; i < 5; i++) {
      const effects = lonely.timeOut();
      expect(said(effects, 'preVote').map(({ to, message }) => [to, message.term])).toEqual([
        [2, 1],
        [3, 1],
      ]);
      expect(effects.persist).toBeUndefined();
    }
    expect(lonely.status).toMatchObject({ role: 'preCandidate', term: 0 });
  });

  it('is granted without a trace: no term, no vote, nothing on disk', () => {
    const voter = new OneNode();
    const effects = voter.receive(2, preVote(8));
    expect(effects.send).toEqual([{ to: 2, message: preVoteAnswer(8, true) }]);
    expect(effects.persist).toBeUndefined();
    expect(vote(voter, 3, requestVote(8)).voteGranted).toBe(true);
  });

  it('is refused while a leader is heard, and by a log that is newer', () => {
    const follower = new OneNode();
    follower.receive(3, appendEntriesOf(1, [], 0));
    follower.persist();
    expect(said(follower.receive(2, preVote(8)), 'preVoteResponse')[0]!.message.granted).toBe(false);
    const newer = new OneNode({ records: recordsOf(1, logOf(1)) });
    expect(said(newer.receive(2, preVote(8)), 'preVoteResponse')[0]!.message.granted).toBe(false);
  });

  it('is refused by a leader', () => {
    const leader = new OneNode();
    leader.lead();
    expect(said(leader.receive(2, preVote(8)), 'preVoteResponse')[0]!.message.granted).toBe(false);
    expect(leader.leads).toBe(true);
  });

  it('brings a candidate of an older term up to date: a refusal says the term (etcd #8501)', () => {
    const ahead = new OneNode({ records: recordsOf(8, []) });
    const refusal = sent(ahead.receive(2, preVote(8)), 'elector')[0]!.message;
    expect(refusal).toEqual(preVoteAnswer(8, false));
    const behind = new OneNode({ id: 2 });
    behind.timeOut();
    behind.receive(1, refusal);
    expect(behind.status).toMatchObject({ role: 'follower', term: 8 });
  });

  it('counts only answers to the term that was asked for', () => {
    const asking = new OneNode();
    asking.timeOut();
    asking.receive(2, preVoteAnswer(7, true));
    expect(asking.status.role).toBe('preCandidate');
  });
});

describe('a candidate', () => {
  function candidate(voters = 3): OneNode {
    const one = new OneNode({ voters });
    one.timeOut();
    for (let id = 2; id <= Math.floor(voters / 2) + 1; id++) one.receive(id, preVoteAnswer(1, true));
    expect(one.status).toMatchObject({ role: 'candidate', term: 1 });
    return one;
  }

  it('asks for votes only when its own vote is durable (§5.2)', () => {
    const one = new OneNode();
    one.timeOut();
    const effects = one.receive(2, preVoteAnswer(1, true));
    expect(effects.send).toEqual([]);
    expect(effects.persist?.records).toEqual([{ kind: 'hardState', currentTerm: 1, votedFor: 1 }]);
    expect(one.persist().released.map(({ kind }) => kind)).toEqual(['requestVote', 'requestVote']);
  });

  it('counts its own vote only when that is durable', () => {
    const one = candidate();
    one.receive(2, answer(1, true));
    expect(one.status.role).toBe('candidate');
    one.persist();
    expect(one.leads).toBe(true);
  });

  it('needs a majority of all voters, and counts a repeated answer once (§5.2)', () => {
    const one = candidate(5);
    one.persist();
    for (let i = 0; i < 4; i++) one.receive(2, answer(1, true));
    expect(one.status.role).toBe('candidate');
    one.receive(3, answer(1, true));
    expect(one.leads).toBe(true);
  });

  it('does not count who has no vote', () => {
    const one = new OneNode({ voters: 3, nonVoters: [9] });
    one.timeOut();
    one.receive(9, preVoteAnswer(1, true));
    expect(one.status.role).toBe('preCandidate');
  });

  it('does not count votes of another term', () => {
    const one = candidate();
    one.persist();
    one.receive(2, answer(0, true));
    expect(one.status.role).toBe('candidate');
  });

  it('follows a leader of its own term (§5.2)', () => {
    const one = candidate();
    one.persist();
    one.receive(3, appendEntriesOf(1, [], 0));
    expect(one.status).toMatchObject({ role: 'follower', term: 1, leader: 3 });
  });

  it('steps down on a higher term, with its vote free again (§5.1)', () => {
    const one = candidate();
    one.persist();
    one.receive(2, answer(4, false));
    expect(one.status).toMatchObject({ role: 'follower', term: 4 });
    expect(vote(one, 3, requestVote(4)).voteGranted).toBe(true);
  });

  it('tries again soon when a rival was as quick: split votes cost little (§5.2)', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const one = new OneNode({ seed });
      one.timeOut();
      one.receive(2, preVoteAnswer(1, true));
      one.persist();
      one.receive(2, answer(1, false));
      expect(one.status.role).toBe('candidate');
      expect(one.engine.nextTickAt - one.now).toBeLessThanOrEqual(defaultTiming.electionTimeoutMinMs * 0.75);
    }
  });

  it('tries again when an election ends without a winner (§5.2)', () => {
    const one = candidate();
    one.persist();
    expect(said(one.timeOut(), 'preVote')).toHaveLength(2);
    expect(one.status).toMatchObject({ role: 'preCandidate', term: 1 });
  });
});

describe('election timeouts', () => {
  it('are random within their bounds, and differ between nodes of one seed (§5.2)', () => {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = defaultTiming;
    const first = new Set<number>();
    for (let id = 1; id <= 5; id++) {
      const one = new OneNode({ id, voters: 5 });
      for (let i = 0; i < 20; i++) {
        const wait = one.engine.nextTickAt - one.now;
        expect(wait).toBeGreaterThanOrEqual(min);
        expect(wait).toBeLessThan(max);
        first.add(wait);
        one.timeOut();
      }
    }
    expect(first.size).toBe(100);
  });

  it('start anew with each message of the leader', () => {
    const follower = new OneNode();
    follower.now += 140;
    follower.receive(2, appendEntriesOf(1, [], 0));
    expect(follower.engine.nextTickAt).toBeGreaterThanOrEqual(follower.now + defaultTiming.electionTimeoutMinMs);
  });

  it('do not concern a node without a vote', () => {
    const listener = new OneNode({ id: 9, nonVoters: [9] });
    expect(listener.timeOut().send).toEqual([]);
    expect(listener.status.role).toBe('follower');
    expect(listener.engine.nextTickAt).toBeGreaterThan(listener.now);
  });

  it('do not run backwards with a clock that does', () => {
    const one = new OneNode();
    one.input({ kind: 'tick', now: toMillis(10) });
    expect(one.status.role).toBe('follower');
  });
});

describe('a leader', () => {
  it('alone in its group elects itself once its vote is durable, and commits by its own disk', () => {
    const alone = new OneNode({ voters: 1 });
    alone.timeOut();
    expect(alone.leads).toBe(false);
    alone.persist();
    expect(alone.leads).toBe(true);
    alone.propose();
    expect(alone.status.commitIndex).toBe(0);
    expect(alone.persist().effects.committed.map((entry) => entry.index)).toEqual([1, 2]);
  });

  it('opens its term with a no-op (§8)', () => {
    const leader = new OneNode();
    const effects = leader.elect();
    const { message } = sent(effects, 'appendEntries')[0]!;
    expect(message.entries).toMatchObject([{ index: 1, term: 1, payload: { kind: 'noop' } }]);
    expect(leader.status).toMatchObject({ role: 'leader', established: false });
    leader.ack(2);
    leader.persist();
    expect(leader.status.established).toBe(true);
  });

  it('steps down when it has not heard from a quorum for an election timeout (CheckQuorum, dissertation §6.2)', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose(2);
    const lost = leader.tick(defaultTiming.electionTimeoutMaxMs);
    expect(leader.status).toMatchObject({ role: 'follower', term: 1, leader: undefined });
    expect(lost.dropped).toEqual([
      { kind: 'proposal', session: 9, sequence: 1, reason: 'steppedDown' },
      { kind: 'proposal', session: 9, sequence: 2, reason: 'steppedDown' },
    ]);
  });

  it('as a candidate of a higher id soon tries again when it meets a rival of its term; one of a lower id waits', () => {
    for (const { id, other } of [
      { id: 3, other: 2 },
      { id: 1, other: 2 },
    ]) {
      const candidate = new OneNode({ id });
      candidate.timeOut();
      candidate.receive(other, preVoteAnswer(1, true));
      candidate.persist();
      expect(candidate.status).toMatchObject({ role: 'candidate', term: 1 });
      candidate.receive(other, requestVote(1));
      const patienceMs = candidate.engine.nextTickAt - candidate.now;
      if (id > other) expect(patienceMs).toBe(defaultTiming.heartbeatIntervalMs);
      else expect(patienceMs).toBeGreaterThanOrEqual(defaultTiming.electionTimeoutMinMs);
    }
  });

  it('deposed by news that its proposals are committed, does not call their outcome unknown', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    const log = leader.written.flatMap((record) => (record.kind === 'entry' ? [record.entry] : []));
    const effects = leader.receive(2, appendEntriesOf(2, log, 2, { commit: 2 }));
    expect(effects.committed.map(({ index }) => index)).toEqual([2]);
    expect(effects.dropped).toEqual([]);
  });

  it('goes on while a quorum answers, whatever it answers', () => {
    const leader = new OneNode({ voters: 5 });
    leader.lead();
    for (let i = 0; i < 40; i++) {
      leader.tick(defaultTiming.heartbeatIntervalMs);
      leader.receive(2, leader.rejected(1, 0, 0));
      leader.ack(3);
    }
    expect(leader.leads).toBe(true);
    for (let i = 0; i < 10; i++) {
      leader.tick(defaultTiming.heartbeatIntervalMs);
      leader.ack(3);
    }
    expect(leader.leads).toBe(false);
  });

  it('is not voted away by a candidate of a higher term whom the group does not need', () => {
    const leader = new OneNode();
    leader.lead();
    expect(vote(leader, 3, requestVote(9, 99, 9)).voteGranted).toBe(false);
    expect(leader.leads).toBe(true);
  });

  it('steps down when a follower answers with a higher term (§5.1)', () => {
    const leader = new OneNode();
    leader.lead();
    leader.receive(3, { ...leader.rejected(0, 0, 0), term: term(6) });
    expect(leader.status).toMatchObject({ role: 'follower', term: 6 });
  });

  it('steps down when its disk stalls, although everybody answers, and does not seek election while it does', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    for (let waited = 0; waited <= defaultTiming.electionTimeoutMaxMs; waited += defaultTiming.heartbeatIntervalMs) {
      expect(leader.leads).toBe(true);
      leader.tick(defaultTiming.heartbeatIntervalMs);
      leader.ackAll();
    }
    expect(leader.status).toMatchObject({ role: 'follower', leader: undefined });
    expect(leader.timeOut().send).toEqual([]);
    expect(leader.status.role).toBe('follower');
    leader.persist();
    expect(said(leader.timeOut(), 'preVote')).toHaveLength(2);
  });
});
