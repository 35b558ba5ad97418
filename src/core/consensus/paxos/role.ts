/** Ceasing to lead or to seek to: on a higher ballot, or on losing touch with a quorum. */

import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { outranks } from '../elector/elector.ts';
import type { DropReason, EntryPayload } from '../engine.ts';
import { type Ballot, compareBallots, nameOf, type Round } from './ballot.ts';
import { equalStanding } from './elector-view.ts';
import type { Outbox } from './outbox.ts';
import { dropReads } from './reads.ts';
import type { Leading, PaxosState } from './state.ts';

export function becomeFollower(s: PaxosState, out: Outbox, leader: NodeId | undefined, why: string): void {
  const { leading } = s;
  if (s.role !== 'follower') s.elector.restart(s.view);
  if (s.leader !== leader && leader !== undefined) out.trace('leader_followed', { leader, ballot: nameOf(s.promised) });
  s.role = 'follower';
  s.leader = leader;
  s.campaign = undefined;
  s.leading = undefined;
  if (leading === undefined) return;
  out.trace('leader_stepped_down', { ballot: nameOf(leading.ballot), why });
  dropReads(leading, out);
  dropChange(leading, out);
  dropProposals(s, leading, out);
  forgetTally(s);
}

/** From now on no part is taken in a lower ballot; who leads in this one is not known yet. */
export function raisePromise(s: PaxosState, out: Outbox, ballot: Ballot, why: string): void {
  assert(compareBallots(ballot, s.promised) > 0, 'a promise only rises', { ballot: nameOf(ballot) });
  s.promised = ballot;
  noteRound(s, ballot.round);
  s.following = undefined;
  s.stateArriving = false;
  out.recordPromise();
  becomeFollower(s, out, undefined, why);
}

/** Another has begun phase 1 in the round that we have: each acceptor promises it to one of us only. Who gives way asks for no patience. */
export function noteRival(s: PaxosState, id: NodeId): void {
  const rival = { id, standing: equalStanding };
  if (s.campaign !== undefined && outranks(rival, s.view)) s.campaign.hasAdvanced = false;
  s.elector.campaignRefused(s.view, rival);
}

export function noteRound(s: PaxosState, round: Round): void {
  if (round > s.roundSeen) s.roundSeen = round;
}

/** Whoever leads next may or may not know of it. */
function dropChange({ change }: Leading, out: Outbox): void {
  if (change !== undefined)
    out.drop({ kind: 'control', id: change.id, request: change.request, reason: 'steppedDown' });
}

/**
 * What we proposed and have not seen chosen may still be, under another leader; what had no slot yet will not. Values of others may lie
 * between ours: votes that voters to come told of when we led already.
 */
function dropProposals(s: PaxosState, leading: Leading, out: Outbox): void {
  for (let slot = Math.max(s.log.firstUnchosen, leading.firstOwn); slot < leading.nextSlot; slot++) {
    const { term, payload } = s.log.at(slot)!.entry;
    if (term === leading.ballot.round) drop(out, payload, 'steppedDown');
  }
  for (const payload of leading.waiting) drop(out, payload, 'notLeader');
}

function drop(out: Outbox, payload: EntryPayload, reason: DropReason): void {
  if (payload.kind !== 'proposal') return;
  const { session, sequence } = payload;
  out.drop({ kind: 'proposal', session, sequence, reason });
}

/** Choices that a leader counted out of order are learned anew from whoever leads next. */
function forgetTally(s: PaxosState): void {
  for (let slot = s.log.firstUnchosen; slot <= s.log.lastIndex; slot++) {
    const vote = s.log.at(slot);
    if (vote === undefined) continue;
    vote.chosen = false;
    vote.acceptors = undefined;
  }
}
