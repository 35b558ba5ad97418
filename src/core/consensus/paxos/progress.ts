/**
 * What a leader knows of one peer, and what it has under way to it: messages with values follow one another without waiting, within a
 * window. What a peer missed is sent again if the slot is still open, and asked for by the peer if it is chosen.
 */
import type { Millis } from '../../base/brand.ts';
import type { EngineLimits, LogIndex } from '../engine.ts';

export interface Progress {
  /** The next slot to be sent. */
  nextSlot: LogIndex;
  /** Every slot up to it was chosen when we began, or the peer has voted for it durably. Only grows while we lead. */
  matchIndex: LogIndex;
  /** How many chosen values it said it has not got; undefined if it has not answered yet. */
  lacks: number | undefined;
  /** Messages with values that are not acknowledged, oldest first. */
  window: Window;
  /** The chosenIndex that the peer was told last. */
  sentChosen: LogIndex;
  /** When it last answered a message of this ballot. */
  heardAt: Millis;
  /** The latest read round that it answered. */
  ackedRound: number;
  /** The latest round in answer to which it lacked nothing that was called chosen. */
  wholeRound: number;
  /** The gap that was last filled, and when. */
  filledFrom: LogIndex;
  filledAt: Millis;
}

interface Window {
  bytes: number;
  messages: { readonly first: LogIndex; readonly last: LogIndex; readonly bytes: number }[];
}

/** Of a peer to whom slots from `first` on will be sent. */
export function newProgress(first: LogIndex, now: Millis): Progress {
  return {
    nextSlot: first,
    matchIndex: (first - 1) as LogIndex,
    lacks: undefined,
    window: { bytes: 0, messages: [] },
    sentChosen: 0 as LogIndex,
    heardAt: now,
    ackedRound: 0,
    wholeRound: 0,
    filledFrom: 0 as LogIndex,
    filledAt: 0 as Millis,
  };
}

export function cloneProgress(p: Progress): Progress {
  return {
    nextSlot: p.nextSlot,
    matchIndex: p.matchIndex,
    lacks: p.lacks,
    window: { bytes: p.window.bytes, messages: p.window.messages.slice() },
    sentChosen: p.sentChosen,
    heardAt: p.heardAt,
    ackedRound: p.ackedRound,
    wholeRound: p.wholeRound,
    filledFrom: p.filledFrom,
    filledAt: p.filledAt,
  };
}

export function windowIsOpen(p: Progress, limits: EngineLimits): boolean {
  return p.window.messages.length < limits.windowMaxMessages && p.window.bytes < limits.windowMaxBytes;
}

export function noteSent(p: Progress, first: LogIndex, last: LogIndex, bytes: number): void {
  p.window.messages.push({ first, last, bytes });
  p.window.bytes += bytes;
  p.nextSlot = (last + 1) as LogIndex;
}

/** The message of these slots has arrived, and so has everything up to `matchIndex`: acknowledgements may come in any order. */
export function noteAcknowledged(p: Progress, first: LogIndex, last: number, matchIndex: LogIndex): void {
  if (matchIndex > p.matchIndex) p.matchIndex = matchIndex;
  const { window } = p;
  let kept = 0;
  for (const message of window.messages) {
    const arrived = message.last <= p.matchIndex || (message.first >= first && message.last <= last);
    if (arrived) window.bytes -= message.bytes;
    else window.messages[kept++] = message;
  }
  window.messages.length = kept;
}

/** What lies before `first` is not sent any more: the peer asks for it. */
export function skipTo(p: Progress, first: LogIndex): void {
  p.nextSlot = first;
  p.matchIndex = Math.max(p.matchIndex, first - 1) as LogIndex;
  p.window = { bytes: 0, messages: [] };
}
