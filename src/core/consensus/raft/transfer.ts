/**
 * Leadership transfer (§3.10 of the dissertation): the leader takes no proposals while it brings the target up to date, then tells it
 * to seek election at once. Its voters know by the request that the leader itself wants it (§4.2.3). Whatever becomes of it is known
 * within an election timeout.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import { mayLead } from '../elector/elector.ts';
import type { ControlId } from '../engine.ts';
import { isVoter } from '../quorums.ts';
import { becomeCandidate } from './election.ts';
import { giveUpLease } from './lease.ts';
import type { TimeoutNow } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { type Leading, membersOf, type RaftState, type TransferRequest } from './state.ts';

export function transferLeadership(s: RaftState, out: Outbox, id: ControlId, request: TransferRequest): void {
  const { leading } = s;
  const { to } = request;
  const drop = (reason: 'notLeader' | 'changeInProgress' | 'targetUnavailable') =>
    out.drop({ kind: 'control', id, request, reason });
  if (leading === undefined) drop('notLeader');
  else if (to === s.id) out.complete(id);
  else if (s.transfer !== undefined || leading.change !== undefined) drop('changeInProgress');
  else if (!isVoter(membersOf(s), to)) drop('targetUnavailable');
  else {
    s.transfer = { id, request, until: (s.now + s.config.timing.electionTimeoutMaxMs) as Millis };
    out.trace('transfer_started', { term: s.currentTerm, to });
    pursueTransfer(s, leading, out);
  }
}

/** Told again with each answer and heartbeat, in case it was lost. */
export function pursueTransfer(s: RaftState, leading: Leading, out: Outbox): void {
  const to = s.transfer?.request.to;
  if (to !== undefined && leading.progress.get(to)?.matchIndex === s.log.lastIndex) sendTimeoutNow(s, leading, out, to);
}

function sendTimeoutNow(s: RaftState, leading: Leading, out: Outbox, to: NodeId): void {
  out.send(to, { kind: 'timeoutNow', term: s.currentTerm, leaseEnded: giveUpLease(s, leading) });
}

/** A leader that is no voter any more leaves the group to the voter whose log reaches furthest. */
export function nameSuccessor(s: RaftState, leading: Leading, out: Outbox): void {
  let best: NodeId | undefined;
  for (const [id, { matchIndex }] of leading.progress)
    if (isVoter(membersOf(s), id) && matchIndex > (leading.progress.get(best!)?.matchIndex ?? -1)) best = id;
  if (best !== undefined) sendTimeoutNow(s, leading, out, best);
}

/** To be called after each step: ends the transfer as soon as it is known how. */
export function settleTransfer(s: RaftState, out: Outbox): void {
  const { transfer } = s;
  if (transfer === undefined) return;
  const { id, request, until } = transfer;
  const isOthers = s.leader !== undefined && s.leader !== s.id;
  if (!isOthers && s.now < until) return;
  s.transfer = undefined;
  if (s.leader === request.to) out.complete(id);
  else {
    out.drop({ kind: 'control', id, request, reason: 'targetUnavailable' });
    out.trace('transfer_abandoned', { term: s.currentTerm, to: request.to });
  }
}

/** Of the leader that we follow, and in its term. */
export function onTimeoutNow(s: RaftState, out: Outbox, from: NodeId, { term, leaseEnded }: TimeoutNow): void {
  if (term !== s.currentTerm || s.leader !== from || !mayLead(s.view)) return;
  becomeCandidate(s, out, true);
  if (leaseEnded) s.noLeaseBefore = s.currentTerm;
}
