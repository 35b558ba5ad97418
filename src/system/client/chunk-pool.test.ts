import { describe, expect, test } from 'vitest';
import { toAddress, toChunkHandle, toChunkVersion } from '../../core/base/brand.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { type Peer, routesOf } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import { ChunkPool } from './chunk-pool.ts';
import { connectionsMax } from './limits.ts';

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

/** A chunkserver that takes no more bytes once a mutation has come. */
async function serveHolding(world: SimWorld): Promise<void> {
  const { env } = world.node('server');
  const routes = routesOf(chunkCalls, {
    lengths: () => ({ response: { lengths: [] } }),
    mutate: (_, { peer }) => {
      peer.hold();
      return new Promise(() => undefined);
    },
  });
  await world.settle(
    env.network.listen(address, (connection) => RpcConnection.accept(env, connection, chunkCalls, routes)),
  );
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

describe('waiting to be sent', () => {
  const grant = {
    handle: toChunkHandle(1),
    version: toChunkVersion(1),
    replicas: [],
    durability: 'memory',
    mode: 'strong',
    minReplicas: 1,
    knownLength: 0,
  } as const;
  const mutation = { grant, kind: { kind: 'write', offset: 0 }, crc: 0, chunkBytes: 1 } as const;

  test('a call ends within its time also behind bytes that its server does not take', async () => {
    const world = testWorld(4);
    await serveHolding(world);
    const pool = new ChunkPool(world.node('client').env);
    const body = [new Uint8Array(1024 * 1024)];
    const { clock } = world.node('client').env;
    const ends: number[] = [];
    const codes: string[] = [];
    const mutate = () =>
      pool.call(address, 'mutate', mutation, { body, timeoutMs: 3000 }).catch((error: { code: string }) => {
        ends.push(clock.now());
        codes.push(error.code);
      });
    const from = clock.now();
    await world.settle(Promise.all(Array.from({ length: 12 }, mutate)), 60_000);
    expect(new Set(codes)).toEqual(new Set(['TIMED_OUT']));
    expect(Math.max(...ends) - from).toBeLessThan(3200);
    pool.close();
  });

  test('a call for whose bytes there was no room in its time says nothing against the server', async () => {
    const world = testWorld(6);
    await serveHolding(world);
    const pool = new ChunkPool(world.node('client').env);
    const body = [new Uint8Array(1024 * 1024)];
    const mutate = (timeoutMs: number) => pool.call(address, 'mutate', mutation, { body, timeoutMs });
    const before = Array.from({ length: 12 }, () => mutate(60_000).catch(() => undefined));
    await world.run(100);
    await expect(world.settle(mutate(500), 1000)).rejects.toMatchObject({ code: 'BUSY' });
    expect(pool.isSuspect(address)).toBe(false);
    pool.close();
    await world.settle(Promise.all(before), 60_000);
  });

  test('a call for which there is no connection free ends within its time, and takes no place of others', async () => {
    const world = testWorld(5);
    await serve(world, 6000);
    const pool = new ChunkPool(world.node('client').env);
    const heal = world.network.blackhole(['client'], ['server']);
    const nowhere = Array.from({ length: connectionsMax }, (_, n) => toAddress(`server:${n + 2}`));
    const held = nowhere.map((other) => pool.call(other, 'read', request, { timeoutMs: 1e9 }).catch(() => undefined));
    const tooLate = pool.call(address, 'read', request, { timeoutMs: 500 });
    const later = pool.call(address, 'read', request, { timeoutMs: 60_000 });
    await expect(world.settle(tooLate, 1000)).rejects.toMatchObject({ code: 'BUSY' });
    heal();
    await world.settle(Promise.all(held), 60_000);
    expect((await world.settle(later, 60_000)).response.chunkLength).toBe(7);
    pool.close();
  });
});
