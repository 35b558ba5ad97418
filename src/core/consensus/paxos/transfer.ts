/**
 * Leadership transfer: the leader takes no proposals while it brings the target up to date, then tells it to seek to lead at once. Its
 * acceptors know by the Prepare that the leader itself wants it. Whatever becomes of it is known within an election timeout.
 */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { ControlId } from '../engine.ts';
import { isVoter } from '../quorums.ts';
import { giveUpLease } from './leases.ts';
import type { Outbox } from './outbox.ts';
import type { Leading, PaxosState, TransferRequest } from './state.ts';

export function transferLeadership(s: PaxosState, out: Outbox, id: ControlId, request: TransferRequest): void {
  const { leading } = s;
  const { to } = request;
  const drop = (reason: 'notLeader' | 'changeInProgress' | 'targetUnavailable') =>
    out.drop({ kind: 'control', id, request, reason });
  if (leading === undefined) drop('notLeader');
  else if (to === s.id) out.complete(id);
  else if (s.transfer !== undefined || leading.change !== undefined) drop('changeInProgress');
  else if (!isVoter(s.log.members, to)) drop('targetUnavailable');
  else {
    s.transfer = { id, request, until: (s.now + s.config.timing.electionTimeoutMaxMs) as Millis };
    out.trace('transfer_started', { round: leading.ballot.round, to });
    pursueTransfer(s, leading, out);
  }
}

/** Told again with each answer and heartbeat, in case it was lost. */
export function pursueTransfer(s: PaxosState, leading: Leading, out: Outbox): void {
  const to = s.transfer?.request.to;
  const p = to === undefined ? undefined : leading.progress.get(to);
  if (to !== undefined && p?.lacks === 0 && p.matchIndex === leading.nextSlot - 1) sendTakeOver(s, leading, out, to);
}

function sendTakeOver(s: PaxosState, leading: Leading, out: Outbox, to: NodeId): void {
  out.send(to, { kind: 'takeOver', ballot: leading.ballot, leasesEnded: giveUpLease(s, leading) });
}

/** A leader that is no voter any more leaves the group to the voter that lacks least. */
export function nameSuccessor(s: PaxosState, leading: Leading, out: Outbox): void {
  let best: NodeId | undefined;
  let bestReach = -1;
  for (const [id, { matchIndex, lacks }] of leading.progress) {
    const reach = lacks === 0 ? matchIndex : 0;
    if (!isVoter(s.log.members, id) || reach <= bestReach) continue;
    best = id;
    bestReach = reach;
  }
  if (best !== undefined) sendTakeOver(s, leading, out, best);
}

/** To be called after each step: ends the transfer as soon as it is known how. */
export function settleTransfer(s: PaxosState, out: Outbox): void {
  const { transfer } = s;
  if (transfer === undefined) return;
  const { id, request, until } = transfer;
  const isOthers = s.leader !== undefined && s.leader !== s.id;
  if (!isOthers && s.now < until) return;
  s.transfer = undefined;
  if (s.leader === request.to) out.complete(id);
  else {
    out.drop({ kind: 'control', id, request, reason: 'targetUnavailable' });
    out.trace('transfer_abandoned', { round: s.promised.round, to: request.to });
  }
}
