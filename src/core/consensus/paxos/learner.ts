/**
 * The learner: when a value is chosen ("Paxos Made Simple", §2.3), and its delivery, in the order of the slots. A leader counts votes,
 * slot by slot and in any order; a follower takes the leader's word, which counts only together with the ballot it was given under.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { noteHeld } from '../durability.ts';
import type { Entry, IoId, LogIndex } from '../engine.ts';
import { entryBytes } from '../entry-format.ts';
import { sameBallot } from './ballot.ts';
import { configurationAfter, quorumsAt } from './configuration.ts';
import { othersLeasesHaveEnded, renewLease } from './leases.ts';
import type { Accept, Accepted } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { noteAcknowledged } from './progress.ts';
import { proposeWaiting } from './proposals.ts';
import { confirmReads, startReadRound } from './reads.ts';
import { scheduleAnnouncement, sendTo } from './sending.ts';
import type { Following, Leading, PaxosState } from './state.ts';
import { pursueTransfer } from './transfer.ts';

// ---------------------------------------------------------------- on the leader

export function onAccepted(s: PaxosState, out: Outbox, from: NodeId, m: Accepted): void {
  const { leading } = s;
  const p = leading?.progress.get(from);
  if (leading === undefined || p === undefined || !sameBallot(m.ballot, leading.ballot)) return;
  if (m.last >= leading.nextSlot || m.match >= leading.nextSlot) {
    out.trace('answer_refused', { from, last: m.last, match: m.match, nextSlot: leading.nextSlot });
    return;
  }
  p.heardAt = s.now;
  p.lacks = m.lacks;
  if (m.round > p.ackedRound) p.ackedRound = m.round;
  if (m.lacks === 0 && m.round > p.wholeRound) p.wholeRound = m.round;
  countVotes(s, from, m.first, m.last);
  countVotes(s, from, p.matchIndex + 1, m.match);
  noteAcknowledged(p, m.first, m.last, m.match);
  deliverCounted(s, leading, out);
  sendTo(s, leading, out, from, p);
  pursueTransfer(s, leading, out);
  confirmReads(s, leading, out);
}

/** To be called when a write has become durable: our own votes count from now on like anybody else's. */
export function countOwnVotes(s: PaxosState, leading: Leading, out: Outbox, before: LogIndex): void {
  countVotes(s, s.id, before + 1, s.durability.durableIndex);
  deliverCounted(s, leading, out);
}

function countVotes(s: PaxosState, acceptor: NodeId, first: number, last: number): void {
  for (let slot = Math.max(first, s.log.firstUnchosen); slot <= last; slot++) {
    const vote = s.log.at(slot)!;
    const acceptors = vote.acceptors!;
    if (acceptors.includes(acceptor)) continue;
    acceptors.push(acceptor);
    if (!vote.chosen) vote.chosen = isChosenBy(s, slot, acceptors);
  }
}

function isChosenBy(s: PaxosState, slot: number, acceptors: readonly NodeId[]): boolean {
  return quorumsAt(s.configuration, slot).isQuorum('accept', acceptors);
}

/** Others decide in the slots to come than was known when votes for them were counted: what is here may be a quorum already. */
function countAnew(s: PaxosState): void {
  for (let slot = s.log.firstUnchosen; slot <= s.log.lastIndex; slot++) {
    const vote = s.log.at(slot);
    if (vote?.acceptors !== undefined && !vote.chosen) vote.chosen = isChosenBy(s, slot, vote.acceptors);
  }
}

/** What is chosen is delivered, unless an earlier leader may still serve reads that must not miss it. */
export function deliverCounted(s: PaxosState, leading: Leading, out: Outbox): void {
  if (!othersLeasesHaveEnded(s) || s.log.at(s.log.firstUnchosen)?.chosen !== true) return;
  const entries: Entry[] = [];
  while (s.log.at(s.log.firstUnchosen)?.chosen === true) {
    const entry = deliver(s, out);
    leading.unchosenBytes -= entryBytes(entry);
    entries.push(entry);
    if (entry.payload.kind === 'members') countAnew(s);
  }
  out.commit(entries);
  renewLease(leading, s.log.chosenIndex);
  scheduleAnnouncement(s, leading);
  establish(s, leading, out);
  confirmReads(s, leading, out); // of new members those who have answered may be all who are asked
  proposeWaiting(s, leading, out);
}

/** With everything decided that anybody voted for before, a leader knows all that was ever acknowledged: reads may begin. */
export function establish(s: PaxosState, leading: Leading, out: Outbox): void {
  if (leading.established || s.log.chosenIndex < leading.firstOwn - 1) return;
  leading.established = true;
  out.trace('leadership_established', { round: leading.ballot.round, chosenIndex: s.log.chosenIndex });
  startReadRound(s, leading, out);
}

// ---------------------------------------------------------------- on a follower

/** Everything that the leader calls chosen, and that we have voted for in its ballot. */
export function deliverFollowed(s: PaxosState, f: Following, out: Outbox): void {
  if (!isDeliverable(s, f)) return;
  const entries: Entry[] = [];
  while (isDeliverable(s, f)) entries.push(deliver(s, out));
  out.commit(entries);
}

function isDeliverable(s: PaxosState, f: Following): boolean {
  if (s.log.chosenIndex >= f.chosen) return false;
  const vote = s.log.at(s.log.firstUnchosen);
  return vote !== undefined && sameBallot(vote.ballot, f.ballot);
}

/** The hash chain compares all that is chosen here with what is chosen there. */
export function agreesWithLeader(s: PaxosState, m: Accept): boolean {
  const known = s.log.checksumAt(m.chosenIndex);
  return known === undefined || known === m.chosenChecksum;
}

/** What is held of a ballot now reaches further, without a gap. */
export function extendHeld(s: PaxosState, f: Following): void {
  const before = f.heldTo;
  if (f.chosen > f.heldTo) f.heldTo = f.chosen;
  for (;;) {
    const vote = s.log.at(f.heldTo + 1);
    if (vote === undefined || !sameBallot(vote.ballot, f.ballot)) break;
    f.heldTo = (f.heldTo + 1) as LogIndex;
  }
  if (f.heldTo > before) noteHeld(s.durability, f.heldTo);
}

/** What the leader is told when there is nothing to acknowledge but what is durable already. Leaves at once, whatever the disk does. */
export function report(s: PaxosState, out: Outbox, f: Following, first: LogIndex, round: number): void {
  reportAfter(s, out, f, first, round, s.durability.termIo);
}

/** The same, once what we know to be chosen is on record, as far as others may count on it: only then do we lack nothing. */
export function reportLearned(s: PaxosState, out: Outbox, f: Following): void {
  reportAfter(s, out, f, f.streamAt, 0, Math.max(s.durability.termIo, s.learnedIo) as IoId);
}

function reportAfter(s: PaxosState, out: Outbox, f: Following, first: LogIndex, round: number, io: IoId): void {
  const { durability: d } = s;
  const match = Math.min(f.heldTo, d.durableIndex) as LogIndex;
  const isOnDisk = s.learnedIo <= Math.max(d.persistedIo, io);
  const lacks = isOnDisk ? lacked(s, f) : Math.max(lacked(s, f), 1);
  const at = { first, last: first - 1 };
  out.sendAfter(io, f.ballot.node, { kind: 'accepted', ballot: f.ballot, ...at, match, lacks, round });
}

/** How many values are not here that the leader has called chosen. */
export function lacked(s: PaxosState, f: Following): number {
  return Math.max(0, f.chosen - s.log.chosenIndex);
}

// ---------------------------------------------------------------- on anybody

/** What the log says was chosen before the stop. */
export function deliverRecovered(s: PaxosState, out: Outbox): void {
  const entries: Entry[] = [];
  while (s.log.chosenIndex < s.recoveredIndex) entries.push(deliver(s, out));
  out.commit(entries);
}

/** Members are on record as chosen at once: those who voted before them may be gone when we are started again, and nobody else could tell. */
export function deliver(s: PaxosState, out: Outbox): Entry {
  const entry = s.log.deliver(s.config.crc32);
  const { payload, index } = entry;
  if (payload.kind === 'members') {
    s.configuration = configurationAfter(index, payload.members, s.config);
    out.recordChosen(index);
  }
  return entry;
}

/** Only what was delivered is applied. */
export function applied(s: PaxosState, index: LogIndex): void {
  assert(index <= s.log.chosenIndex, 'only what is chosen is applied', { index, chosenIndex: s.log.chosenIndex });
  if (index > s.appliedIndex) s.appliedIndex = index;
}
