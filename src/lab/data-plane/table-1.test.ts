/** Table 1 of the GFS paper, cell by cell, on a real cluster: what state a region is in after writes and appends that succeed or fail. */
import { describe, expect, test } from 'vitest';
import type { Mode } from '../../core/protocol/types.ts';
import { lookup } from '../../system/master/state/resolve.ts';
import { checkFile } from '../regions/check-file.ts';
import type { ChunkReplicas, Operation } from '../regions/history.ts';
import { statesOf } from '../regions/states.ts';
import { Inspector } from '../simulator/inspector.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

const filled = (byte: number, length: number) => new Uint8Array(length).fill(byte);

class Cell {
  readonly plane: DataPlane;
  readonly mode: Mode;
  readonly operations: Operation[] = [];

  constructor(plane: DataPlane, mode: Mode) {
    this.plane = plane;
    this.mode = mode;
  }

  static async start(seed: number, mode: Mode): Promise<Cell> {
    const plane = await DataPlane.start(seed);
    await plane.run(plane.client.writeFile('/t', '', { mode, durability: 'disk' }));
    return new Cell(plane, mode);
  }

  async write(client: DataPlane['client'], position: number, bytes: Uint8Array): Promise<void> {
    const begunAt = this.plane.world.now;
    const handle = await client.open('/t', 'r+');
    await handle.write(bytes, { position });
    this.#did('write', position, bytes, begunAt);
  }

  async append(client: DataPlane['client'], bytes: Uint8Array): Promise<void> {
    const begunAt = this.plane.world.now;
    this.#did('append', await client.recordAppend('/t', bytes), bytes, begunAt);
  }

  #did(kind: Operation['kind'], position: number, bytes: Uint8Array, begunAt: number): void {
    const id = `${kind} ${this.operations.length}`;
    this.operations.push({
      id,
      kind,
      bytes,
      position,
      outcome: 'acknowledged',
      begunAt,
      endedAt: this.plane.world.now,
    });
  }

  /** The states that are there, once each. */
  async states(): Promise<readonly string[]> {
    return [...new Set(statesOf(await this.#chunks(), this.operations).map(({ state }) => state))].sort();
  }

  /** What is there that no history can have left. */
  async wrong(): Promise<readonly string[]> {
    const { mode, operations } = this;
    return checkFile({ mode, chunkBytes, operations, chunks: await this.#chunks() });
  }

  async #chunks(): Promise<readonly ChunkReplicas[]> {
    const { cluster, world } = this.plane;
    await world.runUntil(() => [...cluster.tables!.chunks(0)].every(([, { sealed }]) => sealed), 30_000);
    const found = lookup(cluster.tables!, '/t');
    if (!found.ok) throw new Error(found.message);
    const inspector = new Inspector(cluster);
    const chunks: ChunkReplicas[] = [];
    for (const [handle, { inode, index, servers }] of [...cluster.tables!.chunks(0)]) {
      if (inode !== found.value.inode) continue;
      const held = await this.plane.run(Promise.all(servers.map((server) => inspector.chunk(server, handle))));
      chunks.push({ start: index * chunkBytes, replicas: held.map((one) => one?.bytes ?? new Uint8Array(0)) });
    }
    return chunks;
  }
}

describe('Table 1', () => {
  test.each(['strong', 'gfs'] as const)('write, serial success: defined (mode %s)', async (mode) => {
    const cell = await Cell.start(1, mode);
    for (let n = 1; n <= 4; n++) await cell.plane.run(cell.write(cell.plane.client, (n - 1) * 3000, filled(n, 3000)));
    expect(await cell.states()).toEqual(['defined']);
  });

  test.each(['strong', 'gfs'] as const)(
    'write, concurrent success: consistent, but undefined (mode %s)',
    async (mode) => {
      const cell = await Cell.start(2, mode);
      const clients = [cell.plane.client, await cell.plane.anotherClient('c8'), await cell.plane.anotherClient('c9')];
      // Across the border of two chunks each write is two mutations, ordered by two primaries.
      const position = chunkBytes - 4000;
      await cell.plane.run(
        Promise.all(
          clients.flatMap((client, n) => [1, 2, 3].map((k) => cell.write(client, position, filled(3 * n + k, 8000)))),
        ),
      );
      expect(await cell.states()).not.toContain('inconsistent');
      expect(await cell.wrong()).toEqual([]);
    },
  );

  test.each(['strong', 'gfs'] as const)(
    'append, serial and concurrent success: defined, with padding between (mode %s)',
    async (mode) => {
      const cell = await Cell.start(3, mode);
      const clients = [cell.plane.client, await cell.plane.anotherClient('c8')];
      for (let n = 1; n <= 4; n++) await cell.plane.run(cell.append(cell.plane.client, filled(n, 1000 * n)));
      await cell.plane.run(
        Promise.all(
          clients.flatMap((client, n) => [5, 6, 7].map((k) => cell.append(client, filled(k + 3 * n, 60_000)))),
        ),
      );
      expect(await cell.states()).toEqual(['defined', 'padding']);
    },
  );

  test.each([
    ['gfs', ['defined', 'inconsistent']],
    ['strong', ['defined']],
  ] as const)('append, failure: in mode %s %j', async (mode, wanted) => {
    const cell = await Cell.start(4, mode);
    const { client, world, cluster } = cell.plane;
    await cell.plane.run(cell.append(client, filled(1, 1000)));
    const [, { servers }] = [...cluster.tables!.chunks(0)].at(-1)!;
    const { node } = cluster.chunkservers.find(({ id }) => id === servers[2])!;
    node.disk.arm('writeError', (path) => !path.includes('journal') && !path.includes('metadata'));
    await cell.plane.run(cell.append(client, filled(2, 2000)));
    await world.run(100);
    const states = await cell.states();
    expect(states).toEqual(wanted);
  });
});
