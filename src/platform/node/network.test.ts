import * as net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Address } from '../../core/base/brand.ts';
import type { Connection, Listener, Network } from '../../core/base/env.ts';
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

describe('strangers', () => {
  test('garbage in place of a preface closes the connection, and nobody above hears of it', async () => {
    const { listener, accepted } = await pair();
    await accepted.first();
    const socket = await strange(listener, text('GET / HTTP/1.1\r\n\r\n'));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(accepted.connections.length).toBe(1);
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
