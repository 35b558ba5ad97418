/**
 * What Multi-Paxos's nodes say to each other, and its bytes: Prepare, Promise, Accept, Accepted of "Paxos Made Simple" for many slots
 * at a time, and what learners need. Snapshots travel through the host, which owns the state; the engine only asks for them.
 */
import type { NodeId } from '../../base/brand.ts';
import { ByteReader } from '../../base/bytes.ts';
import { bool, branded, decode, encode, struct, type TypeOf, union, varint } from '../../base/codec.ts';
import { CairnError } from '../../base/errors.ts';
import { electorMessage } from '../elector/messages.ts';
import { type Entry, type LogIndex, toLogIndex } from '../engine.ts';
import {
  type Cursor,
  cursor,
  entryBytes,
  entryMinBytes,
  putEntry,
  putU32,
  putU53,
  readEntry,
} from '../entry-format.ts';
import { type Ballot, ballotCodec, promiseCodec, type Round } from './ballot.ts';

const slot = branded(varint, toLogIndex);

const smallMessage = union({
  elector: [1, struct({ message: electorMessage })],
  /**
   * Phase 1a: promise to take no part in a lower ballot, and say how you voted in slots from `first` on. `transfer`: the leader itself
   * has asked us to take over.
   */
  prepare: [2, struct({ ballot: ballotCodec, first: slot, transfer: bool })],
  /**
   * Phase 2b, for slots first … last (none in answer to a heartbeat): they are voted for in `ballot`, durably. So is every slot up to
   * `match` that the leader has not called chosen. `lacks`: how many values that it has called chosen are not here; 0 only when those
   * that were learned are durable.
   */
  accepted: [6, struct({ ballot: ballotCodec, first: slot, last: varint, match: slot, lacks: varint, round: varint })],
  /** No part is taken in `ballot`: a higher one is promised, or (if `promised` is lower) a leader is heard. */
  rejected: [7, struct({ ballot: ballotCodec, promised: promiseCodec })],
  /** Slots first … last of `ballot` have not arrived although later ones have, or should have. */
  missing: [8, struct({ ballot: ballotCodec, first: slot, last: slot })],
  /** A learner lacks the chosen values first … last. */
  learn: [9, struct({ first: slot, last: slot })],
  /** Of the leader of `ballot`: seek to lead at once. `leasesEnded`: neither it nor a leader before it holds a lease. */
  takeOver: [11, struct({ ballot: ballotCodec, leasesEnded: bool })],
  /** Which is the last slot that you have voted in, or know the value of? */
  readQuery: [12, struct({ token: varint })],
  readReply: [13, struct({ token: varint, lastIndex: slot })],
  /** A reader waits for this slot to be chosen. */
  fill: [14, struct({ slot })],
  /** To the leader of `ballot`: somebody's state is arriving here, and I come no nearer before it is whole. */
  fed: [15, struct({ ballot: ballotCodec })],
});

type SmallMessage = TypeOf<typeof smallMessage>;
export type Prepare = Extract<SmallMessage, { kind: 'prepare' }>;
export type Accepted = Extract<SmallMessage, { kind: 'accepted' }>;
export type Rejected = Extract<SmallMessage, { kind: 'rejected' }>;
export type Missing = Extract<SmallMessage, { kind: 'missing' }>;
export type TakeOver = Extract<SmallMessage, { kind: 'takeOver' }>;
export type ReadQuery = Extract<SmallMessage, { kind: 'readQuery' }>;
export type ReadReply = Extract<SmallMessage, { kind: 'readReply' }>;
export type Fill = Extract<SmallMessage, { kind: 'fill' }>;
export type Fed = Extract<SmallMessage, { kind: 'fed' }>;
export type Learn = Extract<SmallMessage, { kind: 'learn' }>;

/** A vote that a Promise reports. */
export interface ReportedVote {
  readonly ballot: Ballot;
  /** Its checksum is of this value alone (chained from 0): the places before it may have changed since. */
  readonly entry: Entry;
}

/**
 * Phase 1b, one page: the votes in slots from `first` on that are not among the first `chosenIndex`, all of which are chosen; those from
 * `firstRetained` on can be asked for, those before only as a snapshot. `next`: where the next page begins; 0 on the last one.
 */
export interface PromiseMessage {
  readonly kind: 'promise';
  readonly ballot: Ballot;
  readonly first: LogIndex;
  readonly chosenIndex: LogIndex;
  readonly firstRetained: LogIndex;
  readonly next: number;
  readonly votes: readonly ReportedVote[];
}

/**
 * Phase 2a: vote for these values in `ballot`; they follow `first` without a gap. Without values: a heartbeat, and `first` says which
 * slot is to be sent next. Every slot up to `chosenIndex` is chosen, and where the vote of the receiver is of this ballot, it is for the
 * chosen value. `round` counts the leader's read rounds; answers echo it.
 */
export interface Accept {
  readonly kind: 'accept';
  readonly ballot: Ballot;
  readonly chosenIndex: LogIndex;
  /** Of the entry at chosenIndex. */
  readonly chosenChecksum: number;
  readonly round: number;
  readonly first: LogIndex;
  /** Checksum of the entry before the first. */
  readonly previous: number;
  readonly entries: readonly Entry[];
}

/** Chosen values from `first` on, in answer to Learn. None, and `firstRetained` after `first`: a snapshot is coming instead. */
export interface Chosen {
  readonly kind: 'chosen';
  readonly first: LogIndex;
  readonly firstRetained: LogIndex;
  readonly entries: readonly Entry[];
}

export type PaxosMessage = SmallMessage | PromiseMessage | Accept | Chosen;

const promiseTag = 3;
const acceptTag = 5;
const chosenTag = 10;

const ballotBytes = 8 + 4;
const acceptFixedBytes = 1 + ballotBytes + 8 + 4 + 8 + 8 + 4 + 4;
const promiseFixedBytes = 1 + ballotBytes + 4 * 8 + 4;
const chosenFixedBytes = 1 + 8 + 8 + 4;
const reportedFixedBytes = 8 + ballotBytes;

/** A message with entries goes to several peers, one after the other: it is laid out once. */
let latest: { readonly message: Accept; readonly bytes: Uint8Array } | undefined;

/** The bytes must not be changed: they may be handed out again. */
export function encodeMessage(message: PaxosMessage): Uint8Array {
  switch (message.kind) {
    case 'accept':
      if (latest?.message !== message) latest = { message, bytes: encodeAccept(message) };
      return latest.bytes;
    case 'promise':
      return encodePromise(message);
    case 'chosen':
      return encodeChosen(message);
    default:
      return encode(smallMessage, message);
  }
}

/** How many bytes a vote takes in a Promise. */
export function reportedBytes(entry: Entry): number {
  return reportedFixedBytes + entryBytes(entry);
}

export function putBallot(to: Cursor, { round, node }: Ballot): void {
  putU53(to, round);
  putU32(to, node);
}

export function readBallot(from: ByteReader): Ballot {
  return { round: from.u53() as Round, node: from.u32() as NodeId };
}

function putEntries(to: Cursor, entries: readonly Entry[]): void {
  putU32(to, entries.length);
  for (const entry of entries) putEntry(to, entry);
}

function entriesBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  return bytes;
}

function encodeAccept(m: Accept): Uint8Array {
  const to = cursor(acceptFixedBytes + entriesBytes(m.entries));
  to.bytes[to.at++] = acceptTag;
  putBallot(to, m.ballot);
  putU53(to, m.chosenIndex);
  putU32(to, m.chosenChecksum);
  putU53(to, m.round);
  putU53(to, m.first);
  putU32(to, m.previous);
  putEntries(to, m.entries);
  return to.bytes;
}

function encodePromise(m: PromiseMessage): Uint8Array {
  let length = promiseFixedBytes;
  for (const { entry } of m.votes) length += reportedBytes(entry);
  const to = cursor(length);
  to.bytes[to.at++] = promiseTag;
  putBallot(to, m.ballot);
  putU53(to, m.first);
  putU53(to, m.chosenIndex);
  putU53(to, m.firstRetained);
  putU53(to, m.next);
  putU32(to, m.votes.length);
  for (const { ballot, entry } of m.votes) {
    putU53(to, entry.index);
    putBallot(to, ballot);
    putEntry(to, entry);
  }
  return to.bytes;
}

function encodeChosen(m: Chosen): Uint8Array {
  const to = cursor(chosenFixedBytes + entriesBytes(m.entries));
  to.bytes[to.at++] = chosenTag;
  putU53(to, m.first);
  putU53(to, m.firstRetained);
  putEntries(to, m.entries);
  return to.bytes;
}

/** Entries' data are views of `bytes`. @throws CairnError PROTOCOL */
export function decodeMessage(bytes: Uint8Array): PaxosMessage {
  switch (bytes[0]) {
    case acceptTag:
      return decodeAccept(bytes);
    case promiseTag:
      return decodePromise(bytes);
    case chosenTag:
      return decodeChosen(bytes);
    default:
      return decode(smallMessage, bytes);
  }
}

function decodeAccept(bytes: Uint8Array): Accept {
  const from = new ByteReader(bytes);
  from.u8();
  const ballot = readBallot(from);
  const chosenIndex = from.u53() as LogIndex;
  const chosenChecksum = from.u32();
  const round = from.u53();
  const first = from.u53() as LogIndex;
  const previous = from.u32();
  const entries = readEntries(from, first);
  from.end();
  return { kind: 'accept', ballot, chosenIndex, chosenChecksum, round, first, previous, entries };
}

function decodePromise(bytes: Uint8Array): PromiseMessage {
  const from = new ByteReader(bytes);
  from.u8();
  const ballot = readBallot(from);
  const first = from.u53() as LogIndex;
  const chosenIndex = from.u53() as LogIndex;
  const firstRetained = from.u53() as LogIndex;
  const next = from.u53();
  const count = countOf(from, reportedFixedBytes + entryMinBytes);
  const votes: ReportedVote[] = [];
  for (let i = 0; i < count; i++) {
    const index = from.u53() as LogIndex;
    votes.push({ ballot: readBallot(from), entry: readEntry(from, index) });
  }
  from.end();
  return { kind: 'promise', ballot, first, chosenIndex, firstRetained, next, votes };
}

function decodeChosen(bytes: Uint8Array): Chosen {
  const from = new ByteReader(bytes);
  from.u8();
  const first = from.u53() as LogIndex;
  const firstRetained = from.u53() as LogIndex;
  const entries = readEntries(from, first);
  from.end();
  return { kind: 'chosen', first, firstRetained, entries };
}

function readEntries(from: ByteReader, first: LogIndex): Entry[] {
  const count = countOf(from, entryMinBytes);
  if (first + count > Number.MAX_SAFE_INTEGER)
    throw new CairnError('PROTOCOL', `a message is malformed: ${count} entries from ${first} on`);
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) entries.push(readEntry(from, (first + i) as LogIndex));
  return entries;
}

function countOf(from: ByteReader, minBytes: number): number {
  const count = from.u32();
  if (count * minBytes > from.remaining)
    throw new CairnError('PROTOCOL', `a message is malformed: it cannot hold ${count} entries`);
  return count;
}
