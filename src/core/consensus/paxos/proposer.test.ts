import { describe, expect, it } from 'vitest';
import { defaultTiming } from '../engine.ts';
import { noop } from '../entry-format.ts';
import {
  accept,
  ballot,
  chain,
  index,
  members,
  nameOfPayload,
  OneNode,
  promise,
  reported,
  sent,
  value,
  votesWritten,
} from './one-node.test-support.ts';

const { heartbeatIntervalMs, electionTimeoutMinMs, electionTimeoutMaxMs } = defaultTiming;

describe('a proposer, phase 1 (Paxos Made Simple §2.2, §3)', () => {
  it('asks for promises only once its own is durable, so that no ballot is used twice', () => {
    const proposer = new OneNode();
    proposer.tick(electionTimeoutMaxMs);
    const term = 1;
    const effects = proposer.receive(2, { kind: 'elector', message: { kind: 'preVoteResponse', term, granted: true } });
    expect(effects.persist?.records).toEqual([{ kind: 'promise', ballot: ballot(1, 1) }]);
    expect(sent(effects, 'prepare')).toEqual([]);
    expect(proposer.persist().released.map(({ kind }) => kind)).toEqual(['prepare', 'prepare']);
    expect(proposer.restart().campaign().ballot).toEqual(ballot(2, 1));
  });

  it('goes above every ballot that it has heard of', () => {
    const proposer = new OneNode();
    proposer.campaign();
    proposer.receive(2, { kind: 'rejected', ballot: ballot(1, 1), promised: ballot(7, 3) });
    expect(proposer.status.role).toBe('follower');
    expect(proposer.campaign().ballot).toEqual(ballot(8, 1));
  });

  it('begins phase 2 with a quorum of promises, its own included', () => {
    const proposer = new OneNode({ voters: 5 });
    const { ballot: own } = proposer.campaign();
    proposer.receive(2, promise(own, {}));
    proposer.receive(2, promise(own, {}));
    expect(proposer.status.role).toBe('candidate');
    proposer.receive(4, promise(own, {}));
    expect(proposer.status.role).toBe('leader');
  });

  it('counts no promise of another ballot', () => {
    const proposer = new OneNode();
    proposer.campaign();
    proposer.receive(2, promise(ballot(9, 1), {}));
    expect(proposer.status.role).toBe('candidate');
  });

  it('proposes in each slot the value of the highest ballot that was reported, not of the latest report (P2c)', () => {
    const proposer = new OneNode({ voters: 5 });
    const { ballot: own } = proposer.campaign();
    proposer.receive(2, promise(own, { votes: [reported(ballot(0, 3), 1, 0, value(3))] }));
    const effects = proposer.receive(3, promise(own, { votes: [reported(ballot(0, 2), 1, 0, value(2))] }));
    expect(sent(effects, 'accept')[0]?.message.entries.map(nameOfPayload)).toEqual(['0/3']);
  });

  it('compares ballots by round before node', () => {
    const proposer = new OneNode({ voters: 5, records: [{ kind: 'promise', ballot: ballot(6, 5) }] });
    const { ballot: own } = proposer.campaign();
    proposer.receive(2, promise(own, { votes: [reported(ballot(5, 1), 1, 5, value(5))] }));
    const effects = proposer.receive(3, promise(own, { votes: [reported(ballot(4, 9), 1, 4, value(4))] }));
    expect(sent(effects, 'accept')[0]?.message.entries.map(nameOfPayload)).toEqual(['5/5']);
  });

  it('fills gaps with no-ops, of its own round; values keep the round in which they were first proposed (§3)', () => {
    const proposer = new OneNode({ records: [{ kind: 'promise', ballot: ballot(4, 2) }] });
    const { ballot: own } = proposer.campaign();
    const votes = [reported(ballot(3, 2), 2, 1, value(2)), reported(ballot(4, 2), 4, 4, value(4))];
    const effects = proposer.receive(2, promise(own, { votes }));
    expect(votesWritten(effects)).toEqual(['1 in 5.1: 5/noop', '2 in 5.1: 1/2', '3 in 5.1: 5/noop', '4 in 5.1: 4/4']);
  });

  it('adopts by slot, not by the position of a vote in its report (OCons PR 21)', () => {
    const proposer = new OneNode();
    const { ballot: own } = proposer.campaign();
    const effects = proposer.receive(2, promise(own, { votes: [reported(ballot(0, 2), 3, 0, value(3))] }));
    expect(votesWritten(effects).at(-1)).toBe('3 in 1.1: 0/3');
  });

  it('waits for the last page of a promise, and asks for each', () => {
    const proposer = new OneNode();
    const { ballot: own } = proposer.campaign();
    const effects = proposer.receive(2, promise(own, { next: 5, votes: [reported(ballot(0, 2), 1, 0, value(1))] }));
    expect(sent(effects, 'prepare').map(({ message }) => message.first)).toEqual([5]);
    expect(proposer.status.role).toBe('candidate');
    proposer.receive(2, promise(own, { first: 5, votes: [reported(ballot(0, 2), 5, 0, value(5))] }));
    expect([proposer.status.role, proposer.status.lastIndex]).toEqual(['leader', 5]);
  });

  it('asks those who have promised for patience while there is progress, and only then', () => {
    const proposer = new OneNode({ voters: 5 });
    const { ballot: own } = proposer.campaign();
    proposer.receive(2, promise(own, {}));
    proposer.receive(3, promise(own, { next: 5, votes: [reported(ballot(0, 2), 1, 0, value(1))] }));
    const asked = () => sent(proposer.tick(heartbeatIntervalMs), 'prepare').map(({ to }) => to);
    expect(asked()).toContain(2);
    expect(asked()).not.toContain(2);
  });

  it('asks nobody for patience once it gives way to a rival of its round', () => {
    const proposer = new OneNode({ voters: 5 });
    const { ballot: own } = proposer.campaign();
    proposer.receive(2, promise(own, {}));
    proposer.receive(4, { kind: 'rejected', ballot: own, promised: ballot(own.round, 3) });
    const asked = sent(proposer.tick(heartbeatIntervalMs), 'prepare').map(({ to }) => to);
    expect(asked).not.toContain(2);
  });

  it('proposes nothing in a slot that others call chosen; it fetches the value first, from who says so', () => {
    const proposer = new OneNode();
    const entries = chain(1, 0, [0, value(1)], [0, value(2)]);
    const { ballot: own } = proposer.campaign();
    const effects = proposer.receive(3, promise(own, { chosen: 2 }));
    expect(votesWritten(effects)).toEqual([]);
    expect(sent(effects, 'learn')).toEqual([{ to: 3, message: { kind: 'learn', first: 1, last: 2 } }]);
    const chosen = { kind: 'chosen', first: index(1), firstRetained: index(1), entries } as const;
    expect(proposer.receive(3, chosen).committed).toEqual(entries);
    expect([proposer.status.role, proposer.status.established]).toEqual(['leader', true]);
  });

  it('never fills a slot that those who promise have compacted: it takes their state first', () => {
    const proposer = new OneNode();
    const { ballot: own } = proposer.campaign();
    proposer.receive(3, promise(own, { chosen: 9, retained: 10 }));
    proposer.receive(3, { kind: 'chosen', first: index(1), firstRetained: index(10), entries: [] });
    expect([proposer.status.role, proposer.status.lastIndex]).toEqual(['candidate', 0]);
    const at = { index: index(9), term: 1, checksum: 77, members: members([1, 2, 3]) };
    proposer.input({ kind: 'snapshotInstalled', at, now: proposer.now as never });
    expect([proposer.status.role, proposer.status.commitIndex]).toEqual(['leader', 9]);
  });

  it.each(['timeout', 'ballot'] as const)(
    'gives up when nothing comes of it, with elector %s: who is asked waits for it',
    (elector) => {
      const proposer = new OneNode({ config: { elector } });
      const leader = ballot(3, 2);
      proposer.receive(2, accept(leader, []));
      proposer.receive(2, { kind: 'takeOver', ballot: leader, leasesEnded: false });
      proposer.persist();
      expect(proposer.status.role).toBe('candidate');
      const until = proposer.now + electionTimeoutMaxMs + heartbeatIntervalMs;
      let asked = 0;
      while (proposer.now < until) asked += sent(proposer.tick(heartbeatIntervalMs), 'prepare').length;
      expect(asked).toBeGreaterThan(0);
      expect(proposer.status.role).not.toBe('candidate');
      expect(sent(proposer.tick(heartbeatIntervalMs), 'prepare')).toEqual([]);
    },
  );

  it('asks those again who have not answered', () => {
    const proposer = new OneNode();
    proposer.campaign();
    expect(sent(proposer.tick(heartbeatIntervalMs), 'prepare').map(({ to }) => to)).toEqual([2, 3]);
  });

  it('gives way when a quorum can no longer promise, because a leader is heard', () => {
    const proposer = new OneNode();
    const { ballot: own } = proposer.campaign();
    const rejected = { kind: 'rejected', ballot: own, promised: ballot(0, 2) } as const;
    proposer.receive(2, rejected);
    proposer.receive(2, rejected);
    expect(proposer.status.role).toBe('candidate');
    proposer.receive(3, rejected);
    expect(proposer.status.role).toBe('follower');
  });

  it('is not moved by a refusal that it overtook', () => {
    const proposer = new OneNode();
    const own = proposer.lead();
    proposer.receive(3, { kind: 'rejected', ballot: own, promised: ballot(0, 2) });
    expect(proposer.status.role).toBe('leader');
  });
});

describe('a leader, phase 2 (Paxos Made Simple §2.2, §3)', () => {
  it('proposes without waiting for what it proposed before', () => {
    const leader = new OneNode();
    leader.lead();
    expect(sent(leader.propose(), 'accept').map(({ message }) => message.first)).toEqual([1, 1]);
    expect(sent(leader.propose(), 'accept').map(({ message }) => message.first)).toEqual([2, 2]);
  });

  it('counts its own vote once it is durable, and each acceptor once', () => {
    const leader = new OneNode({ voters: 5 });
    const own = leader.lead();
    leader.propose();
    leader.receive(2, leader.accepted(own, 1, 1));
    leader.receive(2, leader.accepted(own, 1, 1));
    leader.receive(3, leader.accepted(own, 1, 1, { match: 0 }));
    expect(leader.status.commitIndex).toBe(0);
    expect(leader.persist().effects.committed.map((entry) => entry.index)).toEqual([1]);
  });

  it('may find a value chosen before its own vote is durable', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose();
    leader.receive(2, leader.accepted(own, 1, 1));
    expect(leader.receive(3, leader.accepted(own, 1, 1)).committed).toHaveLength(1);
  });

  it('finds slots chosen in any order, and delivers them in theirs', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose(2);
    leader.receive(2, leader.accepted(own, 2, 2, { match: 0 }));
    expect(leader.receive(3, leader.accepted(own, 2, 2, { match: 0 })).committed).toEqual([]);
    leader.receive(2, leader.accepted(own, 1, 1, { match: 2 }));
    expect(leader.receive(3, leader.accepted(own, 1, 1, { match: 2 })).committed.map((e) => e.index)).toEqual([1, 2]);
  });

  it('counts no vote of an earlier ballot', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose();
    leader.persist();
    leader.receive(2, leader.accepted({ ...own, round: 0 as never }, 1, 1));
    expect(leader.status.commitIndex).toBe(0);
  });

  it('counts no vote of a node that has none', () => {
    const leader = new OneNode({ nonVoters: [4] });
    const own = leader.lead();
    leader.propose();
    leader.persist();
    leader.receive(4, leader.accepted(own, 1, 1));
    expect(leader.status.commitIndex).toBe(0);
  });

  it('stays within its window of α slots; what comes beyond waits', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose(300);
    expect(leader.status.lastIndex).toBe(256);
    leader.persist();
    leader.receive(2, leader.accepted(own, 1, 100));
    expect(leader.status.lastIndex).toBe(300);
  });

  it('sends again what a peer says it has not got, as far as it is open', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose(3);
    const missing = { kind: 'missing', ballot: own, first: index(2), last: index(3) } as const;
    const [again] = sent(leader.receive(3, missing), 'accept');
    expect([again?.to, again?.message.first, again?.message.entries.length]).toEqual([3, 2, 2]);
    expect(leader.receive(3, missing).send).toEqual([]);
  });

  it('steps down when an acceptor has promised a higher ballot, and says what became of its proposals', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose();
    const effects = leader.receive(3, { kind: 'rejected', ballot: own, promised: ballot(5, 3) });
    expect(effects.dropped).toMatchObject([{ kind: 'proposal', sequence: 1, reason: 'steppedDown' }]);
    expect(leader.status.role).toBe('follower');
  });

  it.each(['its Prepare', 'an acceptor that has promised it'] as const)(
    'tries again soon when it learns of a rival of a lower ballot in its round from %s, and waits for one of a higher',
    (source) => {
      for (const { id, other } of [
        { id: 3, other: 2 },
        { id: 1, other: 2 },
      ]) {
        const candidate = new OneNode({ id });
        const { ballot: own } = candidate.campaign([other]);
        const its = ballot(own.round, other);
        if (source === 'its Prepare')
          candidate.receive(other, { kind: 'prepare', ballot: its, first: index(1), transfer: false });
        else candidate.receive(4 - id, { kind: 'rejected', ballot: own, promised: its });
        const begunAt = candidate.now;
        const asks = () => candidate.tick(candidate.engine.nextTickAt - candidate.now).trace.map(({ name }) => name);
        while (!asks().includes('pre_vote_asked'));
        const waitedMs = candidate.now - begunAt;
        if (id > other) expect(waitedMs).toBe(heartbeatIntervalMs);
        else expect(waitedMs).toBeGreaterThanOrEqual(electionTimeoutMinMs);
      }
    },
  );

  it('deposed by news that its proposals are chosen, does not call their outcome unknown', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    const mine = leader.written.flatMap((record) => (record.kind === 'accepted' ? [record.entry] : []));
    const effects = leader.receive(2, accept(ballot(2, 2), mine, { chosen: 1, chosenChecksum: mine[0]!.checksum }));
    expect(effects.committed.map((entry) => entry.index)).toEqual([1]);
    expect(effects.dropped).toEqual([]);
  });

  it('steps down when its disk stands still, although others could decide without it', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose();
    let why: unknown;
    for (let ms = 0; ms <= electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      const { trace } = leader.tick(heartbeatIntervalMs);
      why = trace.find(({ name }) => name === 'leader_stepped_down')?.fields.why ?? why;
      for (const id of [2, 3]) leader.receive(id, leader.accepted(own, 1, 1));
    }
    expect(why).toBe('its disk has stalled');
  });

  it('gives a new proposal the round of its own ballot, and Accept tells what is chosen under it', () => {
    const leader = new OneNode();
    const own = leader.lead();
    leader.propose();
    leader.persist();
    leader.receive(2, leader.accepted(own, 1, 1));
    const [told] = sent(leader.propose(), 'accept');
    expect(told?.message).toMatchObject({ ballot: own, chosenIndex: 1, first: 2 });
    expect(told?.message.entries[0]?.term).toBe(own.round);
  });
});

describe('quorums of different sizes (Flexible Paxos §3)', () => {
  const config = { quorums: { prepare: 3, accept: 2 } };

  it('lead with a prepare quorum, and choose with an accept quorum', () => {
    const leader = new OneNode({ voters: 4, config });
    const { ballot: own } = leader.campaign();
    leader.receive(2, promise(own, {}));
    expect(leader.status.role).toBe('candidate');
    leader.receive(3, promise(own, {}));
    expect(leader.status.role).toBe('leader');
    leader.propose();
    leader.persist();
    expect(leader.receive(4, leader.accepted(own, 1, 1)).committed).toHaveLength(1);
  });

  it.each([
    { prepare: 3, accept: 2, stays: true, of: 'more than it hears are a majority' },
    { prepare: 2, accept: 3, stays: false, of: 'it hears as many as could elect it' },
  ])('keep a leader as long as it hears an accept quorum, although $of', ({ prepare, accept, stays }) => {
    const leader = new OneNode({ voters: 4, config: { quorums: { prepare, accept } } });
    const own = leader.lead();
    for (let ms = 0; ms <= electionTimeoutMaxMs; ms += heartbeatIntervalMs) {
      leader.tick(heartbeatIntervalMs);
      if (leader.status.role === 'leader') leader.receive(2, leader.accepted(own, 1, 0));
    }
    expect(leader.status.role).toBe(stays ? 'leader' : 'follower');
  });

  it('let nobody seek to lead who hears enough to be elected, and too few to get anything done', () => {
    const node = new OneNode({ voters: 4, config: { quorums: { prepare: 2, accept: 3 } } });
    node.tick(node.engine.nextTickAt - node.now);
    node.receive(2, preVoteAnswer(1, true));
    expect(node.status.role).toBe('preCandidate');
    node.receive(3, preVoteAnswer(0, false));
    expect(node.status.role).toBe('candidate');
  });

  it('that need not meet are refused when the engine is made', () => {
    expect(() => new OneNode({ voters: 4, config: { quorums: { prepare: 2, accept: 2 } } })).toThrow(/meet/);
  });

  it('are refused for members whom they do not fit', () => {
    const leader = new OneNode({ voters: 4, config });
    leader.lead();
    expect(leader.changeMembers(members([1, 2, 3, 4, 5, 6])).dropped).toMatchObject([{ reason: 'membersInvalid' }]);
  });
});

function preVoteAnswer(term: number, granted: boolean) {
  return { kind: 'elector', message: { kind: 'preVoteResponse', term, granted } } as const;
}

describe('rivals (Paxos Made Simple §2.4)', () => {
  it('a leader follows one of a higher ballot, and its open slots are taken over', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    const effects = leader.receive(3, accept(ballot(2, 3), chain(1, 0, [2, noop])));
    expect([leader.status.role, leader.status.leader]).toEqual(['follower', 3]);
    expect(votesWritten(effects)).toEqual(['1 in 2.3: 2/noop']);
  });
});
