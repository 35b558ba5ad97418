/**
 * The metadata as nouns over the ordered store: what a command reads and writes, and what the leader reads. Owns what is kept in
 * memory besides the store: counters, the (few) servers and how many chunks each of them is to hold.
 */
import { assert } from '../../../core/base/assert.ts';
import { type ChunkHandle, type InodeId, type ServerId, toChunkHandle, toInodeId } from '../../../core/base/brand.ts';
import type { Key, OrderedStore } from '../../storage/ordered-store.ts';
import { DirectoryCache } from './directory-cache.ts';
import * as keys from './keys.ts';
import { NewNames } from './new-names.ts';
import {
  type ChunkRecord,
  type CopyLink,
  type Counters,
  type Detached,
  type DirectoryInode,
  type Dirent,
  decodeChunk,
  decodeCopyLink,
  decodeCounters,
  decodeDetached,
  decodeDirent,
  decodeHandle,
  decodeIdentity,
  decodeInode,
  decodeLoads,
  decodeServer,
  encodeChunk,
  encodeCounters,
  encodeDetached,
  encodeDirent,
  encodeHandle,
  encodeIdentity,
  encodeInode,
  encodeLoads,
  encodeServer,
  type FileInode,
  type Identity,
  type Inode,
  type ServerRecord,
} from './records.ts';
import { Roster } from './roster.ts';

export const rootInode = toInodeId(1);
/** The directory of what was removed and can be restored; no path leads there. */
export const trashInode = toInodeId(2);

export type DetachedItem = Detached & { readonly id: InodeId };

export class Tables {
  readonly store: OrderedStore;
  readonly counters: Counters;
  #identity: Identity | undefined;
  readonly roster: Roster;
  readonly #servers = new Map<ServerId, ServerRecord>();
  /** Told of each file that is put, goes, or has a chunk that is put: its attributes may be others now. */
  fileChanged: (id: InodeId) => void = () => {};
  /** Told of each chunk that gets another set of servers. */
  setChanged: (handle: ChunkHandle, before: readonly ServerId[], after: readonly ServerId[]) => void = () => {};
  readonly #loads: Map<ServerId, number>;
  readonly #directories: DirectoryCache;
  readonly #newNames: NewNames;
  /** Nothing below it is detached. What was deleted costs a look still, until the store has flushed it: it is not to be gone through each time. */
  #detachedFrom = 0;
  /** The same of copies that are being laid out: kept by copy-links.ts. */
  copiesFrom = 0;

  constructor(store: OrderedStore) {
    this.store = store;
    const identity = store.get(keys.identityKey);
    this.#identity = identity === undefined ? undefined : decodeIdentity(identity);
    const counters = store.get(keys.countersKey);
    this.counters =
      counters === undefined
        ? { nextInode: trashInode + 1, nextHandle: 1, files: 0, directories: 0, chunks: 0, copies: 0 }
        : decodeCounters(counters);
    this.#directories = new DirectoryCache(store);
    this.#newNames = new NewNames(this.counters.nextInode);
    const loads = store.get(keys.loadsKey);
    this.#loads = loads === undefined ? new Map() : decodeLoads(loads);
    this.roster = new Roster(store);
    for (const [key, bytes] of store.scan(keys.serverTable.from, keys.serverTable.to))
      this.#servers.set(keys.serverOfKey(key), decodeServer(bytes));
  }

  /** Undefined until the cluster was initialised. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Puts what is kept in memory into the store. */
  save(): void {
    if (this.identity === undefined) return;
    this.store.put(keys.countersKey, encodeCounters(this.counters));
    this.store.put(keys.loadsKey, encodeLoads(this.#loads));
    this.#directories.save();
  }

  putIdentity(identity: Identity): void {
    this.store.put(keys.identityKey, encodeIdentity(identity));
    this.#identity = identity;
  }

  // ---------------------------------------------------------------- the tree

  dirent(directory: InodeId, name: string): Dirent | undefined {
    const known = this.#directories.entry(directory, name);
    if (known !== undefined) return known;
    if (this.#newNames.lacks(directory, name)) return undefined;
    const bytes = this.store.get(keys.direntKey(directory, name));
    if (bytes === undefined) return undefined;
    const dirent = decodeDirent(bytes);
    if (dirent.kind === 'directory') this.#directories.noteEntry(directory, name, dirent);
    return dirent;
  }
  putDirent(directory: InodeId, name: string, dirent: Dirent): void {
    this.store.put(keys.direntKey(directory, name), encodeDirent(dirent));
    this.#directories.noteEntry(directory, name, dirent);
    this.#newNames.put(directory, name, this.counters.nextInode);
  }
  deleteDirent(directory: InodeId, name: string): void {
    this.store.delete(keys.direntKey(directory, name));
    this.#directories.noteEntry(directory, name, undefined);
  }
  /** Up to `limit` entries with names after `after`, in byte order. */
  dirents(directory: InodeId, after: string, limit: number): { readonly name: string; readonly dirent: Dirent }[] {
    const { from, to } = keys.direntRange(directory, after);
    const found: { name: string; dirent: Dirent }[] = [];
    if (limit === 0) return found;
    for (const [key, bytes] of this.store.scan(from, to)) {
      found.push({ name: keys.nameOfDirentKey(key), dirent: decodeDirent(bytes) });
      if (found.length === limit) break;
    }
    return found;
  }

  inode(id: InodeId): Inode | undefined {
    const known = this.#directories.inode(id);
    if (known !== undefined) return known;
    const bytes = this.store.get(keys.inodeKey(id));
    if (bytes === undefined) return undefined;
    const inode = decodeInode(bytes);
    if (inode.kind === 'directory') this.#directories.note(id, inode);
    return inode;
  }
  /** The value as it is in the store. */
  putInode(id: InodeId, inode: Inode): Uint8Array {
    const bytes = encodeInode(inode);
    this.store.put(keys.inodeKey(id), bytes);
    if (inode.kind === 'directory') this.#directories.note(id, inode);
    this.fileChanged(id);
    return bytes;
  }
  /** So many entries more, or fewer, are in a directory. */
  countEntries(id: InodeId, directory: DirectoryInode, more: number, modifiedAt: number): void {
    this.#directories.change(id, {
      kind: 'directory',
      createdAt: directory.createdAt,
      modifiedAt,
      replication: directory.replication,
      chunkBytes: directory.chunkBytes,
      durability: directory.durability,
      mode: directory.mode,
      minReplicas: directory.minReplicas,
      parent: directory.parent,
      name: directory.name,
      entries: directory.entries + more,
    });
  }
  deleteInode(id: InodeId): void {
    this.store.delete(keys.inodeKey(id));
    this.#directories.forget(id);
    this.fileChanged(id);
  }
  takeInodeId(): InodeId {
    return toInodeId(this.counters.nextInode++);
  }

  // ---------------------------------------------------------------- chunks

  chunk(handle: ChunkHandle): ChunkRecord | undefined {
    const bytes = this.store.get(keys.chunkKey(handle));
    return bytes === undefined ? undefined : decodeChunk(bytes);
  }
  /** @param before what is there now; undefined for a new chunk. */
  putChunk(handle: ChunkHandle, chunk: ChunkRecord, before: ChunkRecord | undefined): void {
    this.store.put(keys.chunkKey(handle), encodeChunk(chunk));
    this.fileChanged(chunk.inode);
    if (!chunk.sealed && (before?.sealed ?? true)) this.store.put(keys.openKey(handle), nothing);
    else if (chunk.sealed && before?.sealed === false) this.store.delete(keys.openKey(handle));
    if (before?.servers === chunk.servers) return;
    this.#count(before?.servers ?? [], -1);
    this.#count(chunk.servers, 1);
    if (before !== undefined) this.setChanged(handle, before.servers, chunk.servers);
  }
  deleteChunk(handle: ChunkHandle, before: ChunkRecord): void {
    this.store.delete(keys.chunkKey(handle));
    if (!before.sealed) this.store.delete(keys.openKey(handle));
    this.#count(before.servers, -1);
    this.counters.chunks -= 1;
  }
  #count(servers: readonly ServerId[], by: number): void {
    for (const server of servers) this.#loads.set(server, (this.#loads.get(server) ?? 0) + by);
  }
  /** How many chunks have this server in their set. */
  chunksOn(server: ServerId): number {
    return this.#loads.get(server) ?? 0;
  }
  /** Chunks with a lease out. The store must not be written meanwhile. */
  *openChunks(after = 0): Iterable<ChunkHandle> {
    for (const [key] of this.store.scan(keys.openKey(toChunkHandle(after + 1)), keys.openTable.to))
      yield keys.handleOfKey(key);
  }
  takeHandle(): ChunkHandle {
    this.counters.chunks += 1;
    return toChunkHandle(this.counters.nextHandle++);
  }

  // ---------------------------------------------------------------- chunks of files

  /** The chunk at `index` of a file; undefined where there is none. */
  handleAt(id: InodeId, file: FileInode, index: number): ChunkHandle | undefined {
    if (index >= file.chunkCount) return undefined;
    if (index === 0) return file.firstHandle === 0 ? undefined : toChunkHandle(file.firstHandle);
    return this.#listed(listOf(id, file), index);
  }
  /** Whether the file in a chunk's record has it: not, if it was cut off, and waits to be collected. */
  isInFile(handle: ChunkHandle, { inode, index }: ChunkRecord): boolean {
    const file = this.inode(inode);
    return file?.kind === 'file' && this.handleAt(inode, file, index) === handle;
  }
  /** In a list that is being laid out as a copy, what is not its own yet is in its origin. */
  #listed(list: number, index: number): ChunkHandle | undefined {
    const bytes = this.store.get(keys.listKey(list, index));
    if (bytes !== undefined) return decodeHandle(bytes);
    const link = this.copyOf(list);
    if (link === undefined || this.isDecided(list, link, keys.idKey(index))) return undefined;
    return this.#listed(link.origin, index);
  }
  /** The file with `handle` at `index`; the caller puts the inode. */
  withHandleAt(id: InodeId, file: FileInode, index: number, handle: ChunkHandle): FileInode {
    const chunkCount = Math.max(file.chunkCount, index + 1);
    if (index === 0) return { ...file, chunkCount, firstHandle: handle };
    this.store.put(keys.listKey(listOf(id, file), index), encodeHandle(handle));
    return { ...file, chunkCount };
  }
  /** Up to `limit` chunks from index `first` on, ascending. */
  handlesFrom(id: InodeId, file: FileInode, first: number, limit: number): { index: number; handle: ChunkHandle }[] {
    const found: { index: number; handle: ChunkHandle }[] = [];
    if (first === 0 && file.firstHandle !== 0) found.push({ index: 0, handle: toChunkHandle(file.firstHandle) });
    if (file.chunkCount > 1) this.#collectList(listOf(id, file), first, limit, found);
    return found;
  }
  /**
   * The last index before `end` at which a file has a chunk. Its list is no copy that is being laid out. Looks from the end on, twice as far each
   * time: a hole costs nothing, however large it is.
   */
  lastBefore(id: InodeId, file: FileInode, end: number): number | undefined {
    const list = listOf(id, file);
    for (let to = end, span = 1; to > 1; span *= 2) {
      const from = Math.max(1, to - span);
      let last: Key | undefined;
      for (const [key] of this.store.scan(keys.listKey(list, from), keys.listKey(list, to))) last = key;
      if (last !== undefined) return keys.indexOfListKey(last);
      to = from;
    }
    return end > 0 && file.firstHandle !== 0 ? 0 : undefined;
  }
  /** The same of a list whose file is gone. */
  listFrom(list: InodeId, limit: number): { index: number; handle: ChunkHandle }[] {
    const found: { index: number; handle: ChunkHandle }[] = [];
    this.#collectList(list, 0, limit, found);
    return found;
  }
  #collectList(list: number, first: number, limit: number, into: { index: number; handle: ChunkHandle }[]): void {
    if (into.length >= limit) return;
    if (this.copyOf(list) !== undefined) {
      this.#collectCopied(list, first, limit, into);
      return;
    }
    const from = keys.listKey(list, first);
    for (const [key, bytes] of this.store.scan(from, keys.listRange(list).to)) {
      into.push({ index: keys.indexOfListKey(key), handle: decodeHandle(bytes) });
      if (into.length >= limit) return;
    }
  }
  #collectCopied(list: number, first: number, limit: number, into: { index: number; handle: ChunkHandle }[]): void {
    for (let from = first; from !== Number.POSITIVE_INFINITY; ) {
      const { indexes, until } = this.#indexesFrom(list, from, limit);
      for (const index of indexes) {
        if (into.length >= limit) return;
        const handle = this.#listed(list, index);
        if (handle !== undefined) into.push({ index, handle });
      }
      from = until + 1;
    }
  }
  /** All that are in a list or in what it is a copy of, from `first` to `until`, ascending; the list itself may lack some of them. */
  #indexesFrom(list: number, first: number, limit: number): { indexes: readonly number[]; until: number } {
    const indexes = new Set<number>();
    let until = Number.POSITIVE_INFINITY;
    for (let at: number | undefined = list; at !== undefined; at = this.copyOf(at)?.origin) {
      let taken = 0;
      for (const [key] of this.store.scan(keys.listKey(at, first), keys.listRange(at).to)) {
        const index = keys.indexOfListKey(key);
        indexes.add(index);
        if (++taken < limit) continue;
        until = Math.min(until, index);
        break;
      }
    }
    return { indexes: [...indexes].filter((index) => index <= until).sort((a, b) => a - b), until };
  }
  putListed(list: number, index: number, handle: ChunkHandle): void {
    this.store.put(keys.listKey(list, index), encodeHandle(handle));
  }
  deleteListed(list: number, index: number): void {
    this.store.delete(keys.listKey(list, index));
  }

  /** Chunk records with handles in (after, last], ascending. The store must not be written meanwhile. */
  *chunks(after: number, last = Number.MAX_SAFE_INTEGER): Iterable<readonly [ChunkHandle, ChunkRecord]> {
    const to = last >= Number.MAX_SAFE_INTEGER ? keys.chunkTable.to : keys.chunkKey(toChunkHandle(last + 1));
    for (const [key, bytes] of this.store.scan(keys.chunkKey(toChunkHandle(after + 1)), to))
      yield [keys.handleOfKey(key), decodeChunk(bytes)];
  }

  // ---------------------------------------------------------------- copies that are being laid out

  /** What a directory or chunk list is being laid out as a copy of; see copies.ts. */
  copyOf(target: number): CopyLink | undefined {
    if (this.counters.copies === 0) return undefined;
    const bytes = this.store.get(keys.copyKey(target));
    return bytes === undefined ? undefined : decodeCopyLink(bytes);
  }
  /** Whether the copy has, or lacks, what stands `at` by itself. */
  isDecided(target: number, { cursor }: CopyLink, at: Key): boolean {
    return at <= cursor || this.store.get(keys.decidedKey(target, at)) !== undefined;
  }

  // ---------------------------------------------------------------- what is to be collected

  detach(id: InodeId, detached: Detached): void {
    this.#detachedFrom = Math.min(this.#detachedFrom, id);
    this.store.put(keys.detachedKey(id), encodeDetached(detached));
  }
  isDetached(id: InodeId): boolean {
    return this.store.get(keys.detachedKey(id)) !== undefined;
  }
  firstDetached(): DetachedItem | undefined {
    const { to } = keys.detachedTable;
    for (const [key, bytes] of this.store.scan(keys.detachedKey(this.#detachedFrom), to)) {
      const id = keys.detachedOfKey(key);
      this.#detachedFrom = id;
      return { id, ...decodeDetached(bytes) };
    }
    return undefined;
  }
  deleteDetached(id: InodeId): void {
    this.store.delete(keys.detachedKey(id));
  }

  // ---------------------------------------------------------------- servers

  get servers(): ReadonlyMap<ServerId, ServerRecord> {
    return this.#servers;
  }
  server(id: ServerId): ServerRecord | undefined {
    return this.#servers.get(id);
  }
  putServer(id: ServerId, server: ServerRecord): void {
    this.#servers.set(id, server);
    this.store.put(keys.serverKey(id), encodeServer(server));
  }
}

/** A key that says all. */
const nothing = new Uint8Array(0);

/** Under which name the chunks after the first are listed. */
export function listOf(id: InodeId, file: FileInode): number {
  return file.list === 0 ? id : file.list;
}

/** The inode of what a dirent names: it is always there. */
export function mustBe<T>(value: T | undefined, what: string, id: number): T {
  assert(value !== undefined, `${what} that something leads to exists`, { id });
  return value;
}
