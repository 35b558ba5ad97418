import { expect, test } from 'vitest';
import { toInodeId } from '../../core/base/brand.ts';
import { ChunkLocations } from './chunk-locations.ts';
import type { ClientCore } from './core.ts';
import { locatePage, locationsPerFileMax } from './limits.ts';

test('chunks that are looked up at once are found, however many more there are than places for them', async () => {
  const pages = 2 * Math.ceil(locationsPerFileMax / locatePage);
  const attributes = { chunkCount: pages * locatePage, chunkBytes: 65_536, mode: 'strong', tail: undefined };
  const locationAt = (index: number) => ({ index, handle: index + 1, version: 1, replicas: [], sealedLength: 65_536 });
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const core = {
    env: { clock: { now: () => 1 } },
    masters: {
      read: async (_: string, { first, count }: { first: number; count: number }) => {
        await answered;
        return { attributes, locations: Array.from({ length: count }, (_, n) => locationAt(first + n)) };
      },
    },
  };
  const locations = new ChunkLocations(core as unknown as ClientCore, toInodeId(5));
  const finds = Array.from({ length: pages }, (_, page) => locations.find(page * locatePage, 1));
  answer();
  expect(new Set((await Promise.all(finds)).map(({ kind }) => kind))).toEqual(new Set(['chunk']));
});
