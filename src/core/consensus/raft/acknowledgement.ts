/** The leader's receiving side of §5.3: what followers answer to AppendEntries. */
import type { NodeId } from '../../base/brand.ts';
import type { LogIndex } from '../engine.ts';
import { advanceCommit } from './commit.ts';
import type { AppendEntriesAccepted, AppendEntriesRejected } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { noteMatch, type Progress, toProbe, toReplicate } from './progress.ts';
import { confirmReads } from './read-index.ts';
import { considerRest, replicateTo } from './replication.ts';
import { becomeFollower } from './role.ts';
import type { Leading, RaftState } from './state.ts';
import { pursueTransfer } from './transfer.ts';

export function onAppendEntriesAccepted(s: RaftState, out: Outbox, from: NodeId, m: AppendEntriesAccepted): void {
  const leading = leadingInTermOf(s, out, m);
  const p = leading?.progress.get(from);
  if (leading === undefined || p === undefined) return;
  if (m.acceptedIndex > s.log.lastIndex || m.matchIndex > m.acceptedIndex) {
    out.trace('answer_refused', { from, acceptedIndex: m.acceptedIndex, lastIndex: s.log.lastIndex });
    return;
  }
  noteHeard(s, p, m.round);
  const matched = noteMatch(p, m.matchIndex, s.now);
  settle(s, p, m.acceptedIndex);
  if (matched !== undefined) {
    if (m.matchIndex > s.commitIndex) advanceCommit(s, leading, out);
    considerRest(s, leading, p, matched);
  }
  replicateTo(s, leading, out, from, p);
  confirmReads(s, leading, out);
  if (matched !== undefined) pursueTransfer(s, leading, out);
}

/** Where the logs agree is known now: from there on entries may flow. An answer to something older settles nothing. */
function settle(s: RaftState, p: Progress, acceptedIndex: LogIndex): void {
  const settled = p.state === 'probe' ? p.nextIndex - 1 : s.log.base.index;
  if (p.state !== 'replicate' && Math.max(acceptedIndex, p.matchIndex) >= settled) toReplicate(p, acceptedIndex);
}

export function onAppendEntriesRejected(s: RaftState, out: Outbox, from: NodeId, m: AppendEntriesRejected): void {
  const leading = leadingInTermOf(s, out, m);
  const p = leading?.progress.get(from);
  if (leading === undefined || p === undefined) return;
  noteHeard(s, p, m.round);
  if (isNews(p, m)) {
    // back up over all terms that the follower cannot agree on at once, rather than entry by entry (§5.3, end)
    const agree = s.log.lastWithTermAtMost(m.hintIndex, m.hintTerm);
    toProbe(p, Math.min(m.prevLogIndex, agree + 1));
    replicateTo(s, leading, out, from, p);
  }
  confirmReads(s, leading, out);
}

/** Whether a refusal speaks of how things stand, and not of a message that was overtaken. */
function isNews(p: Progress, m: AppendEntriesRejected): boolean {
  switch (p.state) {
    case 'probe':
      return m.prevLogIndex === p.nextIndex - 1 && m.prevLogIndex > p.matchIndex;
    case 'replicate':
      return m.prevLogIndex > p.matchIndex;
    case 'snapshot':
      return false;
  }
}

/** Answers of other terms confirm nothing: older ones speak of a log that may have been cut since (§5.1). */
function leadingInTermOf(
  s: RaftState,
  out: Outbox,
  m: AppendEntriesAccepted | AppendEntriesRejected,
): Leading | undefined {
  if (m.term > s.currentTerm) becomeFollower(s, out, m.term, undefined, 'a follower knows a higher term');
  return m.term === s.currentTerm ? s.leading : undefined;
}

function noteHeard(s: RaftState, p: Progress, round: number): void {
  p.heardAt = s.now;
  p.hasAnswered = true;
  if (round > p.ackedRound) p.ackedRound = round;
}
