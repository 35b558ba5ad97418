import { describe, expect, test } from 'vitest';
import type { SimNode } from '../../platform/sim/node.ts';
import type { ChunkFinding } from '../../system/client/fsck.ts';
import { payload } from '../simulator/payload.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

const pathOf = (handle: number) => `store/chunks/00/${handle.toString(16).padStart(16, '0')}`;

async function withTree(seed: number) {
  const plane = await DataPlane.start(seed);
  await plane.run(plane.client.mkdir('/d/e', { recursive: true }));
  await plane.run(plane.client.writeFile('/d/two', payload(1, chunkBytes + 150_000), { durability: 'disk' }));
  await plane.run(plane.client.writeFile('/d/e/one', payload(2, 1000), { durability: 'disk' }));
  await plane.run(plane.client.writeFile('/empty', ''));
  await sealed(plane);
  return plane;
}

async function sealed({ world, cluster }: DataPlane): Promise<void> {
  const areSealed = () => [...cluster.tables!.chunks(0)].every(([, chunk]) => chunk.sealed);
  if (!(await world.runUntil(areSealed, 30_000))) throw new Error('the chunks are not sealed');
}

async function restarted(plane: DataPlane, node: SimNode): Promise<void> {
  plane.cluster.restart(node);
  await plane.world.runUntil(() => plane.cluster.isUp, 20_000);
}

async function check(plane: DataPlane, path = '/') {
  const findings: ChunkFinding[] = [];
  const summary = await plane.run(plane.client.fsck(path, { onFinding: (finding) => findings.push(finding) }));
  return { summary, findings };
}

describe('fsck', () => {
  test('finds nothing where all is well, and counts what it saw', async () => {
    const plane = await withTree(1);
    const { summary, findings } = await check(plane);
    expect(findings).toEqual([]);
    expect(summary).toEqual({ files: 3, directories: 3, chunks: 3, lost: 0, divergent: 0, short: 0, unreached: 0 });
    expect((await check(plane, '/d/e/one')).summary).toMatchObject({ files: 1, directories: 0, chunks: 1 });
  });

  test('lists a server that is down as unreachable, and what is short because of it', async () => {
    const plane = await withTree(2);
    plane.cluster.chunkservers[1]!.node.crash();
    const { summary, findings } = await check(plane);
    expect(summary).toMatchObject({ chunks: 3, short: 3 });
    expect(
      findings.every(({ replicas }) =>
        replicas.some(({ server, condition }) => server === 2 && condition === 'unreachable'),
      ),
    ).toBe(true);
  });

  test('tells how long a chunk is that is still written to, though its master does not know yet', async () => {
    const plane = await DataPlane.start(5);
    await plane.run(plane.client.writeFile('/open', payload(1, 1000)));
    plane.cluster.chunkservers[1]!.node.crash();
    const { findings } = await check(plane);
    expect(findings).toMatchObject([{ path: '/open', problem: 'short', firstByte: 0, lengthBytes: 1000 }]);
  });

  test('lists a chunk that is lost with its path and range, and nothing else', async () => {
    const plane = await withTree(3);
    for (const { node } of plane.cluster.chunkservers) {
      node.crash();
      node.disk.remove(pathOf(2));
      plane.cluster.restart(node);
    }
    await plane.world.runUntil(() => plane.cluster.isUp, 20_000);
    const { summary, findings } = await check(plane);
    expect(summary).toMatchObject({ files: 3, chunks: 3, lost: 1, divergent: 0, short: 0 });
    expect(findings).toMatchObject([
      { path: '/d/two', problem: 'lost', handle: 2, firstByte: chunkBytes, lengthBytes: 150_000 },
    ]);
  });

  test('calls a chunk lost whose only server has its directory as it was some time ago, as readers refuse it', async () => {
    const plane = await DataPlane.start(6, { chunkservers: 1 });
    const { node } = plane.cluster.chunkservers[0]!;
    const settings = { replication: 1, durability: 'disk' } as const;
    await plane.run(plane.client.writeFile('/f', payload(1, 1000), settings));
    await sealed(plane);
    node.crash();
    const old = new Map(node.disk.paths().map((path) => [path, node.disk.read(path).slice()]));
    await restarted(plane, node);
    const file = await plane.run(plane.client.open('/f', 'r+'));
    await plane.run(file.write(payload(2, 1000), { position: 0 }));
    await sealed(plane);
    node.crash();
    for (const path of node.disk.paths()) node.disk.remove(path);
    for (const [path, bytes] of old) node.disk.createFile(path).write(0, bytes);
    await restarted(plane, node);
    const { findings } = await check(plane);
    expect(findings).toMatchObject([{ problem: 'lost', replicas: [{ server: 1, condition: 'behind' }] }]);
    await expect(plane.run(plane.client.readFile('/f'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('shows the regions of a file of records, all defined in mode strong', async () => {
    const plane = await withTree(4);
    for (let n = 0; n < 5; n++) await plane.run(plane.client.appendRecord('/r', payload(n, 60_000)));
    const regions: string[] = [];
    await plane.run(
      (async () => {
        for await (const { from, to, state } of plane.client.regions('/r')) regions.push(`${from}-${to} ${state}`);
      })(),
    );
    const end = 4 * 60_032;
    expect(regions).toEqual([
      `0-${end} defined`,
      `${end}-${chunkBytes} padding`,
      `${chunkBytes}-${chunkBytes + 60_032} defined`,
    ]);
  });
});
