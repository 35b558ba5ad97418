/** The metadata log over many checkpoints: cleaned in short turns, and exact whatever becomes of the segments that were cleaned. */
import { expect, test } from 'vitest';
import { CairnError } from '../../../core/base/errors.ts';
import type { BadBlocksReport, ChunkStore, ChunkStoreOptions } from '../chunk-store.ts';
import { MemoryDisk, testEnv } from '../memory-disk.test-support.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

/** Checkpoints come when a store is closed, and else never. */
const options: ChunkStoreOptions = {
  ...smallOptions,
  checkpointJournalBytes: 2 ** 30,
  checkpointBulkBytes: 2 ** 30,
  checkpointChunks: 2 ** 30,
};
const firstSegment = 'store/metadata/0000000000000001';

interface Opened {
  readonly store: ChunkStore;
  /** How often others had their turn. */
  readonly turns: () => number;
  readonly reports: BadBlocksReport[];
}

async function open(disk: MemoryDisk, more: Partial<ChunkStoreOptions> = {}): Promise<Opened> {
  const env = testEnv(disk);
  const { soon } = env.clock;
  let turns = 0;
  env.clock.soon = (run) => {
    turns += 1;
    soon(run);
  };
  const reports: BadBlocksReport[] = [];
  const badBlocks = (report: BadBlocksReport) => void reports.push(report);
  return { store: await openChunkStore(env, { ...options, badBlocks, ...more }), turns: () => turns, reports };
}

async function make(store: ChunkStore, handles: Iterable<number>): Promise<void> {
  for (const n of handles) {
    store.create(h(n), v(1));
    await store.apply([mutation(n, 0, pattern(100, n))]);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Writes over these, and has a checkpoint of it. */
async function written(disk: MemoryDisk, handles: readonly number[], serial: number): Promise<void> {
  const { store } = await open(disk);
  for (const n of handles) await store.apply([mutation(n, 0, pattern(100, n), { serial })]);
  await store.close();
}

const has = (disk: MemoryDisk, path: string) => disk.exists(path);

test('a segment that was cleaned, and has its name again, brings nothing back: neither what was removed since nor its slot', async () => {
  const disk = new MemoryDisk();
  const { store } = await open(disk);
  await make(store, range(1, 60));
  await store.close();
  const segment = disk.bytesOf(firstSegment).slice();
  let serial = 2;
  const others = range(20, 60);
  while (disk.bytesOf(firstSegment).length < options.metadataSegmentBytes!) await written(disk, others, serial++);
  const second = (await open(disk)).store;
  await second.remove(h(5));
  await second.close(); // the mark of the removal is in the second segment
  await make((await open(disk)).store, [100]); // which gets the slot
  const third = await open(disk);
  await third.store.close();
  while (await has(disk, 'store/metadata/0000000000000002')) await written(disk, others, serial++);
  expect(await has(disk, firstSegment)).toBe(false);
  disk.openNow(firstSegment, 'create').writeNow(0, [segment]);
  for (let start = 0; start < 2; start++) {
    const found = await open(disk);
    expect(found.reports).toEqual([]);
    expect(found.store.info(h(5))).toBeUndefined();
    expect(found.store.chunkCount).toBe(59);
    for (const n of [1, 4, 6, 40, 100]) expect(await contentOf(found.store, n)).toEqual(pattern(100, n));
    await found.store.close();
  }
});

test('damage to the head of a record costs its chunk when the segment is cleaned, and none of those behind it', async () => {
  const disk = new MemoryDisk();
  const { store } = await open(disk);
  await make(store, range(1, 60));
  await store.close();
  let serial = 2;
  const others = range(30, 60);
  const run = await open(disk, { checkpointChunks: others.length });
  const segment = disk.bytesOf(firstSegment);
  segment[24 + 4 * 1 + 8]! ^= 1; // a handle, of whatever record is the first
  const damaged = range(1, 30).filter((n) => {
    try {
      run.store.windowOf(h(n));
      return false;
    } catch {
      return true;
    }
  });
  expect(damaged).toEqual([1]);
  for (; await has(disk, firstSegment); serial++) {
    for (const n of others) await run.store.apply([mutation(n, 0, pattern(100, n), { serial })]);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(serial).toBeLessThan(100);
  }
  for (const n of range(2, 60)) expect(await contentOf(run.store, n)).toEqual(pattern(100, n));
  expect(() => run.store.windowOf(h(1))).toThrow(/damaged/);
  await run.store.close();
  const found = await open(disk);
  expect(found.reports).toEqual([{ handle: 1, blocks: 'all' }]);
  for (const n of range(2, 60)) expect(await contentOf(found.store, n)).toEqual(pattern(100, n));
});

test('a checkpoint that cleans much, or has many removals, takes many short turns', async () => {
  const disk = new MemoryDisk();
  const more = { metadataSegmentBytes: 64 * 1024, cachedChunksMax: 100 };
  const { store } = await open(disk, more);
  await make(store, range(1, 1281));
  await store.close();
  const removing = await open(disk, more);
  for (const n of range(1, 641)) await removing.store.remove(h(n));
  const before = removing.turns();
  await removing.store.close();
  expect(removing.turns() - before).toBeGreaterThanOrEqual(10);
  for (let serial = 2; await has(disk, firstSegment); serial++) {
    const cleaning = await open(disk, more);
    await cleaning.store.apply(range(1275, 1281).map((n) => mutation(n, 0, pattern(100, n), { serial })));
    const window = Array.from({ length: 4 }, (_, i) => ({ writer: 2 ** 52, sequence: i, offset: 0, lengthBytes: 1 }));
    for (const n of range(1000, 1274))
      await cleaning.store.apply([mutation(n, 0, pattern(100, n), { serial, window })]);
    const turnsBefore = cleaning.turns();
    await cleaning.store.close();
    // Those that were written again without having changed, once to be copied and once to be found there.
    if (!(await has(disk, firstSegment))) expect(cleaning.turns() - turnsBefore).toBeGreaterThanOrEqual(2 * 5 + 25);
    expect(serial).toBeLessThan(100);
  }
  const found = await open(disk, more);
  for (const n of range(641, 1281)) expect(await contentOf(found.store, n)).toEqual(pattern(100, n));
});

test('a checkpoint comes of removals, too: they are not gathered without a bound', async () => {
  const disk = new MemoryDisk();
  const { store } = await open(disk, { checkpointChunks: 64 });
  await make(store, range(1, 64));
  await store.close();
  const again = await open(disk, { checkpointChunks: 64 });
  const before = disk.bytesOf(firstSegment).length;
  for (const n of range(1, 64)) await again.store.remove(h(n));
  expect(disk.bytesOf(firstSegment).length).toBe(before);
  await make(again.store, [100]);
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(disk.bytesOf(firstSegment).length).toBeGreaterThan(before + 63 * 24);
});

test('a spot of the metadata log that the disk does not give any more costs the chunks whose records are in it, and no checkpoint', async () => {
  const disk = new MemoryDisk();
  let isUnreadable = false;
  const { openNow } = disk;
  disk.openNow = (path, mode) => {
    const file = openNow.call(disk, path, mode);
    const { readNow } = file;
    if (path !== firstSegment) return file;
    file.readNow = (offset, into) => {
      if (isUnreadable && offset < 8192 && offset + into.length > 4096) throw new CairnError('DISK_FAILED', path);
      return readNow.call(file, offset, into);
    };
    file.read = async (offset, into) => file.readNow(offset, into);
    return file;
  };
  const others = range(2, 301).filter((n) => n !== 150 && n !== 151);
  const more = { metadataSegmentBytes: 16 * 1024, checkpointChunks: others.length };
  const { store } = await open(disk, more);
  await make(store, range(1, 301));
  await store.close();
  const run = await open(disk, more);
  for (let serial = 2; await has(disk, firstSegment); serial++) {
    await run.store.apply(others.map((n) => mutation(n, 0, pattern(100, n), { serial })));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (serial === 2) {
      isUnreadable = true;
      expect(() => run.store.windowOf(h(150))).toThrow(expect.objectContaining({ code: 'DISK_CORRUPT' }));
      await run.store.remove(h(151)); // nobody needs its record for that
    }
    expect(serial).toBeLessThan(100);
  }
  expect(run.reports).toEqual([{ handle: 150, blocks: 'all' }]);
  for (const n of [1, ...others]) expect(await contentOf(run.store, n)).toEqual(pattern(100, n));
  await run.store.close();
  const found = await open(disk, more);
  expect(found.reports).toEqual([{ handle: 150, blocks: 'all' }]);
  expect(found.store.chunkCount).toBe(298);
});

test('a start that the disk does not give the metadata to says what to do', async () => {
  const disk = new MemoryDisk();
  const { store } = await open(disk);
  await make(store, [1]);
  await store.close();
  const opened = disk.open;
  disk.open = async (path, mode) => {
    const file = await opened.call(disk, path, mode);
    if (path !== firstSegment) return file;
    file.read = async () => {
      throw new CairnError('DISK_FAILED', `read of ${path} failed: EIO`);
    };
    return file;
  };
  await expect(open(disk)).rejects.toMatchObject({ code: 'DISK_CORRUPT', message: /EIO; empty this/ });
});
