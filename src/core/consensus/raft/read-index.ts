/**
 * Linearizable reads without the log (§6.4 of the dissertation): a read may be served at the commit index as it was when a round
 * of heartbeats began, once a quorum has answered that round or a later one. One round is under way at a time; reads that arrive
 * meanwhile wait for the next, which serves all of them. Rounds are numbered within the term, so a late answer never confirms a
 * later read.
 */
import type { DropReason, Input, ReadId } from '../engine.ts';
import { quorumReached } from '../quorums.ts';
import { holdsLease } from './lease.ts';
import type { RaftMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { heartbeatAll } from './replication.ts';
import { type Leading, membersOf, type RaftState } from './state.ts';

/** Reads that may wait in one leader. */
const readsWaitingMax = 65_536;

type Read = Extract<Input<RaftMessage>, { kind: 'read' }>;

export function read(s: RaftState, out: Outbox, { id, level }: Read): void {
  if (level === 'stale') out.grantRead(id, s.appliedIndex);
  else if (level === 'quorum') dropRead(out, id, 'readLevelNotOffered');
  else if (s.leading === undefined) dropRead(out, id, 'notLeader');
  else if (level === 'lease' && holdsLease(s, s.leading)) out.grantRead(id, s.commitIndex);
  else if (s.leading.waitingReads.length + s.leading.roundReads.length >= readsWaitingMax)
    dropRead(out, id, 'queueFull');
  else {
    s.leading.waitingReads.push(id);
    startReadRound(s, s.leading, out);
  }
}

/** Begins a round for all waiting reads, unless one is under way or the leader is too new to know the commit index. */
export function startReadRound(s: RaftState, leading: Leading, out: Outbox): void {
  if (!leading.established || leading.waitingReads.length === 0 || leading.roundReads.length > 0) return;
  leading.round += 1;
  leading.roundIndex = s.commitIndex;
  leading.roundReads = leading.waitingReads;
  leading.waitingReads = [];
  heartbeatAll(s, leading, out);
  confirmReads(s, leading, out);
}

/** Grants the reads of the round that a quorum has answered. */
export function confirmReads(s: RaftState, leading: Leading, out: Outbox): void {
  if (leading.roundReads.length === 0) return;
  const answered = quorumReached(membersOf(s), (voter) =>
    voter === s.id ? leading.round : (leading.progress.get(voter)?.ackedRound ?? -1),
  );
  if (answered < leading.round) return;
  for (const id of leading.roundReads) out.grantRead(id, leading.roundIndex);
  leading.roundReads = [];
  startReadRound(s, leading, out);
}

/** The leader steps down: none of its reads was served. */
export function dropReads(leading: Leading, out: Outbox): void {
  for (const id of leading.roundReads) dropRead(out, id, 'steppedDown');
  for (const id of leading.waitingReads) dropRead(out, id, 'steppedDown');
}

function dropRead(out: Outbox, id: ReadId, reason: DropReason): void {
  out.drop({ kind: 'read', id, reason });
}
