/** How files and trees leave the tables: short files at once, everything else cut off in one step and reaped in bounded ones. */
import type { ChunkHandle, InodeId } from '../../../core/base/brand.ts';
import { ok, type Result } from '../../../core/base/result.ts';
import { type CommandOf, inlineChunksMax, type ReapResult } from './commands.ts';
import { layOutStep } from './copies.ts';
import { copiesOf, endCopy, marksOf, putCopy, unmark } from './copy-links.ts';
import { afterAll } from './keys.ts';
import type { FileInode } from './records.ts';
import { unshare } from './sharing.ts';
import { listOf, mustBe } from './tables.ts';
import type { Transition } from './transition.ts';

/** Removes an inode that no entry leads to any more; the chunks of a long one stay for `reap`. */
export function discardFile(t: Transition, id: InodeId, file: FileInode): number {
  const chunks = Math.min(file.chunkCount, inlineChunksMax);
  discardChunks(t, id, file);
  t.tables.deleteInode(id);
  t.tables.counters.files -= 1;
  return 1 + chunks;
}

/** True if the chunks are gone; false if their list was detached: the file must not use that list again. */
export function discardChunks(t: Transition, id: InodeId, file: FileInode): boolean {
  const list = listOf(id, file);
  if (file.chunkCount <= inlineChunksMax) {
    for (const { index, handle } of t.tables.handlesFrom(id, file, 0, inlineChunksMax)) {
      if (index > 0) t.tables.deleteListed(list, index);
      discardChunk(t, handle, id);
    }
    return true;
  }
  if (file.firstHandle !== 0) t.tables.putListed(list, 0, file.firstHandle as ChunkHandle);
  cutOff(t, list, id);
  return false;
}

/** The chunks that are listed there are the file's no longer, and are collected later. */
export function cutOff(t: Transition, list: number, file: InodeId): void {
  t.tables.detach(list as InodeId, { kind: 'chunks', file });
  t.chunksCutOff(file);
}

/** A copy that is being laid out, or what one is laid out from. */
export function isCopied(t: Transition, container: number): boolean {
  if (t.tables.counters.copies === 0) return false;
  return t.tables.copyOf(container) !== undefined || copiesOf(t.tables, container).length > 0;
}

/** `file` has this chunk no longer. */
export function discardChunk(t: Transition, handle: ChunkHandle, file: InodeId): void {
  const chunk = mustBe(t.tables.chunk(handle), 'a chunk', handle);
  if (chunk.refs > 1) {
    unshare(t.tables, handle, chunk, file);
    return;
  }
  t.chunkRemoved(handle, chunk);
  t.tables.deleteChunk(handle, chunk);
}

/** Collects up to about `limit` entries and chunks of what is detached. */
export function reap(t: Transition, command: CommandOf<'reap'>): Result<ReapResult> {
  let budget = command.limit;
  while (budget > 0) {
    const item = t.tables.firstDetached();
    if (item === undefined) break;
    const freeing = freeCopies(t, item.id, budget);
    if (freeing > 0) budget -= freeing;
    else budget -= item.kind === 'tree' ? reapTree(t, item.id, budget) : reapChunks(t, item.id, item.file, budget);
  }
  return ok({ more: t.tables.firstDetached() !== undefined });
}

/**
 * What is to go gives its copies what they have not got yet, and is itself no copy any more.
 * @returns what it cost; 0 when nothing was to be done
 */
function freeCopies(t: Transition, id: InodeId, budget: number): number {
  if (!isCopied(t, id)) return 0;
  const [copy] = copiesOf(t.tables, id);
  if (copy !== undefined) return layOutStep(t, copy, budget);
  const link = mustBe(t.tables.copyOf(id), 'a copy', id);
  const marks = marksOf(t.tables, id, link, budget);
  for (const at of marks) unmark(t.tables, id, at);
  if (marks.length < budget) endCopy(t.tables, id, link);
  else putCopy(t.tables, id, { ...link, cursor: afterAll }); // nothing is given to it any more
  return marks.length + 1;
}

function reapTree(t: Transition, id: InodeId, budget: number): number {
  const entries = t.tables.dirents(id, '', budget);
  let spent = 1;
  for (const { name, dirent } of entries) {
    t.tables.deleteDirent(id, name);
    if (dirent.kind === 'directory') t.tables.detach(dirent.inode, { kind: 'tree' });
    else {
      const file = mustBe(t.tables.inode(dirent.inode), 'a file', dirent.inode);
      spent += discardFile(t, dirent.inode, mustBe(file.kind === 'file' ? file : undefined, 'a file', dirent.inode));
    }
    spent += 1;
    if (spent >= budget) return spent;
  }
  t.tables.deleteInode(id);
  t.tables.deleteDetached(id);
  t.tables.counters.directories -= 1;
  return spent;
}

function reapChunks(t: Transition, list: InodeId, file: InodeId, budget: number): number {
  const chunks = t.tables.listFrom(list, budget);
  for (const { index, handle } of chunks) {
    t.tables.deleteListed(list, index);
    discardChunk(t, handle, file);
  }
  if (chunks.length < budget) t.tables.deleteDetached(list);
  return chunks.length + 1;
}
