/** The command `fileSnapshot` (GFS §3.4): a copy of a file or tree at one point of the log, writable, laid out afterwards. */
import type { InodeId } from '../../../core/base/brand.ts';
import { ok, type Refused, type Result, refused } from '../../../core/base/result.ts';
import { show } from '../../../core/protocol/paths.ts';
import type { CommandOf, MadeResult } from './commands.ts';
import { copyInode, settlePath } from './copies.ts';
import { copiesOf, copyDepth } from './copy-links.ts';
import { encodeInode } from './records.ts';
import { directory, exists, notFound, placeOf } from './resolve.ts';
import { listOf, mustBe } from './tables.ts';
import type { Transition } from './transition.ts';

/** Copies of one directory that may be under way at one time, and copies of copies. */
export const copiesUnderWayMax = 8;

export function fileSnapshot(t: Transition, { from, to }: CommandOf<'fileSnapshot'>): Result<MadeResult> {
  settlePath(t, from);
  settlePath(t, to);
  const source = placeOf(t.tables, from);
  if (!source.ok) return source;
  const target = placeOf(t.tables, to);
  if (!target.ok) return target;
  if (source.value === undefined) return intoItself(from, to);
  if (source.value.found === undefined) return notFound(from);
  if (target.value === undefined || target.value.found !== undefined) return exists(to);
  const { inode } = source.value.found;
  if (target.value.ancestors.includes(inode)) return intoItself(from, to);
  const laidOut = containerOf(t, inode);
  if (copiesOf(t.tables, laidOut).length >= copiesUnderWayMax || copyDepth(t.tables, laidOut) >= copiesUnderWayMax)
    return refused(
      'BUSY',
      `${show(from)}: ${copiesUnderWayMax} snapshots of it are still being laid out; try again later`,
    );
  const { parent, name } = target.value;
  const copy = copyInode(t, inode, { parent, name });
  const above = directory(t.tables, parent);
  t.tables.countEntries(parent, above, 1, t.now);
  return ok({ inode: copy.inode, record: encodeInode(mustBe(t.tables.inode(copy.inode), 'an inode', copy.inode)) });
}

/** A directory, or the list of a file's chunks. */
function containerOf({ tables }: Transition, inode: InodeId): number {
  const source = mustBe(tables.inode(inode), 'an inode', inode);
  return source.kind === 'file' ? listOf(inode, source) : inode;
}

function intoItself(from: string, to: string): Refused {
  return refused(
    'INTO_ITSELF',
    `${show(to)}: is inside ${show(from)}, of which it is to be a copy; choose a place outside`,
  );
}
