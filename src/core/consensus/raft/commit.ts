/** When an entry is committed (§5.3, §5.4.2), and what follows from it. */
import { assert } from '../../base/assert.ts';
import type { LogIndex } from '../engine.ts';
import { entryBytes } from '../entry-format.ts';
import { quorumReached } from '../quorums.ts';
import { othersLeasesHaveEnded, renewLease } from './lease.ts';
import type { Outbox } from './outbox.ts';
import { startReadRound } from './read-index.ts';
import { scheduleAnnouncement } from './replication.ts';
import { type Leading, membersOf, type RaftState } from './state.ts';

/**
 * Raises commitIndex to the highest N that is durable on a quorum and of our own term (Figure 2, Rules for Servers; earlier terms
 * are never committed by counting, §5.4.2). We count ourselves by what is durable here, like anybody else. Nothing is committed
 * while another leader's lease may last.
 */
export function advanceCommit(s: RaftState, leading: Leading, out: Outbox): void {
  if (!othersLeasesHaveEnded(s)) return;
  const stored = quorumReached(membersOf(s), (voter) =>
    voter === s.id ? s.durability.durableIndex : (leading.progress.get(voter)?.matchIndex ?? 0),
  );
  if (stored <= s.commitIndex || s.log.termAt(stored) !== s.currentTerm) return;
  commitTo(s, out, stored as LogIndex);
}

/** Hands the entries up to `index` to the state machine, in order. */
export function commitTo(s: RaftState, out: Outbox, index: LogIndex): void {
  assert(index > s.commitIndex && index <= s.log.lastIndex, 'commitIndex grows within the log', { index });
  out.commit(s.log.slice(s.commitIndex + 1, index));
  raiseCommitIndex(s, out, index);
}

/** Also when the entries reach the state machine by another way, with a snapshot. */
export function raiseCommitIndex(s: RaftState, out: Outbox, index: LogIndex): void {
  const { leading } = s;
  if (leading !== undefined)
    for (let i = s.commitIndex + 1; i <= index; i++) leading.uncommittedBytes -= entryBytes(s.log.at(i)!);
  s.commitIndex = index;
  if (leading === undefined) return;
  renewLease(leading, index);
  scheduleAnnouncement(s, leading);
  establish(s, leading, out);
}

/** With an entry of its own term committed, a leader knows everything that is committed: reads may begin (§6.4). */
function establish(s: RaftState, leading: Leading, out: Outbox): void {
  if (leading.established || s.commitIndex < leading.termStart) return;
  leading.established = true;
  out.trace('leadership_established', { term: s.currentTerm, commitIndex: s.commitIndex });
  startReadRound(s, leading, out);
}
