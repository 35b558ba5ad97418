/** Phase 2a: the leader's values on their way to acceptors and learners, in a window to each; and heartbeats. */
import type { Millis, NodeId } from '../../base/brand.ts';
import { farBehindEntries } from '../catch-up-pace.ts';
import type { Entry, LogIndex } from '../engine.ts';
import { entryBytes } from '../entry-format.ts';
import { sameBallot } from './ballot.ts';
import { windowOf } from './configuration.ts';
import type { Accept, Missing } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { noteSent, type Progress, skipTo, windowIsOpen } from './progress.ts';
import { type Leading, never, type PaxosState } from './state.ts';

const noEntries: readonly Entry[] = Object.freeze([]);

/**
 * A member without a vote that is far behind what is chosen: values under way are of no use to it yet, and to write them would take the disk
 * and the processor of whom it shares them with, for as long as its state travels. It hears heartbeats, asks for what is chosen, and is sent
 * values again when it is near. Who votes, or is to, gets everything.
 */
function isLeftBehind(s: PaxosState, id: NodeId, { lacks }: Progress): boolean {
  return lacks !== undefined && lacks > farBehindEntries && s.log.members.nonVoters.includes(id);
}

/** Sends what each peer lacks and its window allows. */
export function sendToAll(s: PaxosState, leading: Leading, out: Outbox): void {
  for (const [id, p] of leading.progress) sendTo(s, leading, out, id, p);
}

export function sendTo(s: PaxosState, leading: Leading, out: Outbox, id: NodeId, p: Progress): void {
  skipWhatIsOutOfReach(s, leading, p);
  if (isLeftBehind(s, id, p)) return;
  while (p.nextSlot < leading.nextSlot && windowIsOpen(p, s.config.limits)) {
    const { message, last, bytes } = valuesFrom(s, leading, out, p.nextSlot, (leading.nextSlot - 1) as LogIndex);
    out.send(id, message);
    noteChosenSent(p, message.chosenIndex);
    noteSent(p, message.first, last, bytes);
  }
}

/** A peer that is a window behind what is under way asks for what is chosen; so does one that lacks what is compacted. */
function skipWhatIsOutOfReach(s: PaxosState, leading: Leading, p: Progress): void {
  const isFar = leading.nextSlot - p.nextSlot > windowOf(s.config) || p.nextSlot < s.log.firstIndex;
  if (isFar && p.nextSlot < s.log.firstUnchosen) skipTo(p, s.log.firstUnchosen);
}

function valuesFrom(s: PaxosState, leading: Leading, out: Outbox, first: LogIndex, upTo: LogIndex) {
  const { shared } = out;
  if (shared !== undefined && shared.message.first === first && isCurrent(s, leading, shared.message)) return shared;
  const last = s.log.lastWithin(first, upTo, s.config.limits.messageMaxBytes);
  const entries = s.log.slice(first, last);
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  out.shared = { message: accept(s, leading, first, entries), last, bytes };
  return out.shared;
}

/** Nothing that a message says has changed since it was built in this step. */
function isCurrent(s: PaxosState, leading: Leading, message: Accept): boolean {
  return message.chosenIndex === s.log.chosenIndex && message.round === leading.round;
}

function accept(s: PaxosState, leading: Leading, first: LogIndex, entries: readonly Entry[]): Accept {
  const { chosenIndex, chosenChecksum } = s.log;
  const previous = checksumBefore(s, first);
  const { ballot, round } = leading;
  return { kind: 'accept', ballot, chosenIndex, chosenChecksum, round, first, previous, entries };
}

/** 0 where it is not known any more: such a place is before what is chosen, and no values are sent from there. */
function checksumBefore(s: PaxosState, first: number): number {
  return s.log.checksumAt(first - 1) ?? s.log.at(first - 1)?.entry.checksum ?? 0;
}

/** An Accept without values to everybody: keeps elections away, finds lost messages, carries chosenIndex and read round. */
export function heartbeatAll(s: PaxosState, leading: Leading, out: Outbox): void {
  for (const [id, p] of leading.progress) heartbeat(s, leading, out, id, p);
  leading.nextHeartbeatAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
  leading.announceAt = never;
}

export function heartbeat(s: PaxosState, leading: Leading, out: Outbox, id: NodeId, p: Progress): void {
  skipWhatIsOutOfReach(s, leading, p);
  out.send(id, accept(s, leading, p.nextSlot, noEntries));
  noteChosenSent(p, s.log.chosenIndex);
}

/** How long a choice may wait for values to travel with: under load it does, and costs no message of its own. */
const announceDelayMs = 5;

export function scheduleAnnouncement(s: PaxosState, leading: Leading): void {
  if (leading.announceAt === never) leading.announceAt = (s.now + announceDelayMs) as Millis;
}

/** Tells chosenIndex to those who have not been told with anything else. */
export function announceChosen(s: PaxosState, leading: Leading, out: Outbox): void {
  leading.announceAt = never;
  for (const [id, p] of leading.progress) {
    if (p.sentChosen < s.log.chosenIndex && isHeard(s, p) && !isLeftBehind(s, id, p)) heartbeat(s, leading, out, id, p);
  }
}

function isHeard(s: PaxosState, p: Progress): boolean {
  return s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

function noteChosenSent(p: Progress, chosenIndex: LogIndex): void {
  if (chosenIndex > p.sentChosen) p.sentChosen = chosenIndex;
}

/** Slots that a peer has not got are sent again, as far as they are open; the same gap not faster than heartbeats go. */
export function onMissing(s: PaxosState, out: Outbox, from: NodeId, m: Missing): void {
  const { leading } = s;
  const p = leading?.progress.get(from);
  if (leading === undefined || p === undefined || !sameBallot(m.ballot, leading.ballot)) return;
  p.heardAt = s.now;
  p.lacks ??= 0;
  const first = Math.max(m.first, s.log.firstUnchosen) as LogIndex;
  const last = Math.min(m.last, p.nextSlot - 1) as LogIndex;
  const again = p.filledFrom === first && s.now - p.filledAt < s.config.timing.heartbeatIntervalMs;
  if (first > last || again) return;
  p.filledFrom = first;
  p.filledAt = s.now;
  for (let at = first; at <= last; ) {
    const values = valuesFrom(s, leading, out, at, last);
    out.send(from, values.message);
    at = (values.last + 1) as LogIndex;
  }
}
