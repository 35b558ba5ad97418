import { describe, expect, it } from 'vitest';
import type { AppendEntries, AppendEntriesAccepted, AppendEntriesRejected } from './messages.ts';
import { appendEntriesOf, logOf, OneNode, recordsOf, sent } from './one-node.test-support.ts';

/** The answer to a message, whether it leaves at once or with the disk. */
function answerTo(follower: OneNode, message: AppendEntries): AppendEntriesAccepted | AppendEntriesRejected {
  const effects = follower.receive(2, message);
  const all = [...effects.send.map((envelope) => envelope.message), ...follower.persist().released];
  return all.find(
    (m): m is AppendEntriesAccepted | AppendEntriesRejected =>
      m.kind === 'appendEntriesAccepted' || m.kind === 'appendEntriesRejected',
  )!;
}

function followerWith(...terms: number[]): OneNode {
  return new OneNode({ records: recordsOf(Math.max(0, ...terms), logOf(...terms)) });
}

describe('a follower', () => {
  it('refuses a leader of an older term, and says no more than its own term (Figure 2, AppendEntries 1)', () => {
    const follower = new OneNode({ records: recordsOf(5, logOf(1, 5)) });
    const answer = answerTo(follower, appendEntriesOf(4, logOf(1), 1, { round: 7 }));
    expect(answer).toEqual({
      kind: 'appendEntriesRejected',
      term: 5,
      prevLogIndex: 0,
      hintIndex: 0,
      hintTerm: 0,
      round: 0,
    });
    expect(follower.status.leader).toBeUndefined();
  });

  it('refuses what does not continue its log: it is too short (Figure 2, AppendEntries 2)', () => {
    const log = logOf(1, 1, 1, 1, 1);
    expect(answerTo(followerWith(1, 1), appendEntriesOf(1, log, 4))).toMatchObject({
      kind: 'appendEntriesRejected',
      prevLogIndex: 4,
      hintIndex: 2,
      hintTerm: 1,
    });
  });

  it('refuses what does not continue its log: the terms differ; it names where they may agree at best (§5.3, end)', () => {
    const answer = answerTo(followerWith(1, 2, 2, 2), appendEntriesOf(4, logOf(1, 1, 3, 3, 4), 4, { round: 3 }));
    expect(answer).toMatchObject({
      kind: 'appendEntriesRejected',
      prevLogIndex: 4,
      hintIndex: 4,
      hintTerm: 2,
      round: 3,
    });
    const later = answerTo(followerWith(1, 4, 4, 4), appendEntriesOf(5, logOf(1, 1, 3, 3, 5), 4));
    expect(later).toMatchObject({ hintIndex: 1, hintTerm: 1 });
  });

  it('removes an entry that conflicts and all that follow it, and takes the new ones (Figure 2, AppendEntries 3, 4)', () => {
    const follower = followerWith(1, 1, 2, 2, 2);
    expect(answerTo(follower, appendEntriesOf(3, logOf(1, 1, 3), 2))).toMatchObject({ matchIndex: 3 });
    expect(follower.terms).toEqual([1, 1, 3]);
    expect(follower.status.lastIndex).toBe(3);
  });

  it('keeps what follows when an older message arrives again (§5.3; async-raft 9540c904)', () => {
    const follower = followerWith(1, 1, 1, 1);
    const log = logOf(1, 1, 1, 1);
    const effects = follower.receive(2, appendEntriesOf(1, log, 0, { upTo: 2 }));
    expect(effects.persist).toBeUndefined();
    expect(follower.status.lastIndex).toBe(4);
    expect(sent(effects, 'appendEntriesAccepted')[0]!.message).toMatchObject({ acceptedIndex: 2, matchIndex: 2 });
  });

  it('takes the part of a message that it lacks', () => {
    const follower = followerWith(1, 1);
    const effects = follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1, 1), 0));
    expect(effects.persist?.records).toMatchObject([{ entry: { index: 3 } }, { entry: { index: 4 } }]);
  });

  it('commits no further than the last entry that the message vouches for (Figure 2, AppendEntries 5)', () => {
    const follower = followerWith(1, 1, 1, 1, 1);
    const effects = follower.receive(2, appendEntriesOf(2, logOf(1, 1, 1), 2, { commit: 5 }));
    expect(effects.committed.map((entry) => entry.index)).toEqual([1, 2, 3]);
    expect(follower.status.commitIndex).toBe(3);
  });

  it('never takes its commit index back', () => {
    const follower = followerWith(1, 1, 1);
    follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1), 3, { commit: 3 }));
    follower.receive(2, appendEntriesOf(1, logOf(1), 1, { commit: 1 }));
    expect(follower.status.commitIndex).toBe(3);
  });

  it('answers to entries only when they are durable', () => {
    const follower = new OneNode();
    const effects = follower.receive(2, appendEntriesOf(1, logOf(1, 1), 0));
    expect(effects.send).toEqual([]);
    expect(effects.persist?.records.map(({ kind }) => kind)).toEqual(['hardState', 'entry', 'entry']);
    expect(effects.sendAfter).toMatchObject([
      { io: effects.persist!.io, envelopes: [{ to: 2, message: { kind: 'appendEntriesAccepted', matchIndex: 2 } }] },
    ]);
  });

  it('answers to entries that it has already when the write that holds them is durable', () => {
    const follower = new OneNode();
    const first = follower.receive(2, appendEntriesOf(1, logOf(1, 1), 0));
    follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1), 2));
    const again = follower.receive(2, appendEntriesOf(1, logOf(1, 1), 0));
    expect(again.sendAfter.map(({ io }) => io)).toEqual([first.persist!.io]);
  });

  it('answers to a heartbeat at once, and acknowledges only what is durable', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, [], 0));
    follower.persist();
    follower.receive(2, appendEntriesOf(1, logOf(1, 1), 0));
    const effects = follower.receive(2, appendEntriesOf(1, logOf(1, 1), 2, { round: 4 }));
    expect(sent(effects, 'appendEntriesAccepted')).toMatchObject([
      { message: { acceptedIndex: 2, matchIndex: 0, round: 4 } },
    ]);
    follower.persist();
    const later = follower.receive(2, appendEntriesOf(1, logOf(1, 1), 2));
    expect(sent(later, 'appendEntriesAccepted')[0]!.message.matchIndex).toBe(2);
  });

  it('shows no term before it is durable', () => {
    const follower = new OneNode();
    expect(follower.receive(2, appendEntriesOf(3, [], 0)).send).toEqual([]);
    expect(follower.persist().released).toMatchObject([{ kind: 'appendEntriesAccepted', term: 3 }]);
  });

  it('does not count an entry as durable because of a write that held the one it replaced (etcd, async storage)', () => {
    const follower = new OneNode({ records: recordsOf(1, logOf(1)) });
    follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1), 1));
    const oldWrite = follower.lastIo;
    follower.receive(3, appendEntriesOf(2, [], 0)); // the term is written before the entries that conflict come
    const termWrite = follower.lastIo;
    follower.receive(3, appendEntriesOf(2, logOf(1, 2, 2), 1));
    follower.persist(oldWrite);
    follower.persist(termWrite);
    const heartbeat = appendEntriesOf(2, logOf(1, 2, 2), 3);
    expect(sent(follower.receive(3, heartbeat), 'appendEntriesAccepted')[0]!.message).toMatchObject({
      acceptedIndex: 3,
      matchIndex: 1,
    });
    follower.persist();
    expect(sent(follower.receive(3, heartbeat), 'appendEntriesAccepted')[0]!.message.matchIndex).toBe(3);
  });

  it('acknowledges what was truncated under the old term only: the answer carries the term of the question', () => {
    const follower = new OneNode();
    follower.receive(2, appendEntriesOf(1, logOf(1, 1, 1), 0));
    follower.receive(3, appendEntriesOf(2, logOf(1, 2), 1));
    const { released } = follower.persist();
    expect(released).toMatchObject([
      { kind: 'appendEntriesAccepted', term: 1, matchIndex: 3 },
      { kind: 'appendEntriesAccepted', term: 2, matchIndex: 2 },
    ]);
  });

  it('agrees with the leader on all that it has committed, compacted or not', () => {
    const follower = followerWith(1, 1, 1, 1);
    const log = logOf(1, 1, 1, 1, 1);
    follower.receive(2, appendEntriesOf(1, log, 4, { upTo: 4, commit: 4 }));
    follower.applied(4);
    follower.input({ kind: 'compact', index: follower.status.commitIndex });
    const answer = answerTo(follower, appendEntriesOf(1, log, 1));
    expect(answer).toMatchObject({ kind: 'appendEntriesAccepted', matchIndex: 5 });
    const heartbeat = answerTo(follower, appendEntriesOf(1, log, 2, { upTo: 2 }));
    expect(heartbeat).toMatchObject({ kind: 'appendEntriesAccepted', acceptedIndex: 4 });
  });

  it('does not take entries whose hash chain is broken', () => {
    const follower = followerWith(1);
    const [, second] = logOf(1, 1);
    const message = appendEntriesOf(1, logOf(1, 1), 1);
    const damaged = { ...message, entries: [{ ...second!, checksum: second!.checksum ^ 1 }] };
    const effects = follower.receive(2, damaged);
    expect(effects.trace.map(({ name }) => name)).toContain('entries_refused_as_damaged');
    expect([...effects.send, ...effects.sendAfter]).toEqual([]);
    expect(follower.status.lastIndex).toBe(1);
  });

  it('stops rather than change what is committed (State Machine Safety, §5.4.3)', () => {
    const follower = followerWith(1, 1);
    follower.receive(2, appendEntriesOf(1, logOf(1, 1), 2, { commit: 2 }));
    expect(() => follower.receive(3, appendEntriesOf(2, logOf(1, 2), 1))).toThrow('a committed entry never changes');
  });

  it('stops rather than see a second leader in its own term (Election Safety, §5.2)', () => {
    const leader = new OneNode();
    leader.lead();
    expect(() => leader.receive(3, appendEntriesOf(1, [], 0))).toThrow('a term has at most one leader');
  });
});
