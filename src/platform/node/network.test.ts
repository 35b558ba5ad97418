import * as net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Address } from '../../core/base/brand.ts';
import type { BodySink, Connection, Listener, Network } from '../../core/base/env.ts';
import { silentEvents } from './events.ts';
import { Accepted, anyPort, Recorder, text } from './network.test-support.ts';
import { type NetworkOptions, nodeNetwork } from './network.ts';
import { bodyMaxBytes, headMaxBytes, preface } from './wire.ts';

const open: { close(reason: string): unknown }[] = [];

afterEach(() => {
  for (const each of open.splice(0)) each.close('the test is over');
});

interface Pair {
  readonly network: Network;
  readonly listener: Listener;
  readonly accepted: Accepted;
  readonly client: Connection;
  readonly near: Recorder;
}

async function pair(options: NetworkOptions = {}): Promise<Pair> {
  const network = nodeNetwork(silentEvents, options);
  const accepted = new Accepted();
  const listener = await network.listen(anyPort, accepted.accept);
  const near = new Recorder();
  const client = network.connect(listener.address, near);
  open.push(listener, client);
  return { network, listener, accepted, client, near };
}

/** A bare socket to a listener, which says what it likes. */
async function strange(listener: Listener, bytes: Uint8Array): Promise<net.Socket> {
  const port = Number(listener.address.split(':')[1]);
  const socket = net.connect(port, '127.0.0.1');
  open.push({ close: () => socket.destroy() });
  socket.on('error', () => socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.resume();
  socket.write(bytes);
  return socket;
}

function lengths(headBytes: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(headBytes, 0);
  bytes.writeUInt32LE(bodyBytes, 4);
  return bytes;
}

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let n = 0; n < length; n += 1) bytes[n] = (n * 31 + (n >> 8) * 17 + seed) & 0xff;
  return bytes;
}

describe('frames', () => {
  test('frames sent before the connection stands arrive, in order, both ways', async () => {
    const { client, accepted, near } = await pair();
    expect(client.send(text('one'))).toBe(true);
    expect(client.send(text('two'), [text('bo'), text('dy')])).toBe(true);
    const { connection, recorder } = await accepted.first();
    await recorder.until(() => recorder.frames.length === 2);
    expect(recorder.frames.map((frame) => `${frame.head}|${frame.body}`)).toEqual(['one|', 'two|body']);
    connection.send(text('back'));
    await near.until(() => near.frames.length === 1);
    expect(near.frames[0]!.head.toString()).toBe('back');
  });

  test('a frame may be empty, head and body', async () => {
    const { client, accepted } = await pair();
    client.send(text(''));
    client.send(text(''), [text('')]);
    client.send(text('x'));
    const { recorder } = await accepted.first();
    await recorder.until(() => recorder.frames.length === 3);
    expect(recorder.frames.map((frame) => frame.head.length + frame.body.length)).toEqual([0, 0, 1]);
  });

  test('10,000 small frames arrive in order', async () => {
    const { client, accepted } = await pair();
    for (let n = 0; n < 10_000; n++) client.send(text(`frame ${n}`), n % 3 === 0 ? [text(`body ${n}`)] : []);
    const { recorder } = await accepted.first();
    await recorder.until(() => recorder.frames.length === 10_000);
    const wrong = recorder.frames.findIndex(
      (frame, n) =>
        frame.head.toString() !== `frame ${n}` || frame.body.toString() !== (n % 3 === 0 ? `body ${n}` : ''),
    );
    expect(wrong).toBe(-1);
  });
});

describe('bodies in pieces', () => {
  test('64 MiB come through in pieces, with the sender held back, into the space of the receiver', async () => {
    const sendQueueMaxBytes = 1 << 20;
    const network = nodeNetwork(silentEvents, { sendQueueMaxBytes });
    const whole = pattern(bodyMaxBytes, 5);
    const got = new Uint8Array(bodyMaxBytes);
    let at = 0;
    let places = 0;
    const arrived = new Promise<void>((resolve, reject) => {
      const sink: BodySink = {
        space: () => got.subarray(at, at + 300_000),
        piece: (bytes) => {
          if (bytes.buffer === got.buffer && bytes.byteOffset === at) places++;
          else reject(new Error('a piece outside its space'));
          at += bytes.length;
        },
        end: resolve,
        aborted: () => reject(new Error('aborted')),
      };
      void network
        .listen(anyPort, () => ({ frame: () => sink, closed: reject }))
        .then((listener) => {
          open.push(listener);
          send(listener);
        }, reject);
    });
    let most = 0;
    let waits = 0;
    function send(listener: Listener): void {
      let sent = 0;
      const client = network.connect(listener.address, {
        frame: () => undefined,
        drained: more,
        closed: () => undefined,
      });
      open.push(client);
      const writer = client.startFrame(text('head'), bodyMaxBytes);
      more();
      function more(): void {
        while (sent < bodyMaxBytes) {
          const piece = whole.subarray(sent, sent + 200_000);
          sent += piece.length;
          const goesOn = writer.piece(piece);
          most = Math.max(most, client.queuedBytes);
          if (sent === bodyMaxBytes) writer.end();
          if (!goesOn) {
            waits++;
            return;
          }
        }
      }
    }
    await arrived;
    expect(at).toBe(bodyMaxBytes);
    expect(Buffer.compare(got, whole)).toBe(0);
    expect(places).toBeGreaterThan(200);
    expect(waits).toBeGreaterThan(0);
    expect(most).toBeLessThan(sendQueueMaxBytes + 300_000);
  });

  test('frames sent while one is open wait until it has ended, whole ones and others in pieces', async () => {
    const { client, accepted } = await pair();
    const first = client.startFrame(text('1'), 10_006);
    client.send(text('2'), [text('whole')]);
    const third = client.startFrame(text('3'), 4);
    client.send(text('4'));
    third.piece(text('th'));
    first.piece(text('pie'));
    first.piece(pattern(10_000, 1));
    first.piece(text('ces'));
    first.end();
    const { recorder } = await accepted.first();
    await recorder.until(() => recorder.frames.length === 2);
    third.piece(text('rd'));
    third.end();
    await recorder.until(() => recorder.frames.length === 4);
    expect(recorder.frames.map((frame) => frame.head.toString())).toEqual(['1', '2', '3', '4']);
    expect(
      Buffer.compare(recorder.frames[0]!.body, Buffer.concat([text('pie'), pattern(10_000, 1), text('ces')])),
    ).toBe(0);
    expect(recorder.frames.slice(1).map((frame) => frame.body.toString())).toEqual(['whole', 'thrd', '']);
    expect(client.queuedBytes).toBe(0);
  });

  test('a frame in pieces goes on though more than the queue may hold has been sent behind it', async () => {
    const { client, accepted, near } = await pair({ sendQueueMaxBytes: 1 << 20 });
    const piece = pattern(600_000, 1);
    const first = client.startFrame(text('1'), 10 * piece.length);
    expect(client.send(text('2'), [pattern(3 << 20, 2)])).toBe(false);
    for (let n = 0; n < 10; n++) {
      const drainsBefore = near.drains;
      if (!first.piece(piece)) await near.until(() => near.drains > drainsBefore);
    }
    first.end();
    const { recorder } = await accepted.first();
    await recorder.until(() => recorder.frames.length === 2);
    expect(recorder.frames.map((frame) => frame.body.length)).toEqual([10 * piece.length, 3 << 20]);
    await near.until(() => client.queuedBytes === 0);
  });

  test('a frame that ends short closes the connection: its receiver sees it aborted', async () => {
    const { client, accepted, near } = await pair();
    const { recorder } = await accepted.first();
    const writer = client.startFrame(text('short'), 10);
    writer.piece(text('12345'));
    await recorder.until(() => recorder.begun.length === 1);
    writer.end();
    await recorder.closing();
    expect(recorder.aborted).toBe(1);
    expect(await near.closing()).toMatch(/5 bytes short/);
  });

  test('more pieces than were announced are a bug of ours', async () => {
    const { client } = await pair();
    const writer = client.startFrame(text('x'), 3);
    expect(() => writer.piece(text('1234'))).toThrow('the pieces are no longer than the frame');
    expect(() => client.startFrame(text('x'), bodyMaxBytes + 1)).toThrow('bound');
    expect(() => client.send(new Uint8Array(headMaxBytes + 1))).toThrow('bound');
  });

  test('pieces may be sent on from within the call that brings them, though their memory is used again', async () => {
    const { network, listener: last, accepted: end } = await pair();
    const relay = await network.listen(anyPort, (connection) => {
      open.push(connection);
      const onward = network.connect(last.address, new Recorder());
      open.push(onward);
      return {
        frame: (head, bodyBytes) => {
          const writer = onward.startFrame(head, bodyBytes);
          return { piece: (bytes) => void writer.piece(bytes), end: () => writer.end(), aborted: () => writer.end() };
        },
        closed: () => undefined,
      };
    });
    open.push(relay);
    const source = network.connect(relay.address, new Recorder());
    open.push(source);
    const body = pattern(3_000_000, 9);
    source.send(text('relayed'), [body]);
    await expect
      .poll(() => end.recorders.find((each) => each.frames.length === 1)?.frames[0]?.body.length)
      .toBe(3_000_000);
    const received = end.recorders.find((each) => each.frames.length === 1)!.frames[0]!;
    expect(Buffer.compare(received.body, body)).toBe(0);
  });
});

describe('back-pressure', () => {
  test('a peer that stops reading fills the queue to its bound; when it reads again, drained is called and nothing is lost', async () => {
    const { client, accepted, near } = await pair();
    const { connection, recorder } = await accepted.first();
    connection.pauseReading();
    const body = pattern(100_000, 3);
    let sent = 1;
    while (client.send(text('x'), [body])) sent++;
    expect(client.queuedBytes).toBeGreaterThan(4 * 1024 * 1024);
    expect(client.queuedBytes).toBeLessThan(4 * 1024 * 1024 + 2 * body.length);
    expect(near.drains).toBe(0);
    expect(recorder.begun.length).toBe(0);
    connection.resumeReading();
    await recorder.until(() => recorder.frames.length === sent);
    await near.until(() => near.drains === 1);
    expect(client.queuedBytes).toBe(0);
    expect(recorder.frames.every((frame) => frame.body.equals(body))).toBe(true);
  });

  test('a user who does not wait is stopped at the hard bound: the connection is closed', async () => {
    const { client, accepted, near } = await pair({ sendQueueMaxBytes: 1 << 20, sendQueueHardMaxBytes: 16 << 20 });
    const { connection } = await accepted.first();
    connection.pauseReading();
    const body = pattern(1 << 20, 3);
    for (let n = 0; n < 40; n++) client.send(text('x'), [body]);
    expect(await near.closing()).toMatch(/^the peer does not read/);
    expect(client.queuedBytes).toBe(0);
  });

  test('a pause holds back even what has been read already, until reading is resumed', async () => {
    const { client, accepted } = await pair();
    const { connection, recorder } = await accepted.first();
    const original = recorder.frame.bind(recorder);
    recorder.frame = (head, bodyBytes) => {
      connection.pauseReading();
      return original(head, bodyBytes);
    };
    for (let n = 0; n < 5; n++) client.send(text(`${n}`));
    for (let n = 1; n <= 5; n++) {
      await recorder.until(() => recorder.frames.length === n);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      expect(recorder.frames.length).toBe(n);
      connection.resumeReading();
      connection.resumeReading();
    }
    expect(recorder.frames.map((frame) => frame.head.toString()).join('')).toBe('01234');
  });
});

describe('the end of a connection', () => {
  test('an own close stops delivery at once and reports closed once, later, on both sides', async () => {
    const { client, accepted, near } = await pair();
    const { connection, recorder } = await accepted.first();
    const original = recorder.frame.bind(recorder);
    recorder.frame = (head, bodyBytes) => {
      connection.close('had enough');
      connection.close('again');
      expect(recorder.closings).toEqual([]);
      return original(head, bodyBytes);
    };
    client.send(text('1'));
    client.send(text('2'));
    expect(await recorder.closing()).toBe('had enough');
    await near.closing();
    expect(recorder.frames.length).toBe(1);
    expect(connection.send(text('late'))).toBe(true);
    expect(connection.queuedBytes).toBe(0);
    const writer = connection.startFrame(text('late'), 5);
    expect(writer.piece(text('1'))).toBe(true);
    writer.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect([recorder.closings.length, near.closings.length]).toEqual([1, 1]);
  });

  test('what was sent in the turn of the close still leaves', async () => {
    const { client, accepted } = await pair();
    const { recorder } = await accepted.first();
    client.send(text('last words'));
    client.close('done');
    await recorder.closing();
    expect(recorder.frames.map((frame) => frame.head.toString())).toEqual(['last words']);
  });
});

describe('strangers', () => {
  test('garbage in place of a preface closes the connection, and nobody above hears of it', async () => {
    const { listener, accepted } = await pair();
    await accepted.first();
    const socket = await strange(listener, text('GET / HTTP/1.1\r\n\r\n'));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(accepted.connections.length).toBe(1);
  });

  test('another wire version is named, to both sides', async () => {
    const { network } = await pair();
    const events: string[] = [];
    const server = net.createServer((socket) => socket.end('CAIRN\0\x63\0'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push({ close: () => server.close() });
    const near = new Recorder();
    network.connect(`127.0.0.1:${(server.address() as net.AddressInfo).port}` as Address, near);
    expect(await near.closing()).toBe('PROTOCOL the peer speaks wire version 99, this side 1');

    const emit = (_level: string, name: string, fields = {}) => void events.push(`${name} ${JSON.stringify(fields)}`);
    const listener = await nodeNetwork({ emit }).listen(anyPort, () => new Recorder());
    open.push(listener);
    await strange(listener, Buffer.from('CAIRN\0\x63\0'));
    await expect.poll(() => events[0]).toMatch(/^network.strangerDropped .*speaks wire version 99/);
  });

  test('a client that connects and says nothing is dropped when its time is up', async () => {
    const { listener } = await pair({ prefaceTimeoutMs: 50 });
    const socket = await strange(listener, Buffer.from('CAI'));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(socket.bytesRead).toBe(preface.length);
  });

  test('connections beyond the bound are closed, and there is room again when others have gone', async () => {
    const { network, listener, accepted, client } = await pair({ acceptedMax: 1 });
    await accepted.first();
    const second = new Recorder();
    network.connect(listener.address, second);
    await second.closing();
    client.close('makes room');
    await accepted.recorders[0]!.closing();
    await expect
      .poll(() => {
        const third = network.connect(listener.address, new Recorder());
        open.push(third);
        return accepted.connections.length;
      })
      .toBeGreaterThan(1);
  });

  test('lengths over the bounds close the connection with PROTOCOL', async () => {
    const { listener, accepted } = await pair();
    await accepted.first();
    for (const bad of [lengths(headMaxBytes + 1, 0), lengths(0, bodyMaxBytes + 1), lengths(0xffffffff, 0xffffffff)]) {
      const at = accepted.recorders.length;
      await strange(listener, Buffer.concat([preface, bad]));
      await expect.poll(() => accepted.recorders[at]?.closings[0]).toMatch(/^PROTOCOL .* over the bound/);
    }
  });
});

describe('failures', () => {
  test('a port that is taken is PORT_IN_USE', async () => {
    const { network, listener } = await pair();
    await expect(network.listen(listener.address, () => new Recorder())).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  });

  test('nobody listening arrives as closed(ECONNREFUSED …), once', async () => {
    const { network, listener } = await pair();
    await listener.close();
    const recorder = new Recorder();
    network.connect(listener.address as Address, recorder);
    expect(await recorder.closing()).toMatch(/^ECONNREFUSED /);
    expect(recorder.closings.length).toBe(1);
  });

  test('a connection that closes in the middle of a body aborts it before it reports closed', async () => {
    const { listener, accepted } = await pair();
    await accepted.first();
    const socket = await strange(listener, Buffer.concat([preface, lengths(1, 100), pattern(51, 0)]));
    await expect.poll(() => accepted.recorders[1]?.begun).toEqual([100]);
    socket.destroy();
    const recorder = accepted.recorders[1]!;
    await recorder.closing();
    expect(recorder.aborted).toBe(1);
    expect(recorder.frames).toEqual([]);
  });
});
