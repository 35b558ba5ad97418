/** A metadata machine over a map, driven command by command. */
import { assert } from '../../../core/base/assert.ts';
import {
  type ChunkHandle,
  type InodeId,
  type ServerId,
  toAddress,
  toChunkHandle,
  toChunkIndex,
  toChunkVersion,
  toServerId,
  toWallMillis,
} from '../../../core/base/brand.ts';
import type { Codec } from '../../../core/base/codec.ts';
import type { Result } from '../../../core/base/result.ts';
import { toLogIndex } from '../../../core/consensus/engine.ts';
import { nothingAsked, type SettingsAsked } from '../../../core/protocol/types.ts';
import {
  bookedResult,
  type Command,
  type CommandOf,
  decodeResult,
  doneResult,
  emptiedResult,
  encodeCommand,
  grantResult,
  handlesResult,
  laidOutResult,
  madeResult,
  openResult,
  reapResult,
  restoredResult,
} from './commands.ts';
import { MapStore } from './map-store.test-support.ts';
import { MetadataMachine } from './metadata-machine.ts';
import type { ChunkRecord, FileInode, Inode } from './records.ts';
import { lookup } from './resolve.ts';
import type { Tables } from './tables.ts';

export const chunkBytes = 1024 * 1024;
const settings = { replication: 3, durability: 'memory', chunkBytes, mode: 'strong', minReplicas: 1 } as const;

export class TestMachine {
  readonly store: MapStore;
  readonly machine = new MetadataMachine();
  readonly log: Uint8Array[] = [];
  readonly removed: number[] = [];
  now = 1_700_000_000_000;

  constructor(initialised = true, store = new MapStore()) {
    this.store = store;
    this.machine.reset(this.store);
    this.machine.chunkRemoved = (handle) => this.removed.push(handle);
    if (!initialised) return;
    this.done({ kind: 'initialise', clusterId: 'test', ...settings });
    for (const id of [1, 2, 3, 4])
      this.done({ kind: 'registerServer', server: sid(id), address: toAddress(`s${id}:1`), rack: '' });
  }

  get tables(): Tables {
    return this.machine.tables;
  }

  applyBytes(bytes: Uint8Array): Uint8Array {
    this.log.push(bytes);
    const index = toLogIndex(this.store.appliedIndex + 1);
    const result = this.machine.apply(bytes, { index, time: toWallMillis(this.now), store: this.store });
    this.store.applied(index);
    return result;
  }
  #run<T>(codec: Codec<T>, command: Command): Result<T> {
    return decodeResult(codec, this.applyBytes(encodeCommand(command)));
  }

  done(command: Command) {
    return this.#run(doneResult, command);
  }
  open(path: string, options: Partial<CommandOf<'openForWrite'>> = {}) {
    return this.#run(openResult, {
      kind: 'openForWrite',
      path,
      create: 'ifMissing',
      truncate: false,
      parents: false,
      ...nothingAsked,
      placement: servers(1, 2, 3),
      ...options,
    });
  }
  mkdir(path: string, parents = false, asked: Partial<SettingsAsked> = {}) {
    return this.#run(madeResult, { kind: 'mkdir', path, parents, ...nothingAsked, ...asked });
  }
  set(path: string, asked: Partial<SettingsAsked>) {
    return this.#run(madeResult, { kind: 'set', path, ...nothingAsked, ...asked });
  }
  remove(path: string, recursive = false) {
    return this.done({ kind: 'remove', path, recursive });
  }
  rename(from: string, to: string, replace = false) {
    return this.done({ kind: 'rename', from, to, replace });
  }
  truncate(inode: InodeId, chunkCount: number) {
    return this.#run(madeResult, { kind: 'truncate', inode, chunkCount });
  }
  addChunk(inode: InodeId, index: number, on = servers(1, 2, 3)) {
    return this.#run(grantResult, { kind: 'addChunk', inode, index: toChunkIndex(index), servers: on });
  }
  adjoinChunk(inode: InodeId, index: number, last: ChunkHandle) {
    const command = {
      kind: 'adjoinChunk',
      inode,
      index: toChunkIndex(index),
      last,
      servers: servers(1, 2, 3),
    } as const;
    return this.#run(grantResult, command);
  }
  grant(handle: number, version: number, on: ServerId[]) {
    const guard = { handle: toChunkHandle(handle), version: toChunkVersion(version) };
    return this.#run(grantResult, { kind: 'grant', ...guard, servers: on });
  }
  report(handle: number, version: number, length: number, release: boolean) {
    const report = { handle: toChunkHandle(handle), version: toChunkVersion(version), length, release };
    return this.done({ kind: 'recordLengths', reports: [report] });
  }
  cut(handle: number, version: number, length: number) {
    const cut = { handle: toChunkHandle(handle), version: toChunkVersion(version), length };
    return this.done({ kind: 'recordCuts', cuts: [cut] });
  }
  addReplica(handle: number, version: number, server: number, without: ServerId[] = []) {
    const guard = { handle: toChunkHandle(handle), version: toChunkVersion(version) };
    return this.done({ kind: 'addReplica', ...guard, server: sid(server), without });
  }
  exclude(handle: number, version: number, out: ServerId[]) {
    const guard = { handle: toChunkHandle(handle), version: toChunkVersion(version) };
    return this.done({ kind: 'exclude', ...guard, servers: out });
  }
  book(id: number, directory: number, options: { address?: string; onlyIfMember?: boolean } = {}) {
    const { address = `m${id}:1`, onlyIfMember = false } = options;
    return this.#run(bookedResult, { kind: 'bookMaster', id, directory, address: toAddress(address), onlyIfMember });
  }
  reap(limit: number) {
    return this.#run(reapResult, { kind: 'reap', limit });
  }

  discard(path: string, recursive = false) {
    return this.done({ kind: 'discard', path, recursive });
  }
  restore(inode: InodeId, to?: string) {
    return this.#run(restoredResult, { kind: 'restore', inode, to });
  }
  emptyTrash(options: Partial<CommandOf<'emptyTrash'>>) {
    return this.#run(emptiedResult, { kind: 'emptyTrash', inode: undefined, before: 0, limit: 100, ...options });
  }
  fileSnapshot(from: string, to: string) {
    return this.#run(madeResult, { kind: 'fileSnapshot', from, to });
  }
  layOut(limit: number) {
    return this.#run(laidOutResult, { kind: 'layOut', limit });
  }
  layOutNames(path: string, after: string, limit: number) {
    return this.#run(laidOutResult, { kind: 'layOutNames', directory: this.at(path).id, after, limit });
  }
  /** Lays out all copies and collects all that is cut off. */
  complete(limit = 100): void {
    while (must(this.layOut(limit)).more);
    while (must(this.reap(limit)).more);
  }
  /** Gives a file a copy of its own of the chunk that it shares at `index`, as a leader does before it is mutated. */
  split(path: string, index: number): ChunkHandle {
    must(this.done({ kind: 'settlePath', path }));
    const { id } = this.at(path);
    must(this.done({ kind: 'settleFile', inode: id, index: toChunkIndex(index) }));
    const handle = this.tables.handleAt(id, this.file(path), index);
    assert(handle !== undefined, `${path} has chunk ${index}`);
    const { version, servers } = this.chunk(handle);
    const { first: into } = must(this.#run(handlesResult, { kind: 'takeHandles', count: 1 }));
    const at = { inode: id, index: toChunkIndex(index), handle, version };
    must(this.done({ kind: 'splitChunk', ...at, into, servers, kept: servers }));
    return into;
  }
  /** The same state in another machine, in which things can be tried. */
  clone(): TestMachine {
    this.machine.save();
    const copy = new TestMachine(false, this.store.clone());
    copy.now = this.now;
    return copy;
  }

  /** The inode a path leads to; the path must be there. */
  at(path: string): { readonly id: InodeId; readonly inode: Inode } {
    const found = lookup(this.tables, path);
    assert(found.ok, `${path} is there`);
    const inode = this.tables.inode(found.value.inode);
    assert(inode !== undefined, `${path} has an inode`);
    return { id: found.value.inode, inode };
  }
  file(path: string): FileInode {
    const { inode } = this.at(path);
    assert(inode.kind === 'file', `${path} is a file`);
    return inode;
  }
  chunk(handle: number): ChunkRecord {
    const chunk = this.tables.chunk(toChunkHandle(handle));
    assert(chunk !== undefined, `chunk ${handle} is there`);
    return chunk;
  }
  exists(path: string): boolean {
    return lookup(this.tables, path).ok;
  }
  names(path: string, after = '', limit = 1000): string[] {
    return this.tables.dirents(this.at(path).id, after, limit).map(({ name }) => name);
  }
}

export function sid(id: number): ServerId {
  return toServerId(id);
}
export function servers(...ids: number[]): ServerId[] {
  return ids.map(toServerId);
}
export function handleOf(grant: { readonly handle: ChunkHandle } | undefined): ChunkHandle {
  assert(grant !== undefined, 'a grant came back');
  return grant.handle;
}
export function must<T>(result: Result<T>): T {
  assert(result.ok, result.ok ? '' : `${result.code}: ${result.message}`);
  return result.value;
}
export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'ok' : result.code;
}
