/**
 * The log is the lease (LeaseGuard: Davis, Demirbas, Deng 2025). A leader serves reads alone while a value that it was the first to propose
 * and knows to be chosen is younger than the lease lasts. Whoever leads next finds that value in phase 1, and delivers nothing before the last
 * value that others proposed has been here for as long, and a little longer for clocks that run at different rates. A value reaches a node no
 * sooner than it was proposed, so by then the lease of whoever proposed it has ended; what is not known, like the age of values found at
 * a restart or in a promise, counts as new.
 *
 * A value of an earlier ballot carries no lease when it is proposed again: somebody may have delivered it long before, and asks in phase 1
 * for nothing before the slots that are open there.
 */
import type { Millis } from '../../base/brand.ts';
import type { LeaseTerms, LogIndex } from '../engine.ts';
import { type Ballot, compareBallots, sameBallot } from './ballot.ts';
import type { PhaseOne } from './phase-one.ts';
import type { Leading, PaxosState } from './state.ts';

/** Values proposed within this time share the time of the first of them: that only shortens the lease. */
const proposedTogetherMs = 1;

/** When a lease that a value of this moment carries has ended by any clock. */
export function leaseEnd(now: Millis, lease: LeaseTerms | undefined): Millis {
  return (lease === undefined ? 0 : now + lease.durationMs * (1 + lease.driftMax)) as Millis;
}

/** Values of another proposer have just come here. */
export function noteOthersValues(s: PaxosState): void {
  if (s.config.lease !== undefined) s.othersLeaseUntil = leaseEnd(s.now, s.config.lease);
}

/** The same, or a state that holds some; and by whom they were chosen is not known: perhaps by who leads after the leader that we follow. */
export function noteValuesOfAnybody(s: PaxosState): void {
  noteOthersValues(s);
  s.anybodysLeaseUntil = s.othersLeaseUntil;
}

/** The leader that we follow says that neither it nor anybody before it holds a lease any more. */
export function noteLeasesEnded(s: PaxosState): void {
  s.othersLeaseUntil = s.anybodysLeaseUntil;
}

/** To be called before we lead: votes that only a promise has told us of, except those up to a leader whose lease has ended. */
export function noteFoundVotes(s: PaxosState, phase: PhaseOne, ended: Ballot | undefined): void {
  for (const [slot, { ballot }] of phase.adopted) {
    if (slot <= s.log.chosenIndex || (ended !== undefined && compareBallots(ballot, ended) <= 0)) continue;
    const held = s.log.at(slot);
    if (held === undefined || !sameBallot(held.ballot, ballot)) noteOthersValues(s);
  }
}

/** Whether the leases of all earlier leaders have ended. */
export function othersLeasesHaveEnded(s: PaxosState): boolean {
  return s.now >= s.othersLeaseUntil;
}

export function noteProposed(s: PaxosState, { proposed, firstOwn }: Leading, slot: LogIndex): void {
  if (s.config.lease === undefined || slot < firstOwn) return;
  const latest = proposed.at(-1);
  if (latest !== undefined && s.now - latest.at < proposedTogetherMs) latest.upTo = slot;
  else proposed.push({ upTo: slot, at: s.now });
}

/** Everything up to `chosenIndex` is delivered now. */
export function renewLease(leading: Leading, chosenIndex: LogIndex): void {
  const { proposed } = leading;
  if (chosenIndex < leading.firstOwn || proposed.length === 0) return;
  let done = 0;
  while (done < proposed.length && proposed[done]!.upTo < chosenIndex) done++;
  leading.leaseFrom = (proposed[done] ?? proposed[done - 1]!).at;
  proposed.splice(0, proposed[done]?.upTo === chosenIndex ? done + 1 : done);
}

/** Whether no other leader can have delivered anything by now. */
export function holdsLease(s: PaxosState, leading: Leading): boolean {
  const { lease } = s.config;
  return lease !== undefined && !leading.leaseGivenUp && s.now - leading.leaseFrom < lease.durationMs;
}

/** Before somebody else is asked to lead. Returns whether no lease of anybody is left, so that the next leader need not wait. */
export function giveUpLease(s: PaxosState, leading: Leading): boolean {
  leading.leaseGivenUp = true;
  return othersLeasesHaveEnded(s);
}
