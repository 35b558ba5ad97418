import { describe, expect, it } from 'vitest';
import { defaultTiming } from '../engine.ts';
import type { AppendEntries } from './messages.ts';
import { logOf, OneNode, recordsOf, sent } from './one-node.test-support.ts';
import type { RaftEffects } from './outbox.ts';

/** To whom, from where on, how many. */
function appends(effects: RaftEffects): [to: number, prev: number, count: number][] {
  return sent(effects, 'appendEntries').map(({ to, message }) => [to, message.prevLogIndex, message.entries.length]);
}

const { heartbeatIntervalMs } = defaultTiming;

describe('a new leader', () => {
  it('asks each follower with its no-op where their logs agree', () => {
    const leader = new OneNode({ records: recordsOf(2, logOf(1, 2)) });
    expect(appends(leader.elect())).toEqual([
      [2, 2, 1],
      [3, 2, 1],
    ]);
  });

  it('sends one message at a time until it knows', () => {
    const leader = new OneNode();
    leader.elect();
    expect(appends(leader.propose())).toEqual([]);
    expect(appends(leader.ack(2, 1))).toEqual([[2, 1, 1]]);
  });

  it('repeats the question with the heartbeat, and goes on when that is answered', () => {
    const leader = new OneNode();
    leader.elect();
    expect(appends(leader.tick(heartbeatIntervalMs))).toEqual([
      [2, 0, 0],
      [3, 0, 0],
    ]);
    expect(appends(leader.ack(2, 0))).toEqual([[2, 0, 1]]);
  });

  it('finds the place in one step for each term that differs (§5.3, end)', () => {
    const leader = new OneNode({ records: recordsOf(6, logOf(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)) });
    leader.elect();
    // follower (f) of Figure 7: 1 1 1 2 2 2 3 3 3 3 3
    expect(appends(leader.receive(3, leader.rejected(10, 10, 3)))).toEqual([[3, 3, 8]]);
    // follower (b): 1 1 1 4
    expect(appends(leader.receive(2, leader.rejected(10, 4, 4)))).toEqual([[2, 4, 7]]);
  });

  it('moves back even when the hint is of no use', () => {
    const leader = new OneNode({ records: recordsOf(1, logOf(1, 1, 1)) });
    leader.elect();
    expect(appends(leader.receive(2, leader.rejected(3, 3, 1)))).toEqual([[2, 2, 2]]);
  });

  it('does not move for a refusal that it has heard of already', () => {
    const leader = new OneNode({ records: recordsOf(1, logOf(1, 1, 1)) });
    leader.elect();
    leader.receive(2, leader.rejected(3, 1, 1));
    expect(appends(leader.receive(2, leader.rejected(3, 1, 1)))).toEqual([]);
  });
});

describe('replication', () => {
  function leading(limits = {}): OneNode {
    const leader = new OneNode({ limits });
    leader.lead();
    return leader;
  }

  it('does not wait: each batch leaves as it comes, and before it is on our own disk', () => {
    const leader = leading();
    expect(appends(leader.propose())).toEqual([
      [2, 1, 1],
      [3, 1, 1],
    ]);
    expect(appends(leader.propose(3))).toEqual([
      [2, 2, 3],
      [3, 2, 3],
    ]);
  });

  it('gives followers that lack the same one and the same message', () => {
    const [first, second] = sent(leading().propose(5), 'appendEntries');
    expect(first!.message).toBe(second!.message);
  });

  it('keeps to its window of messages, and goes on as acknowledgements come', () => {
    const leader = leading({ windowMaxMessages: 2 });
    leader.propose();
    leader.propose();
    expect(appends(leader.propose())).toEqual([]);
    expect(appends(leader.propose())).toEqual([]);
    expect(appends(leader.ack(2, 2))).toEqual([[2, 3, 2]]);
  });

  it('keeps to its window of bytes', () => {
    const leader = leading({ windowMaxBytes: 300 });
    expect(appends(leader.propose(1, 400))).toHaveLength(2);
    expect(appends(leader.propose(1, 10))).toEqual([]);
    expect(appends(leader.ack(3, 2))).toEqual([[3, 2, 1]]);
  });

  it('splits what is too large for a message, and leaves nothing out (logcabin #160)', () => {
    const leader = leading({ messageMaxBytes: 300 });
    const messages = sent(leader.propose(10, 100), 'appendEntries').filter(({ to }) => to === 2);
    expect(messages.map(({ message }) => message.entries.length)).toEqual([2, 2, 2, 2, 2]);
    expect(messages.flatMap(({ message }) => message.entries.map((entry) => entry.index))).toEqual([
      2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ]);
    expect(appends(leader.propose(1, 5000))).toContainEqual([2, 11, 1]);
  });

  it('notices a lost message by the next heartbeat, and sends again from there', () => {
    const leader = leading();
    leader.propose(2);
    leader.propose(2);
    expect(appends(leader.tick(heartbeatIntervalMs))).toContainEqual([2, 5, 0]);
    expect(appends(leader.receive(2, leader.rejected(5, 3, 1)))).toEqual([[2, 3, 2]]);
    leader.ack(2, 5);
    expect(appends(leader.propose())).toContainEqual([2, 5, 1]);
  });

  it('recognises a refusal that was overtaken by an acknowledgement', () => {
    const leader = leading();
    leader.propose(4);
    leader.ack(2, 5);
    expect(appends(leader.receive(2, leader.rejected(5, 1, 1)))).toEqual([]);
    expect(leader.status.lagPerPeer.get(leader.config.bootstrap.voters[1]!)).toBe(0);
  });

  it('never takes matchIndex back, whatever order answers come in (Figure 2)', () => {
    const leader = leading();
    leader.propose(4);
    leader.ack(2, 5);
    leader.ack(2, 3);
    expect([...leader.status.lagPerPeer]).toEqual([
      [2, 0],
      [3, 4],
    ]);
  });

  it('does not take a hint for a match (CCF #5325)', () => {
    const leader = leading();
    leader.propose(4);
    leader.persist();
    leader.receive(2, leader.rejected(5, 4, 1));
    expect(leader.status.commitIndex).toBe(1);
  });

  it('refuses answers that speak of more than its log holds', () => {
    const leader = leading();
    const effects = leader.ack(2, 50);
    expect(effects.trace.map(({ name }) => name)).toEqual(['answer_refused']);
    expect(leader.status.commitIndex).toBe(1);
  });

  it('sends heartbeats at their interval, with the place where the next entries will go', () => {
    const leader = leading();
    leader.propose(2);
    const beat = leader.tick(heartbeatIntervalMs);
    expect(appends(beat)).toEqual([
      [2, 3, 0],
      [3, 3, 0],
    ]);
    expect(leader.engine.nextTickAt).toBe(leader.now + heartbeatIntervalMs);
    expect(appends(leader.tick(heartbeatIntervalMs - 1))).toEqual([]);
  });
});

describe('commitment', () => {
  it('needs a majority on disk, and one of them may be the leader (§5.3)', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    expect(leader.persist().effects.committed).toEqual([]);
    expect(leader.ack(3).committed.map((entry) => entry.index)).toEqual([2]);
  });

  it('may come before the leader itself has written the entry, if a majority without it has', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    expect(leader.ack(2).committed).toEqual([]);
    expect(leader.ack(3).committed.map((entry) => entry.index)).toEqual([2]);
  });

  it('does not count what a follower has accepted but not written', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    leader.persist();
    expect(leader.receive(2, leader.accepted(2, 0, 1)).committed).toEqual([]);
  });

  it('takes the index that a majority has reached, in a group of five', () => {
    const leader = new OneNode({ voters: 5 });
    leader.lead();
    leader.propose(4);
    leader.persist();
    leader.ack(2, 5);
    expect(leader.status.commitIndex).toBe(1);
    leader.ack(3, 3);
    expect(leader.status.commitIndex).toBe(3);
    leader.ack(4, 4);
    expect(leader.status.commitIndex).toBe(4);
  });

  it('is never counted for an entry of an earlier term; such an entry commits with one of the own term (§5.4.2)', () => {
    const leader = new OneNode({ records: recordsOf(2, logOf(1, 2)) });
    leader.elect();
    leader.persist();
    expect(leader.ack(2, 2).committed).toEqual([]);
    expect(leader.ack(2, 3).committed.map((entry) => entry.index)).toEqual([1, 2, 3]);
  });

  it('does not count who has no vote', () => {
    const leader = new OneNode({ voters: 3, nonVoters: [8, 9] });
    leader.lead();
    leader.propose();
    leader.persist();
    leader.ack(8);
    expect(leader.ack(9).committed).toEqual([]);
  });

  it('ignores answers of another term (openraft cecb5de8)', () => {
    const leader = new OneNode({ records: recordsOf(1, []) });
    leader.lead();
    leader.propose();
    leader.persist();
    leader.receive(2, { ...leader.accepted(2), term: 1 as never });
    expect(leader.status.commitIndex).toBe(1);
  });

  it('is told within milliseconds to followers for whom nothing else is coming, once', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    leader.persist();
    expect(appends(leader.ack(2))).toEqual([]);
    const wait = leader.engine.nextTickAt - leader.now;
    expect(wait).toBeLessThanOrEqual(5);
    expect(sent(leader.tick(wait), 'appendEntries')).toMatchObject([
      { to: 2, message: { prevLogIndex: 2, entries: [], leaderCommit: 2 } },
      { to: 3, message: { prevLogIndex: 2, entries: [], leaderCommit: 2 } },
    ]);
    expect(appends(leader.ack(3))).toEqual([]);
    expect(appends(leader.tick(wait))).toEqual([]);
  });

  it('travels with the entries where more are coming', () => {
    const leader = new OneNode();
    leader.lead();
    leader.propose();
    leader.propose();
    leader.persist();
    leader.ack(2, 2);
    const { message } = sent(leader.propose(), 'appendEntries')[0] as { message: AppendEntries };
    expect(message.leaderCommit).toBe(2);
    expect(appends(leader.tick(5))).toEqual([]);
  });
});

describe('proposals', () => {
  it('are refused by who does not lead, for certain', () => {
    const follower = new OneNode();
    expect(follower.propose(2).dropped).toEqual([
      { kind: 'proposal', session: 9, sequence: 1, reason: 'notLeader' },
      { kind: 'proposal', session: 9, sequence: 2, reason: 'notLeader' },
    ]);
  });

  it('are refused when too large or too many, and taken again when there is room', () => {
    const leader = new OneNode({ limits: { proposalMaxBytes: 100, uncommittedMaxEntries: 2 } });
    leader.lead();
    expect(leader.propose(1, 101).dropped).toMatchObject([{ reason: 'tooLarge' }]);
    expect(leader.propose(3).dropped).toMatchObject([{ sequence: 4, reason: 'queueFull' }]);
    leader.ackAll();
    expect(leader.propose(1).dropped).toEqual([]);
  });

  it('are bounded in bytes too, and the account is settled by commits (etcd a370b6f)', () => {
    const leader = new OneNode({ limits: { uncommittedMaxBytes: 1000 } });
    leader.lead();
    for (let i = 0; i < 50; i++) {
      expect(leader.propose(1, 600).dropped).toEqual([]);
      expect(leader.propose(1, 600).dropped).toMatchObject([{ reason: 'queueFull' }]);
      leader.ackAll();
    }
  });

  it('one always fits', () => {
    const leader = new OneNode({ limits: { uncommittedMaxBytes: 10 } });
    leader.lead();
    expect(leader.propose(1, 600).dropped).toEqual([]);
  });
});
