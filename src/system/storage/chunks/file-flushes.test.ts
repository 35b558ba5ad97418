import { expect, test } from 'vitest';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import type { CairnError } from '../../../core/base/errors.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { ChunkStore } from '../chunk-store.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

const pieceBytes = 32 * 1024;
const options = {
  ...smallOptions,
  chunkBytes: 64 * 64 * 1024,
  flushBehindBytes: 4 * pieceBytes,
  checkpointJournalBytes: 4 * 1024 * 1024,
};

/** Piece `n` of a chunk that is made of them. */
function append(store: ChunkStore, n: number, sync = false): Promise<void> {
  return store.apply([mutation(1, n * pieceBytes, pattern(pieceBytes, n), { serial: n + 1, sync })]);
}

/** `how` flushes the files whose paths have `part`, in place of what does it. */
function wrapFlushes({ disk }: Env, part: string, how: (flush: () => Promise<void>) => Promise<void>): void {
  const { openNow } = disk;
  disk.openNow = (path, mode) => {
    const file: DiskFile = openNow.call(disk, path, mode);
    const { sync } = file;
    if (path.includes(part)) file.sync = () => how(() => sync.call(file));
    return file;
  };
}

/** Holds such flushes back until `release` is called. */
function heldFlushes(env: Env, part = 'chunks/'): { release(): void } {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  wrapFlushes(env, part, (flush) => held.then(flush));
  return { release };
}

test('a chunk file is flushed while it is written, and not again before that flush is done', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  let underWay = 0;
  let flushes = 0;
  let most = 0;
  wrapFlushes(env, 'chunks/', async (flush) => {
    flushes += 1;
    most = Math.max(most, ++underWay);
    await flush().finally(() => underWay--);
  });
  const store = await world.settle(openChunkStore(env, options));
  store.create(h(1), v(1));
  for (let n = 0; n < 24; n++) await world.settle(append(store, n));
  expect(most).toBe(1);
  expect(flushes).toBeGreaterThan(2);
  expect(flushes).toBeLessThanOrEqual(6);
  await world.settle(store.close());
});

test('bulk data is flushed while it is written, too, as far as it went through the page cache', async () => {
  for (const isDirect of [false, true]) {
    const world = testWorld(1);
    const { env } = world.node('s');
    let flushes = 0;
    wrapFlushes(env, 'chunks/', (flush) => {
      flushes += 1;
      return flush();
    });
    const { openNow } = env.disk;
    env.disk.openNow = (path, mode) => {
      const file = openNow.call(env.disk, path, mode);
      const { write } = file;
      if (isDirect) file.write = (offset, parts) => write.call(file, offset, parts).then(() => 0);
      return file;
    };
    const bytes = 96 * 1024; // too much to be journalled
    const store = await world.settle(openChunkStore(env, { ...options, flushBehindBytes: 4 * bytes }));
    store.create(h(1), v(1));
    for (let n = 0; n < 24; n++) {
      await world.settle(store.apply([mutation(1, n * bytes, pattern(bytes, n), { serial: n + 1 })]));
    }
    if (isDirect) expect(flushes).toBe(0);
    else expect(flushes).toBeGreaterThan(2);
    expect(flushes).toBeLessThanOrEqual(6);
    await world.settle(store.close());
  }
});

test('when such a flush fails, all changes end, and no checkpoint lets go of the journal that has what the file lacks', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const failures: CairnError[] = [];
    const onFailure = (cause: CairnError) => void failures.push(cause);
    const checkpointJournalBytes = 6 * pieceBytes;
    const store = await world.settle(openChunkStore(node.env, { ...options, onFailure, checkpointJournalBytes }));
    store.create(h(1), v(1));
    node.disk.arm('syncError', (path) => path.includes('chunks/'));
    let held = 0;
    for (; failures.length === 0 && held < 64; held++) {
      const outcome = append(store, held, true).then(
        () => undefined,
        (error: CairnError) => error.code,
      );
      if ((await world.settle(outcome)) !== undefined) break;
    }
    expect(failures.map(({ code }) => code)).toEqual(['DISK_FAILED']);
    expect(held).toBeGreaterThan(3);
    await world.settle(new Promise((resolve) => node.env.clock.after(1000, () => resolve(undefined))));
    node.crash({ loseUnsynced: true });
    node.restart();
    const found = await world.settle(openChunkStore(node.env, options));
    const content = await world.settle(contentOf(found, 1));
    for (let n = 0; n < held; n++) {
      const piece = content.subarray(n * pieceBytes, (n + 1) * pieceBytes);
      expect(Buffer.compare(piece, pattern(pieceBytes, n)), `piece ${n} of ${held}, seed ${seed}`).toBe(0);
    }
  }
});

test('a checkpoint that waits for such a flush does not flush the file again when it has failed: that could succeed without what was lost', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const flushes = heldFlushes(node.env);
    const pieces = 5;
    const store = await world.settle(openChunkStore(node.env, { ...options, checkpointJournalBytes: 4 * pieceBytes }));
    store.create(h(1), v(1));
    for (let n = 0; n < pieces; n++) await world.settle(append(store, n, true));
    await world.run(200); // the checkpoint has come to the file
    node.disk.arm('syncError', (path) => path.includes('chunks/'));
    flushes.release();
    await world.run(1000);
    expect(store.hasFailed).toBe(true);
    node.crash({ loseUnsynced: true });
    node.restart();
    const found = await world.settle(openChunkStore(node.env, options));
    const content = await world.settle(contentOf(found, 1));
    for (let n = 0; n < pieces; n++) {
      const piece = content.subarray(n * pieceBytes, (n + 1) * pieceBytes);
      expect(Buffer.compare(piece, pattern(pieceBytes, n)), `piece ${n}, seed ${seed}`).toBe(0);
    }
  }
});

test('a checkpoint lets go of nothing when the store has failed while it was under way', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const flushes = heldFlushes(node.env);
  const store = await world.settle(openChunkStore(node.env, { ...options, checkpointBulkBytes: 3 * pieceBytes }));
  for (const handle of [1, 2]) store.create(h(handle), v(1));
  await world.settle(store.apply([mutation(1, 0, pattern(4 * pieceBytes, 1))]));
  const synced = store.apply([mutation(2, 0, pattern(4 * pieceBytes, 2), { sync: true })]);
  await world.run(200); // both wait for their flushes, the checkpoint for that of the first one
  // The name of the second one's file is lost; the checkpoint asks for the names of the same directory after it.
  node.disk.arm('syncError', (path) => /chunks\/..$/.test(path));
  flushes.release();
  await expect(world.settle(synced)).rejects.toMatchObject({ code: 'DISK_FAILED' });
  await world.run(1000);
  expect(store.hasFailed).toBe(true);
  expect(node.disk.paths()).toContain('store/journal/0000000000000001.wal');
});

test('a checkpoint has no flush of the file of a chunk that was made anew while it waited: who would hear of its failure?', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const flushes = heldFlushes(node.env);
    const store = await world.settle(openChunkStore(node.env, { ...options, checkpointJournalBytes: 7 * pieceBytes }));
    const make = async (): Promise<void> => {
      store.create(h(1), v(1));
      for (let n = 0; n < 8; n++) await append(store, n);
    };
    await world.settle(make());
    await world.run(200); // a flush is under way, and the checkpoint waits for it
    await world.settle(store.remove(h(1)));
    await world.settle(make());
    let flushed = 0;
    node.disk.arm('syncError', (path) => /chunks\/..\//.test(path) && ++flushed === 2); // that of the removed one first
    flushes.release();
    await world.run(1000);
    const bulk = mutation(1, 8 * pieceBytes, pattern(5 * pieceBytes, 8), { serial: 9, sync: true });
    await expect(world.settle(store.apply([bulk]))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(store.hasFailed).toBe(true);
  }
});

/** A small chunk of its own, in a slot. */
async function make(store: ChunkStore, n: number): Promise<void> {
  store.create(h(n), v(1));
  await store.apply([mutation(n, 0, pattern(4096, n), { sync: true })]);
}

test('slabs are flushed while they are written, so that a checkpoint finds little to flush', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  let flushes = 0;
  wrapFlushes(env, 'slabs/', (flush) => {
    flushes += 1;
    return flush();
  });
  const store = await world.settle(openChunkStore(env, { ...options, flushBehindBytes: 8 * 4096 }));
  for (let n = 1; n <= 64; n++) await world.settle(make(store, n));
  expect(flushes).toBeGreaterThanOrEqual(4);
  expect(flushes).toBeLessThanOrEqual(8 + 64 / 8);
});

test('a checkpoint waits for such a flush of slabs, and lets go of nothing when it fails', async () => {
  for (const fails of [false, true]) {
    const world = testWorld(1);
    const node = world.node('s');
    const flushes = heldFlushes(node.env, 'slabs/');
    const chunks = 16;
    const more = { flushBehindBytes: chunks * 4096, checkpointChunks: chunks };
    const store = await world.settle(openChunkStore(node.env, { ...options, ...more }));
    for (let n = 1; n <= chunks; n++) await world.settle(make(store, n));
    await world.run(1000); // the flush is under way, and the checkpoint has come to it
    expect(node.disk.paths().filter((path) => path.includes('metadata/'))).toEqual([]);
    if (fails) node.disk.arm('syncError', (path) => path.includes('slabs/'));
    flushes.release();
    await world.run(1000);
    expect(store.hasFailed).toBe(fails);
    expect(node.disk.paths().includes('store/journal/0000000000000001.wal')).toBe(fails);
    node.crash({ loseUnsynced: true });
    node.restart();
    const found = await world.settle(openChunkStore(node.env, options));
    for (let n = 1; n <= chunks; n++) {
      const content = await world.settle(contentOf(found, n));
      expect(Buffer.compare(content, pattern(4096, n)), `chunk ${n}`).toBe(0);
    }
  }
});
