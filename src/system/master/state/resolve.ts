/** From a path to what it names: used by commands at apply and by reads. */
import type { InodeId } from '../../../core/base/brand.ts';
import { ok, type Refused, type Result, refused } from '../../../core/base/result.ts';
import { parsePath, show } from '../../../core/protocol/paths.ts';
import type { FileKind } from '../../../core/protocol/types.ts';
import type { DirectoryInode, Dirent } from './records.ts';
import { mustBe, rootInode, type Tables } from './tables.ts';

export interface Place {
  /** The directory that holds, or would hold, the entry. */
  readonly parent: InodeId;
  readonly name: string;
  /** What is there now. */
  readonly found: Dirent | undefined;
  /** All directories from the root to `parent`, both included. */
  readonly ancestors: readonly InodeId[];
}

/** @returns the inode a path names; NOT_FOUND, NOT_A_DIRECTORY, or what is wrong with the path. */
export function lookup(tables: Tables, path: string): Result<{ readonly inode: InodeId; readonly kind: FileKind }> {
  const names = parsePath(path);
  if (!names.ok) return names;
  let at: Dirent = { inode: rootInode, kind: 'directory' };
  for (const name of names.value) {
    if (at.kind !== 'directory') return notADirectory(path, name);
    const next = tables.dirent(at.inode, name);
    if (next === undefined) return notFound(path);
    at = next;
  }
  return ok(at);
}

/** Where a path ends; the root has no such place: undefined. `missing` is asked to make directories that are not there. */
export function placeOf(
  tables: Tables,
  path: string,
  makeMissing?: (parent: InodeId, name: string) => InodeId,
): Result<Place | undefined> {
  const names = parsePath(path);
  if (!names.ok) return names;
  const last = names.value.length - 1;
  if (last < 0) return ok(undefined);
  const ancestors: InodeId[] = [rootInode];
  let parent = rootInode;
  let made = false; // nothing can be in a directory that was made just now
  for (let i = 0; i < last; i++) {
    const name = names.value[i]!;
    const next: Dirent | undefined = made ? undefined : tables.dirent(parent, name);
    if (next !== undefined && next.kind !== 'directory') return notADirectory(path, names.value[i + 1]!);
    if (next === undefined && makeMissing === undefined) return notFound(path);
    made ||= next === undefined;
    parent = next === undefined ? makeMissing!(parent, name) : next.inode;
    ancestors.push(parent);
  }
  const name = names.value[last]!;
  return ok({ parent, name, found: made ? undefined : tables.dirent(parent, name), ancestors });
}

/** The last on the way that is there: what a path names, or the directory below which it would be. */
export function nearest(tables: Tables, path: string): InodeId {
  const names = parsePath(path);
  let at: Dirent = { inode: rootInode, kind: 'directory' };
  for (const name of names.ok ? names.value : []) {
    const next = at.kind === 'directory' ? tables.dirent(at.inode, name) : undefined;
    if (next === undefined) break;
    at = next;
  }
  return at.inode;
}

/** The last directory on the way that is there: the settings of what is made below come from it. */
export function nearestDirectory(tables: Tables, path: string): DirectoryInode {
  const names = parsePath(path);
  let at = rootInode;
  for (const name of names.ok ? names.value : []) {
    const next = tables.dirent(at, name);
    if (next?.kind !== 'directory') break;
    at = next.inode;
  }
  return directory(tables, at);
}

export function directory(tables: Tables, id: InodeId): DirectoryInode {
  const inode = mustBe(tables.inode(id), 'a directory', id);
  return mustBe(inode.kind === 'directory' ? inode : undefined, 'a directory', id);
}

export function exists(path: string): Refused {
  return refused('EXISTS', `${show(path)}: exists already; remove it first or choose another name`);
}
export function notFound(path: string) {
  return refused('NOT_FOUND', `${show(path)}: no such file or directory; check the path with \`cairn ls\``);
}
function notADirectory(path: string, name: string) {
  return refused('NOT_A_DIRECTORY', `${show(path)}: what ${show(name)} should be in is a file; choose a directory`);
}
