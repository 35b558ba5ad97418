import { expect, test, vi } from 'vitest';
import type { DiskFile } from '../../../core/base/env.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import type { ChunkStore } from '../chunk-store.ts';
import { SequenceRows } from '../sequence-rows.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

test('a checkpoint syncs few files at a time, however many there are: the journal goes on meanwhile', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  let underWay = 0;
  let most = 0;
  const syncs = new Set<string>();
  const watched = (file: DiskFile): DiskFile => {
    const { sync } = file;
    file.sync = async () => {
      if (!file.path.includes('chunks/')) return sync.call(file);
      syncs.add(file.path);
      most = Math.max(most, ++underWay);
      await sync.call(file).finally(() => underWay--);
    };
    return file;
  };
  const { open, openNow } = env.disk;
  env.disk.open = async (path, mode) => watched(await open.call(env.disk, path, mode));
  env.disk.openNow = (path, mode) => watched(openNow.call(env.disk, path, mode));
  const chunks = 12;
  const bytes = 512 * 1024;
  const options = { ...smallOptions, openFilesMax: 32, cachedChunksMax: 32, checkpointBulkBytes: chunks * bytes };
  const store = await world.settle(openChunkStore(env, options));
  for (let n = 1; n <= chunks; n++) store.create(h(n), v(1));
  const all = Array.from({ length: chunks }, (_, n) => store.apply([mutation(n + 1, 0, pattern(bytes, n))]));
  await world.settle(Promise.all(all));
  await world.settle(store.close());
  expect(syncs.size).toBe(chunks);
  expect(most).toBe(2);
});

test('a checkpoint lets others have their turns between chunks that remember many records', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  const chunks = 12;
  const options = {
    ...smallOptions,
    cachedChunksMax: chunks,
    windowEntriesPerWriter: 1024,
    windowWriters: 8,
    checkpointChunks: chunks,
    checkpointJournalBytes: 64 * 1024 * 1024,
  };
  const store = await world.settle(openChunkStore(env, options));
  const entries = Array.from({ length: 8 * 1024 }, (_, n) => ({
    writer: 2 ** 52 + (n >> 10),
    sequence: n & 1023,
    offset: n,
    lengthBytes: 1,
  }));
  for (let n = 1; n < chunks; n++) {
    store.create(h(n), v(1));
    await world.settle(store.apply([mutation(n, 0, pattern(8192, n), { window: entries })]));
  }
  let turns = 0;
  const { soon } = env.clock;
  env.clock.soon = (run) => {
    turns += 1;
    soon.call(env.clock, run);
  };
  store.create(h(chunks), v(1));
  await world.settle(store.apply([mutation(chunks, 0, pattern(8192, chunks), { window: entries })]));
  await world.settle(store.close());
  expect(turns).toBeGreaterThanOrEqual(chunks);
  env.clock.soon = soon;
  const found = await world.settle(openChunkStore(env, options));
  for (let n = 1; n <= chunks; n++) expect(found.windowOf(h(n))).toEqual(entries);
});

test('a checkpoint of many small chunks takes many short turns, and goes on while some of them change or go away', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  const chunks = 1000;
  const options = { ...smallOptions, cachedChunksMax: 100, checkpointChunks: chunks, checkpointJournalBytes: 2 ** 30 };
  const store = await world.settle(openChunkStore(env, options));
  const make = async (n: number): Promise<void> => {
    store.create(h(n), v(1));
    await store.apply([mutation(n, 0, pattern(100, n))]);
  };
  for (let n = 1; n < chunks; n++) await world.settle(make(n));
  let turns = 0;
  const meanwhile: Promise<void>[] = [];
  const { soon } = env.clock;
  env.clock.soon = (run) => {
    // Everywhere in the checkpoint: of each kind some are captured already, and some become clean.
    const n = 1 + ((turns * 31) % (chunks - 1));
    if (turns % 2 === 0 && store.info(h(n))?.serial === 1) {
      const grown = mutation(n, 100, pattern(100, n + 1), { serial: 2 });
      meanwhile.push(turns % 4 === 0 ? store.apply([grown]) : store.remove(h(n)));
    }
    turns += 1;
    soon.call(env.clock, run);
  };
  await world.settle(make(chunks));
  await world.runUntil(() => turns > 80);
  env.clock.soon = soon;
  await world.settle(Promise.all(meanwhile));
  expect(meanwhile.length).toBeGreaterThan(20);
  const contents = async (from: ChunkStore): Promise<(string | undefined)[]> => {
    const all: (string | undefined)[] = [];
    for (let n = 1; n <= chunks; n++) {
      const isThere = from.info(h(n)) !== undefined;
      all.push(isThere ? Buffer.from(await world.settle(contentOf(from, n))).toString('hex') : undefined);
    }
    return all;
  };
  const before = await contents(store);
  expect(before.filter((content) => content === undefined).length).toBeGreaterThan(5);
  for (let n = 1; n <= chunks; n++) {
    const length = store.info(h(n))?.lengthBytes;
    const whole = Buffer.concat([pattern(100, n), pattern(100, n + 1)]).toString('hex');
    expect(before[n - 1]).toBe(length === undefined ? undefined : whole.slice(0, 2 * length));
  }
  await world.settle(store.close());
  expect(await contents(await world.settle(openChunkStore(env, options)))).toEqual(before);
});

test('bulk data that a checkpoint has synced in a file whose name it has not is not yet durable for a mutation with sync', async () => {
  const content = pattern(200_001, 1);
  for (let seed = 1; seed <= 8; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const { disk } = node.env;
    const { syncDirectory } = disk;
    let isHeld = false;
    disk.syncDirectory = (path) => {
      if (isHeld || !path.includes('chunks/')) return syncDirectory.call(disk, path);
      isHeld = true;
      return new Promise(() => {}); // the checkpoint gets no further
    };
    const store = await world.settle(openChunkStore(node.env, { ...smallOptions, checkpointChunks: 1 }));
    store.create(h(1), v(1));
    await world.settle(store.apply([mutation(1, 0, content.subarray(0, 200_000))]));
    await world.runUntil(() => isHeld);
    await world.settle(store.apply([mutation(1, 200_000, content.subarray(200_000), { serial: 2, sync: true })]));
    node.crash({ loseUnsynced: true });
    node.restart();
    const found = await world.settle(openChunkStore(node.env, smallOptions));
    expect(Buffer.compare(await world.settle(contentOf(found, 1)), content)).toBe(0);
  }
});

test('what chunks remember of their writers is kept in memory up to a bound, however few they are', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  const options = {
    ...smallOptions,
    cachedChunksMax: 32,
    windowEntriesPerWriter: 1024,
    windowWriters: 256,
    checkpointChunks: 2 ** 30,
    checkpointJournalBytes: 2 ** 30,
  };
  const window = Array.from({ length: 64 * 1024 }, (_, n) => ({
    writer: 1 + (n >> 10),
    sequence: n & 1023,
    offset: n,
    lengthBytes: 1,
  }));
  let reads = 0;
  const { open } = env.disk;
  env.disk.open = async (path, mode) => {
    const file = await open.call(env.disk, path, mode);
    const { readNow } = file;
    if (path.includes('metadata/'))
      file.readNow = (offset, into) => {
        reads += 1;
        return readNow.call(file, offset, into);
      };
    return file;
  };
  const chunks = [1, 2, 3, 4];
  let store = await world.settle(openChunkStore(env, options));
  for (const n of chunks) {
    store.create(h(n), v(1));
    await world.settle(store.apply([mutation(n, 0, pattern(1, n), { window })]));
  }
  await world.settle(store.close());
  store = await world.settle(openChunkStore(env, options));
  for (const n of [...chunks, ...chunks]) expect(store.windowOf(h(n))).toHaveLength(window.length);
  expect(reads).toBe(2 * chunks.length); // each takes more than half of the bound
});

/** Of `writers` with 128 records each. */
const windowBy = (writers: number) =>
  Array.from({ length: 128 * writers }, (_, n) => ({
    writer: 1 + (n >> 7),
    sequence: n & 127,
    offset: n,
    lengthBytes: 1,
  }));

const rarely = { checkpointChunks: 2 ** 30, checkpointJournalBytes: 2 ** 30 };

test('who reads a chunk, or changes it without a record, does not wait for what it remembers of its writers', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  const options = { ...smallOptions, ...rarely, windowEntriesPerWriter: 128, windowWriters: 256 };
  const window = windowBy(256);
  let store = await world.settle(openChunkStore(env, options));
  store.create(h(1), v(1));
  await world.settle(store.apply([mutation(1, 0, pattern(100, 1), { window })]));
  await world.settle(store.close());
  store = await world.settle(openChunkStore(env, options));
  const put = vi.spyOn(SequenceRows.prototype, 'put');
  expect(await world.settle(contentOf(store, 1))).toEqual(pattern(100, 1));
  expect(store.windowOf(h(1))).toEqual(window);
  await world.settle(store.apply([mutation(1, 100, pattern(100, 2), { serial: 2 })]));
  await world.settle(store.close());
  expect(put).not.toHaveBeenCalled();
  store = await world.settle(openChunkStore(env, options));
  const more = { writer: 256, sequence: 200, offset: 7, lengthBytes: 1 };
  await world.settle(store.apply([mutation(1, 200, pattern(100, 3), { serial: 3, window: [more] })]));
  expect(store.windowOf(h(1))).toEqual([...window.slice(0, -128), ...window.slice(-127), more]);
});

test('a checkpoint comes when what changed chunks remember of their writers takes much memory, however few they are', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const checkpointMemoryBytes = 1024 * 1024;
  const options = {
    ...smallOptions,
    ...rarely,
    windowEntriesPerWriter: 128,
    windowWriters: 256,
    checkpointMemoryBytes,
  };
  let store = await world.settle(openChunkStore(node.env, options));
  const chunks = [1, 2, 3, 4];
  for (const n of chunks) {
    store.create(h(n), v(1));
    await world.settle(store.apply([mutation(n, 0, pattern(100, n), { window: windowBy(128) })])); // 393,216 bytes in memory
  }
  await world.settle(store.close());
  store = await world.settle(openChunkStore(node.env, options));
  const log = () => node.disk.paths().filter((path) => path.includes('metadata/'));
  const bytes = () => log().reduce((sum, path) => sum + node.disk.read(path).length, 0);
  const before = bytes();
  for (const n of chunks) {
    const window = [{ writer: 1, sequence: 200, offset: 0, lengthBytes: 1 }];
    await world.settle(store.apply([mutation(n, 100, pattern(100, n), { serial: 2, window })]));
    await world.run(1000);
    if (n <= 2) expect(bytes()).toBe(before);
  }
  expect(bytes()).toBeGreaterThan(before);
});
