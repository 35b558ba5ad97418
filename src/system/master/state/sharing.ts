/**
 * Chunks that several files have, after a file snapshot (GFS §3.4). One of the files stands in the chunk's record, the others are listed by it;
 * whoever goes leaves the chunk to the others. A shared chunk is sealed, and is never mutated: it is copied first.
 */

import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle, InodeId } from '../../../core/base/brand.ts';
import * as keys from './keys.ts';
import type { ChunkRecord } from './records.ts';
import type { Tables } from './tables.ts';

const nothing = new Uint8Array(0);

/** `file` gets this chunk too. */
export function share(tables: Tables, handle: ChunkHandle, chunk: ChunkRecord, file: InodeId): void {
  assert(chunk.inode !== file, 'a file shares a chunk with others, not with itself', { handle, file });
  tables.store.put(keys.sharerKey(handle, file), nothing);
  tables.putChunk(handle, { ...chunk, refs: chunk.refs + 1 }, chunk);
}

/** `file` has it no longer; others do. */
export function unshare(tables: Tables, handle: ChunkHandle, chunk: ChunkRecord, file: InodeId): void {
  const leaves = chunk.inode === file ? firstSharer(tables, handle) : file;
  tables.store.delete(keys.sharerKey(handle, leaves));
  const inode = chunk.inode === file ? leaves : chunk.inode;
  tables.putChunk(handle, { ...chunk, inode, refs: chunk.refs - 1 }, chunk);
}

/** Up to `limit` files that have this chunk besides the one in its record. */
export function sharersOf(tables: Tables, handle: ChunkHandle, limit: number): InodeId[] {
  const { from, to } = keys.sharerRange(handle);
  const sharers: InodeId[] = [];
  for (const [key] of tables.store.scan(from, to)) {
    sharers.push(keys.sharerOfKey(key));
    if (sharers.length === limit) break;
  }
  return sharers;
}

function firstSharer(tables: Tables, handle: ChunkHandle): InodeId {
  const [first] = sharersOf(tables, handle, 1);
  assert(first !== undefined, 'a chunk with more than one file lists the others', { handle });
  return first;
}
