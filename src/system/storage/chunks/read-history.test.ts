import { expect, test } from 'vitest';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { testWorld } from '../../../platform/sim/node-host.test-support.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { Layout } from './layout.ts';
import { openChunkStore } from './open-chunk-store.ts';
import { ReadHistory, readAgainWithinMs, stretchBytes } from './read-history.ts';

test('what is read from front to back once is not read again, however short the reads; what begins before that is', () => {
  const history = new ReadHistory();
  const step = stretchBytes / 4;
  for (let from = 0; from < 4 * stretchBytes; from += step) expect(history.note(from, from + step, 0)).toBe(false);
  expect(history.note(0, stretchBytes, 0)).toBe(true);
  expect(history.note(3 * stretchBytes + step, 4 * stretchBytes, 0)).toBe(true);
  expect(history.note(4 * stretchBytes, 5 * stretchBytes, 0)).toBe(false);
});

test('a read over several stretches is noted in each of them, up to where it ends', () => {
  const history = new ReadHistory();
  expect(history.note(stretchBytes / 2, 2 * stretchBytes + 100, 0)).toBe(false);
  expect(history.note(stretchBytes, stretchBytes + 10, 0)).toBe(true);
  expect(history.note(2 * stretchBytes + 100, 3 * stretchBytes, 0)).toBe(false);
});

test('what was read long ago is forgotten, unless it is read again and again', () => {
  const history = new ReadHistory();
  history.note(0, stretchBytes, 0);
  expect(history.note(0, stretchBytes, readAgainWithinMs)).toBe(true);
  expect(history.note(0, stretchBytes, 2 * readAgainWithinMs)).toBe(true);
  expect(history.note(0, stretchBytes, 3 * readAgainWithinMs + 1)).toBe(false);
});

/** Has `read` told, for each bulk read of a file that is opened from now on, whether it was one of hot bytes. */
function watch({ disk }: Env, read: (isHot: boolean) => void): void {
  const watched = (file: DiskFile): DiskFile => {
    const { read: original } = file;
    file.read = (offset, into, isHot = false) => {
      read(isHot);
      return original.call(file, offset, into, isHot);
    };
    return file;
  };
  const { open, openNow } = disk;
  disk.open = async (path, mode) => watched(await open.call(disk, path, mode));
  disk.openNow = (path, mode) => watched(openNow.call(disk, path, mode));
}

test('a bulk read goes through the cache when it is repeated; verification, and a second look at a bad block, do not', async () => {
  const world = testWorld(1);
  const node = world.node('s');
  const reads: boolean[] = [];
  watch(node.env, (isHot) => void reads.push(isHot));
  const store = await world.settle(openChunkStore(node.env, smallOptions));
  store.create(h(1), v(1));
  await world.settle(store.apply([mutation(1, 0, pattern(4 * 64 * 1024, 1))]));
  reads.length = 0;
  await world.settle(contentOf(store, 1));
  await world.settle(contentOf(store, 1));
  await world.settle(store.verify(h(1)));
  expect(reads).toEqual([false, true, false]);
  node.disk.flipBit(new Layout('store').pathOf(h(1)), 70_000);
  await expect(world.settle(contentOf(store, 1))).rejects.toMatchObject({ code: 'DISK_CORRUPT' });
  expect(reads.slice(3)).toEqual([true, false]);
});
