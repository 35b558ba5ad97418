/**
 * The trash (GFS §4.4): a directory to which no path leads. What is removed moves there in one step, however much is below it, and is named by
 * when that was, so that the oldest come first.
 */
import type { InodeId } from '../../../core/base/brand.ts';
import { ok, type Refused, type Result, refused } from '../../../core/base/result.ts';
import { parsePath } from '../../../core/protocol/paths.ts';
import type { CommandOf } from './commands.ts';
import { settlePath } from './copies.ts';
import * as keys from './keys.ts';
import { discard, link, makeDirectory, removable, unlink } from './namespace.ts';
import { type Dirent, decodeTrashed, encodeTrashed, type TrashedRecord } from './records.ts';
import { exists, placeOf } from './resolve.ts';
import { mustBe, type Tables, trashInode } from './tables.ts';
import type { Transition } from './transition.ts';

const timeDigits = 15;

/** In the order of time, as text. */
function trashName(removedAt: number, inode: InodeId): string {
  return `${String(removedAt).padStart(timeDigits, '0')}.${inode}`;
}

export interface TrashedItem extends TrashedRecord {
  readonly key: string;
  readonly dirent: Dirent;
}

/** Up to `limit`, oldest first. */
export function trashed(tables: Tables, after: string, limit: number): TrashedItem[] {
  return tables.dirents(trashInode, after, limit).map(({ name, dirent }) => {
    const bytes = mustBe(tables.store.get(keys.trashedKey(dirent.inode)), 'what is in the trash', dirent.inode);
    return { key: name, dirent, ...decodeTrashed(bytes) };
  });
}

/** As `remove`. */
export function discardPath(t: Transition, command: CommandOf<'discard'>): Result<Record<never, never>> {
  const place = removable(t, command);
  if (!place.ok) return place;
  const found = mustBe(place.value.found, 'an entry', 0);
  const names = parsePath(command.path);
  const path = `/${(names.ok ? names.value : []).join('/')}`;
  unlink(t, place.value);
  link(t, { parent: trashInode, name: trashName(t.now, found.inode) }, found);
  t.tables.store.put(keys.trashedKey(found.inode), encodeTrashed({ path, removedAt: t.now }));
  return ok({});
}

export function restore(t: Transition, { inode, to }: CommandOf<'restore'>): Result<{ readonly path: string }> {
  const item = itemOf(t.tables, inode);
  if (item === undefined) return notThere(inode);
  const path = to ?? item.path;
  settlePath(t, path);
  const present = placeOf(t.tables, path);
  if (!present.ok && present.code !== 'NOT_FOUND') return present;
  if (present.ok && (present.value === undefined || present.value.found !== undefined)) return exists(path);
  const place = placeOf(t.tables, path, (...at) => makeDirectory(t, ...at));
  if (!place.ok) return place;
  takeOut(t, item);
  link(t, mustBe(place.value, 'a place', inode), item.dirent);
  return ok({ path });
}

/** Removes for good; what is below a directory is collected afterwards. */
export function emptyTrash(
  t: Transition,
  { inode, before, limit }: CommandOf<'emptyTrash'>,
): Result<{ readonly removed: number; readonly more: boolean }> {
  const one = inode === undefined ? undefined : itemOf(t.tables, inode);
  if (inode !== undefined && one === undefined) return notThere(inode);
  const items = one === undefined ? trashed(t.tables, '', limit) : [one];
  const due = items.filter(({ removedAt }) => one !== undefined || removedAt < before);
  for (const item of due) {
    takeOut(t, item);
    discard(t, item.dirent.inode);
  }
  return ok({ removed: due.length, more: one === undefined && due.length === limit });
}

function takeOut(t: Transition, { key, dirent }: TrashedItem): void {
  unlink(t, { parent: trashInode, name: key });
  t.tables.store.delete(keys.trashedKey(dirent.inode));
}

function itemOf(tables: Tables, inode: InodeId): TrashedItem | undefined {
  const bytes = tables.store.get(keys.trashedKey(inode));
  const found = bytes === undefined ? undefined : tables.inode(inode);
  if (bytes === undefined || found === undefined) return undefined;
  return { key: found.name, dirent: { inode, kind: found.kind }, ...decodeTrashed(bytes) };
}

function notThere(inode: InodeId): Refused {
  return refused('NOT_FOUND', `${inode} is not in the trash; look at \`cairn trash ls\``);
}
