import { describe, expect, test } from 'vitest';
import { toAddress } from '../../core/base/brand.ts';
import { list, struct, text, varint } from '../../core/base/codec.ts';
import type { BodySink, Connection } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { call } from '../../core/protocol/call.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import type { NetworkSettings } from '../../platform/sim/path.ts';
import type { SimWorld } from '../../platform/sim/world.ts';
import { frameKinds, requestHead } from './frames.ts';
import { type Handlers, plainBodyMaxBytes, routesOf } from './handlers.ts';
import { RpcConnection, servingMax } from './rpc-connection.ts';

const calls = {
  echo: call(1, struct({ word: text }), struct({ word: text, bytes: varint })),
  wait: call(2, struct({ ms: varint }), struct({})),
  refuse: call(3, struct({}), struct({})),
  tooMuch: call(6, struct({}), struct({ words: list(text, 1) })),
  give: call(4, struct({ bytes: varint }), struct({})),
  tell: call(5, struct({ word: text }), struct({})),
} as const;
const unknownCalls = { other: call(99, struct({}), struct({})) } as const;
type Calls = typeof calls;

const address = toAddress('server:1');

interface Server {
  readonly world: SimWorld;
  readonly told: string[];
  readonly closed: string[];
  accepted: RpcConnection<Calls>[];
}

function handlersOf(world: SimWorld, told: string[]): Handlers<Calls> {
  const { clock } = world.node('server').env;
  return {
    echo: ({ word }, _context, body) => ({ response: { word, bytes: body.length }, body: [body] }),
    wait: ({ ms }) => new Promise((resolve) => clock.after(ms, () => resolve({ response: {} }))),
    refuse: () => {
      throw new CairnError('NOT_LEADER', 'somebody else leads', { hint: 'm2:1' });
    },
    tooMuch: () => Promise.resolve({ response: { words: ['one', 'two'] } }),
    give: ({ bytes }) => ({ response: {}, body: [new Uint8Array(bytes).fill(7)] }),
    tell: {
      begin({ word }, _bodyBytes, context) {
        context.reply({});
        let got = 0;
        return {
          piece: (bytes) => {
            got += bytes.length;
          },
          end: () => told.push(`${word} ${got}`),
          aborted: () => told.push(`${word} aborted`),
        };
      },
    },
  };
}

async function serve(world: SimWorld): Promise<Server> {
  const server: Server = { world, told: [], closed: [], accepted: [] };
  const { env } = world.node('server');
  const routes = routesOf(calls, handlersOf(world, server.told));
  const accept = (connection: Connection) => {
    const rpc = RpcConnection.accept(env, connection, calls, routes, (reason) => server.closed.push(reason));
    server.accepted.push(rpc);
    return rpc;
  };
  await world.settle(env.network.listen(address, accept));
  return server;
}

async function start(seed: number, network: Partial<NetworkSettings> = {}) {
  const world = testWorld(seed, { network });
  const server = await serve(world);
  const { env } = world.node('client');
  const rpc = RpcConnection.connect(env, address, calls, { calls, handlers: { echo: handlersOf(world, []).echo! } });
  return { world, server, rpc, env };
}

describe('a call', () => {
  test('brings the answer and the bodies of both, also when many are under way', async () => {
    const { world, rpc } = await start(1);
    const bodies = [0, 1, 10_000, packetMaxBytes].map((length, i) => new Uint8Array(length).fill(i + 1));
    const answers = await world.settle(
      Promise.all(bodies.map((body, i) => rpc.call('echo', { word: `w${i}` }, { body: [body] }))),
    );
    for (const [i, { response, body }] of answers.entries()) {
      expect(response).toEqual({ word: `w${i}`, bytes: bodies[i]!.length });
      expect(body.length).toBe(bodies[i]!.length);
      expect(body.every((byte) => byte === i + 1)).toBe(true);
    }
  });

  test('goes both ways over one connection', async () => {
    const { world, server, rpc } = await start(2);
    await world.settle(rpc.call('echo', { word: 'there' }));
    const { response } = await world.settle(server.accepted[0]!.call('echo', { word: 'back' }));
    expect(response.word).toBe('back');
  });

  test('that is refused throws what the peer threw: code, message, hint', async () => {
    const { world, rpc } = await start(3);
    await expect(world.settle(rpc.call('refuse', {}))).rejects.toMatchObject({
      code: 'NOT_LEADER',
      message: 'somebody else leads',
      hint: 'm2:1',
    });
  });

  test('that is not offered, or has a body that is too large, is refused, and the connection goes on', async () => {
    const { world, rpc } = await start(4);
    const { env } = world.node('client');
    const stranger = RpcConnection.connect(env, address, unknownCalls, undefined);
    await expect(world.settle(stranger.call('other', {}))).rejects.toMatchObject({ code: 'PROTOCOL' });
    await expect(world.settle(stranger.call('other', {}))).rejects.toMatchObject({ code: 'PROTOCOL' });
    const body = [new Uint8Array(plainBodyMaxBytes + 1)];
    await expect(world.settle(rpc.call('echo', { word: 'x' }, { body }))).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect((await world.settle(rpc.call('echo', { word: 'y' }))).response.word).toBe('y');
  });

  test('whose answer cannot be told fails at once, and costs no place among those that are served', async () => {
    const { world, rpc, server } = await start(3);
    await expect(world.settle(rpc.call('tooMuch', {}))).rejects.toMatchObject({ code: 'INTERNAL' });
    const all = Array.from({ length: servingMax }, () => rpc.call('tooMuch', {}).catch(() => undefined));
    await world.settle(Promise.all(all));
    expect((await world.settle(rpc.call('echo', { word: 'still there' }))).response.word).toBe('still there');
    expect(server.accepted[0]!.isClosed).toBe(false);
  });

  test('that is not answered in time throws TIMED_OUT, and its late answer is nobody’s', async () => {
    const { world, rpc } = await start(5);
    await expect(world.settle(rpc.call('wait', { ms: 500 }, { timeoutMs: 200 }))).rejects.toMatchObject({
      code: 'TIMED_OUT',
    });
    await world.run(1000);
    expect((await world.settle(rpc.call('echo', { word: 'on' }))).response.word).toBe('on');
  });

  test('throws CONNECTION_LOST when the connection closes under it, and at once when it is closed', async () => {
    const { world, server, rpc } = await start(6);
    await world.settle(rpc.call('echo', { word: 'x' }));
    const lost = rpc.call('wait', { ms: 5000 });
    world.after(10, () => server.accepted[0]!.close('enough'));
    await expect(world.settle(lost)).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(rpc.isClosed).toBe(true);
    const before = world.now;
    await expect(world.settle(rpc.call('echo', { word: 'x' }))).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(world.now).toBe(before);
  });

  test('whose failure cannot be read fails with its connection', async () => {
    const world = testWorld(10);
    const peer = world.node('server').env.network;
    let connection: Connection | undefined;
    const garbled = {
      frame: () => {
        connection!.send(Uint8Array.of(frameKinds.failure, 2, 0, 0, 0, 99));
        return undefined;
      },
      closed: () => {},
    };
    const accept = (accepted: Connection) => {
      connection = accepted;
      return garbled;
    };
    await world.settle(peer.listen(address, accept));
    const rpc = RpcConnection.connect(world.node('client').env, address, calls, undefined);
    const failed = rpc.call('refuse', {}).then(
      () => 'answered',
      (thrown: CairnError) => thrown.code,
    );
    expect(await world.settle(failed)).toBe('CONNECTION_LOST');
  });

  test('whose answer stops in the middle of its body fails at its deadline, with the connection', async () => {
    const { world, rpc } = await start(7);
    await world.settle(rpc.call('echo', { word: 'x' }));
    const sunk: string[] = [];
    const sink = (): BodySink => ({
      piece: () => {
        if (sunk.length === 0) world.network.isolate('server');
        sunk.push('piece');
      },
      end: () => sunk.push('end'),
      aborted: () => sunk.push('aborted'),
    });
    const stopped = rpc.call('give', { bytes: 900_000 }, { sink, timeoutMs: 1000 });
    await expect(world.settle(stopped)).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(sunk).toContain('piece');
    expect(sunk.at(-1)).toBe('aborted');
    expect(world.now).toBeLessThan(3000);
  });

  test('whose answer comes slowly is waited for as long as it comes; one that only drips is not', async () => {
    for (const [bytesPerMs, code] of [
      [100, 'ok'],
      [10, 'CONNECTION_LOST'],
    ] as const) {
      const { world, rpc } = await start(16, { bytesPerMs, segmentMaxBytes: 4096 });
      const answer = rpc.call('give', { bytes: 400_000 }, { timeoutMs: 1000 });
      const outcome = answer.then(
        ({ body }) => (body.length === 400_000 ? 'ok' : 'short'),
        (thrown) => thrown.code,
      );
      expect(await world.settle(outcome)).toBe(code);
    }
  });

  test('whose body goes out slowly hears of the peer meanwhile', async () => {
    const { world, rpc } = await start(17, { bytesPerMs: 100, segmentMaxBytes: 4096 });
    const answer = rpc.call('echo', { word: 'long' }, { body: [new Uint8Array(400_000)] });
    await world.run(3000);
    expect(rpc.heard).toBeGreaterThan(3);
    expect((await world.settle(answer)).response.bytes).toBe(400_000);
  });

  test('hands the body of its answer to a sink, where it wants it', async () => {
    const { world, rpc } = await start(8);
    const memory = new Uint8Array(100_000);
    let at = 0;
    const sink = (bodyBytes: number): BodySink => {
      expect(bodyBytes).toBe(memory.length);
      return {
        space: () => memory.subarray(at),
        piece: (bytes) => {
          at += bytes.length;
        },
        end: () => {},
        aborted: () => {},
      };
    };
    const { body } = await world.settle(rpc.call('give', { bytes: memory.length }, { sink }));
    expect(body.length).toBe(0);
    expect(memory.every((byte) => byte === 7)).toBe(true);
  });
});

describe('a notice', () => {
  test('is told whole or piece by piece, and one that breaks off is told as aborted', async () => {
    const { world, server, rpc } = await start(10);
    rpc.notify('tell', { word: 'empty' });
    rpc.notify('tell', { word: 'whole' }, [new Uint8Array(10), new Uint8Array(20)]);
    const pieces = rpc.beginNotice('tell', { word: 'pieces' }, 30);
    pieces.piece(new Uint8Array(10));
    await world.run(5);
    pieces.piece(new Uint8Array(20));
    pieces.end();
    const short = rpc.beginNotice('tell', { word: 'short' }, 30);
    short.piece(new Uint8Array(10));
    await world.run(5);
    short.end();
    await world.run(50);
    expect(server.told).toEqual(['empty 0', 'whole 30', 'pieces 30', 'short aborted']);
  });
});

describe('bounds', () => {
  test('a head that cannot be read closes the connection; a request that cannot is refused', async () => {
    const { world, server, rpc, env } = await start(20);
    await world.settle(rpc.call('echo', { word: 'x' }));
    for (const head of [
      Uint8Array.of(),
      Uint8Array.of(9, 0, 0, 0, 0),
      Uint8Array.of(0, 1),
      Uint8Array.of(1, 5, 0, 0, 0),
    ]) {
      const state = { answers: 0, closed: '' };
      const connection = env.network.connect(address, {
        frame: () => {
          state.answers += 1;
          return undefined;
        },
        closed: (reason) => {
          state.closed = reason;
        },
      });
      connection.send(head);
      // A request to `echo` without its fields.
      connection.send(Uint8Array.of(0, 7, 0, 0, 0, 1));
      await world.run(20);
      const isUnasked = head.length === 5 && head[0] === 1; // an answer to nothing is dropped
      expect(state.closed === '').toBe(isUnasked);
      expect(state.answers).toBe(isUnasked ? 1 : 0);
      connection.close('done');
    }
    await world.run(20);
    expect(server.closed.length).toBe(4);
    expect((await world.settle(rpc.call('echo', { word: 'y' }))).response.word).toBe('y');
  });

  test('so many requests of one peer are taken and no more; the rest follows', async () => {
    const { world, server, rpc } = await start(21);
    const { env } = world.node('client');
    const many = servingMax + 500;
    await world.settle(rpc.call('echo', { word: 'x' }));
    const all = Promise.all(Array.from({ length: many }, () => rpc.call('wait', { ms: 300 }, { timeoutMs: 5000 })));
    await world.run(150);
    expect(env.clock.now()).toBeGreaterThan(0);
    await world.settle(all);
    expect(server.closed).toEqual([]);
  });

  test('answers that are not taken stop the questions: the queue of the server stays bounded', async () => {
    const { world, server, rpc } = await start(22);
    await world.settle(rpc.call('echo', { word: 'x' }));
    rpc.hold();
    const bytes = 512 * 1024;
    const all = Promise.all(Array.from({ length: 100 }, () => rpc.call('give', { bytes }, { timeoutMs: 60_000 })));
    let most = 0;
    for (let n = 0; n < 50; n++) {
      await world.run(10);
      most = Math.max(most, server.accepted[0]!.queuedBytes);
    }
    // The bound of the connection, and the frames that were read with the one that went over it.
    expect(most).toBeGreaterThan(4 * 1024 * 1024);
    expect(most).toBeLessThan(60 * 1024 * 1024);
    rpc.unhold();
    for (const { body } of await world.settle(all)) expect(body.length).toBe(bytes);
    expect(server.accepted[0]!.queuedBytes).toBe(0);
  });

  test('who writes too fast waits for room, and nobody waits in vain', async () => {
    const { world, server, rpc } = await start(23);
    await world.settle(rpc.call('echo', { word: 'x' }));
    await world.settle(rpc.drain()); // nothing is queued: at once
    server.accepted[0]!.hold();
    const writer = rpc.beginNotice('tell', { word: 'much' }, 16 * 1024 * 1024);
    let given = 0;
    while (writer.piece(new Uint8Array(256 * 1024))) given += 1;
    // More than the network takes from the queue by itself.
    for (let n = 0; n < 8; n++, given++) writer.piece(new Uint8Array(256 * 1024));
    expect(rpc.isOverfull).toBe(true);
    let hasRoom = false;
    const drained = rpc.drain().then(() => {
      hasRoom = true;
    });
    await world.run(100);
    expect(hasRoom).toBe(false);
    server.accepted[0]!.unhold();
    await world.settle(drained);
    expect(rpc.isOverfull).toBe(false);
    for (given += 1; given < 64; given++) writer.piece(new Uint8Array(256 * 1024));
    writer.end();
    await world.run(100);
    expect(server.told).toEqual([`much ${16 * 1024 * 1024}`]);
    const lost = rpc.beginNotice('tell', { word: 'lost' }, 16 * 1024 * 1024);
    server.accepted[0]!.hold();
    while (lost.piece(new Uint8Array(256 * 1024)));
    const end = rpc.drain();
    rpc.close('over');
    await world.settle(end);
  });

  test('holds are counted', async () => {
    const { world, server, rpc } = await start(24);
    await world.settle(rpc.call('echo', { word: 'x' }));
    const peer = server.accepted[0]!;
    peer.hold();
    peer.hold();
    peer.unhold();
    const held = rpc.call('echo', { word: 'later' }, { timeoutMs: 60_000 });
    let isAnswered = false;
    void held.then(() => {
      isAnswered = true;
    });
    await world.run(500);
    expect(isAnswered).toBe(false);
    peer.unhold();
    expect((await world.settle(held)).response.word).toBe('later');
    expect(() => peer.unhold()).toThrow('given back once');
  });

  test('heads are coded once per frame and not shared between two that are queued', async () => {
    const first = requestHead(0, 1, calls.echo.tag, calls.echo.request, { word: 'first' }).slice();
    const second = requestHead(0, 2, calls.echo.tag, calls.echo.request, { word: 'other' }).slice();
    expect(first).not.toEqual(second);
    const { world, rpc } = await start(25);
    const [a, b] = await world.settle(Promise.all([rpc.call('echo', { word: 'a' }), rpc.call('echo', { word: 'b' })]));
    expect([a.response.word, b.response.word]).toEqual(['a', 'b']);
  });
});
