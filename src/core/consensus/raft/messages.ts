/**
 * What Raft's nodes say to each other, after Figure 2, and its bytes. Snapshots (InstallSnapshot, Figure 13) travel through the host,
 * which owns the state; the engine only asks for them.
 */
import { ByteReader } from '../../base/bytes.ts';
import { bool, branded, decode, encode, struct, type TypeOf, union, varint } from '../../base/codec.ts';
import { CairnError } from '../../base/errors.ts';
import { electorMessage } from '../elector/messages.ts';
import { type Entry, type LogIndex, toLogIndex } from '../engine.ts';
import { cursor, entryBytes, entryMinBytes, putEntry, putU32, putU53, readEntry } from '../entry-format.ts';
import { type Term, toTerm } from './term.ts';

const term = branded(varint, toTerm);
const index = branded(varint, toLogIndex);

const smallMessage = union({
  elector: [1, struct({ message: electorMessage })],
  /** The leader wants the receiver to seek election now (§3.10 of the dissertation). `leaseEnded`: no leader has a lease any more. */
  timeoutNow: [2, struct({ term, leaseEnded: bool })],
  /** `transfer`: the leader wants it, so it is not to be protected (§4.2.3 of the dissertation). */
  requestVote: [3, struct({ term, lastLogIndex: index, lastLogTerm: term, transfer: bool })],
  requestVoteResponse: [4, struct({ term, voteGranted: bool })],
  /**
   * `success` of Figure 2. Up to `acceptedIndex` the follower's log is the leader's; up to `matchIndex` (≤ acceptedIndex) it is
   * durable as well, and only that counts towards commitment.
   */
  appendEntriesAccepted: [6, struct({ term, acceptedIndex: index, matchIndex: index, round: varint })],
  /** Not `success`: the logs differ at prevLogIndex, and agree at best up to `hintIndex`, where the follower has `hintTerm`. */
  appendEntriesRejected: [7, struct({ term, prevLogIndex: index, hintIndex: index, hintTerm: term, round: varint })],
});

type SmallMessage = TypeOf<typeof smallMessage>;
export type TimeoutNow = Extract<SmallMessage, { kind: 'timeoutNow' }>;
export type RequestVote = Extract<SmallMessage, { kind: 'requestVote' }>;
export type RequestVoteResponse = Extract<SmallMessage, { kind: 'requestVoteResponse' }>;
export type AppendEntriesAccepted = Extract<SmallMessage, { kind: 'appendEntriesAccepted' }>;
export type AppendEntriesRejected = Extract<SmallMessage, { kind: 'appendEntriesRejected' }>;

/** Entries follow prevLogIndex without a gap. `round` counts the leader's read rounds (§6.4); answers echo it. */
export interface AppendEntries {
  readonly kind: 'appendEntries';
  readonly term: Term;
  readonly prevLogIndex: LogIndex;
  readonly prevLogTerm: Term;
  readonly leaderCommit: LogIndex;
  readonly round: number;
  readonly entries: readonly Entry[];
}

export type RaftMessage = SmallMessage | AppendEntries;

/** AppendEntries = u8 5 | u53 term | u53 prevLogIndex | u53 prevLogTerm | u53 leaderCommit | u53 round | u32 count | entries */
const appendEntriesTag = 5;
const appendEntriesFixedBytes = 1 + 5 * 8 + 4;

/** A message with entries goes to several followers, one after the other: it is laid out once. */
let latest: { readonly message: AppendEntries; readonly bytes: Uint8Array } | undefined;

/** The bytes must not be changed: they may be handed out again. */
export function encodeMessage(message: RaftMessage): Uint8Array {
  if (message.kind !== 'appendEntries') return encode(smallMessage, message);
  if (latest?.message !== message) latest = { message, bytes: encodeAppendEntries(message) };
  return latest.bytes;
}

function encodeAppendEntries(message: AppendEntries): Uint8Array {
  let length = appendEntriesFixedBytes;
  for (const entry of message.entries) length += entryBytes(entry);
  const to = cursor(length);
  to.bytes[to.at++] = appendEntriesTag;
  putU53(to, message.term);
  putU53(to, message.prevLogIndex);
  putU53(to, message.prevLogTerm);
  putU53(to, message.leaderCommit);
  putU53(to, message.round);
  putU32(to, message.entries.length);
  for (const entry of message.entries) putEntry(to, entry);
  return to.bytes;
}

/** Entries' data are views of `bytes`. @throws CairnError PROTOCOL */
export function decodeMessage(bytes: Uint8Array): RaftMessage {
  return bytes[0] === appendEntriesTag ? decodeAppendEntries(bytes) : decode(smallMessage, bytes);
}

function decodeAppendEntries(bytes: Uint8Array): AppendEntries {
  const from = new ByteReader(bytes);
  from.u8();
  const leaderTerm = from.u53() as Term;
  const prevLogIndex = from.u53() as LogIndex;
  const prevLogTerm = from.u53() as Term;
  const leaderCommit = from.u53() as LogIndex;
  const round = from.u53();
  const count = from.u32();
  if (count * entryMinBytes > from.remaining || prevLogIndex + count > Number.MAX_SAFE_INTEGER)
    throw new CairnError('PROTOCOL', `a message is malformed: AppendEntries of ${count} entries`);
  const entries: Entry[] = [];
  for (let i = 1; i <= count; i++) entries.push(readEntry(from, (prevLogIndex + i) as LogIndex));
  from.end();
  return { kind: 'appendEntries', term: leaderTerm, prevLogIndex, prevLogTerm, leaderCommit, round, entries };
}
