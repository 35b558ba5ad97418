/** What Raft keeps in the write-ahead log of its node: the persistent state of Figure 2, and where the log has been compacted to. */
import type { NodeId } from '../../base/brand.ts';
import { toNodeId } from '../../base/brand.ts';
import { ByteReader } from '../../base/bytes.ts';
import { branded, decode, encode, optional, struct, u32, union, varint } from '../../base/codec.ts';
import { CairnError } from '../../base/errors.ts';
import { type Entry, type LogIndex, type SnapshotPoint, toLogIndex } from '../engine.ts';
import { cursor, entryBytes, membersCodec, putEntry, putU53, readEntry, toMembers } from '../entry-format.ts';
import { type Term, toTerm } from './term.ts';

export type RaftRecord =
  | { readonly kind: 'hardState'; readonly currentTerm: Term; readonly votedFor: NodeId | undefined }
  /** An entry at an index that is taken already replaces it and everything after it. */
  | { readonly kind: 'entry'; readonly entry: Entry }
  /** The log begins after this point: it was compacted up to it, or a snapshot took its place. */
  | { readonly kind: 'snapshotPoint'; readonly point: SnapshotPoint };

const stateRecord = union({
  hardState: [1, struct({ currentTerm: branded(varint, toTerm), votedFor: optional(branded(varint, toNodeId)) })],
  snapshotPoint: [
    2,
    struct({ index: branded(varint, toLogIndex), term: varint, checksum: u32, members: membersCodec }),
  ],
});

/** An entry record is `u8 3 | u53 index | entry`. */
const entryTag = 3;

/** Small records are laid out here and copied: that is quicker than a view for each. */
const scratchBytes = 16 * 1024;
const scratch = cursor(scratchBytes);

export function encodeRecord(record: RaftRecord): Uint8Array {
  switch (record.kind) {
    case 'entry': {
      const { entry } = record;
      const length = 1 + 8 + entryBytes(entry);
      const small = length <= scratchBytes;
      const to = small ? scratch : cursor(length);
      to.at = 0;
      to.bytes[to.at++] = entryTag;
      putU53(to, entry.index);
      putEntry(to, entry);
      return small ? to.bytes.slice(0, length) : to.bytes;
    }
    case 'hardState':
      return encode(stateRecord, record);
    case 'snapshotPoint': {
      const { index, term, checksum, members } = record.point;
      const { voters, votersNext, nonVoters } = members;
      const flat = { index, term, checksum, members: { voters, votersNext, nonVoters } };
      return encode(stateRecord, { kind: 'snapshotPoint', ...flat });
    }
  }
}

/** Entries' data are views of `bytes`. @throws CairnError LOG_CORRUPT */
export function decodeRecord(bytes: Uint8Array): RaftRecord {
  try {
    return bytes[0] === entryTag ? decodeEntry(bytes) : decodeState(bytes);
  } catch (cause) {
    if (!(cause instanceof CairnError)) throw cause;
    throw new CairnError(
      'LOG_CORRUPT',
      `a record of the consensus log cannot be read (${cause.message}); restore this node from its peers`,
      { cause },
    );
  }
}

function decodeEntry(bytes: Uint8Array): RaftRecord {
  const from = new ByteReader(bytes);
  from.u8();
  const entry = readEntry(from, from.u53() as LogIndex);
  from.end();
  return { kind: 'entry', entry };
}

function decodeState(bytes: Uint8Array): RaftRecord {
  const record = decode(stateRecord, bytes);
  if (record.kind === 'hardState') return record;
  const { index, term, checksum, members } = record;
  return { kind: 'snapshotPoint', point: { index, term, checksum, members: toMembers(members) } };
}

export function indexOfRecord(record: RaftRecord): LogIndex | undefined {
  return record.kind === 'entry' ? record.entry.index : undefined;
}
