/**
 * Linearizable reads without the log, by the leader (the read index of Raft §6.4, which needs nothing of Raft): a read may be served at
 * chosenIndex as it was when a round of heartbeats began, once an accept quorum has answered that round or a later one. Every prepare
 * quorum meets it, so nobody had been promised a higher ballot by enough to choose anything before the round began. One round is under way
 * at a time; reads that arrive meanwhile wait for the next. Rounds are numbered within the ballot, so a late answer never confirms a
 * later read.
 */
import type { DropReason, Input, ReadId } from '../engine.ts';
import { holdsLease } from './leases.ts';
import type { PaxosMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { readByQuorum } from './quorum-reads.ts';
import { heartbeatAll } from './sending.ts';
import type { Leading, PaxosState } from './state.ts';

/** Reads that may wait in one leader. */
const readsWaitingMax = 65_536;

type Read = Extract<Input<PaxosMessage>, { kind: 'read' }>;

export function read(s: PaxosState, out: Outbox, { id, level }: Read): void {
  if (level === 'stale') out.grantRead(id, s.appliedIndex);
  else if (level === 'quorum') readByQuorum(s, out, id);
  else if (s.leading === undefined) dropRead(out, id, 'notLeader');
  else if (s.leading.waitingReads.length + s.leading.roundReads.length >= readsWaitingMax)
    dropRead(out, id, 'queueFull');
  else if (level === 'lease' && s.leading.established && holdsLease(s, s.leading)) out.grantRead(id, s.log.chosenIndex);
  else {
    s.leading.waitingReads.push(id);
    startReadRound(s, s.leading, out);
  }
}

/** Begins a round for all waiting reads, unless one is under way or the leader is too new to know what is chosen. */
export function startReadRound(s: PaxosState, leading: Leading, out: Outbox): void {
  if (!leading.established || leading.waitingReads.length === 0 || leading.roundReads.length > 0) return;
  leading.round += 1;
  leading.roundIndex = s.log.chosenIndex;
  leading.roundReads = leading.waitingReads;
  leading.waitingReads = [];
  heartbeatAll(s, leading, out);
  confirmReads(s, leading, out);
}

/** Grants the reads of the round that a quorum has answered. */
export function confirmReads(s: PaxosState, leading: Leading, out: Outbox): void {
  if (leading.roundReads.length === 0) return;
  const answered = s.configuration.electorate.reached('accept', (voter) =>
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
