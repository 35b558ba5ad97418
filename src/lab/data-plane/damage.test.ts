/** What disks do to data, and what is done about it: found, served no longer, copied anew; writes go on elsewhere. */
import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import { payload } from '../simulator/payload.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

const files = [1, 2, 3, 4, 5];
const isChunkFile = (path: string) => path.startsWith('store/chunks/');
const chunkFilesOf = (node: SimNode) => node.disk.paths().filter(isChunkFile);
const contentOf = (n: number) => payload(n, chunkBytes - 1000 * n);

/** Files of one chunk each, sealed, while disk 1 does `fault` to chunk files now and then. */
async function withFiles(seed: number, harm: (node: SimNode) => void = () => {}, chunkservers = 4) {
  const plane = await DataPlane.start(seed, { chunkservers });
  const { node } = plane.cluster.chunkservers[0]!;
  harm(node);
  for (const n of files) await plane.run(plane.client.writeFile(`/f${n}`, contentOf(n), { durability: 'disk' }));
  node.disk.healFaults();
  await sealed(plane);
  return { plane, node };
}

async function sealed({ world, cluster }: DataPlane): Promise<void> {
  const all = () => [...cluster.tables!.chunks(0)].every(([, chunk]) => chunk.sealed && chunk.servers.length === 3);
  if (!(await world.runUntil(all, 60_000))) throw new Error('the chunks are not all sealed with three replicas');
}

/** Has every server look at all it holds; the handles of what was found. */
async function scrub(plane: DataPlane): Promise<number> {
  await plane.run(plane.client.scrub({ now: true }));
  for (let n = 0; n < 100; n++) {
    await plane.world.run(200);
    const all = await plane.run(plane.client.scrub());
    if (all.every((one) => one.error === undefined && !one.isRunning))
      return all.reduce((sum, one) => sum + (one.error === undefined ? one.damaged.length : 0), 0);
  }
  throw new Error('the scrubbers do not come to an end');
}

async function expectAllWhole(plane: DataPlane): Promise<void> {
  await sealed(plane);
  expect(await scrub(plane)).toBe(0);
  for (const n of files) expect(bytesEqual(await plane.run(plane.client.readFile(`/f${n}`)), contentOf(n))).toBe(true);
}

describe('damage', () => {
  test.each(['tornWrite', 'misdirectedWrite', 'lostWrite'] as const)(
    'by a %s of the disk is found by the scrubber and repaired from another server',
    async (fault) => {
      const { plane } = await withFiles(1, (node) => {
        for (let n = 0; n < 3; n++) node.disk.arm(fault, isChunkFile);
      });
      expect(await scrub(plane)).toBeGreaterThan(0);
      await expectAllWhole(plane);
    },
  );

  test('by hand (flipped, shortened, swapped, removed) is found, also while the server runs, and repaired', async () => {
    const { plane, node } = await withFiles(2, undefined, 3);
    const [flipped, shortened, one, other, removed] = chunkFilesOf(node) as [string, string, string, string, string];
    node.disk.flipBit(flipped, 70_000);
    await plane.run(node.env.disk.openNow(shortened, 'write').truncate(1000));
    node.disk.rename(one, 'aside');
    node.disk.rename(other, one);
    node.disk.rename('aside', other);
    node.disk.remove(removed);
    expect(await scrub(plane)).toBe(5);
    await expectAllWhole(plane);
  });

  test('that a reader meets first is read from another server, without an error, and repaired', async () => {
    const { plane, node } = await withFiles(3);
    for (const path of chunkFilesOf(node)) node.disk.flipBit(path, 5);
    for (let round = 0; round < 3; round++) {
      const reader = await plane.anotherClient(`reader-${round}`);
      for (const n of files) expect(bytesEqual(await plane.run(reader.readFile(`/f${n}`)), contentOf(n))).toBe(true);
    }
    await scrub(plane);
    await expectAllWhole(plane);
  });
});

describe('a disk that takes no writes', () => {
  test.each(['writeError', 'readError'] as const)(
    '(%s) costs no acknowledged byte: the write goes on without it',
    async (fault) => {
      const { plane } = await withFiles(4, (node) => {
        node.disk.faultRates[fault] = 0.3;
        node.disk.mayStrike = isChunkFile;
      });
      await expectAllWhole(plane);
    },
  );

  test('because it is full costs no acknowledged byte, and others take its place', async () => {
    const { plane, node } = await withFiles(5, (disk) => {
      disk.disk.capacityBytes = disk.disk.usedBytes + 1_500_000;
    });
    await expectAllWhole(plane);
    const held = chunkFilesOf(node).length;
    expect(held).toBeLessThan(files.length);
  });
});
