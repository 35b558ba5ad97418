import { expect, test } from 'vitest';
import { toMutationSerial } from '../../../core/base/brand.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import { blockBytes, type ChunkStore } from '../chunk-store.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

test('a store whose journal fails tells its owner once, and takes no more until it is opened anew', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const failures: CairnError[] = [];
  const onFailure = (cause: CairnError) => void failures.push(cause);
  const store = await world.settle(openChunkStore(node.env, { ...smallOptions, onFailure }));
  store.create(h(1), v(1));
  await world.settle(store.apply([mutation(1, 0, pattern(100, 1), { sync: true })]));
  expect(failures).toEqual([]);

  node.disk.arm('syncError');
  const codes: unknown[] = [];
  for (let n = 0; n < 3; n++) {
    const applied = store.apply([mutation(1, 100, pattern(100, n), { sync: true, serial: 2 })]);
    codes.push(await world.settle(applied.catch((thrown: CairnError) => thrown.code)));
  }
  expect(codes).toEqual(['DISK_FAILED', 'DISK_FAILED', 'DISK_FAILED']);
  expect(failures.map(({ code }) => code)).toEqual(['DISK_FAILED']);

  node.crash();
  node.restart();
  const again = await world.settle(openChunkStore(node.env, smallOptions));
  const { lengthBytes, serial } = again.info(h(1))!;
  await world.settle(again.apply([mutation(1, lengthBytes, pattern(100, 9), { serial: serial + 1 })]));
});

test('a checkpoint that cannot make names last ends the changes: the same sync, tried again, could succeed without them', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const store = await world.settle(openChunkStore(node.env, { ...smallOptions, checkpointBulkBytes: 50_000 }));
  store.create(h(1), v(1));
  node.disk.arm('syncError', (path) => /chunks\/..$/.test(path));
  await world.settle(store.apply([mutation(1, 0, pattern(100_000, 1))]));
  await world.run(1000);
  expect(store.hasFailed).toBe(true);
});

test('a checkpoint that cannot let go of the journal ends the changes: no later one could, and the journal would grow until none fits', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const options = { ...smallOptions, checkpointBulkBytes: 50_000 };
  const store = await world.settle(openChunkStore(node.env, options));
  store.create(h(1), v(1));
  let syncs = 0; // of the directory: the next segment is made first
  node.disk.arm('syncError', (path) => /journal$/.test(path) && ++syncs === 2);
  await world.settle(store.apply([mutation(1, 0, pattern(100_000, 1))]));
  await world.run(1000);
  expect(syncs).toBe(2);
  expect(store.hasFailed).toBe(true);
  node.crash();
  node.restart();
  const again = await world.settle(openChunkStore(node.env, options));
  expect(again.info(h(1))).toMatchObject({ lengthBytes: 100_000 });
});

test('a cut behind an append that the failure of the store has undone is refused as that was', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const store = await world.settle(openChunkStore(node.env, smallOptions));
  for (const handle of [1, 2]) store.create(h(handle), v(1));
  node.disk.arm('syncError', (path) => path.includes('chunks/'));
  const codeOf = (change: Promise<void>): Promise<unknown> => change.catch((thrown: CairnError) => thrown.code);
  // Both have been written when the sync of the second one's file fails, and nothing of them gets to the journal.
  const applied = store.apply([
    mutation(1, 0, pattern(100_000, 1)),
    mutation(2, 0, pattern(100_000, 2), { sync: true }),
  ]);
  const cut = store.cut({ handle: h(1), version: v(1), serial: toMutationSerial(2), lengthBytes: 50_000, window: [] });
  expect(await world.settle(Promise.all([codeOf(applied), codeOf(cut)]))).toEqual(['DISK_FAILED', 'DISK_FAILED']);
});

test('a disk that stalls holds up what the journal has no room for, and fails nothing of it', async () => {
  const world = testWorld(1);
  const { env, disk } = world.node('s');
  const store = await world.settle(openChunkStore(env, { ...smallOptions, checkpointJournalBytes: 256 * 1024 * 1024 }));
  const handles = Array.from({ length: 160 }, (_, n) => n + 1);
  const content = pattern(smallOptions.chunkBytes!, 1);
  for (const handle of handles) store.create(h(handle), v(1));
  await world.settle(Promise.all(handles.map((handle) => store.apply([mutation(handle, 0, content)]))));
  disk.stall();
  const image = store.image(h(1))!;
  const blocks = Array.from(image.blockChecksums, (_, block) => ({
    block,
    bytes: content.subarray(block * blockBytes, (block + 1) * blockBytes),
  }));
  const changes = [
    ...handles.map((handle) => store.apply([mutation(handle, 0, content, { serial: 2 })])),
    ...handles.map((handle) => store.adopt({ ...image, handle: h(handle), version: v(2) }, blocks)),
    store.remove(h(handles.length)),
  ];
  const outcomes = Promise.allSettled(changes);
  await world.run(100);
  disk.unstall();
  for (const outcome of await world.settle(outcomes)) expect(outcome.status).toBe('fulfilled');
  expect(store.hasFailed).toBe(false);
  expect(store.info(h(1))).toMatchObject({ version: 2, lengthBytes: content.length });
});

test('overwrites that wait for the same group of the log are given to it as it has room, and none is too many', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  const chunkBytes = 1024 * 1024;
  const store = await world.settle(
    openChunkStore(env, { ...smallOptions, chunkBytes, checkpointJournalBytes: 256 * 1024 * 1024 }),
  );
  const handles = Array.from({ length: 100 }, (_, n) => n + 1);
  const content = pattern(chunkBytes - 100, 1);
  for (const handle of handles) store.create(h(handle), v(1));
  await world.settle(Promise.all(handles.map((handle) => store.apply([mutation(handle, 0, content)]))));
  const changes = handles.flatMap((handle) => [
    store.apply([mutation(handle, content.length, pattern(100, 2), { serial: 2 })]),
    store.apply([mutation(handle, 0, content, { serial: 3 })]),
  ]);
  for (const outcome of await world.settle(Promise.allSettled(changes))) expect(outcome.status).toBe('fulfilled');
  expect(store.hasFailed).toBe(false);
});

test('what a failed sync has lost, and a kill has left in the page cache, survives a power loss once the store was opened and closed', async () => {
  const places: Record<string, (path: string) => boolean> = {
    'chunk files': (path) => path.includes('/chunks/00/'),
    slabs: (path) => path.includes('/slabs/'),
    metadata: (path) => path.includes('/metadata/'),
  };
  const options = { ...smallOptions, checkpointChunks: 1000, checkpointJournalBytes: 2 ** 24 };
  // One with a file, and so many small ones that a checkpoint of them fills a segment of metadata.
  const handles = Array.from({ length: 100 }, (_, n) => n + 1);
  const contents = handles.map((handle) => pattern(handle === 1 ? 200_000 : 1000, handle));
  const append = (store: ChunkStore, from: (length: number) => number, to: (length: number) => number) =>
    store.apply(
      handles.map((handle, n) => {
        const { length } = contents[n]!;
        return mutation(handle, from(length), contents[n]!.subarray(from(length), to(length)), { sync: true });
      }),
    );
  for (const [place, matches] of Object.entries(places)) {
    for (let seed = 1; seed <= 4; seed++) {
      const world = testWorld(seed);
      const node = world.node('s');
      const open = () => world.settle(openChunkStore(node.env, options));
      let store = await open();
      for (const handle of handles) store.create(h(handle), v(1));
      await world.settle(
        append(
          store,
          () => 0,
          (length) => 0.8 * length,
        ),
      );
      await world.settle(store.close());
      store = await open();
      await world.settle(
        append(
          store,
          (length) => 0.8 * length,
          (length) => length,
        ),
      );
      node.disk.arm('syncError', matches);
      await expect(world.settle(store.close())).rejects.toMatchObject({ code: 'DISK_FAILED' });
      node.crash();
      for (const loseUnsynced of [false, true]) {
        node.restart();
        store = await open();
        for (const [n, content] of contents.entries()) {
          const found = await world.settle(contentOf(store, n + 1));
          expect(Buffer.compare(found, content), `${place}, seed ${seed}, chunk ${n + 1}`).toBe(0);
        }
        await world.settle(store.close());
        node.crash({ loseUnsynced: !loseUnsynced });
      }
    }
  }
});

test('bulk data that a failed sync has lost, and a kill has left in the page cache, is durable with a mutation that asks for it after the start', async () => {
  const content = pattern(200_100, 1);
  for (let seed = 1; seed <= 12; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const open = () => world.settle(openChunkStore(node.env, smallOptions));
    let store = await open();
    store.create(h(1), v(1));
    await world.settle(store.apply([mutation(1, 0, content.subarray(0, 200_000))]));
    node.disk.arm('syncError', (path) => path.includes('/chunks/00/'));
    await expect(world.settle(store.close())).rejects.toMatchObject({ code: 'DISK_FAILED' });
    node.crash();
    node.restart();
    store = await open();
    await world.settle(store.apply([mutation(1, 200_000, content.subarray(200_000), { serial: 2, sync: true })]));
    node.crash({ loseUnsynced: true });
    node.restart();
    const found = await world.settle(contentOf(await open(), 1));
    expect(Buffer.compare(found, content), `seed ${seed}`).toBe(0);
  }
});

/** Opens of files of the metadata log fail as long as `isFailing`. */
function failingMetadata({ disk }: Env): { isFailing: boolean } {
  const gate = { isFailing: false };
  const { open } = disk;
  disk.open = async (path, mode) => {
    if (gate.isFailing && path.includes('metadata/')) throw new CairnError('DISK_FAILED', path);
    return open.call(disk, path, mode);
  };
  return gate;
}

test('checkpoints that fail one after another do not take the disk for the journal, and go on when they can', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const gate = failingMetadata(node.env);
  const store = await world.settle(openChunkStore(node.env, { ...smallOptions, checkpointChunks: 1 }));
  const segments = () => node.disk.paths().filter((path) => path.endsWith('.wal')).length;
  store.create(h(1), v(1));
  gate.isFailing = true;
  for (let n = 0; n < 60; n++) {
    await world.settle(store.apply([mutation(1, 100 * n, pattern(100, n), { serial: n + 1 })]));
    await world.run(1100);
    expect(segments()).toBeLessThanOrEqual(4);
  }
  expect(store.hasFailed).toBe(false);
  gate.isFailing = false;
  await world.settle(store.apply([mutation(1, 6000, pattern(100, 60), { serial: 61 })]));
  await world.run(1100);
  expect(node.disk.paths()).not.toContain('store/journal/0000000000000001.wal');
  node.crash({ loseUnsynced: true });
  node.restart();
  const found = await world.settle(openChunkStore(node.env, smallOptions));
  const content = await world.settle(contentOf(found, 1));
  for (let n = 0; n < 60; n++) expect(content.subarray(100 * n, 100 * (n + 1))).toEqual(pattern(100, n));
});

test('a checkpoint that begins where one before it had failed knows of all that came and went since', async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const world = testWorld(seed);
    const node = world.node('s');
    const { random } = node.env;
    const gate = failingMetadata(node.env);
    const options = { ...smallOptions, checkpointChunks: 4, metadataSegmentBytes: 1 };
    let store = await world.settle(openChunkStore(node.env, options));
    const contents = new Map<number, Buffer>();
    for (let step = 1; step <= 80; step++) {
      gate.isFailing = step % 30 > 10;
      const n = 1 + random.below(12);
      const known = contents.get(n);
      if (known === undefined) store.create(h(n), v(1));
      if (known !== undefined && random.below(4) === 0) {
        await world.settle(store.remove(h(n)));
        contents.delete(n);
      } else {
        const before = known ?? Buffer.alloc(0);
        const more = pattern(1 + random.below(3000), step);
        await world.settle(store.apply([mutation(n, before.length, more, { serial: step, sync: true })]));
        contents.set(n, Buffer.concat([before, more]));
      }
      await world.run(random.below(1500));
      if (random.below(10) > 0) continue;
      node.crash({ loseUnsynced: true });
      node.restart();
      Object.assign(gate, failingMetadata(node.env));
      store = await world.settle(openChunkStore(node.env, options));
      expect(store.list(undefined, 100).map(({ handle }) => handle)).toEqual(
        [...contents.keys()].sort((a, b) => a - b),
      );
      for (const [handle, content] of contents) {
        const found = await world.settle(contentOf(store, handle));
        expect(Buffer.compare(found, content), `seed ${seed}, step ${step}, chunk ${handle}`).toBe(0);
      }
    }
  }
});
