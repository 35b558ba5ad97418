import { describe, expect, test } from 'vitest';
import { toAddress } from '../../core/base/brand.ts';
import type { BodySink, Connection, ConnectionHandler, Env } from '../../core/base/env.ts';
import { testWorld } from './node-host.test-support.ts';
import { SimRandom } from './random.ts';
import type { SimWorld, SimWorldOptions } from './world.ts';

const address = toAddress('b:1');
const bytes = (...values: number[]) => Uint8Array.from(values);

/** Keeps copies of what comes. */
class Recorder implements ConnectionHandler {
  readonly heads: Uint8Array[] = [];
  readonly bodies: Uint8Array[] = [];
  readonly closings: string[] = [];
  pieces = 0;
  aborted = 0;
  drains = 0;

  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined {
    this.heads.push(head.slice());
    const body = new Uint8Array(bodyBytes);
    let at = 0;
    return {
      piece: (piece) => {
        this.pieces += 1;
        body.set(piece, at);
        at += piece.length;
      },
      end: () => {
        expect(at).toBe(bodyBytes);
        this.bodies.push(body);
      },
      aborted: () => {
        this.aborted += 1;
      },
    };
  }

  drained(): void {
    this.drains += 1;
  }

  closed(reason: string): void {
    this.closings.push(reason);
  }
}

interface Pair {
  readonly world: SimWorld;
  readonly client: Connection;
  readonly near: Recorder;
  /** The server's end, once accepted. */
  readonly server: () => Connection;
  readonly far: Recorder;
}

async function pair(seed = 1, options: Partial<SimWorldOptions> = {}): Promise<Pair> {
  const world = testWorld(seed, options);
  const far = new Recorder();
  let server: Connection | undefined;
  await listen(world.node('b').env, (connection) => {
    server = connection;
    return far;
  });
  const near = new Recorder();
  const client = world.node('a').env.network.connect(address, near);
  expect(await world.runUntil(() => server !== undefined)).toBe(true);
  return { world, client, near, far, server: () => server! };
}

async function listen(env: Env, accept: (connection: Connection) => ConnectionHandler): Promise<void> {
  await env.network.listen(address, accept);
}

function number(n: number): Uint8Array {
  return bytes(n & 0xff, n >> 8);
}

function pattern(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let n = 0; n < length; n++) out[n] = (n * 31 + (n >> 8) * 17 + seed) & 0xff;
  return out;
}

function differsAt(actual: Uint8Array, expected: Uint8Array): number {
  return actual.length === expected.length ? actual.findIndex((byte, at) => byte !== expected[at]) : -2;
}

describe('frames', () => {
  test('frames arrive whole, in order, once, in both directions', async () => {
    const { world, client, near, far, server } = await pair();
    const random = SimRandom.fromSeed(9);
    const lengths = Array.from({ length: 400 }, () => random.pick([0, 1, 100, 5_000, 200_000]));
    for (const [n, length] of lengths.entries()) {
      client.send(number(n), [pattern(length, n)]);
      server().send(number(n));
    }
    expect(await world.runUntil(() => far.bodies.length === 400 && near.heads.length === 400)).toBe(true);
    for (const [n, length] of lengths.entries()) {
      expect(far.heads[n]).toEqual(number(n));
      expect(near.heads[n]).toEqual(number(n));
      expect(differsAt(far.bodies[n]!, pattern(length, n))).toBe(-1);
    }
    expect(client.queuedBytes).toBe(0);
  });

  test('bodies come in one piece or many, as the seed says', async () => {
    const counts = new Set<number>();
    for (let seed = 1; seed <= 10; seed++) {
      const { world, client, far } = await pair(seed);
      client.send(bytes(1), [pattern(60_000, 1)]);
      expect(await world.runUntil(() => far.bodies.length === 1)).toBe(true);
      counts.add(far.pieces);
    }
    expect(counts.has(1)).toBe(true);
    expect(counts.size).toBeGreaterThan(1);
  });

  test('a frame written in pieces keeps later frames behind it', async () => {
    const { world, client, far } = await pair();
    const writer = client.startFrame(bytes(1), 6);
    writer.piece(bytes(1, 2, 3));
    client.send(bytes(2), [bytes(9)]);
    const second = client.startFrame(bytes(3), 1);
    second.piece(bytes(7));
    second.end();
    await world.run(100);
    expect(far.heads).toEqual([bytes(1)]);
    writer.piece(bytes(4, 5, 6));
    writer.end();
    await world.run(100);
    expect(far.heads).toEqual([bytes(1), bytes(2), bytes(3)]);
    expect(far.bodies).toEqual([bytes(1, 2, 3, 4, 5, 6), bytes(9), bytes(7)]);
  });

  test('a frame that ends short closes the connection, and the peer sees the body aborted', async () => {
    const { world, client, near, far } = await pair();
    const writer = client.startFrame(bytes(1), 6);
    writer.piece(bytes(1, 2, 3));
    await world.run(100);
    writer.end();
    await world.run(100);
    expect([far.aborted, far.closings.length, near.closings.length, far.bodies.length]).toEqual([1, 1, 1, 0]);
  });

  test('who keeps a head or a piece past its call without a copy finds it overwritten', async () => {
    const world = testWorld(1);
    const kept: Uint8Array[] = [];
    await listen(world.node('b').env, () => ({
      frame: (head) => {
        kept.push(head);
        return { piece: (piece) => void kept.push(piece), end: () => undefined, aborted: () => undefined };
      },
      closed: () => undefined,
    }));
    world
      .node('a')
      .env.network.connect(address, new Recorder())
      .send(bytes(1), [bytes(2)]);
    await world.run(100);
    expect(kept.map((one) => one[0])).toEqual([0xdb, 0xdb]);
  });

  test('a piece may be passed on within its call', async () => {
    const world = testWorld(1);
    const onward = toAddress('c:1');
    const end = new Recorder();
    await world.node('c').env.network.listen(onward, () => end);
    const next = world.node('b').env.network.connect(onward, new Recorder());
    await listen(world.node('b').env, () => ({
      frame: (head, bodyBytes) => {
        const writer = next.startFrame(head, bodyBytes);
        return { piece: (piece) => void writer.piece(piece), end: () => writer.end(), aborted: () => writer.end() };
      },
      closed: () => undefined,
    }));
    world
      .node('a')
      .env.network.connect(address, new Recorder())
      .send(bytes(1), [pattern(500_000, 5)]);
    expect(await world.runUntil(() => end.bodies.length === 1)).toBe(true);
    expect(differsAt(end.bodies[0]!, pattern(500_000, 5))).toBe(-1);
  });

  test('a sink with space of its own finds the body there, whole', async () => {
    const world = testWorld(1);
    const into = new Uint8Array(300_001);
    const pieces: Uint8Array[] = [];
    let at = 0;
    let isWhole = false;
    await listen(world.node('b').env, () => ({
      frame: () => ({
        space: () => into.subarray(at, at + 10_000),
        piece: (piece) => {
          pieces.push(piece);
          at += piece.length;
        },
        end: () => {
          isWhole = true;
        },
        aborted: () => undefined,
      }),
      closed: () => undefined,
    }));
    world
      .node('a')
      .env.network.connect(address, new Recorder())
      .send(bytes(1), [pattern(300_001, 3)]);
    expect(await world.runUntil(() => isWhole)).toBe(true);
    expect(differsAt(into, pattern(300_001, 3))).toBe(-1);
    expect(pieces.every((piece) => piece.buffer === into.buffer && piece.length <= 10_000)).toBe(true);
  });

  test('a frame in pieces does not wait for the frames behind it, which wait for it', async () => {
    const { world, client, near, far } = await pair(1, { network: { sendQueueMaxBytes: 100_000 } });
    const writer = client.startFrame(bytes(1), 2);
    expect(client.send(bytes(2), [new Uint8Array(200_000)])).toBe(false);
    expect(writer.piece(bytes(1))).toBe(true);
    await world.run(100);
    expect(near.drains).toBe(0);
    expect(writer.piece(bytes(1))).toBe(true);
    writer.end();
    expect(await world.runUntil(() => far.bodies.length === 2)).toBe(true);
    expect(near.drains).toBe(1);
  });

  test('a sender that changes a body before it has left sends what it changed', async () => {
    const { world, client, far } = await pair();
    const body = bytes(1, 1, 1);
    client.send(bytes(1), [body]);
    body.fill(2);
    await world.run(100);
    expect(far.bodies).toEqual([bytes(2, 2, 2)]);
  });
});

describe('back-pressure', () => {
  test('a receiver that pauses stops the sender; drained comes when it reads again', async () => {
    const { world, client, near, far, server } = await pair(1, { network: { sendQueueMaxBytes: 100_000 } });
    server().pauseReading();
    let sent = 0;
    while (client.send(number(sent), [new Uint8Array(10_000)])) {
      sent += 1;
      await world.run(1);
      expect(sent).toBeLessThan(1_000);
    }
    await world.run(1_000);
    expect([far.heads.length, near.drains]).toEqual([0, 0]);
    expect(client.queuedBytes).toBeGreaterThan(100_000);
    server().resumeReading();
    expect(await world.runUntil(() => far.bodies.length === sent + 1)).toBe(true);
    expect(near.drains).toBe(1);
    expect(far.heads.map((head) => head[0]! + head[1]! * 256)).toEqual(Array.from({ length: sent + 1 }, (_, n) => n));
  });

  test('a pause takes effect at once, in the middle of what arrived together', async () => {
    const world = testWorld(1);
    let seen = 0;
    let connection: Connection | undefined;
    await listen(world.node('b').env, (accepted) => {
      connection = accepted;
      return {
        frame: () => {
          seen += 1;
          accepted.pauseReading();
          return undefined;
        },
        closed: () => undefined,
      };
    });
    const client = world.node('a').env.network.connect(address, new Recorder());
    for (let n = 0; n < 3; n++) client.send(bytes(n));
    for (let n = 1; n <= 3; n++) {
      await world.run(100);
      expect(seen).toBe(n);
      connection!.resumeReading();
    }
  });

  test('a peer that is stopped (SIGSTOP) takes no more than a window', async () => {
    const { world, client, far } = await pair();
    world.node('b').pause();
    for (let n = 0; n < 100; n++) client.send(number(n), [new Uint8Array(20_000)]);
    await world.run(1_000);
    expect(far.heads.length).toBe(0);
    expect(client.queuedBytes).toBeGreaterThan(1_500_000);
    world.node('b').resume();
    expect(await world.runUntil(() => far.bodies.length === 100)).toBe(true);
  });

  test('a slow link takes the time of its bytes', async () => {
    const { world, client, far } = await pair();
    world.network.shape('a', 'b', { bytesPerMs: 1_000, extraLatencyMs: 50 });
    const begun = world.now;
    client.send(bytes(1), [new Uint8Array(1_000_000)]);
    expect(await world.runUntil(() => far.bodies.length === 1)).toBe(true);
    expect(world.now - begun).toBeGreaterThan(1_050);
    expect(world.now - begun).toBeLessThan(1_100);
  });
});

describe('ends', () => {
  test('a connection to nobody is refused, and frames for it are dropped', async () => {
    const world = testWorld(1);
    const near = new Recorder();
    const client = world.node('a').env.network.connect(address, near);
    expect(client.send(bytes(1))).toBe(true);
    await world.run(100);
    expect(near.closings).toEqual([expect.stringContaining('refused')]);
    expect(client.send(bytes(1))).toBe(true);
    await world.run(100_000);
    expect(near.closings.length).toBe(1);
    expect(world.network.connectionCount).toBe(0);
  });

  test('both ends hear of a close once, and of nothing after it', async () => {
    const { world, client, near, far, server } = await pair();
    client.close('enough');
    server().send(bytes(1));
    client.send(bytes(2));
    await world.run(1_000);
    expect(near.closings).toEqual(['enough']);
    expect(far.closings.length).toBe(1);
    expect([near.heads.length, far.heads.length]).toEqual([0, 0]);
    expect(world.network.connectionCount).toBe(0);
  });

  test('handlers are not called from within their own calls', async () => {
    const { client, near } = await pair();
    client.close('enough');
    expect(near.closings).toEqual([]);
  });

  test.each([{}, { loseUnsynced: true }])(
    'the peers of a process that crashes lose their connections (%o)',
    async (how) => {
      const { world, client, near, far } = await pair();
      client.send(bytes(1), [new Uint8Array(100_000)]);
      world.node('b').crash(how);
      await world.run(100);
      expect(near.closings.length).toBe(1);
      expect(far.closings).toEqual([]);
      const again = new Recorder();
      world.node('a').env.network.connect(address, again);
      await world.run(100);
      expect(again.closings).toEqual([expect.stringContaining('refused')]);
    },
  );

  test('what a process had sent before its crash arrives up to some point, then the connection ends', async () => {
    const counts = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      const { world, client, far } = await pair(seed);
      for (let n = 0; n < 50; n++) {
        client.send(number(n), [new Uint8Array(3_000)]);
        if (n % 10 === 9) await world.run(0.05);
      }
      world.node('a').crash();
      await world.run(1_000);
      expect(far.heads.map((head) => head[0])).toEqual(far.heads.map((_, n) => n));
      expect(far.closings.length).toBe(1);
      counts.add(far.heads.length);
    }
    expect(counts.size).toBeGreaterThan(2);
  });

  test('a machine that vanishes tells nobody; its peers notice by keep-alive, or when it is back', async () => {
    for (const [restartAfterMs, closesWithinMs] of [
      [100_000, 17_000],
      [2_000, 4_000],
    ] as const) {
      const { world, near } = await pair();
      const begun = world.now;
      world.node('b').crash({ silent: true });
      world.after(restartAfterMs, () => void world.node('b').restart());
      await world.run(1_900);
      expect(near.closings).toEqual([]);
      expect(await world.runUntil(() => near.closings.length === 1)).toBe(true);
      expect(world.now - begun).toBeLessThan(closesWithinMs);
    }
  });

  test('a listener has its address alone, and gives it back', async () => {
    const world = testWorld(1);
    const listener = await world.settle(world.node('b').env.network.listen(address, () => new Recorder()));
    const second = world.node('a').env.network.listen(address, () => new Recorder());
    await expect(world.settle(second)).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await world.settle(listener.close());
    await world.settle(world.node('a').env.network.listen(address, () => new Recorder()));
  });

  test('a restarted process can listen where its dead one did', async () => {
    const { world } = await pair();
    world.node('b').crash();
    const far = new Recorder();
    await world.settle(
      world
        .node('b')
        .restart()
        .network.listen(address, () => far),
    );
    world.node('a').env.network.connect(address, new Recorder()).send(bytes(1));
    await world.run(100);
    expect(far.heads).toEqual([bytes(1)]);
  });
});

describe('partitions', () => {
  test('a symmetric partition stops both directions; healed, everything comes, in order', async () => {
    const { world, client, near, far, server } = await pair();
    const heal = world.network.partition(['a'], ['b', 'c']);
    for (let n = 0; n < 5; n++) {
      client.send(bytes(n));
      server().send(bytes(n));
    }
    await world.run(5_000);
    expect([near.heads.length, far.heads.length, near.closings.length]).toEqual([0, 0, 0]);
    heal();
    await world.run(2_000);
    expect([near.heads.length, far.heads.length]).toEqual([5, 5]);
    expect(far.heads.map((head) => head[0])).toEqual([0, 1, 2, 3, 4]);
  });

  test('a black hole stops one direction alone', async () => {
    const { world, client, near, far, server } = await pair();
    const heal = world.network.blackhole(['a'], ['b']);
    client.send(bytes(1));
    server().send(bytes(2));
    await world.run(1_000);
    expect([near.heads.length, far.heads.length]).toEqual([1, 0]);
    heal();
    await world.run(2_000);
    expect(far.heads.length).toBe(1);
  });

  test('what is not acknowledged fills the window, though it arrives', async () => {
    const { world, near, server } = await pair();
    world.network.blackhole(['a'], ['b']);
    for (let n = 0; n < 100; n++) server().send(number(n), [new Uint8Array(20_000)]);
    await world.run(10_000);
    expect(near.bodies.length).toBeLessThan(20);
    expect(server().queuedBytes).toBeGreaterThan(1_500_000);
    world.network.heal();
    expect(await world.runUntil(() => near.bodies.length === 100)).toBe(true);
  });

  test('a partition of some pairs leaves the others alone', async () => {
    const { world, client, far } = await pair();
    const other = new Recorder();
    const relay = world.node('c').env.network.connect(address, other);
    world.network.partition(['a'], ['b']);
    client.send(bytes(1));
    relay.send(bytes(2));
    await world.run(1_000);
    expect(far.heads).toEqual([bytes(2)]);
  });

  test('overlapping partitions heal when the last one does', async () => {
    const { world, client, far } = await pair();
    const one = world.network.partition(['a'], ['b']);
    const two = world.network.isolate('b');
    one();
    one();
    client.send(bytes(1));
    await world.run(3_000);
    expect(far.heads.length).toBe(0);
    two();
    await world.run(3_000);
    expect(far.heads.length).toBe(1);
  });

  test('a connection that nothing comes through for the keep-alive time ends at both ends', async () => {
    const { world, near, far } = await pair();
    world.network.blackhole(['a'], ['b']);
    await world.run(14_000);
    expect([near.closings.length, far.closings.length]).toEqual([0, 0]);
    await world.run(3_000);
    expect([near.closings.length, far.closings.length]).toEqual([1, 1]);
    world.network.heal();
    await world.run(60_000);
    expect([near.closings.length, far.closings.length]).toEqual([1, 1]);
    expect(world.network.connectionCount).toBe(0);
  });

  test('a partition that ends within the keep-alive time ends no connection, one that goes on one way does', async () => {
    const { world, near, far } = await pair();
    const [there, back] = [world.network.blackhole(['a'], ['b']), world.network.blackhole(['b'], ['a'])];
    await world.run(14_000);
    there();
    back();
    await world.run(14_000);
    expect([near.closings.length, far.closings.length]).toEqual([0, 0]);
    const again = world.network.partition(['a'], ['b']);
    world.network.blackhole(['a'], ['b']);
    await world.run(14_000);
    again();
    await world.run(3_000);
    expect([near.closings.length, far.closings.length]).toEqual([1, 1]);
  });

  test('a partition holds for nodes that had not met before', async () => {
    const world = testWorld(1);
    const heal = world.network.partition(['a'], ['b']);
    const far = new Recorder();
    await listen(world.node('b').env, () => far);
    world.node('a').env.network.connect(address, new Recorder()).send(bytes(1));
    await world.run(2_000);
    expect(far.heads.length).toBe(0);
    heal();
    await world.run(2_000);
    expect(far.heads.length).toBe(1);
  });

  test('an attempt to connect into a partition waits for its end, or times out', async () => {
    const { world } = await pair();
    const heal = world.network.partition(['a'], ['b']);
    const [early, late] = [new Recorder(), new Recorder()];
    world.node('a').env.network.connect(address, early);
    await world.run(8_000);
    const second = world.node('a').env.network.connect(address, late);
    second.send(bytes(1));
    await world.run(4_000);
    expect(early.closings).toEqual([expect.stringContaining('ETIMEDOUT')]);
    heal();
    await world.run(5_000);
    expect([late.closings.length, second.queuedBytes]).toEqual([0, 0]);
  });

  test('a reset breaks the connections of a pair, a stall delays them', async () => {
    const { world, client, near, far } = await pair();
    world.network.stall('a', 'b', 500);
    client.send(bytes(1));
    await world.run(400);
    expect(far.heads.length).toBe(0);
    await world.run(200);
    expect(far.heads.length).toBe(1);
    world.network.reset('b', 'a');
    await world.run(1);
    expect([near.closings.length, far.closings.length]).toEqual([1, 1]);
  });

  test('losses delay but keep the order; resets break', async () => {
    const { world, client, far, near } = await pair();
    world.network.shape('a', 'b', { lossRate: 0.2 });
    for (let n = 0; n < 200; n++) {
      client.send(bytes(n));
      await world.run(1);
    }
    await world.run(10_000);
    expect(far.heads.map((head) => head[0])).toEqual(Array.from({ length: 200 }, (_, n) => n));
    world.network.shape('a', 'b', { lossRate: 0, resetRate: 1 });
    client.send(bytes(1));
    await world.run(10);
    expect([near.closings.length, far.closings.length]).toEqual([1, 1]);
  });
});
