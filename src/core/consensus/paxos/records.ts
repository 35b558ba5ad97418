/** What Multi-Paxos keeps in the write-ahead log of its node: promise and votes of the acceptor, and what the learner knows to be chosen. */
import { ByteReader } from '../../base/bytes.ts';
import { branded, decode, encode, struct, u32, union, varint } from '../../base/codec.ts';
import { CairnError } from '../../base/errors.ts';
import { type Entry, type LogIndex, type SnapshotPoint, toLogIndex } from '../engine.ts';
import {
  type Cursor,
  cursor,
  entryBytes,
  membersCodec,
  putEntry,
  putU53,
  readEntry,
  toMembers,
} from '../entry-format.ts';
import { type Ballot, promiseCodec } from './ballot.ts';
import { putBallot, readBallot } from './messages.ts';

export type PaxosRecord =
  /** No part is taken in a lower ballot, in any slot. */
  | { readonly kind: 'promise'; readonly ballot: Ballot }
  /** The log begins after this point: it was compacted up to it, or a snapshot took its place. */
  | { readonly kind: 'snapshotPoint'; readonly point: SnapshotPoint }
  /** A vote; replaces what the slot held. Implies the promise. */
  | { readonly kind: 'accepted'; readonly ballot: Ballot; readonly entry: Entry }
  /** The chosen value of a slot, as a peer told it; replaces what the slot held. */
  | { readonly kind: 'learned'; readonly entry: Entry }
  /** What is held in the slots up to `index` is what was chosen there. */
  | { readonly kind: 'chosen'; readonly index: LogIndex };

const chosenTag = 5;

const stateRecord = union({
  promise: [1, struct({ ballot: promiseCodec })],
  snapshotPoint: [
    2,
    struct({ index: branded(varint, toLogIndex), term: varint, checksum: u32, members: membersCodec }),
  ],
  chosen: [chosenTag, struct({ index: branded(varint, toLogIndex) })],
});

/** A vote is `u8 3 | u53 slot | ballot | entry`, a learned value `u8 4 | u53 slot | entry`. */
const acceptedTag = 3;
const learnedTag = 4;
const acceptedFixedBytes = 1 + 8 + 12;
const learnedFixedBytes = 1 + 8;

/** Small records are laid out here and copied: that is quicker than a view for each. */
const scratchBytes = 16 * 1024;
const scratch = cursor(scratchBytes);

export function encodeRecord(record: PaxosRecord): Uint8Array {
  switch (record.kind) {
    case 'accepted': {
      const { ballot, entry } = record;
      const to = space(acceptedFixedBytes + entryBytes(entry));
      to.bytes[to.at++] = acceptedTag;
      putU53(to, entry.index);
      putBallot(to, ballot);
      putEntry(to, entry);
      return take(to);
    }
    case 'learned': {
      const { entry } = record;
      const to = space(learnedFixedBytes + entryBytes(entry));
      to.bytes[to.at++] = learnedTag;
      putU53(to, entry.index);
      putEntry(to, entry);
      return take(to);
    }
    case 'snapshotPoint': {
      const { index, term, checksum, members } = record.point;
      const { voters, votersNext, nonVoters } = members;
      const flat = { index, term, checksum, members: { voters, votersNext, nonVoters } };
      return encode(stateRecord, { kind: 'snapshotPoint', ...flat });
    }
    case 'chosen':
      return encodeChosen(record.index);
    case 'promise':
      return encode(stateRecord, record);
  }
}

/** By hand: there is one in almost every batch. */
function encodeChosen(index: number): Uint8Array {
  scratch.at = 0;
  scratch.bytes[scratch.at++] = chosenTag;
  let rest = index;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) scratch.bytes[scratch.at++] = (rest % 0x80) + 0x80;
  scratch.bytes[scratch.at++] = rest;
  return take(scratch);
}

function space(length: number): Cursor {
  if (length > scratchBytes) return cursor(length);
  scratch.at = 0;
  return scratch;
}

function take(to: Cursor): Uint8Array {
  return to === scratch ? to.bytes.slice(0, to.at) : to.bytes;
}

/** Entries' data are views of `bytes`. @throws CairnError LOG_CORRUPT */
export function decodeRecord(bytes: Uint8Array): PaxosRecord {
  try {
    if (bytes[0] === acceptedTag) return decodeAccepted(bytes);
    return bytes[0] === learnedTag ? decodeLearned(bytes) : decodeState(bytes);
  } catch (cause) {
    if (!(cause instanceof CairnError)) throw cause;
    throw new CairnError(
      'LOG_CORRUPT',
      `a record of the consensus log cannot be read (${cause.message}); restore this node from its peers`,
      { cause },
    );
  }
}

function decodeAccepted(bytes: Uint8Array): PaxosRecord {
  const from = new ByteReader(bytes);
  from.u8();
  const slot = from.u53() as LogIndex;
  const ballot = readBallot(from);
  const entry = readEntry(from, slot);
  from.end();
  return { kind: 'accepted', ballot, entry };
}

function decodeLearned(bytes: Uint8Array): PaxosRecord {
  const from = new ByteReader(bytes);
  from.u8();
  const entry = readEntry(from, from.u53() as LogIndex);
  from.end();
  return { kind: 'learned', entry };
}

function decodeState(bytes: Uint8Array): PaxosRecord {
  const record = decode(stateRecord, bytes);
  if (record.kind !== 'snapshotPoint') return record;
  const { index, term, checksum, members } = record;
  return { kind: 'snapshotPoint', point: { index, term, checksum, members: toMembers(members) } };
}

export function indexOfRecord(record: PaxosRecord): LogIndex | undefined {
  return record.kind === 'accepted' || record.kind === 'learned' ? record.entry.index : undefined;
}
