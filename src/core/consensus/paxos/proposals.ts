/** Giving slots to values: those that phase 1 found, no-ops for gaps, and what clients propose. */

import { noteHeld } from '../durability.ts';
import type { DropReason, EntryPayload, Input, LogIndex, Proposal } from '../engine.ts';
import { entryBytes, makeEntry, noop, valueBytes } from '../entry-format.ts';
import { isVoter } from '../quorums.ts';
import { quorumsAt, windowOf } from './configuration.ts';
import { noteProposed } from './leases.ts';
import type { PaxosMessage } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { sendToAll } from './sending.ts';
import type { Leading, PaxosState } from './state.ts';
import { Vote } from './vote.ts';

type Propose = Extract<Input<PaxosMessage>, { kind: 'propose' }>;

export function propose(s: PaxosState, out: Outbox, { proposals }: Propose): void {
  const { leading } = s;
  for (const proposal of proposals) {
    const reason = refusalOf(s, proposal);
    if (reason !== undefined) drop(out, proposal, reason);
    else {
      const { session, sequence, data } = proposal;
      takeIn(leading!, { kind: 'proposal', session, sequence, data });
    }
  }
  if (leading !== undefined) proposeWaiting(s, leading, out);
}

/** One proposal always fits, so that a bound set too small cannot stop the group. */
function refusalOf(s: PaxosState, { data }: Proposal): DropReason | undefined {
  const { leading } = s;
  if (leading === undefined) return 'notLeader';
  if (isHandingOver(s)) return 'changeInProgress';
  const { proposalMaxBytes, uncommittedMaxBytes, uncommittedMaxEntries } = s.config.limits;
  if (data.length > proposalMaxBytes) return 'tooLarge';
  const entries = openSlots(s, leading) + leading.waiting.length;
  if (entries === 0) return undefined;
  const bytes = leading.unchosenBytes + leading.waitingBytes + data.length;
  return entries >= uncommittedMaxEntries || bytes > uncommittedMaxBytes ? 'queueFull' : undefined;
}

function openSlots(s: PaxosState, leading: Leading): number {
  return leading.nextSlot - s.log.firstUnchosen;
}

/** A leader that is about to leave takes nothing on that it might not see through. */
function isHandingOver(s: PaxosState): boolean {
  return s.transfer !== undefined || !isVoter(s.log.members, s.id);
}

/** Behind everything that waits for a slot. */
export function takeIn(leading: Leading, payload: EntryPayload): void {
  leading.waiting.push(payload);
  leading.waitingBytes += valueBytes(payload);
}

/**
 * Gives slots, in their order, to what waits for one: first to what must be decided again or filled, then to clients' values; as far as
 * the window reaches, and as far as those who decide there have promised.
 */
export function proposeWaiting(s: PaxosState, leading: Leading, out: Outbox): void {
  const { phase, waiting } = leading;
  let taken = 0;
  while (mayPropose(s, leading)) {
    if (leading.nextSlot <= phase.adoptedTo) proposeAdopted(s, leading, out);
    else if (taken < waiting.length) proposeOwn(s, leading, out, waiting[taken++]!);
    else break;
  }
  if (taken > 0) leading.waiting = taken === waiting.length ? [] : waiting.slice(taken);
  if (leading.waiting.length === 0) leading.waitingBytes = 0;
  sendToAll(s, leading, out);
}

function mayPropose(s: PaxosState, { nextSlot, phase }: Leading): boolean {
  if (nextSlot > s.log.chosenIndex + windowOf(s.config)) return false;
  const { configuration } = s;
  return configuration.next === undefined || nextSlot < configuration.nextFrom
    ? true
    : quorumsAt(configuration, nextSlot).isQuorum('prepare', phase.promises);
}

/** The value of the highest ballot, with the round in which it was first proposed; a no-op where nobody has voted. */
function proposeAdopted(s: PaxosState, leading: Leading, out: Outbox): void {
  const { phase, nextSlot, ballot } = leading;
  const found = phase.adopted.get(nextSlot)?.entry;
  phase.adopted.delete(nextSlot);
  if (found === undefined) assign(s, leading, out, ballot.round, noop);
  else assign(s, leading, out, found.term, found.payload);
}

function proposeOwn(s: PaxosState, leading: Leading, out: Outbox, payload: EntryPayload): void {
  leading.waitingBytes -= valueBytes(payload);
  assign(s, leading, out, leading.ballot.round, payload);
}

/** The value goes to our disk and to the peers at the same time; only what is durable here counts as our vote. */
function assign(s: PaxosState, leading: Leading, out: Outbox, term: number, payload: EntryPayload): void {
  const { nextSlot: slot, lastChecksum, ballot } = leading;
  if (payload.kind === 'members') leading.membersSlot = slot;
  const entry = makeEntry(s.config.crc32, lastChecksum, term, slot, payload);
  const vote = new Vote(ballot, entry, lastChecksum);
  vote.acceptors = [];
  s.log.put(vote);
  leading.nextSlot = (slot + 1) as LogIndex;
  leading.lastChecksum = entry.checksum;
  leading.unchosenBytes += entryBytes(entry);
  out.recordAccepted(vote);
  noteHeld(s.durability, slot);
  noteProposed(s, leading, slot);
}

function drop(out: Outbox, { session, sequence }: Proposal, reason: DropReason): void {
  out.drop({ kind: 'proposal', session, sequence, reason });
}
