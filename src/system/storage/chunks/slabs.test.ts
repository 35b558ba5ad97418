/** Small chunks: in slots of slabs, exact through growth, crashes and the reuse of their places. */
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { toMutationSerial } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import { blockBytes, type ChunkImage, type ChunkStore, type ChunkStoreOptions } from '../chunk-store.ts';
import { afterPowerLoss, losses, MemoryDisk, testEnv } from '../memory-disk.test-support.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

/** Checkpoints come when a store is closed, and else never. */
const options: ChunkStoreOptions = {
  ...smallOptions,
  checkpointJournalBytes: 2 ** 30,
  checkpointBulkBytes: 2 ** 30,
  checkpointChunks: 2 ** 30,
};

const open = (disk: MemoryDisk, more: Partial<ChunkStoreOptions> = {}): Promise<ChunkStore> =>
  openChunkStore(testEnv(disk), { ...options, ...more });

/** A checkpoint, and the store anew. */
async function reopened(store: ChunkStore, disk: MemoryDisk): Promise<ChunkStore> {
  await store.close();
  return open(disk);
}

/** A checkpoint that has begun is done when nothing follows any more: this disk never waits. */
async function untilQuiet(disk: MemoryDisk): Promise<void> {
  for (let seen = -1; seen !== disk.journal.length; ) {
    seen = disk.journal.length;
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function make(store: ChunkStore, handle: number, content: Uint8Array): Promise<void> {
  store.create(h(handle), v(1));
  await store.apply([mutation(handle, 0, content)]);
}

async function expectContent(store: ChunkStore, handle: number, expected: Uint8Array): Promise<void> {
  const content = await contentOf(store, handle);
  expect([content.length, Buffer.compare(content, expected)]).toEqual([expected.length, 0]);
}

function imageOf(handle: number, version: number, content: Uint8Array): ChunkImage {
  const blockChecksums = Uint32Array.of(...(content.length === 0 ? [] : [crc32(content)]));
  const known = { handle: h(handle), version: v(version), serial: 1 as ChunkImage['serial'], window: [] };
  return { ...known, lengthBytes: content.length, blockChecksums };
}

const slabsOf = async (disk: MemoryDisk) => disk.list('store/slabs');
const filesOf = async (disk: MemoryDisk) => disk.list('store/chunks');

test('a hundred chunks of 4 KiB share a few slabs and have no files, before and after a crash and a checkpoint', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  for (let n = 1; n <= 100; n++) await make(store, n, pattern(4096, n));
  const crashed = disk.copy();
  for (const [found, where] of [
    [store, disk],
    [await open(crashed), crashed],
    [await reopened(store, disk), disk],
  ] as const) {
    for (let n = 1; n <= 100; n++) await expectContent(found, n, pattern(4096, n));
    expect(await filesOf(where)).toEqual([]);
    expect((await slabsOf(where)).length).toBe(Math.ceil((100 * 4096) / options.slabBytes!));
  }
});

test('a chunk that grows moves to larger slots, then to a file of its own, and is whole after a crash at any size', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  const whole = pattern(200_000, 7);
  store.create(h(1), v(1));
  let length = 0;
  for (const [step, bytes] of [10, 4086, 1, 4095, 5000, 20_000, 32_344, 1, 3000, 80_000].entries()) {
    await store.apply([mutation(1, length, whole.subarray(length, length + bytes), { serial: step + 1 })]);
    length += bytes;
    await expectContent(store, 1, whole.subarray(0, length));
    await expectContent(await open(disk.copy()), 1, whole.subarray(0, length));
    if (step % 2 === 0) store = await reopened(store, disk);
  }
  expect(await filesOf(disk)).toEqual(['00/0000000000000001']);
});

test('a small chunk that grows by zeros alone has room for them after a crash', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(4086, 1));
  store = await reopened(store, disk);
  await store.apply([mutation(1, 4086, new Uint8Array(0), { serial: 2, lengthBytes: 53_661, sync: true })]);
  const whole = Buffer.concat([pattern(4086, 1), new Uint8Array(53_661 - 4086)]);
  for (const loss of Object.values(losses)) {
    const lost = afterPowerLoss(disk.journal, loss);
    const found = await open(lost);
    await expectContent(found, 1, whole);
    await expectContent(await reopened(found, lost), 1, whole);
  }
});

test('the slot that a chunk has left is taken again after the next checkpoint, not before', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(4000, 1));
  store = await reopened(store, disk);
  await store.apply([mutation(1, 4000, pattern(1000, 2), { serial: 2 })]);
  const [slab] = await slabsOf(disk);
  const before = disk.bytesOf(`store/slabs/${slab}`).slice(0, 4000);
  await make(store, 2, pattern(4096, 3));
  expect(disk.bytesOf(`store/slabs/${slab}`).slice(0, 4000)).toEqual(before);
  await expectContent(await open(disk.copy()), 1, Buffer.concat([pattern(4000, 1), pattern(1000, 2)]));
  store = await reopened(store, disk);
  await make(store, 3, pattern(4096, 4));
  expect(disk.bytesOf(`store/slabs/${slab}`).slice(0, 4096)).toEqual(pattern(4096, 4));
});

test('a change that failed after it had moved its chunk costs nothing, whoever gets the slot that was left', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(4000, 1));
  await store.close();
  store = await open(disk, { checkpointChunks: 1 });
  let writes = 0;
  disk.before = (operation) => {
    // The first one copies the chunk to where it has room.
    if (operation.kind === 'write' && operation.bytes.length !== 4096 && ++writes === 2) throw failed();
  };
  const refused = store.apply([mutation(1, 4000, pattern(1000, 2), { serial: 2 })]);
  await expect(refused).rejects.toMatchObject({ code: 'DISK_FAILED' });
  disk.before = () => {};
  for (const handle of [2, 3, 4]) {
    await make(store, handle, pattern(4096, 3));
    await untilQuiet(disk);
  }
  expect(await slabsOf(disk)).toHaveLength(2);
  await expectContent(store, 1, pattern(4000, 1));
  await expectContent(await open(disk.copy()), 1, pattern(4000, 1));
});

test('the first block of a chunk that has just moved to a file survives the loss of all that was not synced', async () => {
  const disk = new MemoryDisk();
  const first = pattern(blockBytes, 1);
  let store = await open(disk);
  await make(store, 1, first);
  store = await reopened(store, disk);
  await store.apply([mutation(1, blockBytes, pattern(100_000, 2), { serial: 2 })]);
  // The journal's record is on the disk, by chance; the bytes of the file are not.
  const journal = new Set(
    disk.journal.flatMap((op) => (op.kind === 'create' && op.path.includes('/journal/') ? op.inode : [])),
  );
  const loss = {
    write: (bytes: Uint8Array, inode: number) => (journal.has(inode) ? bytes.length : 0),
    names: (n: number) => n,
  };
  const found = await open(afterPowerLoss(disk.journal, loss));
  expect(found.info(h(1))).toMatchObject({ lengthBytes: blockBytes + 100_000 });
  const [bytes] = await found.read(h(1), 0, blockBytes);
  expect(Buffer.compare(bytes!, first)).toBe(0);
});

test('an adoption of a small chunk is whole in the journal: cut, extended by zeros, or made', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(3000, 1));
  store = await reopened(store, disk);
  await store.apply([mutation(1, 3000, pattern(1000, 2), { serial: 2 })]);
  const cut = pattern(3000, 1).subarray(0, 1000);
  await store.adopt(imageOf(1, 2, cut), []);
  const extended = new Uint8Array(3500);
  extended.set(cut);
  await store.adopt(imageOf(1, 3, extended), []);
  const made = pattern(5000, 3);
  await store.adopt(imageOf(2, 1, made), [{ block: 0, bytes: made }]);
  await store.adopt(imageOf(3, 1, new Uint8Array(0)), []);
  for (const loss of Object.values(losses)) {
    const found = await open(afterPowerLoss(disk.journal, loss));
    await expectContent(found, 1, extended);
    await expectContent(found, 2, made);
    expect(found.info(h(3))).toMatchObject({ lengthBytes: 0 });
  }
});

test('a file that was made for a chunk, and never used, is nobody’s after a crash', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(4000, 1));
  store = await reopened(store, disk);
  disk.before = (operation) => {
    if (operation.kind === 'write' && operation.bytes.length > 4096) throw failed();
  };
  const refused = store.apply([mutation(1, 4000, pattern(100_000, 2), { serial: 2 })]);
  await expect(refused).rejects.toMatchObject({ code: 'DISK_FAILED' });
  disk.before = () => {};
  expect(await filesOf(disk)).toHaveLength(1);
  const found = await open(disk);
  await expectContent(found, 1, pattern(4000, 1));
  expect(await filesOf(disk)).toEqual([]);
});

test('what a killed process has written to slabs survives a loss of power after the next checkpoint', async () => {
  const whole = pattern(4000, 1);
  for (let seed = 1; seed <= 12; seed++) {
    const world = testWorld(seed);
    const node = world.node('server');
    const start = (): Promise<ChunkStore> => world.settle(openChunkStore(node.env, options));
    const end = async (loseUnsynced: boolean): Promise<ChunkStore> => {
      node.crash({ loseUnsynced });
      node.restart();
      return start();
    };
    let store = await start();
    await world.settle(make(store, 1, whole.subarray(0, 1000)));
    await world.settle(store.close());
    store = await start();
    // One goes on in a slot that the checkpoint knows, the other one in a new slab.
    await world.settle(store.apply([mutation(1, 1000, whole.subarray(1000), { serial: 2, sync: true })]));
    await world.settle(make(store, 2, pattern(10_000, 2)));
    store = await end(false);
    await world.settle(store.close());
    store = await end(true);
    await world.settle(expectContent(store, 1, whole));
    await world.settle(expectContent(store, 2, pattern(10_000, 2)));
  }
});

test('slabs go away when they are empty, but for a spare one', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  for (let n = 1; n <= 100; n++) await make(store, n, pattern(4096, n));
  store = await reopened(store, disk);
  for (let n = 1; n <= 99; n++) await store.remove(h(n));
  store = await reopened(store, disk);
  await expectContent(store, 100, pattern(4096, 100));
  expect(await slabsOf(disk)).toHaveLength(1);
  await store.remove(h(100));
  await reopened(store, disk);
  expect(await slabsOf(disk)).toHaveLength(1);
});

/** Ten slabs full of chunks of the largest size. */
async function withTwentyChunks(disk: MemoryDisk, more: Partial<ChunkStoreOptions> = {}): Promise<ChunkStore> {
  const store = await open(disk, more);
  for (let n = 1; n <= 20; n++) await make(store, n, pattern(blockBytes, n));
  expect((await slabsOf(disk)).length).toBe(10);
  return store;
}

async function removeAll(store: ChunkStore): Promise<void> {
  for (let n = 1; n <= 20; n++) await store.remove(h(n));
}

test('what removed chunks have left is given back though nothing is written any more', async () => {
  const disk = new MemoryDisk();
  const store = await withTwentyChunks(disk, { checkpointJournalBytes: 16 * blockBytes });
  await untilQuiet(disk);
  await removeAll(store);
  await untilQuiet(disk);
  expect((await slabsOf(disk)).length).toBeLessThanOrEqual(3);
});

test('a checkpoint comes when so many slots were taken, and counts anew from there; large chunks are not counted', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk, { checkpointSlots: 10 });
  const checkpoints = async (): Promise<number> => {
    await untilQuiet(disk);
    const made = disk.journal.flatMap((one) =>
      one.kind === 'create' && one.path.includes('metadata') ? one.inode : [],
    );
    return disk.journal.filter((one) => one.kind === 'sync' && made.includes(one.inode)).length;
  };
  for (let n = 1; n <= 20; n++) await make(store, 100 + n, pattern(70_000, n));
  for (let n = 1; n <= 9; n++) await make(store, n, pattern(10, n));
  const before = await checkpoints();
  await make(store, 10, pattern(10, 10));
  const after = await checkpoints();
  for (let n = 11; n <= 19; n++) await make(store, n, pattern(10, n));
  const none = await checkpoints();
  await make(store, 20, pattern(10, 20));
  expect([before, after, none, await checkpoints()]).toEqual([0, 1, 1, 2]);
});

test('it is given back at once when the disk is full', async () => {
  const disk = new MemoryDisk();
  disk.usage = async () => ({
    totalBytes: 2 ** 21,
    freeBytes: 2 ** 21 - (await slabsOf(disk)).length * options.slabBytes!,
  });
  const store = await withTwentyChunks(disk, { reserveBytes: 500_000 });
  await removeAll(store);
  await make(store, 21, pattern(100_000, 21));
  expect(await slabsOf(disk)).toHaveLength(1);
});

test('a full disk that has no room to give it back is not asked again and again', async () => {
  const disk = new MemoryDisk();
  disk.usage = async () => ({ totalBytes: 2 ** 21, freeBytes: (await slabsOf(disk)).length < 10 ? 2 ** 21 : 0 });
  const store = await withTwentyChunks(disk);
  await removeAll(store);
  let attempts = 0;
  disk.before = (operation) => {
    if (operation.kind !== 'create' || !operation.path.includes('metadata')) return;
    attempts += 1;
    throw new CairnError('DISK_FULL', operation.path);
  };
  for (let n = 21; n <= 30; n++) {
    store.create(h(n), v(1));
    const applied = store.apply([mutation(n, 0, pattern(400_000, n))]);
    await expect(applied).rejects.toMatchObject({ code: 'DISK_FULL' });
  }
  expect(attempts).toBe(1);
});

test('a start that has no room for what the journal brings back takes that of pooled files', async () => {
  const disk = new MemoryDisk();
  const made = await open(disk);
  await make(made, 1, pattern(200_000, 1));
  await make(made, 2, pattern(1000, 2));
  const first = await reopened(made, disk);
  await first.remove(h(1));
  const second = await reopened(first, disk);
  expect(await disk.list('store/pool')).toHaveLength(1);
  await second.apply([mutation(2, 1000, pattern(1000, 3), { serial: 2, sync: true })]);
  const left = afterPowerLoss(disk.journal, losses['nothing unsynced is kept']!);
  const { openNow } = left;
  left.openNow = (path, mode) => {
    const file = openNow.call(left, path, mode);
    const { writeNow } = file;
    if (path.includes('slabs/'))
      file.writeNow = (offset, parts) => {
        if (!isDrained) throw new CairnError('DISK_FULL', path);
        writeNow.call(file, offset, parts);
      };
    return file;
  };
  let isDrained = false;
  left.before = (operation) => {
    if (operation.kind === 'remove' && operation.path.includes('pool/')) isDrained = true;
  };
  const found = await open(left);
  await expectContent(found, 2, Buffer.concat([pattern(1000, 2), pattern(1000, 3)]));
});

test('it is given back by the next start', async () => {
  const disk = new MemoryDisk();
  await removeAll(await withTwentyChunks(disk));
  await open(disk);
  expect((await slabsOf(disk)).length).toBe(1);
});

test('a slab that is gone costs the chunks in it, which are reported; others are served, and new ones find a place', async () => {
  const disk = new MemoryDisk();
  const store = await open(disk);
  await make(store, 1, pattern(1000, 1));
  await make(store, 2, pattern(10_000, 2));
  await store.close();
  const lost: unknown[] = [];
  disk.deleteFile(`store/slabs/${(await slabsOf(disk))[0]}`);
  const found = await open(disk, { badBlocks: (report) => void lost.push(report) });
  expect(lost).toEqual([{ handle: 1, blocks: 'all' }]);
  await expectContent(found, 2, pattern(10_000, 2));
  await make(found, 3, pattern(1000, 3));
  disk.deleteFile(`store/slabs/${(await slabsOf(disk))[1]}`);
  await make(found, 4, pattern(1000, 4));
  await expectContent(found, 4, pattern(1000, 4));
});

test('that the only slab is gone is found by each round of verification, not only by the first', async () => {
  const world = testWorld(1);
  const { env } = world.node('server');
  const lost: unknown[] = [];
  const badBlocks = (report: unknown) => void lost.push(report);
  const store = await world.settle(openChunkStore(env, { ...options, badBlocks }));
  for (const n of [1, 2]) await world.settle(make(store, n, pattern(1000, n)));
  const round = () => world.settle(Promise.allSettled([1, 2].map((n) => store.verify(h(n)))));
  await round();
  const [slab] = await world.settle(env.disk.list('store/slabs'));
  await world.settle(env.disk.remove(`store/slabs/${slab}`));
  await world.run(120_000);
  await round();
  expect(lost).toEqual([1, 2].map((handle) => ({ handle, blocks: 'all' })));
});

test('an empty chunk whose slab is gone does not come to share its slot with another one', async () => {
  const disk = new MemoryDisk();
  let store = await open(disk);
  await make(store, 1, pattern(1000, 1));
  await store.cut({ handle: h(1), version: v(1), serial: toMutationSerial(2), lengthBytes: 0, window: [] });
  await store.close();
  disk.deleteFile(`store/slabs/${(await slabsOf(disk))[0]}`);
  store = await open(disk);
  await make(store, 2, pattern(1000, 2));
  await store.apply([mutation(1, 0, pattern(1000, 3), { serial: 3 })]).catch(() => {});
  await expectContent(store, 2, pattern(1000, 2));
  await expectContent(await reopened(store, disk), 2, pattern(1000, 2));
});

test('a slab that is gone while others of its size have room is forgotten with its last chunk', async () => {
  const disk = new MemoryDisk();
  const perSlab = options.slabBytes! / 4096;
  const env = testEnv(disk);
  const store = await openChunkStore(env, { ...options, openFilesMax: 1, checkpointJournalBytes: 4096 });
  for (let n = 1; n <= 2 * perSlab + 1; n++) await make(store, n, pattern(4096, n));
  for (const n of [1, perSlab + 1, perSlab + 2]) await store.remove(h(n));
  await untilQuiet(disk); // all three have room
  disk.deleteFile(`store/slabs/${(await slabsOf(disk))[0]}`);
  await make(store, 1, pattern(4096, 1));
  for (let n = 2; n <= perSlab; n++) await expect(store.verify(h(n))).rejects.toMatchObject({ code: 'CHUNK_MISSING' });
  await untilQuiet(disk);
  expect(env.emitted.map(({ name }) => name)).not.toContain('chunk-checkpoint-failed');
  await store.close();
  const found = await open(disk);
  for (const n of [1, perSlab + 3, 2 * perSlab, 2 * perSlab + 1]) await expectContent(found, n, pattern(4096, n));
});

function failed(): CairnError {
  return new CairnError('DISK_FAILED', 'the test says so');
}
