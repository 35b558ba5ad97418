/**
 * Commands on the tree (GFS §4.1, with inodes instead of a table of full paths, so that a rename is one change whatever lies below).
 * Each checks everything before it changes anything.
 */
import type { InodeId } from '../../../core/base/brand.ts';
import { ok, type Refused, type Result, refused } from '../../../core/base/result.ts';
import { show } from '../../../core/protocol/paths.ts';
import { nothingAsked, type SettingsAsked } from '../../../core/protocol/types.ts';
import { newChunk } from './chunks.ts';
import type { CommandOf, MadeResult, OpenResult } from './commands.ts';
import { settlePath } from './copies.ts';
import { discardFile } from './discard.ts';
import { type Dirent, encodeInode, type FileInode, type Inode } from './records.ts';
import { directory, exists, notFound, type Place, placeOf } from './resolve.ts';
import { checkAsked, settingsFrom } from './settings.ts';
import { mustBe, rootInode } from './tables.ts';
import type { Transition } from './transition.ts';
import { emptyFile } from './truncate.ts';

// ---------------------------------------------------------------- making

export function openForWrite(t: Transition, command: CommandOf<'openForWrite'>): Result<OpenResult> {
  settlePath(t, command.path);
  const wrong = checkAsked(t.tables, command.path, command);
  if (wrong !== undefined) return wrong;
  const makes = command.create !== 'never';
  const place = placeOf(
    t.tables,
    command.path,
    makes && command.parents ? (...at) => makeDirectory(t, ...at) : undefined,
  );
  if (!place.ok) return place;
  const { found } = place.value ?? { found: { kind: 'directory' as const } };
  if (place.value === undefined || found?.kind === 'directory')
    return refused('IS_A_DIRECTORY', `${show(command.path)}: is a directory; name a file`);
  if (place.value.found === undefined) return makes ? createFile(t, place.value, command) : notFound(command.path);
  if (command.create === 'exclusive') return exists(command.path);
  const inode = place.value.found.inode;
  const file = fileOf(t, inode);
  const emptied = command.truncate && file.chunkCount > 0 ? emptyFile(t, inode, file) : file;
  if (emptied === file && (file.chunkCount > 0 || command.placement.length === 0))
    return ok({ inode, record: encodeInode(file), created: false, grant: undefined });
  return ok({ inode, created: false, ...withFirstChunk(t, inode, emptied, command.placement) });
}

function createFile(t: Transition, place: Place, command: CommandOf<'openForWrite'>): Result<OpenResult> {
  const { tables, now } = t;
  const parent = directory(tables, place.parent);
  const inode = tables.takeInodeId();
  tables.counters.files += 1;
  tables.putDirent(place.parent, place.name, { inode, kind: 'file' });
  tables.countEntries(place.parent, parent, 1, now);
  const { replication, chunkBytes, durability, mode, minReplicas } = settingsFrom(parent, command);
  // Field by field, as records are read: millions are made, and to spread one into another costs as much as to store it.
  const file = {
    kind: 'file',
    createdAt: now,
    modifiedAt: now,
    replication,
    chunkBytes,
    durability,
    mode,
    minReplicas,
    parent: place.parent,
    name: place.name,
    chunkCount: 0,
    firstHandle: 0,
    list: 0,
  } as const;
  const { record, grant } = withFirstChunk(t, inode, file, command.placement);
  return ok({ inode, record, created: true, grant });
}

function withFirstChunk(
  t: Transition,
  inode: InodeId,
  file: FileInode,
  placement: CommandOf<'openForWrite'>['placement'],
) {
  if (placement.length === 0) return { record: t.tables.putInode(inode, file), grant: undefined };
  const made = newChunk(t, inode, file, 0, placement);
  return { record: t.tables.putInode(inode, made.file), grant: made.grant };
}

export function mkdir(t: Transition, command: CommandOf<'mkdir'>): Result<MadeResult> {
  settlePath(t, command.path);
  const wrong = checkAsked(t.tables, command.path, command);
  if (wrong !== undefined) return wrong;
  const place = placeOf(t.tables, command.path, command.parents ? (...at) => makeDirectory(t, ...at) : undefined);
  if (!place.ok) return place;
  const there = place.value === undefined ? ({ inode: rootInode, kind: 'directory' } as const) : place.value.found;
  if (there === undefined) {
    const inode = makeDirectory(t, place.value!.parent, place.value!.name, command);
    return ok({ inode, record: encodeInode(directory(t.tables, inode)) });
  }
  if (!command.parents || there.kind !== 'directory') return exists(command.path);
  return ok({ inode: there.inode, record: encodeInode(directory(t.tables, there.inode)) });
}

export function makeDirectory(
  t: Transition,
  parent: InodeId,
  name: string,
  asked: SettingsAsked = nothingAsked,
): InodeId {
  const { tables, now } = t;
  const above = directory(tables, parent);
  const inode = tables.takeInodeId();
  tables.counters.directories += 1;
  tables.putDirent(parent, name, { inode, kind: 'directory' });
  tables.countEntries(parent, above, 1, now);
  const settings = settingsFrom(above, asked);
  const times = { createdAt: now, modifiedAt: now };
  tables.putInode(inode, { kind: 'directory', ...times, ...settings, parent, name, entries: 0 });
  return inode;
}

// ---------------------------------------------------------------- removing

/** A directory with content is only cut off here; `reap` collects it. */
export function remove(t: Transition, command: CommandOf<'remove'>): Result<Record<never, never>> {
  const place = removable(t, command);
  if (!place.ok) return place;
  unlink(t, place.value);
  discard(t, mustBe(place.value.found, 'an entry', 0).inode);
  return ok({});
}

/** What may be removed so; it is there. */
export function removable(
  t: Transition,
  { path, recursive }: { readonly path: string; readonly recursive: boolean },
): Result<Place> {
  settlePath(t, path);
  const place = placeOf(t.tables, path);
  if (!place.ok) return place;
  if (place.value === undefined)
    return refused('INVALID_ARGUMENT', '/: the root cannot be removed; name what is in it');
  const { found } = place.value;
  if (found === undefined) return notFound(path);
  if (found.kind === 'directory' && !recursive && directory(t.tables, found.inode).entries > 0) return notEmpty(path);
  return ok(place.value);
}

/** Takes the entry out of its directory. */
export function unlink(t: Transition, place: Pick<Place, 'parent' | 'name'>): void {
  const parent = directory(t.tables, place.parent);
  t.tables.deleteDirent(place.parent, place.name);
  t.tables.countEntries(place.parent, parent, -1, t.now);
}

/** An inode to which no entry leads any more. */
export function discard(t: Transition, inode: InodeId): void {
  const what = mustBe(t.tables.inode(inode), 'an inode', inode);
  if (what.kind === 'file') discardFile(t, inode, what);
  else if (what.entries > 0) t.tables.detach(inode, { kind: 'tree' });
  else {
    t.tables.deleteInode(inode);
    t.tables.counters.directories -= 1;
  }
}

// ---------------------------------------------------------------- renaming

/** As rename(2); without `replace` as its RENAME_NOREPLACE. */
export function rename(t: Transition, command: CommandOf<'rename'>): Result<Record<never, never>> {
  settlePath(t, command.from);
  settlePath(t, command.to);
  const from = placeOf(t.tables, command.from);
  if (!from.ok) return from;
  const to = placeOf(t.tables, command.to);
  if (!to.ok) return to;
  if (from.value === undefined) return refused('INVALID_ARGUMENT', '/: the root cannot be renamed; name what is in it');
  if (from.value.found === undefined) return notFound(command.from);
  if (to.value === undefined) return command.replace ? notEmpty(command.to) : exists(command.to);
  const wrong = checkRename(t, command, from.value, to.value);
  if (wrong !== undefined) return wrong;
  if (to.value.found?.inode === from.value.found.inode) return ok({});
  unlink(t, from.value);
  if (to.value.found !== undefined) {
    unlink(t, to.value);
    discard(t, to.value.found.inode);
  }
  link(t, to.value, from.value.found);
  return ok({});
}

/** Puts what has no entry just now where none is. */
export function link(t: Transition, { parent, name }: Pick<Place, 'parent' | 'name'>, { inode, kind }: Dirent): void {
  const above = directory(t.tables, parent);
  const moved = mustBe(t.tables.inode(inode), 'an inode', inode);
  t.tables.putDirent(parent, name, { inode, kind });
  t.tables.putInode(inode, { ...moved, parent, name });
  t.tables.countEntries(parent, above, 1, t.now);
}

function checkRename(t: Transition, command: CommandOf<'rename'>, from: Place, to: Place): Refused | undefined {
  const moved = mustBe(from.found, 'an entry', 0);
  if (moved.kind === 'directory' && to.ancestors.includes(moved.inode))
    return refused(
      'INTO_ITSELF',
      `${show(command.to)}: is inside ${show(command.from)}, which is to move there; choose a place outside`,
    );
  if (to.found === undefined) return undefined;
  if (!command.replace) return exists(command.to);
  if (to.found.inode === moved.inode) return undefined;
  const target: Inode = mustBe(t.tables.inode(to.found.inode), 'an inode', to.found.inode);
  if (target.kind === 'directory') {
    if (moved.kind === 'file')
      return refused('IS_A_DIRECTORY', `${show(command.to)}: is a directory; a file cannot replace it`);
    return target.entries > 0 ? notEmpty(command.to) : undefined;
  }
  return moved.kind === 'directory'
    ? refused('NOT_A_DIRECTORY', `${show(command.to)}: is a file; a directory cannot replace it`)
    : undefined;
}

// ---------------------------------------------------------------- refusals

function fileOf(t: Transition, id: InodeId): FileInode {
  const inode = mustBe(t.tables.inode(id), 'a file', id);
  return mustBe(inode.kind === 'file' ? inode : undefined, 'a file', id);
}
function notEmpty(path: string): Refused {
  return refused('NOT_EMPTY', `${show(path)}: the directory is not empty; remove what is in it first, or all with -r`);
}
