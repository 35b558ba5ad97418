/** A chunkserver whose directory was put back to what it was some time ago, as from a backup: what it has is of the past, and nobody may be given it. */
import { describe, expect, test } from 'vitest';
import { bytesEqual } from '../../core/base/bytes.ts';
import type { SimNode } from '../../platform/sim/node.ts';
import { payload } from '../simulator/payload.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

/** What is on the disk of a node that is down. */
function contentOf({ disk }: SimNode): ReadonlyMap<string, Uint8Array> {
  return new Map(disk.paths().map((path) => [path, disk.read(path).slice()]));
}

function putBack({ disk }: SimNode, content: ReadonlyMap<string, Uint8Array>): void {
  for (const path of disk.paths()) disk.remove(path);
  for (const [path, bytes] of content) disk.createFile(path).write(0, bytes);
}

async function atRest({ world, cluster }: DataPlane): Promise<void> {
  const isAtRest = () =>
    [...cluster.tables!.chunks(0)].every(([, { sealed, servers }]) => sealed && servers.length === 3);
  if (!(await world.runUntil(isAtRest, 60_000))) throw new Error('the chunks do not come to rest with three replicas');
}

async function restarted(plane: DataPlane, node: SimNode): Promise<void> {
  plane.cluster.restart(node);
  await plane.world.runUntil(() => plane.cluster.isUp, 20_000);
}

/** A file whose content was replaced in place after the directory of the first server was saved; that is put back, and the server is up. */
async function withOldDirectory(seed: number, settings: { readonly mode: 'strong' | 'async' | 'gfs' }) {
  const plane = await DataPlane.start(seed);
  const { client } = plane;
  const node = plane.cluster.chunkservers[0]!.node;
  await plane.run(client.writeFile('/f', payload(1, chunkBytes - 7), { durability: 'disk', ...settings }));
  await atRest(plane);
  node.crash();
  const old = contentOf(node);
  await restarted(plane, node);
  const fresh = payload(2, chunkBytes - 7);
  const handle = await plane.run(client.open('/f', 'r+'));
  await plane.run(handle.write(fresh, { position: 0 }));
  await atRest(plane);
  await plane.world.run(2000);
  node.crash();
  putBack(node, old);
  await restarted(plane, node);
  return { plane, node, fresh, handle };
}

describe('a directory that is put back to what it was', () => {
  test.each(['strong', 'async', 'gfs'] as const)(
    'in mode %s is served to nobody, and replaced by what the others have',
    async (mode) => {
      const { plane, node, fresh } = await withOldDirectory(31, { mode });
      const readers = [
        await plane.anotherClient('c7'),
        await plane.anotherClient('c8'),
        await plane.anotherClient('c9'),
      ];
      for (let n = 0; n < 20; n++) {
        for (const reader of readers) expect(bytesEqual(await plane.run(reader.readFile('/f')), fresh)).toBe(true);
        await plane.world.run(100);
      }
      await plane.world.run(30_000);
      await atRest(plane);
      for (const { node: other } of plane.cluster.chunkservers) if (other !== node) other.crash();
      expect(bytesEqual(await plane.run(readers[0]!.readFile('/f')), fresh)).toBe(true);
    },
  );

  test.each(['strong', 'gfs'] as const)(
    'in mode %s is made equal before the next mutation, and not the others to it',
    async (mode) => {
      const { plane, fresh, handle } = await withOldDirectory(32, { mode });
      await plane.run(handle.write(Uint8Array.of(7), { position: 5 }));
      fresh[5] = 7;
      await atRest(plane);
      for (const one of plane.cluster.chunkservers) {
        const others = plane.cluster.chunkservers.filter((other) => other !== one);
        for (const { node } of others) node.crash();
        await plane.world.run(2000);
        expect(bytesEqual(await plane.run(plane.client.readFile('/f')), fresh)).toBe(true);
        for (const { node } of others) plane.cluster.restart(node);
        await plane.world.runUntil(() => plane.cluster.isUp, 20_000);
      }
    },
  );
});
