import { expect, test } from 'vitest';
import type { DiskFile } from '../../../core/base/env.ts';
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

test('a chunk file is flushed while it is written, and not again before that flush is done', async () => {
  const world = testWorld(1);
  const { env } = world.node('s');
  let underWay = 0;
  let flushes = 0;
  let most = 0;
  const { openNow } = env.disk;
  env.disk.openNow = (path, mode) => {
    const file: DiskFile = openNow.call(env.disk, path, mode);
    const { sync } = file;
    if (path.includes('chunks/'))
      file.sync = async () => {
        flushes += 1;
        most = Math.max(most, ++underWay);
        await sync.call(file).finally(() => underWay--);
      };
    return file;
  };
  const store = await world.settle(openChunkStore(env, options));
  store.create(h(1), v(1));
  for (let n = 0; n < 24; n++) await world.settle(append(store, n));
  expect(most).toBe(1);
  expect(flushes).toBeGreaterThan(2);
  expect(flushes).toBeLessThanOrEqual(6);
  await world.settle(store.close());
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
