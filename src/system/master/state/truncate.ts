/** Makes a file shorter by whole chunks; what is cut off the last one that stays is its primary's to do. */
import type { ChunkHandle, InodeId } from '../../../core/base/brand.ts';
import { ok, type Result, refused } from '../../../core/base/result.ts';
import { type CommandOf, inlineChunksMax, type MadeResult } from './commands.ts';
import { settleFile } from './copies.ts';
import { cutOff, discardChunk, discardChunks, isCopied } from './discard.ts';
import { encodeInode, type FileInode } from './records.ts';
import { listOf } from './tables.ts';
import type { Transition } from './transition.ts';

/** Takes the chunks from index `chunkCount` on off a file; a file that has no more stays as it is. */
export function truncate(t: Transition, { inode, chunkCount }: CommandOf<'truncate'>): Result<MadeResult> {
  const file = t.tables.inode(inode);
  if (file === undefined)
    return refused('STALE_HANDLE', `inode ${inode} does not exist any more; open the file by its path again`);
  if (file.kind === 'directory') return refused('IS_A_DIRECTORY', `inode ${inode} is a directory; name a file`);
  if (chunkCount >= file.chunkCount) return ok({ inode, record: encodeInode(file) });
  settleFile(t, inode, 0);
  if (chunkCount > 0 && isCopied(t, listOf(inode, file)))
    return refused('BUSY', `inode ${inode} is in a snapshot that is still being laid out; try again later`);
  const shorter = chunkCount === 0 ? emptyFile(t, inode, file) : withoutTail(t, inode, file, chunkCount);
  return ok({ inode, record: t.tables.putInode(inode, shorter) });
}

export function emptyFile(t: Transition, inode: InodeId, file: FileInode): FileInode {
  const list = discardChunks(t, inode, file) ? file.list : t.tables.takeInodeId();
  return { ...file, modifiedAt: t.now, chunkCount: 0, firstHandle: 0, list };
}

function withoutTail(t: Transition, inode: InodeId, file: FileInode, chunkCount: number): FileInode {
  const dropped = t.tables.handlesFrom(inode, file, chunkCount, file.chunkCount);
  const shorter = { ...file, modifiedAt: t.now, chunkCount: countUpTo(t, inode, file, chunkCount) };
  if (dropped.length > inlineChunksMax) return { ...shorter, list: splitList(t, inode, file, chunkCount, dropped) };
  for (const { index, handle } of dropped) {
    t.tables.deleteListed(listOf(inode, file), index);
    discardChunk(t, handle, inode);
  }
  return shorter;
}

/** A file ends with a chunk: holes at its new end are not kept. */
function countUpTo({ tables }: Transition, inode: InodeId, file: FileInode, chunkCount: number): number {
  const last = tables.lastBefore(inode, file, chunkCount);
  return last === undefined ? 0 : last + 1;
}

interface Listed {
  readonly index: number;
  readonly handle: ChunkHandle;
}

/** Puts what stays and what goes into two lists, moving whichever is less. @returns the list of what stays, as an inode names it. */
function splitList(
  t: Transition,
  inode: InodeId,
  file: FileInode,
  chunkCount: number,
  dropped: readonly Listed[],
): number {
  const { tables } = t;
  const present = listOf(inode, file);
  const kept = tables.handlesFrom(inode, file, 1, dropped.length).filter(({ index }) => index < chunkCount);
  const other = tables.takeInodeId();
  const moved = kept.length < dropped.length ? kept : dropped;
  for (const { index, handle } of moved) {
    tables.deleteListed(present, index);
    tables.putListed(other, index, handle);
  }
  cutOff(t, moved === kept ? present : other, inode);
  return moved === kept ? other : file.list;
}
