/**
 * The log is the lease (LeaseGuard: Davis, Demirbas, Deng 2025). A leader serves reads alone while an entry of its own term that it knows
 * to be committed is younger than the lease lasts. Whoever leads next has that entry in its log, and commits nothing until the last
 * entry that others left there has been there for as long, and a little longer for clocks that run at different rates. An entry
 * reaches a log no sooner than it was made, so by then the lease of whoever made it has ended; what is not known, like the age of entries
 * found at a restart, counts as new.
 */
import type { Millis } from '../../base/brand.ts';
import type { LogIndex } from '../engine.ts';
import type { Leading, RaftState } from './state.ts';

/** Entries appended within this time share the time of the first of them: that only shortens the lease. */
const appendedTogetherMs = 1;

/** Entries of another leader, or a state that holds some, have just come here. */
export function noteOthersEntries(s: RaftState): void {
  const { lease } = s.config;
  if (lease !== undefined && s.leading === undefined)
    s.othersLeaseUntil = (s.now + lease.durationMs * (1 + lease.driftMax)) as Millis;
}

/** Whether the leases of all earlier leaders have ended. */
export function othersLeasesHaveEnded(s: RaftState): boolean {
  return s.now >= s.othersLeaseUntil;
}

export function noteOwnEntry(s: RaftState, leading: Leading, index: LogIndex): void {
  if (s.config.lease === undefined) return;
  const latest = leading.appended.at(-1);
  if (latest !== undefined && s.now - latest.at < appendedTogetherMs) latest.upTo = index;
  else leading.appended.push({ upTo: index, at: s.now });
}

/** Everything up to `index` is committed now. */
export function renewLease(leading: Leading, index: LogIndex): void {
  const { appended } = leading;
  if (index < leading.termStart || appended.length === 0) return;
  let done = 0;
  while (done < appended.length && appended[done]!.upTo < index) done++;
  leading.leaseFrom = (appended[done] ?? appended[done - 1]!).at;
  appended.splice(0, appended[done]?.upTo === index ? done + 1 : done);
}

/** Whether no other leader can have committed anything by now. */
export function holdsLease(s: RaftState, leading: Leading): boolean {
  const { lease } = s.config;
  return lease !== undefined && !leading.leaseGivenUp && s.now - leading.leaseFrom < lease.durationMs;
}

/** Before somebody else is asked to lead. Returns whether no lease of anybody is left, so that the next leader need not wait. */
export function giveUpLease(s: RaftState, leading: Leading): boolean {
  leading.leaseGivenUp = true;
  return othersLeasesHaveEnded(s);
}
