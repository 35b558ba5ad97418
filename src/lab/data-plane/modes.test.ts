/** What each mode promises, on whole clusters: appends while a chunkserver is cut off and others are killed, held against the bytes of all replicas. */
import { describe, expect, test } from 'vitest';
import { toUtf8 } from '../../core/base/bytes.ts';
import type { CairnError } from '../../core/base/errors.ts';
import type { Mode } from '../../core/protocol/types.ts';
import { lookup } from '../../system/master/state/resolve.ts';
import { checkFile } from '../regions/check-file.ts';
import { type ChunkReplicas, liesAt, type Operation } from '../regions/history.ts';
import { Inspector } from '../simulator/inspector.ts';
import { chunkBytes, DataPlane } from './cluster.test-support.ts';

const path = '/log';
const thinkMs = 30;

class Appending {
  readonly operations: Operation[] = [];
  readonly #plane: DataPlane;
  #isOver = false;

  constructor(plane: DataPlane) {
    this.#plane = plane;
  }

  /** One client that appends one record after another until told to stop. */
  async go(client: DataPlane['client'], name: string): Promise<void> {
    for (let n = 1; !this.#isOver; n++) {
      const bytes = toUtf8(`<${name}:${n}:${'x'.repeat((n * 97) % 900)}>`);
      const begunAt = this.#plane.world.now;
      const landed = await client.recordAppend(path, bytes).catch(() => undefined);
      const outcome = landed === undefined ? 'unknown' : 'acknowledged';
      const endedAt = this.#plane.world.now;
      await new Promise<void>((go) => this.#plane.world.after(thinkMs, go));
      this.operations.push({ id: `${name}:${n}`, kind: 'append', bytes, position: landed, outcome, begunAt, endedAt });
    }
  }

  stop(): void {
    this.#isOver = true;
  }
}

async function replicasOf(plane: DataPlane): Promise<ChunkReplicas[]> {
  const tables = plane.cluster.tables!;
  const found = lookup(tables, path);
  if (!found.ok) throw new Error(found.message);
  const inspector = new Inspector(plane.cluster);
  const chunks: ChunkReplicas[] = [];
  for (const [handle, { inode, index, servers }] of [...tables.chunks(0)]) {
    if (inode !== found.value.inode) continue;
    const held = await plane.run(Promise.all(servers.map((server) => inspector.chunk(server, handle))));
    chunks.push({ start: index * chunkBytes, replicas: held.map((one) => one?.bytes ?? new Uint8Array(0)) });
  }
  return chunks;
}

/** The name of the node that has the lease of the first chunk. */
async function primaryOf(plane: DataPlane): Promise<string> {
  const [location] = await plane.run(plane.client.shadow().locations(path));
  return plane.cluster.chunkservers[location!.replicas[0]!.server - 1]!.node.name;
}

/** Three clients append while servers are cut off, killed and started again. */
async function stormy(seed: number, mode: Mode) {
  const plane = await DataPlane.start(seed, { clients: 3, hasMemoryFiles: true });
  const { world, cluster } = plane;
  await plane.run(plane.client.writeFile(path, '', { mode, durability: 'disk' }));
  const appending = new Appending(plane);
  const clients = [plane.client, await plane.anotherClient('c8'), await plane.anotherClient('c9')];
  const all = clients.map((client, n) => appending.go(client, `c${n}`));
  const random = world.random.fork('storm');
  for (let round = 0; round < 4; round++) {
    await world.run(300 + random.between(0, 500));
    const { node } = random.pick(cluster.chunkservers);
    const others = cluster.chunkservers.map((one) => one.node.name).filter((name) => name !== node.name);
    const heal = world.network.blackhole([node.name], others);
    await world.run(random.between(200, 900));
    const dies = random.chance(0.7);
    if (dies) node.crash();
    heal();
    if (dies) {
      await world.run(random.between(500, 3000));
      cluster.restart(node);
    }
    await world.runUntil(() => cluster.isUp, 10_000);
  }
  await world.run(500);
  appending.stop();
  await plane.run(Promise.all(all));
  const isAtRest = () =>
    [...cluster.tables!.chunks(0)].every(([, { sealed, servers }]) => sealed && servers.length === 3);
  expect(await world.runUntil(isAtRest, 60_000)).toBe(true);
  await world.run(2000);
  return { operations: appending.operations, chunks: await replicasOf(plane) };
}

const acknowledged = (operations: readonly Operation[]) =>
  operations.filter(({ outcome }) => outcome === 'acknowledged').length;

/** Acknowledged, and not where it was answered to be on the first replica. */
function lost(operations: readonly Operation[], chunks: readonly ChunkReplicas[]): number {
  return operations.filter(({ outcome, position, bytes }) => {
    if (outcome !== 'acknowledged' || position === undefined) return false;
    const chunk = chunks.find(({ start }) => position >= start && position < start + chunkBytes);
    return chunk === undefined || !liesAt(chunk.replicas[0]!, position - chunk.start, bytes);
  }).length;
}

describe('appends in bad weather', () => {
  test.each(['strong', 'gfs'] as const)('in mode %s lose nothing, and every byte is of somebody', async (mode) => {
    const { operations, chunks } = await stormy(15, mode);
    expect(acknowledged(operations)).toBeGreaterThan(100);
    expect(lost(operations, chunks)).toBe(0);
    expect(checkFile({ mode, chunkBytes, operations, chunks })).toEqual([]);
  });

  test('in mode async lose a suffix, and nothing else', async () => {
    let all = 0;
    for (const seed of [1, 2, 3]) {
      const { operations, chunks } = await stormy(seed, 'async');
      expect(acknowledged(operations)).toBeGreaterThan(100);
      expect(checkFile({ mode: 'async', chunkBytes, operations, chunks })).toEqual([]);
      all += lost(operations, chunks);
    }
    expect(all).toBeGreaterThan(0);
  });
});

describe('in mode async, a lost connection to a primary that lives', () => {
  test('leaves readers all that was acknowledged, and who follows the file is told it once', async () => {
    const plane = await DataPlane.start(1, { hasMemoryFiles: true });
    const { client, world, cluster } = plane;
    await plane.run(client.writeFile(path, '', { mode: 'async', durability: 'memory' }));
    const append = (text: string) => plane.run(client.appendRecord(path, toUtf8(text)));
    for (const text of ['a', 'b', 'c']) await append(text);
    await world.run(300);
    const told: string[] = [];
    const abort = new AbortController();
    const follow = async () => {
      const options = { follow: true, signal: abort.signal };
      for await (const { data } of client.records(path, options)) told.push(String.fromCharCode(...data));
    };
    const following = follow().catch((thrown: CairnError) => thrown.code);
    const primary = await primaryOf(plane);
    for (const { node } of cluster.chunkservers) {
      if (node.name !== primary) world.network.shape(primary, node.name, { extraLatencyMs: 400 });
    }
    for (const text of ['d', 'e']) await append(text);
    await world.run(5);
    world.network.reset(cluster.clientNodes[0]!.name, primary);
    expect((await plane.run(client.stat(path))).size).toBe(5 * 33);
    expect((await plane.run(client.readFile(path))).length).toBe(5 * 33);
    await world.run(3000);
    expect(told).toEqual(['a', 'b', 'c', 'd', 'e']);
    abort.abort();
    expect(await plane.run(following)).toBe('ABORTED');
  });
});
