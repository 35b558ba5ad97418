import { describe, expect, test } from 'vitest';
import { toAddress, toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { type Peer, routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { ChunkPool } from './chunk-pool.ts';

const address = toAddress('server:1');
const request = { handle: toChunkHandle(1), offset: 0, length: 1 };

/** A chunkserver whose first connection is stuck: nothing that comes by it is answered before `answerAfterMs`. Others are answered at once. */
async function serve(world: SimWorld, answerAfterMs: number): Promise<void> {
  const { env } = world.node('server');
  let stuck: Peer | undefined;
  const handled = (peer: Peer): Promise<void> | undefined => {
    stuck ??= peer;
    if (peer !== stuck) return undefined;
    return new Promise((resolve) => env.clock.after(answerAfterMs, resolve));
  };
  const routes = routesOf(chunkCalls, {
    lengths: async (_, { peer }) => {
      await handled(peer);
      return { response: { lengths: [] } };
    },
    read: async (_, { peer }) => {
      await handled(peer);
      return { response: { crc: 0, chunkLength: 7, version: toChunkVersion(1) } };
    },
  });
  const accept = (connection: Parameters<typeof RpcConnection.accept>[1]) =>
    RpcConnection.accept(env, connection, chunkCalls, routes);
  await world.settle(env.network.listen(address, accept));
}

describe('a connection on which nothing comes', () => {
  test('is kept while the server answers on another one: its link is crowded, and the answer comes in time', async () => {
    const world = testWorld(1);
    await serve(world, 6000);
    const pool = new ChunkPool(world.node('client').env);
    const { response } = await world.settle(pool.call(address, 'read', request, { timeoutMs: 9000 }));
    expect(response.chunkLength).toBe(7);
    expect(pool.isSuspect(address)).toBe(false);
    pool.close();
  });

  test('is given up all the same when that lasts too long, and the next call gets another one', async () => {
    const world = testWorld(2);
    await serve(world, 1e9);
    const pool = new ChunkPool(world.node('client').env);
    const first = world.settle(pool.call(address, 'read', request, { timeoutMs: 60_000 }), 30_000);
    await expect(first).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect((await world.settle(pool.call(address, 'read', request))).response.chunkLength).toBe(7);
    pool.close();
  });

  test('is closed within two seconds when the server is stopped', async () => {
    const world = testWorld(3);
    await serve(world, 1e9);
    const pool = new ChunkPool(world.node('client').env);
    const { clock } = world.node('client').env;
    const from = clock.now();
    const asked = pool.call(address, 'read', request, { timeoutMs: 60_000 });
    const stopped = new Promise<void>((resolve) => clock.after(100, resolve));
    const outcome = asked.then(
      () => 'answered',
      (error: { code: string }) => error.code,
    );
    await world.settle(stopped);
    world.node('server').pause();
    expect(await world.settle(outcome, 10_000)).toBe('CONNECTION_LOST');
    expect(clock.now() - from).toBeLessThan(2100);
    expect(pool.isSuspect(address)).toBe(true);
    pool.close();
  });
});
