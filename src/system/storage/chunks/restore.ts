/**
 * The second pass at start: makes the files agree with what the metadata and the journal say, and says where they do not. What
 * is not believed is reported, never invented: a chunk without its file is lost, a file without its chunk is recycled.
 */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { DiskFile } from '../../../core/base/env.ts';
import { toCairnError } from '../../../core/base/errors.ts';
import { blockBytes } from '../chunk-store.ts';
import type { ChunkBytes } from './chunk-files.ts';
import { blockCount, type ChunkState } from './chunk-state.ts';
import { handleOfName } from './layout.ts';
import { reportBadBlocks, reportLost, type StoreParts } from './parts.ts';
import type { Recovered, Replay } from './replayer.ts';
import { slotBytesOf, slotMaxBytes } from './slabs.ts';

export async function restoreFiles(parts: StoreParts, replay: Replay, damaged: readonly ChunkHandle[]): Promise<void> {
  const { table } = parts.metadata;
  parts.files.slabs.take(table.slots());
  const orphans = await scan(parts, replay);
  const lost = new Map<ChunkHandle, string>();
  // What was removed since, and perhaps made anew, does not need it.
  for (const handle of damaged) if (!replay.removed.has(handle)) lost.set(handle, 'its metadata is damaged');
  for (const handle of replay.incomplete) lost.set(handle, 'the journal changes it, but it is not in the metadata');
  for (const handle of table.handles() as Iterable<number> as Iterable<ChunkHandle>) {
    if (table.isMarked(handle) || replay.chunks.has(handle) || parts.cache.info(handle)!.lengthBytes === 0) continue;
    const slot = table.slot(handle);
    if (slot === undefined || !parts.files.slabs.has(slot)) lost.set(handle, 'its file is missing');
  }
  await restoreChunks(parts, replay, lost);
  await forgetLost(parts, lost);
  // Where metadata was damaged, a file without a chunk, or a slab, may be all that is left of one.
  await clearOrphans(parts, orphans, damaged.length > 0);
  if (damaged.length === 0) await parts.files.slabs.removeSpares();
}

/** Marks the chunks whose own files are there; returns the files of no chunk. */
async function scan(parts: StoreParts, replay: Replay): Promise<string[]> {
  const { table } = parts.metadata;
  // A chunk in a slot that has not changed since never was in the file that was made for it.
  const mayOwn = (handle: ChunkHandle) =>
    table.has(handle) && (table.slot(handle) === undefined || replay.chunks.has(handle));
  const orphans: string[] = [];
  for (const directory of parts.layout.fanOutDirectories()) {
    for (const name of await parts.env.disk.list(directory)) {
      const path = `${directory}/${name}`;
      const handle = handleOfName(name);
      if (handle === undefined || parts.layout.pathOf(handle) !== path) {
        parts.env.events.emit('warn', 'chunk-foreign-file', { path });
      } else if (mayOwn(handle)) table.mark(handle);
      else orphans.push(path);
    }
  }
  return orphans;
}

async function restoreChunks(parts: StoreParts, replay: Replay, lost: ReadonlyMap<ChunkHandle, string>): Promise<void> {
  // Bulk data is only looked at, and every read looks again: a bound keeps the start short.
  const budget = { bytes: parts.options.verifyAtStartBytes };
  let redone = 0;
  for (const [handle, recovered] of replay.chunks) {
    const { lengthBytes } = recovered.state;
    if (lost.has(handle) || lengthBytes === 0) continue;
    dropLostSlot(parts, recovered.state);
    const isSmall = !parts.metadata.table.isMarked(handle) && lengthBytes <= slotMaxBytes;
    redone += isSmall ? await restoreSmall(parts, recovered) : await restoreInFile(parts, recovered, budget);
  }
  if (replay.chunks.size > 0) {
    parts.env.events.emit('info', 'chunk-journal-replayed', { chunks: replay.chunks.size, blocksRedone: redone });
  }
}

/**
 * All of it is in the journal, on top of what was in its slot at the last checkpoint.
 * @returns the number of blocks that were written again.
 */
async function restoreSmall(parts: StoreParts, { state, redo }: Recovered): Promise<number> {
  const { files, env } = parts;
  const bytes = inSlot(parts, state) ?? new Uint8Array(slotMaxBytes);
  const content = bytes.subarray(0, state.lengthBytes);
  const expected = state.checksumOf(0);
  const { slot } = state;
  // One that has outgrown its slot by zeros alone is right in it, and has no room there all the same.
  if (slot !== undefined && state.lengthBytes <= slotBytesOf(slot) && env.crc32(content) === expected) {
    files.slabs.written(slot);
    await writeAgain(parts, files.existing(state), 0, content, redo.writtenIn(0));
    return 0;
  }
  redo.applyTo(0, content);
  const isWritten = await write(parts, () => files.obtain(state, state.lengthBytes).writeNow(0, [content]));
  if (isWritten && env.crc32(content) === expected) return 1;
  reportBadBlocks(parts, state, [0]);
  return 0;
}

/** Its slab is gone: what the journal does not bring back is bad. */
function dropLostSlot({ files }: StoreParts, state: ChunkState): void {
  if (state.slot !== undefined && !files.slabs.has(state.slot)) state.slot = undefined;
}

/** What a chunk's slot holds, and zeros behind it; undefined when it has none. */
function inSlot({ files }: StoreParts, state: ChunkState): Uint8Array | undefined {
  if (state.slot === undefined) return undefined;
  const bytes = new Uint8Array(slotMaxBytes);
  files.existing(state).readNow(0, bytes);
  return bytes;
}

/** @returns the number of blocks that were written again. */
async function restoreInFile(
  parts: StoreParts,
  { state, redo }: Recovered,
  budget: { bytes: number },
): Promise<number> {
  const { files, metadata } = parts;
  const isThere = metadata.table.isMarked(state.handle);
  const count = blockCount(state.lengthBytes);
  const base = inSlot(parts, state);
  const blocks = new Set(
    isThere ? redo.touched(state.lengthBytes) : Array.from({ length: count }, (_, block) => block),
  );
  // It has moved out of its slot since the checkpoint: what was copied then may be lost.
  if (base !== undefined) blocks.add(0);
  // A name that was not synced may be lost though the journal is not: what redo does not bring back is bad.
  if (!isThere) files.obtain(state, Math.max(state.lengthBytes, slotMaxBytes + 1));
  files.found(state);
  const bad: number[] = [];
  let redone = 0;
  await files.hold(state, async (file) => {
    const into = new Uint8Array(blockBytes);
    for (const block of blocks) {
      if (isThere && !redo.has(block)) {
        if (budget.bytes <= 0) continue;
        budget.bytes -= blockBytes;
      }
      const outcome = await restoreBlock(parts, state, block, redo, file, into, block === 0 ? base : undefined);
      if (outcome === 'bad') bad.push(block);
      if (outcome === 'redone') redone++;
    }
  });
  reportBadBlocks(parts, state, bad);
  return redone;
}

/** @param base what the block was at the last checkpoint, if that is not in the file. */
async function restoreBlock(
  parts: StoreParts,
  state: ChunkState,
  block: number,
  redo: Recovered['redo'],
  file: DiskFile,
  into: Uint8Array,
  base: Uint8Array | undefined,
): Promise<'sound' | 'redone' | 'bad'> {
  const { crc32 } = parts.env;
  const bytes = into.subarray(0, state.bytesIn(block));
  const got = file.readNow(block * blockBytes, bytes);
  const expected = state.checksumOf(block);
  if (got === bytes.length && crc32(bytes) === expected) {
    await writeAgain(
      parts,
      file,
      block,
      bytes,
      base === undefined ? redo.writtenIn(block) : { from: 0, to: bytes.length },
    );
    return 'sound';
  }
  if (base !== undefined) bytes.set(base.subarray(0, bytes.length));
  else bytes.fill(0, got);
  const isRedone = redo.applyTo(block, bytes) || base !== undefined;
  if (!isRedone || crc32(bytes) !== expected) return 'bad';
  return (await write(parts, () => file.writeNow(block * blockBytes, [bytes]))) ? 'redone' : 'bad';
}

/**
 * The block is right, but perhaps in the page cache only, where it looks clean if a sync of it has failed: nothing would write it before the
 * next checkpoint lets go of the journal, or a change is called durable that follows bulk data. What cannot be written now is right as long as
 * it is there.
 */
async function writeAgain(
  parts: StoreParts,
  file: ChunkBytes,
  block: number,
  bytes: Uint8Array,
  range: { readonly from: number; readonly to: number } | undefined,
): Promise<void> {
  if (range === undefined) return;
  const again = bytes.subarray(range.from, range.to);
  if (again.length > 0) await write(parts, () => file.writeNow(block * blockBytes + range.from, [again]));
}

/** A spot of the disk that takes no writes costs its block; a disk without room would cost more than that: it gets what the pool has. */
async function write(parts: StoreParts, run: () => void): Promise<boolean> {
  try {
    run();
    return true;
  } catch (thrown) {
    const { code } = toCairnError(thrown);
    if (code === 'DISK_FAILED') return false;
    const { pool } = parts.files;
    if (code !== 'DISK_FULL' || pool.isEmpty) throw thrown;
    await pool.drain();
    return write(parts, run);
  }
}

/** Takes lost chunks off the books, durably, so that a later one of the same handle inherits nothing. */
async function forgetLost(parts: StoreParts, lost: ReadonlyMap<ChunkHandle, string>): Promise<void> {
  if (lost.size === 0) return;
  const { written, done } = await parts.journal.append(
    [...lost.keys()].map((handle) => ({ kind: 'removed', handle })),
    true,
  );
  await written;
  done();
  for (const [handle, why] of lost) {
    const state = parts.metadata.table.has(handle) ? parts.cache.get(handle) : undefined;
    if (state !== undefined) parts.cache.remove(state);
    parts.removed.add(handle);
    reportLost(parts, handle, why);
  }
}

async function clearOrphans(parts: StoreParts, orphans: readonly string[], mayHoldData: boolean): Promise<void> {
  if (orphans.length === 0) return;
  const { env, layout, files } = parts;
  if (mayHoldData) await env.disk.makeDirectory(layout.quarantine);
  for (const path of orphans) {
    if (mayHoldData) {
      await env.disk.rename(path, `${layout.quarantine}/${path.slice(path.lastIndexOf('/') + 1)}`);
      continue;
    }
    const file = await env.disk.open(path, 'read');
    const bytes = file.size();
    await file.close();
    await files.pool.put(path, bytes);
  }
  const name = mayHoldData ? 'chunk-orphans-quarantined' : 'chunk-orphans-recycled';
  env.events.emit(mayHoldData ? 'error' : 'info', name, { files: orphans.length, first: orphans[0] });
}
