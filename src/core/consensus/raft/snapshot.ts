/** Log compaction (§7): the host keeps and moves the state; here is what it means for the log. */
import { assert } from '../../base/assert.ts';
import { noteStoredState, noteTruncation } from '../durability.ts';
import type { Input, LogIndex, SnapshotPoint } from '../engine.ts';
import { raiseCommitIndex } from './commit.ts';
import { noteOthersEntries } from './lease.ts';
import { noteStateDelivered } from './membership.ts';
import type { RaftMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { toProbe } from './progress.ts';
import { becomeFollower } from './role.ts';
import type { RaftState } from './state.ts';
import { toTerm } from './term.ts';

type Of<Kind> = Extract<Input<RaftMessage>, { kind: Kind }>;

/** Entries up to `index` go, as far as they are applied. */
export function compact(s: RaftState, { index }: Of<'compact'>): void {
  s.log.compactTo(Math.min(index, s.appliedIndex) as LogIndex);
}

/**
 * A peer's state is in place of ours. Entries that follow it in our log stay if the log holds its last entry; else the log begins
 * anew (Figure 13, 6 and 7). The leader learns at once that we have it.
 */
export function snapshotInstalled(s: RaftState, out: Outbox, { at }: Of<'snapshotInstalled'>): void {
  assert(at.index >= s.appliedIndex, 'a snapshot never takes the state back', {
    index: at.index,
    appliedIndex: s.appliedIndex,
  });
  if (at.term > s.currentTerm) becomeFollower(s, out, toTerm(at.term), undefined, 'a snapshot is of a higher term');
  s.appliedIndex = at.index;
  if (at.index > s.log.base.index) adopt(s, out, at);
  if (s.leading === undefined && s.leader !== undefined) {
    const answer = { term: s.currentTerm, acceptedIndex: at.index, matchIndex: at.index, round: 0 };
    out.sendAfter(s.durability.lastIo, s.leader, { kind: 'appendEntriesAccepted', ...answer });
  }
}

function adopt(s: RaftState, out: Outbox, at: SnapshotPoint): void {
  giveWay(s, out, at);
  if (s.log.matches(at.index, at.term)) {
    if (at.index > s.commitIndex) raiseCommitIndex(s, out, at.index);
    s.log.compactTo(at.index);
  } else {
    assert(at.index > s.commitIndex, 'a snapshot agrees with what is committed here', {
      index: at.index,
      term: at.term,
    });
    s.log.reset(at);
    s.commitIndex = at.index;
    noteTruncation(s.durability, at.index + 1);
  }
  noteOthersEntries(s);
  noteStoredState(s.durability, at.index);
  out.recordSnapshotPoint();
  out.trace('snapshot_adopted', { index: at.index, term: at.term, keptEntries: s.log.lastIndex - at.index });
}

/**
 * Who seeks election begins anew: it asked with another log, and the members that come with the state are not those it asked; perhaps
 * somebody has led in its very term, and changed them. A leader that has another entry at that place has been deposed, and does not know it.
 */
function giveWay(s: RaftState, out: Outbox, at: SnapshotPoint): void {
  const keepsRole = s.leading === undefined ? s.role === 'follower' : s.log.matches(at.index, at.term);
  if (!keepsRole) becomeFollower(s, out, s.currentTerm, undefined, 'a snapshot takes the place of its log');
}

/** The stream is over. Delivered: the next heartbeat asks whether the log goes on from there. If not, it asks for another. */
export function snapshotSent(s: RaftState, { to, at, delivered }: Of<'snapshotSent'>): void {
  s.streaming.delete(to);
  if (delivered && s.leading !== undefined) noteStateDelivered(s.leading, to, s.now);
  const p = s.leading?.progress.get(to);
  if (p?.state !== 'snapshot' || !delivered) return;
  toProbe(p, at.index + 1);
  p.probing = true;
}
