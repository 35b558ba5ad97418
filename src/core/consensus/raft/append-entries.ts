/** The receiver of AppendEntries (Figure 2; §5.3). */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { ioThatMakesDurable, noteTruncation } from '../durability.ts';
import type { Entry, LogIndex } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { commitTo } from './commit.ts';
import { noteOthersEntries } from './lease.ts';
import type { AppendEntries } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { becomeFollower } from './role.ts';
import type { RaftState } from './state.ts';
import type { Term } from './term.ts';

export function onAppendEntries(s: RaftState, out: Outbox, from: NodeId, m: AppendEntries): void {
  if (m.term < s.currentTerm) {
    refuseStaleTerm(s, out, from);
    return;
  }
  followLeader(s, out, from, m);
  if (!agreesAtPrev(s, m)) {
    // what we have committed, every later leader has too: the logs agree at least so far
    const hint = s.log.lastWithTermAtMost(Math.min(m.prevLogIndex, s.log.lastIndex), m.prevLogTerm);
    reject(s, out, from, m, Math.max(hint, s.commitIndex) as LogIndex);
    return;
  }
  const fresh = findFresh(s, m);
  if (!chainHolds(s, m, fresh)) {
    out.trace('entries_refused_as_damaged', { from, prevLogIndex: m.prevLogIndex, entries: m.entries.length });
    return;
  }
  appendFresh(s, out, m, fresh);
  const lastNew = (m.prevLogIndex + m.entries.length) as LogIndex;
  const committed = Math.min(m.leaderCommit, lastNew) as LogIndex;
  if (committed > s.commitIndex) commitTo(s, out, committed);
  accept(s, out, from, m, Math.max(lastNew, s.commitIndex) as LogIndex);
}

function followLeader(s: RaftState, out: Outbox, from: NodeId, m: AppendEntries): void {
  assert(s.leading === undefined || m.term > s.currentTerm, 'a term has at most one leader (§5.2)', {
    term: m.term,
    from,
  });
  if (m.term > s.currentTerm || s.role !== 'follower' || s.leader !== from)
    becomeFollower(s, out, m.term, from, 'another leads a higher term');
  s.elector.leaderHeard(s.view);
}

/** Committed entries are the leader's too (Leader Completeness, §5.4), compacted ones included. */
function agreesAtPrev(s: RaftState, m: AppendEntries): boolean {
  return m.prevLogIndex <= s.commitIndex || s.log.matches(m.prevLogIndex, m.prevLogTerm);
}

/** How many of the entries we have already: a repeated or reordered message must not cut off what came after it. */
function findFresh(s: RaftState, m: AppendEntries): number {
  for (let i = 0; i < m.entries.length; i++) {
    const { index, term } = m.entries[i]!;
    if (index <= s.log.base.index || s.log.matches(index, term)) continue;
    assert(index > s.commitIndex, 'a committed entry never changes (§5.4.3)', { index, commitIndex: s.commitIndex });
    return i;
  }
  return m.entries.length;
}

/** The new entries continue our log's hash chain, and came in order: what was damaged on its way is not taken. */
function chainHolds(s: RaftState, m: AppendEntries, fresh: number): boolean {
  if (fresh === m.entries.length) return true;
  const before = m.entries[fresh]!.index - 1;
  let checksum = s.log.checksumAt(before);
  let term: number | undefined = s.log.termAt(before);
  if (checksum === undefined || term === undefined) return false;
  for (let i = fresh; i < m.entries.length; i++) {
    const entry = m.entries[i]!;
    if (entry.term < term || entry.term > m.term) return false;
    checksum = chainChecksum(s.config.crc32, checksum, entry.term, entry.index, entry.payload);
    if (checksum !== entry.checksum) return false;
    term = entry.term;
  }
  return true;
}

function appendFresh(s: RaftState, out: Outbox, m: AppendEntries, fresh: number): void {
  const first = m.entries[fresh];
  if (first === undefined) return;
  if (first.index <= s.log.lastIndex) truncate(s, out, first);
  noteOthersEntries(s);
  for (let i = fresh; i < m.entries.length; i++) {
    s.log.append(m.entries[i]!);
    out.recordEntry(m.entries[i]!);
  }
}

/** The conflicting entry and all that follow it go (Figure 2, AppendEntries 3). */
function truncate(s: RaftState, out: Outbox, conflict: Entry): void {
  out.trace('log_truncated', { from: conflict.index, lastIndex: s.log.lastIndex });
  s.log.truncateFrom(conflict.index);
  noteTruncation(s.durability, conflict.index);
}

/**
 * An answer to entries leaves once they are durable. One to a heartbeat leaves at once, so that a slow disk does not look like a
 * dead node, and acknowledges only what is durable already.
 */
function accept(s: RaftState, out: Outbox, from: NodeId, m: AppendEntries, acceptedIndex: LogIndex): void {
  const { durability: d } = s;
  const { term, round } = m;
  if (m.entries.length === 0) {
    const matchIndex = Math.min(acceptedIndex, d.durableIndex) as LogIndex;
    out.sendAfter(d.termIo, from, { kind: 'appendEntriesAccepted', term, acceptedIndex, matchIndex, round });
    return;
  }
  const io = ioThatMakesDurable(d, acceptedIndex);
  const gate = io > d.termIo ? io : d.termIo;
  out.sendAfter(gate, from, { kind: 'appendEntriesAccepted', term, acceptedIndex, matchIndex: acceptedIndex, round });
}

/** Tells an old leader of our term and nothing else: it may lead again by now, and its old rounds must not confirm new reads. */
function refuseStaleTerm(s: RaftState, out: Outbox, from: NodeId): void {
  const nothing = { prevLogIndex: 0 as LogIndex, hintIndex: 0 as LogIndex, hintTerm: 0 as Term, round: 0 };
  out.sendAfter(s.durability.termIo, from, { kind: 'appendEntriesRejected', term: s.currentTerm, ...nothing });
}

function reject(s: RaftState, out: Outbox, from: NodeId, m: AppendEntries, hintIndex: LogIndex): void {
  const hintTerm = s.log.termAt(hintIndex) ?? s.currentTerm;
  const { prevLogIndex, round } = m;
  const term = s.currentTerm;
  out.sendAfter(s.durability.termIo, from, {
    kind: 'appendEntriesRejected',
    term,
    prevLogIndex,
    hintIndex,
    hintTerm,
    round,
  });
}
