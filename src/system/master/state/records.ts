/**
 * Values of the metadata tables, laid by hand: they are written on every create, and there are millions of them. Fields that are
 * small numbers are LEB128; the whole format is in docs/formats/metadata.md.
 */
import { assert } from '../../../core/base/assert.ts';
import {
  type Address,
  type ChunkHandle,
  type ChunkIndex,
  type ChunkVersion,
  type InodeId,
  type ServerId,
  toAddress,
  toChunkHandle,
  toChunkIndex,
  toChunkVersion,
  toInodeId,
  toServerId,
} from '../../../core/base/brand.ts';
import { ByteReader, ByteWriter } from '../../../core/base/bytes.ts';
import type { Durability, FileKind, Mode } from '../../../core/protocol/types.ts';
import type { Key } from '../../storage/ordered-store.ts';

/** Raised when a table changes in a way that older programs would misread, or a command that may be in a log does something else. */
export const metadataFormatVersion = 2;

export interface Identity {
  readonly formatVersion: number;
  readonly clusterId: string;
}

/** Kept in memory by the state machine; in the store whenever the store is flushed or frozen. */
export interface Counters {
  nextInode: number;
  nextHandle: number;
  files: number;
  directories: number;
  chunks: number;
  /** Directories and chunk lists that are still being laid out as copies of others. */
  copies: number;
}

export interface Dirent {
  readonly inode: InodeId;
  readonly kind: FileKind;
}

/** What files have, and what directories hand on to what is made in them. */
export interface Settings {
  readonly replication: number;
  readonly chunkBytes: number;
  readonly durability: Durability;
  readonly mode: Mode;
  /** 1 … replication. */
  readonly minReplicas: number;
}

interface Times {
  /** Whole wall milliseconds; modifiedAt ≥ createdAt. */
  readonly createdAt: number;
  readonly modifiedAt: number;
}

/** Where an inode's entry is: so that who has the inode can tell its path. Of what was cut off it tells where it was. */
export interface Placed {
  /** 0 for the root. */
  readonly parent: number;
  readonly name: string;
}

export interface DirectoryInode extends Settings, Times, Placed {
  readonly kind: 'directory';
  readonly entries: number;
}

export interface FileInode extends Settings, Times, Placed {
  readonly kind: 'file';
  /** Index of the last chunk + 1; chunks before it may be missing (holes). */
  readonly chunkCount: number;
  /** Handle of chunk 0, or 0 for none. */
  readonly firstHandle: number;
  /** Names the list that has the chunks after the first; 0 for the file's own inode. A long file that is emptied gets another. */
  readonly list: number;
}

export type Inode = DirectoryInode | FileInode;

export interface ChunkRecord {
  readonly inode: InodeId;
  readonly index: ChunkIndex;
  readonly version: ChunkVersion;
  /** No lease is open and `length` is the length. Else `length` is what the primary reported last. */
  readonly sealed: boolean;
  readonly length: number;
  /** In-sync replicas, the primary first; never empty, without repetition. */
  readonly servers: readonly ServerId[];
  /** Files that have it at `index`: `inode` and, if there are more, those that are listed as its sharers. A shared chunk is sealed. */
  readonly refs: number;
}

/** A master, by its configured id: the latest of its incarnations. */
export interface MasterRecord {
  readonly incarnation: number;
  readonly address: Address;
  /** Names its data directory; 0 if nobody told. */
  readonly directory: number;
  readonly removed: boolean;
}

export interface ServerRecord {
  readonly address: Address;
  readonly rack: string;
  /** It is to be emptied. */
  readonly draining: boolean;
}

/** What is to be collected: a directory with all below it, or the chunks of a long file, which may be gone itself. */
export type Detached = { readonly kind: 'tree' } | { readonly kind: 'chunks'; readonly file: InodeId };

/** Of what is in the trash. */
export interface TrashedRecord {
  readonly path: string;
  /** Whole wall milliseconds. */
  readonly removedAt: number;
}

/** A directory or chunk list that is being laid out as a copy. */
export interface CopyLink {
  readonly kind: 'tree' | 'chunks';
  /** The directory, or list, that it is a copy of. */
  readonly origin: number;
  /** The file that the list belongs to; 0 for a directory. */
  readonly file: number;
  /** Entries up to here are its own: a name, or an index, as it stands in keys. */
  readonly cursor: Key;
}

const directoryFlag = 1;
const diskFlag = 2;
const listFlag = 4;
const modeFlags: Readonly<Record<Mode, number>> = { strong: 0, gfs: 8, async: 16 };
/** `minReplicas` follows; else it is 1. */
const minReplicasFlag = 32;
const sealedFlag = 1;
const removedFlag = 1;
const sharedFlag = 2;
const drainingFlag = 1;

/** One writer for all records of a process: each is copied out as it is finished. */
const scratch = new ByteWriter(512);

export function encodeIdentity(identity: Identity): Uint8Array {
  scratch.reset();
  scratch.u16(identity.formatVersion);
  scratch.text(identity.clusterId);
  return scratch.finishAmongOthers();
}
/** Only the version is read of a format that is not ours. */
export function decodeIdentity(bytes: Uint8Array): Identity {
  const reader = new ByteReader(bytes);
  const formatVersion = reader.u16();
  return { formatVersion, clusterId: formatVersion === metadataFormatVersion ? reader.text() : '' };
}

export function encodeCounters(counters: Counters): Uint8Array {
  scratch.reset();
  scratch.varint(counters.nextInode);
  scratch.varint(counters.nextHandle);
  scratch.varint(counters.files);
  scratch.varint(counters.directories);
  scratch.varint(counters.chunks);
  scratch.varint(counters.copies);
  return scratch.finishAmongOthers();
}
export function decodeCounters(bytes: Uint8Array): Counters {
  const reader = new ByteReader(bytes);
  const nextInode = reader.varint();
  const nextHandle = reader.varint();
  const files = reader.varint();
  const directories = reader.varint();
  const chunks = reader.varint();
  const copies = reader.varint();
  return { nextInode, nextHandle, files, directories, chunks, copies };
}

export function encodeDirent(dirent: Dirent): Uint8Array {
  scratch.reset();
  scratch.u8(dirent.kind === 'directory' ? directoryFlag : 0);
  scratch.varint(dirent.inode);
  return scratch.finishAmongOthers();
}
export function decodeDirent(bytes: Uint8Array): Dirent {
  const reader = new ByteReader(bytes);
  const kind = (reader.u8() & directoryFlag) === 0 ? 'file' : 'directory';
  return { kind, inode: toInodeId(reader.varint()) };
}

export function encodeInode(inode: Inode): Uint8Array {
  const disk = inode.durability === 'disk' ? diskFlag : 0;
  const isDirectory = inode.kind === 'directory';
  const hasList = !isDirectory && inode.list !== 0;
  scratch.reset();
  const kept = inode.minReplicas > 1 ? minReplicasFlag : 0;
  scratch.u8(disk | modeFlags[inode.mode] | kept | (isDirectory ? directoryFlag : 0) | (hasList ? listFlag : 0));
  scratch.varint(inode.createdAt);
  scratch.varint(inode.modifiedAt - inode.createdAt);
  scratch.u8(inode.replication);
  scratch.varint(inode.chunkBytes);
  if (kept !== 0) scratch.u8(inode.minReplicas);
  scratch.varint(inode.parent);
  scratch.text(inode.name);
  if (isDirectory) scratch.varint(inode.entries);
  else {
    scratch.varint(inode.chunkCount);
    if (inode.chunkCount > 0) scratch.varint(inode.firstHandle);
    if (hasList) scratch.varint(inode.list);
  }
  return scratch.finishAmongOthers();
}
export function decodeInode(bytes: Uint8Array): Inode {
  const reader = new ByteReader(bytes);
  const flags = reader.u8();
  const createdAt = reader.varint();
  const modifiedAt = createdAt + reader.varint();
  const replication = reader.u8();
  const chunkBytes = reader.varint();
  const durability: Durability = (flags & diskFlag) === 0 ? 'memory' : 'disk';
  const mode = modeOf(flags);
  const minReplicas = (flags & minReplicasFlag) === 0 ? 1 : reader.u8();
  const parent = reader.varint();
  const name = reader.text();
  const count = reader.varint();
  // Field by field: to spread one object into another costs as much as the rest of this.
  if ((flags & directoryFlag) !== 0)
    return {
      kind: 'directory',
      createdAt,
      modifiedAt,
      replication,
      chunkBytes,
      durability,
      mode,
      minReplicas,
      parent,
      name,
      entries: count,
    };
  const firstHandle = count > 0 ? reader.varint() : 0;
  const list = (flags & listFlag) === 0 ? 0 : reader.varint();
  return {
    kind: 'file',
    createdAt,
    modifiedAt,
    replication,
    chunkBytes,
    durability,
    mode,
    minReplicas,
    parent,
    name,
    chunkCount: count,
    firstHandle,
    list,
  };
}
function modeOf(flags: number): Mode {
  if ((flags & modeFlags.gfs) !== 0) return 'gfs';
  return (flags & modeFlags.async) !== 0 ? 'async' : 'strong';
}

export function encodeChunk(chunk: ChunkRecord): Uint8Array {
  assert(chunk.servers.length > 0, 'a chunk has at least one replica', { index: chunk.index });
  scratch.reset();
  assert(chunk.refs >= 1, 'a chunk is in some file', { inode: chunk.inode, index: chunk.index });
  scratch.u8((chunk.sealed ? sealedFlag : 0) | (chunk.refs > 1 ? sharedFlag : 0));
  scratch.varint(chunk.inode);
  scratch.varint(chunk.index);
  scratch.varint(chunk.version);
  scratch.varint(chunk.length);
  scratch.u8(chunk.servers.length);
  for (const server of chunk.servers) scratch.varint(server);
  if (chunk.refs > 1) scratch.varint(chunk.refs);
  return scratch.finishAmongOthers();
}
export function decodeChunk(bytes: Uint8Array): ChunkRecord {
  const reader = new ByteReader(bytes);
  const flags = reader.u8();
  const sealed = (flags & sealedFlag) !== 0;
  const inode = toInodeId(reader.varint());
  const index = toChunkIndex(reader.varint());
  const version = toChunkVersion(reader.varint());
  const length = reader.varint();
  const servers: ServerId[] = [];
  for (let left = reader.u8(); left > 0; left--) servers.push(toServerId(reader.varint()));
  const refs = (flags & sharedFlag) === 0 ? 1 : reader.varint();
  return { inode, index, version, sealed, length, servers, refs };
}

export function encodeHandle(handle: ChunkHandle): Uint8Array {
  scratch.reset();
  scratch.varint(handle);
  return scratch.finishAmongOthers();
}
export function decodeHandle(bytes: Uint8Array): ChunkHandle {
  return toChunkHandle(new ByteReader(bytes).varint());
}

/** Of each server, how many chunks have it in their set; ascending. */
export function encodeLoads(loads: ReadonlyMap<ServerId, number>): Uint8Array {
  scratch.reset();
  const sorted = [...loads].filter(([, chunks]) => chunks > 0).sort(([a], [b]) => a - b);
  scratch.varint(sorted.length);
  for (const [server, chunks] of sorted) {
    scratch.varint(server);
    scratch.varint(chunks);
  }
  return scratch.finishAmongOthers();
}
export function decodeLoads(bytes: Uint8Array): Map<ServerId, number> {
  const reader = new ByteReader(bytes);
  const loads = new Map<ServerId, number>();
  for (let left = reader.varint(); left > 0; left--) loads.set(toServerId(reader.varint()), reader.varint());
  return loads;
}

export function encodeMaster({ incarnation, address, directory, removed }: MasterRecord): Uint8Array {
  scratch.reset();
  scratch.u8(removed ? removedFlag : 0);
  scratch.varint(incarnation);
  scratch.u53(directory);
  scratch.text(address);
  return scratch.finishAmongOthers();
}
export function decodeMaster(bytes: Uint8Array): MasterRecord {
  const reader = new ByteReader(bytes);
  const removed = (reader.u8() & removedFlag) !== 0;
  const incarnation = reader.varint();
  const directory = reader.u53();
  return { incarnation, address: toAddress(reader.text()), directory, removed };
}

export function encodeServer(server: ServerRecord): Uint8Array {
  scratch.reset();
  scratch.u8(server.draining ? drainingFlag : 0);
  scratch.text(server.address);
  scratch.text(server.rack);
  return scratch.finishAmongOthers();
}
export function decodeServer(bytes: Uint8Array): ServerRecord {
  const reader = new ByteReader(bytes);
  const flags = reader.u8();
  return { address: toAddress(reader.text()), rack: reader.text(), draining: (flags & drainingFlag) !== 0 };
}

export function encodeCopyLink({ kind, origin, file, cursor }: CopyLink): Uint8Array {
  scratch.reset();
  scratch.u8(kind === 'tree' ? 1 : 2);
  scratch.varint(origin);
  if (kind === 'chunks') scratch.varint(file);
  scratch.text(cursor);
  return scratch.finishAmongOthers();
}
export function decodeCopyLink(bytes: Uint8Array): CopyLink {
  const reader = new ByteReader(bytes);
  const tag = reader.u8();
  assert(tag === 1 || tag === 2, 'a copy is one of a tree or of chunks', { tag });
  const kind = tag === 1 ? 'tree' : 'chunks';
  const origin = reader.varint();
  return { kind, origin, file: kind === 'chunks' ? reader.varint() : 0, cursor: reader.text() };
}

export function encodeTrashed({ path, removedAt }: TrashedRecord): Uint8Array {
  scratch.reset();
  scratch.varint(removedAt);
  scratch.text(path);
  return scratch.finishAmongOthers();
}
export function decodeTrashed(bytes: Uint8Array): TrashedRecord {
  const reader = new ByteReader(bytes);
  const removedAt = reader.varint();
  return { removedAt, path: reader.text() };
}

export function encodeDetached(detached: Detached): Uint8Array {
  scratch.reset();
  scratch.u8(detached.kind === 'tree' ? 1 : 2);
  if (detached.kind === 'chunks') scratch.varint(detached.file);
  return scratch.finishAmongOthers();
}
export function decodeDetached(bytes: Uint8Array): Detached {
  const reader = new ByteReader(bytes);
  const tag = reader.u8();
  assert(tag === 1 || tag === 2, 'what is detached is a tree or chunks', { tag });
  return tag === 1 ? { kind: 'tree' } : { kind: 'chunks', file: toInodeId(reader.varint()) };
}
