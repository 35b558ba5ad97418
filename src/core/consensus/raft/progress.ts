/**
 * What a leader knows of one follower (nextIndex and matchIndex of Figure 2), and how it sends to it:
 * - `probe`: where the logs agree is not known; one message at a time, answered or repeated with the heartbeat;
 * - `replicate`: messages follow one another without waiting, within a window; nextIndex is ahead of what is acknowledged;
 * - `snapshot`: the follower lacks entries that are compacted; it gets the state, and heartbeats meanwhile.
 */
import type { Millis } from '../../base/brand.ts';
import type { EngineLimits, LogIndex } from '../engine.ts';

export interface Progress {
  state: 'probe' | 'replicate' | 'snapshot';
  nextIndex: LogIndex;
  /** Durable on the follower, as far as is known. Only grows while we lead. */
  matchIndex: LogIndex;
  /** In `probe`: a message is out, and nothing else leaves before it is answered. */
  probing: boolean;
  /** In `replicate`: messages with entries that are not acknowledged, oldest first. */
  window: Window;
  /** Until when it is left in peace if it is far behind; see catch-up-pace.ts. */
  restsUntil: Millis;
  /** Our commitIndex when matchIndex last rose. */
  commitAtMatch: LogIndex;
  /** The commit index that the follower can know of from what was sent. */
  sentCommit: LogIndex;
  /** When it last answered a message of this term; until it has, when we began to send. */
  heardAt: Millis;
  hasAnswered: boolean;
  /** The latest read round that it answered. */
  ackedRound: number;
}

interface Window {
  bytes: number;
  messages: { readonly lastIndex: LogIndex; readonly bytes: number; readonly sentAt: Millis }[];
}

/** What an acknowledgement was news of. */
export interface Matched {
  readonly entries: number;
  /** Of the messages of the window that it acknowledges, and when the oldest of them was sent; 0 bytes if there are none. */
  readonly bytes: number;
  readonly sentAt: Millis;
}

export function newProgress(lastIndex: LogIndex, now: Millis): Progress {
  return {
    state: 'probe',
    nextIndex: (lastIndex + 1) as LogIndex,
    matchIndex: 0 as LogIndex,
    probing: false,
    window: { bytes: 0, messages: [] },
    restsUntil: now,
    commitAtMatch: lastIndex,
    sentCommit: 0 as LogIndex,
    heardAt: now,
    hasAnswered: false,
    ackedRound: 0,
  };
}

export function cloneProgress(p: Progress): Progress {
  return {
    state: p.state,
    nextIndex: p.nextIndex,
    matchIndex: p.matchIndex,
    probing: p.probing,
    window: { bytes: p.window.bytes, messages: p.window.messages.slice() },
    restsUntil: p.restsUntil,
    commitAtMatch: p.commitAtMatch,
    sentCommit: p.sentCommit,
    heardAt: p.heardAt,
    hasAnswered: p.hasAnswered,
    ackedRound: p.ackedRound,
  };
}

export function windowIsOpen(p: Progress, limits: EngineLimits): boolean {
  return p.window.messages.length < limits.windowMaxMessages && p.window.bytes < limits.windowMaxBytes;
}

export function noteSent(p: Progress, lastIndex: LogIndex, bytes: number, sentAt: Millis): void {
  p.window.messages.push({ lastIndex, bytes, sentAt });
  p.window.bytes += bytes;
  p.nextIndex = (lastIndex + 1) as LogIndex;
}

/** Raises matchIndex, never lowers it: acknowledgements may arrive in any order. Returns undefined if it did not rise. */
export function noteMatch(p: Progress, matchIndex: LogIndex, now: Millis): Matched | undefined {
  if (matchIndex <= p.matchIndex) return undefined;
  const entries = matchIndex - p.matchIndex;
  p.matchIndex = matchIndex;
  if (p.nextIndex <= matchIndex) p.nextIndex = (matchIndex + 1) as LogIndex;
  const { messages } = p.window;
  const sentAt = messages[0]?.sentAt ?? now;
  let done = 0;
  let bytes = 0;
  while (done < messages.length && messages[done]!.lastIndex <= matchIndex) bytes += messages[done++]!.bytes;
  p.window.bytes -= bytes;
  if (done > 0) messages.splice(0, done);
  return { entries, bytes, sentAt };
}

export function toProbe(p: Progress, nextIndex: number): void {
  p.state = 'probe';
  p.nextIndex = Math.max(nextIndex, p.matchIndex + 1) as LogIndex;
  p.probing = false;
  emptyWindow(p);
}

/** The follower's log agrees with ours up to `acceptedIndex`. */
export function toReplicate(p: Progress, acceptedIndex: LogIndex): void {
  p.state = 'replicate';
  p.nextIndex = (Math.max(acceptedIndex, p.matchIndex) + 1) as LogIndex;
  p.probing = false;
  emptyWindow(p);
}

export function toSnapshot(p: Progress): void {
  p.state = 'snapshot';
  p.probing = false;
  emptyWindow(p);
}

function emptyWindow(p: Progress): void {
  p.window = { bytes: 0, messages: [] };
}
