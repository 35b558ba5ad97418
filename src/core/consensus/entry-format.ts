/**
 * The bytes of a log entry, in messages and in the write-ahead log, and the hash chain over the log. Laid by hand: entries are the
 * one thing that is coded a million times a second.
 *
 *     entry    = u32 checksum | value
 *     value    = u53 term | u8 kind | content
 *     content  = (kind 0, noop)     nothing
 *              | (kind 1, proposal) u53 session | u53 sequence | u32 length | data
 *              | (kind 2, members)  u32 length | voters | optional votersNext | nonVoters      (each a list of varint)
 *     checksum = crc32(u53 term | u53 index | u8 kind | content, continuing from the checksum of the entry before)
 *
 * Little-endian. The index is not stored: the surroundings say it.
 */
import { toNodeId } from '../base/brand.ts';
import type { ByteReader } from '../base/bytes.ts';
import { branded, decode, encode, list, optional, struct, varint } from '../base/codec.ts';
import type { Crc32 } from '../base/env.ts';
import { CairnError } from '../base/errors.ts';
import type { Entry, EntryPayload, LogIndex, Members } from './engine.ts';

const membersMax = 64;
const nodes = list(branded(varint, toNodeId), membersMax);
export const membersCodec = struct({ voters: nodes, votersNext: optional(nodes), nonVoters: nodes });

/** The codec cannot leave out a key: without `votersNext` there is none, rather than one that is undefined. */
export function toMembers(read: { voters: Members['voters']; votersNext: unknown; nonVoters: Members['nonVoters'] }) {
  const { voters, votersNext, nonVoters } = read;
  return (votersNext === undefined ? { voters, nonVoters } : { voters, votersNext, nonVoters }) as Members;
}

/** A configuration is measured and hashed far more often than it is made; it never changes. */
const encodedMembers = new WeakMap<Members, Uint8Array>();

/** Not to be written into: whoever asks for the same configuration gets the same bytes. */
export function encodeMembers(members: Members): Uint8Array {
  const known = encodedMembers.get(members);
  if (known !== undefined) return known;
  const { voters, votersNext, nonVoters } = members;
  const bytes = encode(membersCodec, { voters, votersNext, nonVoters });
  encodedMembers.set(members, bytes);
  return bytes;
}

const kinds = { noop: 0, proposal: 1, members: 2 } as const;
const checksumBytes = 4;
/** Of the shortest value. */
export const valueMinBytes = 8 + 1;
/** Of the shortest entry. */
export const entryMinBytes = checksumBytes + valueMinBytes;
const proposalFixedBytes = 8 + 8 + 4;

/** A view to write with; `at` moves on. */
export interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
}

export function cursor(capacity: number): Cursor {
  const bytes = new Uint8Array(capacity);
  return { bytes, view: new DataView(bytes.buffer), at: 0 };
}

export function putU53(to: Cursor, n: number): void {
  to.view.setUint32(to.at, n >>> 0, true);
  to.view.setUint32(to.at + 4, (n / 0x1_0000_0000) | 0, true);
  to.at += 8;
}

export function putU32(to: Cursor, n: number): void {
  to.view.setUint32(to.at, n, true);
  to.at += 4;
}

/** Exactly what `putEntry` writes. Also the measure of every bound in bytes on entries. */
export function entryBytes(entry: Entry): number {
  return checksumBytes + valueBytes(entry.payload);
}

/** Exactly what `putValue` writes. */
export function valueBytes(payload: EntryPayload): number {
  return valueMinBytes + contentBytes(payload);
}

function contentBytes(payload: EntryPayload): number {
  switch (payload.kind) {
    case 'noop':
      return 0;
    case 'proposal':
      return proposalFixedBytes + payload.data.length;
    case 'members':
      return 4 + encodeMembers(payload.members).length;
  }
}

export function putEntry(to: Cursor, entry: Entry): void {
  putU32(to, entry.checksum);
  putValue(to, entry.term, entry.payload);
}

export function putValue(to: Cursor, term: number, payload: EntryPayload): void {
  putU53(to, term);
  to.bytes[to.at++] = kinds[payload.kind];
  if (payload.kind === 'proposal') {
    putU53(to, payload.session);
    putU53(to, payload.sequence);
    putBlob(to, payload.data);
  } else if (payload.kind === 'members') putBlob(to, encodeMembers(payload.members));
}

/** Below this a loop is quicker than `set`. */
const loopMaxBytes = 32;

function putBlob(to: Cursor, data: Uint8Array): void {
  putU32(to, data.length);
  if (data.length > loopMaxBytes) to.bytes.set(data, to.at);
  else for (let i = 0; i < data.length; i++) to.bytes[to.at + i] = data[i]!;
  to.at += data.length;
}

/** Data are views of what is read. @throws CairnError PROTOCOL */
export function readEntry(from: ByteReader, index: LogIndex): Entry {
  const checksum = from.u32();
  const term = from.u53();
  return { index, term, payload: readPayload(from), checksum };
}

/** Data are views of what is read. @throws CairnError PROTOCOL */
export function readPayload(from: ByteReader): EntryPayload {
  const kind = from.u8();
  switch (kind) {
    case kinds.noop:
      return noop;
    case kinds.proposal: {
      const session = from.u53();
      const sequence = from.u53();
      return { kind: 'proposal', session, sequence, data: from.raw(from.u32()) };
    }
    case kinds.members:
      return { kind: 'members', members: toMembers(decode(membersCodec, from.raw(from.u32()))) };
    default:
      throw new CairnError('PROTOCOL', `a message is malformed: an entry of the unknown kind ${kind}`);
  }
}

export const noop: EntryPayload = Object.freeze({ kind: 'noop' });

/** Data up to this length are hashed together with what precedes them, in one call. */
const hashTogetherMaxBytes = 1024;
const scratch = cursor(8 + 8 + 1 + proposalFixedBytes + hashTogetherMaxBytes);

/** The checksum of an entry that follows one with the checksum `previous`. */
export function chainChecksum(
  crc32: Crc32,
  previous: number,
  term: number,
  index: number,
  payload: EntryPayload,
): number {
  scratch.at = 0;
  putU53(scratch, term);
  putU53(scratch, index);
  scratch.bytes[scratch.at++] = kinds[payload.kind];
  if (payload.kind === 'noop') return hashScratch(crc32, previous);
  if (payload.kind === 'members') return crc32(encodeMembers(payload.members), hashScratch(crc32, previous));
  putU53(scratch, payload.session);
  putU53(scratch, payload.sequence);
  if (payload.data.length <= hashTogetherMaxBytes) {
    putBlob(scratch, payload.data);
    return hashScratch(crc32, previous);
  }
  putU32(scratch, payload.data.length);
  return crc32(payload.data, hashScratch(crc32, previous));
}

/** The first bytes of the scratch, by their number: making a view costs more than hashing it. */
const scratchViews: (Uint8Array | undefined)[] = new Array(scratch.bytes.length + 1).fill(undefined);

function scratchView(bytes: number): Uint8Array {
  const view = scratch.bytes.subarray(0, bytes);
  scratchViews[bytes] = view;
  return view;
}

function hashScratch(crc32: Crc32, previous: number): number {
  return crc32(scratchViews[scratch.at] ?? scratchView(scratch.at), previous);
}

export function makeEntry(
  crc32: Crc32,
  previousChecksum: number,
  term: number,
  index: LogIndex,
  payload: EntryPayload,
): Entry {
  return { index, term, payload, checksum: chainChecksum(crc32, previousChecksum, term, index, payload) };
}
