/**
 * Copies of trees and files that are laid out by and by (docs/adr/0006-file-snapshots-are-laid-out-later.md). A copy is made with one entry in
 * its directory; what is below it comes in bounded steps. Whoever is about to change something settles it first: the copies that have
 * not got it yet get it as it is. Settling and laying out change nothing that can be seen.
 */
import type { InodeId } from '../../../core/base/brand.ts';
import { toChunkHandle, toInodeId } from '../../../core/base/brand.ts';
import { ok, type Result } from '../../../core/base/result.ts';
import { parsePath } from '../../../core/protocol/paths.ts';
import type { Key } from '../../storage/ordered-store.ts';
import { type CommandOf, inlineChunksMax, type LaidOutResult } from './commands.ts';
import {
  beginCopy,
  copiesOf,
  endCopy,
  firstCopy,
  markDecided,
  marksOf,
  putCopy,
  rawEntries,
  unmark,
} from './copy-links.ts';
import * as keys from './keys.ts';
import { type CopyLink, type Dirent, decodeDirent, decodeHandle, type FileInode, type Placed } from './records.ts';
import { share } from './sharing.ts';
import { listOf, mustBe, rootInode, type Tables } from './tables.ts';
import type { Transition } from './transition.ts';

const nowhere: Key = '';

// ---------------------------------------------------------------- settling

/** What is at a path, or would be, and all that leads to it. */
export function settlePath(t: Transition, path: string): void {
  if (t.tables.counters.copies === 0) return;
  const names = parsePath(path);
  let at = rootInode;
  for (const name of names.ok ? names.value : []) {
    settle(t, at, keys.nameKey(name));
    const next = t.tables.dirent(at, name);
    if (next?.kind !== 'directory') return;
    at = next.inode;
  }
}

/** A file by its inode, all that leads to it, and its chunk `index`. */
export function settleFile(t: Transition, inode: InodeId, index: number): void {
  if (t.tables.counters.copies === 0) return;
  for (const { parent, name } of wayTo(t.tables, inode)) settle(t, parent, keys.nameKey(name));
  const file = t.tables.inode(inode);
  if (file?.kind === 'file' && index > 0) settle(t, listOf(inode, file), keys.idKey(index));
}

/** Whether nothing would change by settling this chunk of a file. */
export function isSettled(tables: Tables, inode: InodeId, index: number): boolean {
  if (tables.counters.copies === 0) return true;
  if (!wayTo(tables, inode).every(({ parent, name }) => isSettledAt(tables, parent, keys.nameKey(name)))) return false;
  const file = tables.inode(inode);
  return file?.kind !== 'file' || index === 0 || isSettledAt(tables, listOf(inode, file), keys.idKey(index));
}

/** Whether what a path names is there to be read: not only in what its directories are copies of. */
export function isThere(tables: Tables, path: string): boolean {
  if (tables.counters.copies === 0) return true;
  const names = parsePath(path);
  let at = rootInode;
  for (const name of names.ok ? names.value : []) {
    if (!isOwn(tables, at, keys.nameKey(name))) return false;
    const next = tables.dirent(at, name);
    if (next?.kind !== 'directory') return true;
    at = next.inode;
  }
  return true;
}

/** The entries that lead to an inode, from the top. Of what was cut off, as far as it goes. */
function wayTo(tables: Tables, inode: InodeId): Placed[] {
  const way: Placed[] = [];
  for (let at = tables.inode(inode); at !== undefined && at.parent !== 0; at = tables.inode(toInodeId(at.parent)))
    way.push({ parent: at.parent, name: at.name });
  return way.reverse();
}

/** Before what stands `at` in a directory or list changes: it gets it from its origin, and its copies from it. */
function settle(t: Transition, container: number, at: Key): void {
  pull(t, container, at);
  for (const target of copiesOf(t.tables, container)) pull(t, target, at);
}

function isSettledAt(tables: Tables, container: number, at: Key): boolean {
  return isOwn(tables, container, at) && copiesOf(tables, container).every((target) => isOwn(tables, target, at));
}

function isOwn(tables: Tables, container: number, at: Key): boolean {
  const link = tables.copyOf(container);
  return link === undefined || tables.isDecided(container, link, at);
}

/** Gives a copy what stands `at` in its origin, if it has not been given it yet. */
function pull(t: Transition, target: number, at: Key): void {
  const link = t.tables.copyOf(target);
  if (link === undefined || t.tables.isDecided(target, link, at)) return;
  pull(t, link.origin, at);
  markDecided(t.tables, target, at);
  const bytes = t.tables.store.get(keys.entryKey(link.kind, link.origin, at));
  if (bytes !== undefined) copyEntry(t, target, link, at, bytes);
}

// ---------------------------------------------------------------- copying

function copyEntry(t: Transition, target: number, link: CopyLink, at: Key, bytes: Uint8Array): void {
  if (link.kind === 'tree') {
    const key = keys.entryKey('tree', target, at);
    copyInode(t, decodeDirent(bytes).inode, { parent: target, name: keys.nameOfDirentKey(key) });
    return;
  }
  t.tables.store.put(keys.entryKey('chunks', target, at), bytes);
  const handle = decodeHandle(bytes);
  share(t.tables, handle, mustBe(t.tables.chunk(handle), 'a chunk', handle), toInodeId(link.file));
}

/** Makes an entry for a copy; its directory's count is the caller's. */
export function copyInode(t: Transition, from: InodeId, place: Placed): Dirent {
  const { tables } = t;
  const original = mustBe(tables.inode(from), 'an inode', from);
  const inode = tables.takeInodeId();
  const entry = { inode, kind: original.kind };
  tables.putDirent(toInodeId(place.parent), place.name, entry);
  if (original.kind === 'file') {
    copyFile(t, from, original, inode, place);
    return entry;
  }
  tables.counters.directories += 1;
  tables.putInode(inode, { ...original, ...place });
  if (original.entries > 0) beginCopy(tables, inode, { kind: 'tree', origin: from, file: 0, cursor: nowhere });
  return entry;
}

function copyFile({ tables }: Transition, from: InodeId, original: FileInode, inode: InodeId, place: Placed): void {
  tables.counters.files += 1;
  tables.putInode(inode, { ...original, ...place, list: 0 });
  const list = listOf(from, original);
  if (original.chunkCount > inlineChunksMax) {
    beginCopy(tables, inode, { kind: 'chunks', origin: list, file: inode, cursor: keys.idKey(0) });
    shareFirst(tables, original, inode);
    return;
  }
  for (const { index, handle } of tables.handlesFrom(from, original, 0, inlineChunksMax)) {
    if (index > 0) tables.putListed(inode, index, handle);
    share(tables, handle, mustBe(tables.chunk(handle), 'a chunk', handle), inode);
  }
}

function shareFirst(tables: Tables, { firstHandle }: FileInode, inode: InodeId): void {
  if (firstHandle === 0) return;
  const handle = toChunkHandle(firstHandle);
  share(tables, handle, mustBe(tables.chunk(handle), 'a chunk', handle), inode);
}

// ---------------------------------------------------------------- laying out

/** Lays out about `limit` entries of copies that are not complete. */
export function layOut(t: Transition, { limit }: CommandOf<'layOut'>): Result<LaidOutResult> {
  for (let left = limit; left > 0; ) {
    const target = firstCopy(t.tables);
    if (target === undefined) break;
    left -= layOutStep(t, target, left);
  }
  return ok({ more: t.tables.counters.copies > 0 });
}

/** The names behind `after` in a directory, up to `limit` of those that are not its own yet. */
export function layOutNames(
  t: Transition,
  { directory, after, limit }: CommandOf<'layOutNames'>,
): Result<LaidOutResult> {
  const undecided = undecidedNames(t.tables, directory, after, limit);
  for (const at of undecided) pull(t, directory, at);
  return ok({ more: undecided.length === limit });
}

/**
 * Names behind `after` on which a directory has not decided, of entries in anything that it is a copy of: also of those that something nearer has
 * decided to lack. What `layOutNames` does hangs on it; `hasNames` knows what is to be seen.
 * @returns up to `limit`, in no order
 */
function undecidedNames(tables: Tables, directory: number, after: string, limit: number): readonly Key[] {
  const names = new Set<Key>();
  const link = tables.copyOf(directory);
  for (let above = link; link !== undefined && above !== undefined; above = tables.copyOf(above.origin)) {
    const { from, to } = keys.entryRange('tree', above.origin, keys.nameKey(after));
    for (const [key] of tables.store.scan(from, to)) {
      const name = keys.atOfKey(key);
      if (!tables.isDecided(directory, link, name)) names.add(name);
      if (names.size >= limit) return [...names];
    }
  }
  return [...names];
}

/**
 * Whether all entries of a directory behind `after`, and not behind `last` if that is given, are there to be read. One that is not is in something
 * that the directory is a copy of, and nobody on the way there has decided on it.
 */
export function hasNames(tables: Tables, directory: number, after: string, last: string | undefined): boolean {
  const way: { readonly target: number; readonly link: CopyLink }[] = [];
  let target = directory;
  for (let link = tables.copyOf(target); link !== undefined; link = tables.copyOf(target)) {
    way.push({ target, link });
    target = link.origin;
    const { from, to } = keys.entryRange('tree', target, keys.nameKey(after));
    const end = last === undefined ? to : `${keys.entryKey('tree', target, keys.nameKey(last))}\u0000`;
    for (const [key] of tables.store.scan(from, end)) {
      const name = keys.atOfKey(key);
      if (!way.some((step) => tables.isDecided(step.target, step.link, name))) return false;
    }
  }
  return true;
}

/**
 * Some entries more of one copy; of its origin first if that is a copy itself.
 * @returns what it cost, in entries; at least 1
 */
export function layOutStep(t: Transition, target: number, budget: number): number {
  const { tables } = t;
  const link = mustBe(tables.copyOf(target), 'a copy', target);
  if (tables.copyOf(link.origin) !== undefined) return layOutStep(t, link.origin, budget);
  const entries = rawEntries(tables, link.kind, link.origin, link.cursor, budget);
  const marks = marksOf(tables, target, link, budget);
  const cursor = lesser(
    entries.length < budget ? undefined : entries.at(-1)!.at,
    marks.length < budget ? undefined : marks.at(-1),
  );
  const isWithin = (at: Key) => cursor === undefined || at <= cursor;
  const own = new Set(marks);
  for (const { at, bytes } of entries) if (isWithin(at) && !own.has(at)) copyEntry(t, target, link, at, bytes);
  for (const at of marks) if (isWithin(at)) unmark(tables, target, at);
  if (cursor === undefined) endCopy(tables, target, link);
  else putCopy(tables, target, { ...link, cursor });
  return entries.length + marks.length + 1;
}

/** The one that ends first; undefined is the end of all. */
function lesser(a: Key | undefined, b: Key | undefined): Key | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}
