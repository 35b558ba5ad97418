/**
 * Which of this node's writes are on its disk. Votes, terms (or promises) and entries share one order of IoIds, so that nothing can be
 * durable before what precedes it. An acknowledgement waits for the IoId that made durable what it speaks of; entries that have been
 * truncated meanwhile no longer count, whatever completes.
 */
import { assert } from '../base/assert.ts';
import type { Millis } from '../base/brand.ts';
import type { IoId, LogIndex } from './engine.ts';

export interface Durability {
  /** The latest write that was handed out. */
  lastIo: IoId;
  /** This write and all earlier ones are durable. */
  persistedIo: IoId;
  /** Since when the disk has finished nothing although it has something to do; no meaning while it has not. */
  busySince: Millis;
  /** The write that holds currentTerm and votedFor (in Multi-Paxos: the promise) as they are. */
  termIo: IoId;
  /** Our log is durable up to here. */
  durableIndex: LogIndex;
  /** Writes under way that hold entries, oldest first: when `io` is durable, so is our log up to `lastIndex`. */
  pending: { readonly io: IoId; lastIndex: LogIndex }[];
}

export function durabilityAt(lastIndex: LogIndex): Durability {
  return {
    lastIo: 0 as IoId,
    persistedIo: 0 as IoId,
    busySince: 0 as Millis,
    termIo: 0 as IoId,
    durableIndex: lastIndex,
    pending: [],
  };
}

export function cloneDurability(d: Durability): Durability {
  return {
    lastIo: d.lastIo,
    persistedIo: d.persistedIo,
    busySince: d.busySince,
    termIo: d.termIo,
    durableIndex: d.durableIndex,
    pending: d.pending.map(({ io, lastIndex }) => ({ io, lastIndex })),
  };
}

/** Opens the next write. */
export function nextIo(d: Durability, now: Millis): IoId {
  if (d.persistedIo === d.lastIo) d.busySince = now;
  d.lastIo = (d.lastIo + 1) as IoId;
  return d.lastIo;
}

/** Whether nothing that was handed out has become durable for more than `limitMs`. */
export function diskStandsStill(d: Durability, now: Millis, limitMs: number): boolean {
  return d.persistedIo < d.lastIo && now - d.busySince > limitMs;
}

/** Write `io` holds the log up to `lastIndex`. */
export function noteWrite(d: Durability, io: IoId, lastIndex: LogIndex): void {
  const latest = d.pending.at(-1);
  if (latest?.io === io) latest.lastIndex = lastIndex;
  else d.pending.push({ io, lastIndex });
}

/** What is held here up to `lastIndex` is durable once everything is that was handed out so far. */
export function noteHeld(d: Durability, lastIndex: LogIndex): void {
  if (d.persistedIo === d.lastIo) d.durableIndex = lastIndex;
  else noteWrite(d, d.lastIo, lastIndex);
}

/** What is held is counted anew, from `index` on, which counts as durable. */
export function restartAt(d: Durability, index: LogIndex): void {
  d.durableIndex = index;
  d.pending.length = 0;
}

/** The log was truncated from `index` on: writes of what was there acknowledge it no more. */
export function noteTruncation(d: Durability, index: number): void {
  const last = (index - 1) as LogIndex;
  if (d.durableIndex > last) d.durableIndex = last;
  for (const write of d.pending) if (write.lastIndex > last) write.lastIndex = last;
}

/** The state up to `index` is durable in the host's store, so its entries need not be; later entries keep their writes. */
export function noteStoredState(d: Durability, index: LogIndex): void {
  if (d.durableIndex < index) d.durableIndex = index;
}

export function notePersisted(d: Durability, io: IoId, now: Millis): void {
  assert(io <= d.lastIo, 'only what was handed out can be durable', { io, lastIo: d.lastIo });
  if (io <= d.persistedIo) return;
  d.persistedIo = io;
  d.busySince = now;
  let done = 0;
  for (; done < d.pending.length && d.pending[done]!.io <= io; done++) {
    const { lastIndex } = d.pending[done]!;
    if (lastIndex > d.durableIndex) d.durableIndex = lastIndex;
  }
  if (done === d.pending.length) d.pending.length = 0;
  else if (done > 0) d.pending.splice(0, done);
}

/** The write after which our log is durable up to `index`: one that is done when it is so already. */
export function ioThatMakesDurable(d: Durability, index: LogIndex): IoId {
  if (index <= d.durableIndex) return d.persistedIo;
  for (const write of d.pending) if (write.lastIndex >= index) return write.io;
  assert(false, 'what is not durable is being written', { index, durableIndex: d.durableIndex });
}
