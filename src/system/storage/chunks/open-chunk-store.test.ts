import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { contentOf, h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';
import { openChunkStore } from './open-chunk-store.ts';

test('a chunk that was appended to, padded over blocks and written over is the same after a reopening', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'cairn-chunks-'));
  try {
    const env = nodeEnv({ dir });
    let store = await openChunkStore(env, smallOptions);
    store.create(h(1), v(1));
    const a = pattern(1000, 1),
      b = pattern(200_000, 2),
      c = pattern(70_000, 3);
    await store.apply([mutation(1, 0, a)]);
    await store.apply([mutation(1, 1000, b, { sync: true })]);
    await store.apply([mutation(1, 500, c)]);
    const expected = new Uint8Array(201_000);
    expected.set(a, 0);
    expected.set(b, 1000);
    expected.set(c, 500);
    expect(Buffer.compare(await contentOf(store, 1), expected)).toBe(0);
    await store.close();
    store = await openChunkStore(env, smallOptions);
    expect(Buffer.compare(await contentOf(store, 1), expected)).toBe(0);
    expect(await store.verify(h(1))).toEqual([]);
    await store.remove(h(1));
    expect(store.info(h(1))).toBe(undefined);
    await store.close();
  } finally {
    rmSync(dir, { recursive: true });
  }
});
