/** The leader's sending side of §5.3: entries in a window to each follower, and heartbeats. */
import type { Millis, NodeId } from '../../base/brand.ts';
import { farBehindEntries, restAfter } from '../catch-up-pace.ts';
import type { Entry, LogIndex } from '../engine.ts';
import { entryBytes } from '../entry-format.ts';
import { peersOf } from '../quorums.ts';
import type { AppendEntries } from './messages.ts';
import type { Outbox } from './outbox.ts';
import { type Matched, noteSent, type Progress, toSnapshot, windowIsOpen } from './progress.ts';
import { type Leading, membersOf, never, type RaftState } from './state.ts';
import type { Term } from './term.ts';

const noEntries: readonly Entry[] = Object.freeze([]);

/** Sends what each follower lacks and its window allows. */
export function replicateToAll(s: RaftState, leading: Leading, out: Outbox): void {
  for (const [id, progress] of leading.progress) replicateTo(s, leading, out, id, progress);
}

export function replicateTo(s: RaftState, leading: Leading, out: Outbox, id: NodeId, p: Progress): void {
  switch (p.state) {
    case 'probe':
      if (!p.probing && p.nextIndex <= s.log.lastIndex) sendEntries(s, leading, out, id, p);
      return;
    case 'replicate':
      while (p.nextIndex <= s.log.lastIndex && mayBeSentTo(s, p)) {
        if (!sendEntries(s, leading, out, id, p)) return;
      }
      return;
    case 'snapshot':
      return;
  }
}

/** One that is far behind gets a message at a time, and rests between them. */
function mayBeSentTo(s: RaftState, p: Progress): boolean {
  if (isFarBehind(s, p)) return p.window.messages.length === 0 && s.now >= p.restsUntil;
  return windowIsOpen(p, s.config.limits);
}

/** Behind what is committed: for the acknowledgement of other entries somebody may be waiting. */
function isFarBehind(s: RaftState, p: Progress): boolean {
  return s.commitIndex - p.matchIndex > farBehindEntries;
}

/** To be called when a follower has acknowledged more than before. */
export function considerRest(s: RaftState, leading: Leading, p: Progress, { entries, bytes, sentAt }: Matched): void {
  const committed = s.commitIndex - p.commitAtMatch;
  p.commitAtMatch = s.commitIndex;
  if (!isFarBehind(s, p)) return;
  const restMs = restAfter({ tookMs: s.now - sentAt, entries, bytes, committed }, s.config.timing);
  if (restMs === 0) return;
  p.restsUntil = (s.now + restMs) as Millis;
  if (p.restsUntil < leading.resumeAt) leading.resumeAt = p.restsUntil;
}

/** Goes on with those whose rest has ended. */
function resume(s: RaftState, leading: Leading, out: Outbox): void {
  leading.resumeAt = never;
  for (const { restsUntil } of leading.progress.values())
    if (restsUntil > s.now && restsUntil < leading.resumeAt) leading.resumeAt = restsUntil;
  replicateToAll(s, leading, out);
}

/** One message with entries from nextIndex on; false if those are compacted and the follower needs a snapshot. */
function sendEntries(s: RaftState, leading: Leading, out: Outbox, id: NodeId, p: Progress): boolean {
  if (p.nextIndex <= s.log.base.index) {
    askForSnapshot(s, out, id, p);
    return false;
  }
  const { message, bytes } = entriesFrom(s, leading, out, p.nextIndex);
  const lastIndex = (message.prevLogIndex + message.entries.length) as LogIndex;
  out.send(id, message);
  noteCommitSent(p, message.leaderCommit, lastIndex);
  if (p.state === 'replicate') noteSent(p, lastIndex, bytes, s.now);
  else p.probing = true;
  return true;
}

function entriesFrom(s: RaftState, leading: Leading, out: Outbox, first: LogIndex) {
  const { shared } = out;
  if (shared !== undefined && shared.message.prevLogIndex === first - 1 && isCurrent(s, leading, shared.message))
    return shared;
  const last = s.log.lastWithin(first, s.config.limits.messageMaxBytes);
  const entries = s.log.slice(first, last);
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  out.shared = { message: appendEntries(s, leading, first - 1, entries), bytes };
  return out.shared;
}

/** Nothing that a message says has changed since it was built in this step. */
function isCurrent(s: RaftState, leading: Leading, message: AppendEntries): boolean {
  return message.leaderCommit === s.commitIndex && message.round === leading.round;
}

function appendEntries(s: RaftState, leading: Leading, prev: number, entries: readonly Entry[]): AppendEntries {
  return {
    kind: 'appendEntries',
    term: s.currentTerm,
    prevLogIndex: prev as LogIndex,
    prevLogTerm: s.log.termAt(prev) as Term,
    leaderCommit: s.commitIndex,
    round: leading.round,
    entries,
  };
}

/** What is due by now: entries for who has rested; heartbeats, or news of a commit. */
export function keepInTouch(s: RaftState, leading: Leading, out: Outbox): void {
  if (s.now >= leading.resumeAt) resume(s, leading, out);
  if (s.now >= leading.nextHeartbeatAt) heartbeatAll(s, leading, out);
  else if (s.now >= leading.announceAt) announceCommit(s, leading, out);
}

/** An empty AppendEntries to everybody: keeps elections away, finds lost messages, carries commit index and read round. */
export function heartbeatAll(s: RaftState, leading: Leading, out: Outbox): void {
  for (const [id, progress] of leading.progress) heartbeat(s, leading, out, id, progress);
  leading.nextHeartbeatAt = (s.now + s.config.timing.heartbeatIntervalMs) as Millis;
  leading.announceAt = never;
}

/**
 * Its prevLogIndex is that of the next message with entries: a follower that missed one before it refuses, and is sent to again
 * from there. A follower that waits for a snapshot is asked about our compaction point: it agrees once it has it.
 */
function heartbeat(s: RaftState, leading: Leading, out: Outbox, id: NodeId, p: Progress): void {
  const lacksCompacted = p.nextIndex <= s.log.base.index;
  if (lacksCompacted) askForSnapshot(s, out, id, p);
  const prev = p.state === 'snapshot' ? s.log.base.index : p.nextIndex - 1;
  const message = appendEntries(s, leading, prev, noEntries);
  out.send(id, message);
  noteCommitSent(p, message.leaderCommit, message.prevLogIndex);
  if (p.state === 'probe') p.probing = true;
}

function isHeard(s: RaftState, p: Progress): boolean {
  return s.now - p.heardAt < s.config.timing.electionTimeoutMaxMs;
}

/** How long a commit may wait for entries to travel with: under load it does, and costs no message of its own. */
const announceDelayMs = 5;

export function scheduleAnnouncement(s: RaftState, leading: Leading): void {
  if (leading.announceAt === never) leading.announceAt = (s.now + announceDelayMs) as Millis;
}

/** Tells the commit index to the followers who have not been told with anything else. */
function announceCommit(s: RaftState, leading: Leading, out: Outbox): void {
  leading.announceAt = never;
  for (const [id, p] of leading.progress) {
    const knowable = Math.min(s.commitIndex, p.nextIndex - 1);
    if (p.state === 'replicate' && p.sentCommit < knowable) heartbeat(s, leading, out, id, p);
  }
}

function noteCommitSent(p: Progress, leaderCommit: LogIndex, lastIndex: LogIndex): void {
  p.sentCommit = Math.max(p.sentCommit, Math.min(leaderCommit, lastIndex)) as LogIndex;
}

/**
 * One stream at a time to each peer; the host says when it has ended. Only for somebody who is there: a state that waits for its taker grows
 * old, and the log goes on without him.
 */
function askForSnapshot(s: RaftState, out: Outbox, id: NodeId, p: Progress): void {
  toSnapshot(p);
  if (s.streaming.has(id) || !isHeard(s, p)) return;
  s.streaming.add(id);
  out.requestSnapshot(id);
  out.trace('snapshot_requested', { to: id, nextIndex: p.nextIndex, firstIndex: s.log.firstIndex });
}

export function peersOfSelf(s: RaftState): readonly NodeId[] {
  return peersOf(membersOf(s), s.id);
}
