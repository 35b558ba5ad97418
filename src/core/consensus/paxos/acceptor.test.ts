import { describe, expect, it } from 'vitest';
import { defaultTiming, type Entry } from '../engine.ts';
import { noop } from '../entry-format.ts';
import {
  accept,
  ballot,
  chain,
  index,
  members,
  OneNode,
  promise,
  sent,
  value,
  votesWritten,
} from './one-node.test-support.ts';
import type { PaxosEffects } from './outbox.ts';

const { heartbeatIntervalMs, electionTimeoutMinMs, electionTimeoutMaxMs } = defaultTiming;

const prepare = (round: number, id: number, first = 1, transfer = false) =>
  ({ kind: 'prepare', ballot: ballot(round, id), first: index(first), transfer }) as const;

describe('an acceptor, phase 1 (Paxos Made Simple §2.2)', () => {
  it('promises a ballot higher than any before, and answers once the promise is durable', () => {
    const acceptor = new OneNode();
    const effects = acceptor.receive(2, prepare(1, 2));
    expect(effects.persist?.records).toEqual([{ kind: 'promise', ballot: ballot(1, 2) }]);
    expect(effects.send).toEqual([]);
    expect(acceptor.persist().released).toEqual([promise(ballot(1, 2), {})]);
  });

  it('answers a lower ballot with the one that it has promised, so that the proposer can go above it', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, prepare(3, 2));
    acceptor.receive(3, prepare(2, 3));
    const rejected = { kind: 'rejected', ballot: ballot(2, 3), promised: ballot(3, 2) };
    expect(acceptor.persist().released.at(-1)).toEqual(rejected);
  });

  it('promises a round to one node only, so that a round has one leader', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, prepare(3, 2));
    acceptor.persist();
    expect(sent(acceptor.receive(3, prepare(3, 3)), 'rejected')[0]?.message.promised).toEqual(ballot(3, 2));
  });

  it('repeats its promise to a proposer that asks again', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, prepare(1, 2));
    acceptor.persist();
    expect(sent(acceptor.receive(2, prepare(1, 2)), 'promise')).toHaveLength(1);
  });

  it('reports its votes with the ballots they were given in, not the one that asks', () => {
    const acceptor = new OneNode();
    const entries = chain(1, 0, [1, value(7)], [1, noop]);
    acceptor.receive(2, accept(ballot(1, 2), entries));
    acceptor.persist();
    acceptor.tick(1000);
    acceptor.receive(3, prepare(5, 3));
    const [told] = acceptor.persist().released;
    if (told?.kind !== 'promise') throw new Error('no promise');
    expect(told.votes.map((vote) => [vote.entry.index, vote.ballot, vote.entry.payload])).toEqual([
      [1, ballot(1, 2), value(7)],
      [2, ballot(1, 2), noop],
    ]);
  });

  it('tells its votes in pages, each of which says where the next begins', () => {
    const limits = { ...new OneNode().config.limits, messageMaxBytes: 80 };
    const acceptor = new OneNode({ config: { limits } });
    const values = [1, 2, 3].map((n): [number, ReturnType<typeof value>] => [1, value(n)]);
    acceptor.receive(2, accept(ballot(1, 2), chain(1, 0, ...values)));
    acceptor.persist();
    acceptor.tick(1000);
    const pages: [number, number][] = [];
    for (let first = 1; first > 0; first = pages.at(-1)![1]) {
      const effects = acceptor.receive(3, prepare(5, 3, first));
      const [told] = [...effects.send.map(({ message }) => message), ...acceptor.persist().released];
      if (told?.kind !== 'promise') throw new Error('no promise');
      pages.push([told.votes.length, told.next]);
    }
    expect(pages).toEqual([
      [1, 2],
      [1, 3],
      [1, 0],
    ]);
  });

  it('helps nobody else to be elected while it tells its votes, or a candidate that goes on asks it for patience', () => {
    const acceptor = new OneNode({ voters: 5 });
    const preVote = { kind: 'preVote', term: 6, standingTerm: 0, standingIndex: 0 } as const;
    const isRefused = () => {
      const answers = sent(acceptor.receive(4, { kind: 'elector', message: preVote }), 'elector');
      return answers.some(({ message: { message } }) => message.kind === 'preVoteResponse' && !message.granted);
    };
    acceptor.receive(3, prepare(5, 3));
    acceptor.persist();
    expect(isRefused()).toBe(false); // a ballot that has only begun may come to nothing
    acceptor.receive(3, prepare(5, 3, Number.MAX_SAFE_INTEGER));
    expect(isRefused()).toBe(true);
    acceptor.tick(electionTimeoutMinMs);
    expect(isRefused()).toBe(false);
  });

  it('names what is chosen and what it retains, and reports no votes there', () => {
    const entries = chain(1, 0, [1, value(1)], [1, value(2)]);
    const acceptor = new OneNode();
    const chosen = { chosen: 2, chosenChecksum: entries[1]!.checksum, first: 1 };
    acceptor.receive(2, accept(ballot(1, 2), entries, chosen));
    acceptor.persist();
    acceptor.input({ kind: 'compact', index: index(1) });
    acceptor.tick(1000);
    acceptor.receive(3, prepare(5, 3));
    expect(acceptor.persist().released).toEqual([promise(ballot(5, 3), { chosen: 2, retained: 2 })]);
  });

  it('does not depose a leader that it hears, except by its own wish (dissertation §4.2.3)', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, accept(ballot(1, 2), []));
    acceptor.persist();
    expect(sent(acceptor.receive(3, prepare(2, 3)), 'rejected')).toHaveLength(1);
    acceptor.receive(3, prepare(2, 3, 1, true));
    expect(acceptor.persist().released).toEqual([promise(ballot(2, 3), {})]);
  });
});

describe('an acceptor, phase 2 (Paxos Made Simple §2.2)', () => {
  it('votes in the ballot that it has promised, and says so once the vote is durable', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, prepare(1, 2));
    acceptor.persist();
    const effects = acceptor.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    expect(votesWritten(effects)).toEqual(['1 in 1.2: 1/1']);
    expect(effects.send).toEqual([]);
    expect(acceptor.persist().released).toMatchObject([{ kind: 'accepted', first: 1, last: 1, match: 1 }]);
  });

  it('does not vote below its promise', () => {
    const acceptor = new OneNode();
    acceptor.receive(3, prepare(2, 3));
    acceptor.persist();
    const effects = acceptor.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    expect(votesWritten(effects)).toEqual([]);
    expect(sent(effects, 'rejected')[0]?.message.promised).toEqual(ballot(2, 3));
  });

  it('raises its promise with an Accept: a lower Prepare comes too late (“the bug in Paxos Made Simple”)', () => {
    const acceptor = new OneNode();
    acceptor.receive(3, accept(ballot(4, 3), chain(1, 0, [4, value(1)])));
    acceptor.persist();
    acceptor.tick(1000);
    const effects = acceptor.receive(2, prepare(3, 2));
    expect(sent(effects, 'rejected')[0]?.message.promised).toEqual(ballot(4, 3));
    expect(acceptor.restart().receive(2, prepare(3, 2)).send).toMatchObject([{ message: { kind: 'rejected' } }]);
  });

  it('votes for slots in any order, and acknowledges what came behind a gap', () => {
    const acceptor = new OneNode();
    const [first, second] = chain(1, 0, [1, value(1)], [1, value(2)]);
    acceptor.receive(2, accept(ballot(1, 2), [second!], { previous: first!.checksum }));
    expect(acceptor.persist().released).toMatchObject([
      { kind: 'accepted', first: 2, last: 2, match: 0 },
      { kind: 'missing' },
    ]);
    acceptor.receive(2, accept(ballot(1, 2), [first!]));
    expect(acceptor.persist().released).toMatchObject([{ kind: 'accepted', first: 1, last: 1, match: 2 }]);
  });

  it('tells the leader which slots it has not got, when a heartbeat says that they were sent', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, accept(ballot(1, 2), [], { first: 4 }));
    expect(acceptor.persist().released).toMatchObject([{ kind: 'accepted' }, { kind: 'missing', first: 1, last: 3 }]);
  });

  it('acknowledges a repeated Accept without writing it again', () => {
    const acceptor = new OneNode();
    const message = accept(ballot(1, 2), chain(1, 0, [1, value(1)]));
    acceptor.receive(2, message);
    acceptor.persist();
    const effects = acceptor.receive(2, message);
    expect(effects.persist).toBeUndefined();
    expect(sent(effects, 'accepted')[0]?.message).toMatchObject({ first: 1, last: 1, match: 1 });
  });

  it('replaces a vote of a lower ballot', () => {
    const acceptor = new OneNode();
    acceptor.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    const effects = acceptor.receive(3, accept(ballot(2, 3), chain(1, 0, [2, value(9)])));
    expect(votesWritten(effects)).toEqual(['1 in 2.3: 2/9']);
  });

  it('takes no values that were damaged on their way', () => {
    const acceptor = new OneNode();
    const [entry] = chain(1, 0, [1, value(1)]);
    const effects = acceptor.receive(2, accept(ballot(1, 2), [{ ...entry!, payload: value(2) }]));
    expect([votesWritten(effects), effects.trace[0]?.name]).toEqual([[], 'values_refused_as_damaged']);
  });

  it('takes part in nobody’s ballot but its owner’s', () => {
    const acceptor = new OneNode();
    expect(acceptor.receive(3, prepare(1, 2)).persist).toBeUndefined();
    expect(acceptor.receive(3, accept(ballot(1, 2), chain(1, 0, [1, noop]))).persist).toBeUndefined();
  });
});

describe('a follower as a learner (Paxos Made Simple §2.3)', () => {
  const entries = chain(1, 0, [1, value(1)], [1, value(2)]);

  it('delivers what the leader calls chosen and it has voted for in the same ballot', () => {
    const follower = new OneNode();
    follower.receive(2, accept(ballot(1, 2), entries));
    const told = { first: 3, previous: entries[1]!.checksum, chosen: 2, chosenChecksum: entries[1]!.checksum };
    const effects = follower.receive(2, accept(ballot(1, 2), [], told));
    expect(effects.committed.map((entry) => entry.index)).toEqual([1, 2]);
  });

  it('does not take the word of a leader for votes that it gave in another ballot; it asks', () => {
    const follower = new OneNode();
    follower.receive(2, accept(ballot(1, 2), entries));
    follower.persist();
    const [other] = chain(1, 0, [2, noop]);
    const told = { first: 2, previous: other!.checksum, chosen: 1, chosenChecksum: other!.checksum };
    const effects = follower.receive(3, accept(ballot(2, 3), [], told));
    expect(effects.committed).toEqual([]);
    expect(sent(effects, 'learn')).toEqual([{ to: 3, message: { kind: 'learn', first: 1, last: 1 } }]);
    const chosen = { kind: 'chosen', first: index(1), firstRetained: index(1), entries: [other!] } as const;
    expect(follower.receive(3, chosen).committed).toEqual([other]);
  });

  it('asks another peer when the first does not answer', () => {
    const follower = new OneNode();
    const told = { first: 2, previous: entries[0]!.checksum, chosen: 1, chosenChecksum: entries[0]!.checksum };
    const asked = [...sent(follower.receive(2, accept(ballot(1, 2), [], told)), 'learn')];
    for (let i = 0; i < 2; i++) asked.push(...sent(follower.tick(follower.config.timing.heartbeatIntervalMs), 'learn'));
    expect(asked.map(({ to }) => to)).toEqual([2, 3, 2]);
  });

  it('asks on for each answer that brings something, and for no copy of it', () => {
    const follower = new OneNode();
    const told = { first: 3, previous: entries[1]!.checksum, chosen: 2, chosenChecksum: entries[1]!.checksum };
    follower.receive(2, accept(ballot(1, 2), [], told));
    const answer = { kind: 'chosen', first: index(1), firstRetained: index(1), entries: entries.slice(0, 1) } as const;
    const asked = [answer, answer, answer].map((copy) => sent(follower.receive(2, copy), 'learn').length);
    expect(asked).toEqual([1, 0, 0]);
    const rest = { ...answer, first: index(2), entries: entries.slice(1) };
    expect(follower.receive(2, rest).committed).toEqual(entries.slice(1));
  });

  it('says that it lacks nothing only once what it learned is on its disk: a change of members counts on it', () => {
    const follower = new OneNode();
    const told = { first: 3, previous: entries[1]!.checksum, chosen: 2, chosenChecksum: entries[1]!.checksum };
    const heartbeat = accept(ballot(1, 2), [], told);
    const lacks = (effects: PaxosEffects) => sent(effects, 'accepted').map(({ message }) => message.lacks);
    follower.receive(2, heartbeat);
    follower.persist();
    const answer = { kind: 'chosen', first: index(1), firstRetained: index(1), entries } as const;
    const afterwards = lacks(follower.receive(2, answer));
    expect([...afterwards, ...lacks(follower.receive(2, heartbeat))]).not.toContain(0);
    const { released } = follower.persist();
    expect(released).toEqual([expect.objectContaining({ kind: 'accepted', lacks: 0 })]);
    expect(lacks(follower.receive(2, heartbeat))).toEqual([0]);
  });

  const asksOf = (effects: PaxosEffects) => sent(effects, 'learn').map(({ to }) => to);

  it('asks one member after the other what is chosen, while it has no vote and hears no leader: it may be a voter by now', () => {
    const learner = new OneNode({ id: 4, nonVoters: [4] });
    const asked = [0, electionTimeoutMaxMs - 1, 1, electionTimeoutMaxMs].map((ms) => asksOf(learner.tick(ms)));
    expect(asked).toEqual([[1], [], [2], [3]]);
    const entries = chain(1, 0, [1, value(1)], [1, { kind: 'members', members: members([4]) }]);
    const answer = (of: Entry) =>
      ({ kind: 'chosen', first: of.index, firstRetained: index(1), entries: [of] }) as const;
    expect(asksOf(learner.receive(3, answer(entries[0]!)))).toEqual([3]); // who had something to tell may have more
    learner.receive(3, answer(entries[1]!));
    expect(learner.engine.nextTickAt - learner.now).toBeLessThanOrEqual(electionTimeoutMaxMs);
    learner.tick(electionTimeoutMaxMs);
    learner.persist();
    expect(learner.status.role).toBe('leader');
  });

  it('asks no more once a leader is heard', () => {
    const learner = new OneNode({ id: 4, nonVoters: [4] });
    expect(asksOf(learner.tick(0))).toEqual([1]);
    for (let ms = 0; ms <= electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      learner.receive(2, accept(ballot(1, 2), []));
      expect(asksOf(learner.tick(heartbeatIntervalMs))).toEqual([]);
    }
  });

  it('asks as a stranger only if it has voted for what it has not heard the end of', () => {
    const stranger = new OneNode({ id: 4 });
    expect(asksOf(stranger.tick(electionTimeoutMaxMs))).toEqual([]);
    stranger.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    stranger.persist();
    expect(asksOf(stranger.restart().tick(0))).toEqual([1]);
  });

  it('answers Learn with chosen values, and with its state where it has compacted them', () => {
    const peer = new OneNode();
    peer.receive(2, accept(ballot(1, 2), entries, { chosen: 2, chosenChecksum: entries[1]!.checksum, first: 1 }));
    const learn = { kind: 'learn', first: index(1), last: index(9) } as const;
    expect(sent(peer.receive(3, learn), 'chosen')[0]?.message.entries).toEqual(entries);
    peer.input({ kind: 'compact', index: index(1) });
    const effects = peer.receive(3, learn);
    expect(effects.snapshots).toEqual([{ to: 3 }]);
    expect(sent(effects, 'chosen')[0]?.message).toMatchObject({ firstRetained: 2, entries: [] });
    expect(peer.receive(3, learn).snapshots).toEqual([]);
  });
});
