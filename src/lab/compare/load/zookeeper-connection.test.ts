import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as jute from './jute.ts';
import { ZooKeeperConnection, ZooKeeperError } from './zookeeper-connection.ts';

/** A server that grants a session, and answers requests as it is told. */
class Peer {
  readonly requests: { readonly xid: number; readonly type: number }[] = [];
  #socket: Socket | undefined;
  #hasSession = false;
  readonly #server: Server;
  onRequest: (xid: number) => void = () => {};

  constructor() {
    this.#server = createServer((socket) => {
      this.#socket = socket;
      socket.on('data', (bytes) => this.#take(bytes));
    });
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as { port: number }).port));
    });
  }

  answer(xid: number, code: number, data = Buffer.alloc(0)): void {
    const head = Buffer.alloc(jute.replyHeadBytes);
    head.writeInt32BE(xid, 0);
    head.writeInt32BE(code, jute.replyHeadBytes - 4);
    const length = Buffer.alloc(4);
    length.writeInt32BE(data.length);
    this.#send(Buffer.concat([head, length, data]));
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += jute.headBytes + bytes.readInt32BE(at)) {
      const frame = bytes.subarray(at + jute.headBytes);
      if (!this.#hasSession) {
        this.#hasSession = true;
        const granted = Buffer.alloc(37);
        granted.writeInt32BE(10_000, 4);
        this.#send(granted);
        continue;
      }
      const xid = frame.readInt32BE(0);
      this.requests.push({ xid, type: frame.readInt32BE(4) });
      this.onRequest(xid);
    }
  }

  #send(frame: Buffer): void {
    const length = Buffer.alloc(4);
    length.writeInt32BE(frame.length);
    this.#socket!.write(Buffer.concat([length, frame]));
  }
}

describe('a session with a ZooKeeper server', () => {
  let peer: Peer;
  let connection: ZooKeeperConnection;
  beforeEach(async () => {
    peer = new Peer();
    connection = new ZooKeeperConnection('127.0.0.1', await peer.listen());
  });
  afterEach(() => {
    connection.close();
    peer.close();
  });
  const get = (timeoutMs = 5000) => connection.ask((xid) => jute.getDataFrame(xid, '/a'), timeoutMs);

  it('sends what was asked before it stands, and gives each request its answer', async () => {
    peer.onRequest = (xid) => peer.answer(xid, jute.errors.ok, Buffer.from(`value ${xid}`));
    const answers = await Promise.all([get(), get()]);
    expect(answers.map((frame) => jute.dataOf(frame).toString())).toEqual(['value 1', 'value 2']);
    expect(peer.requests.map(({ type }) => type)).toEqual([jute.types.getData, jute.types.getData]);
  });

  it('tells a refusal by its code', async () => {
    peer.onRequest = (xid) => peer.answer(xid, jute.errors.noNode);
    await expect(get()).rejects.toEqual(new ZooKeeperError(jute.errors.noNode));
  });

  it('gives up what is not answered in time; its late answer is nobody else’s', async () => {
    await expect(get(1)).rejects.toThrow('no answer in time');
    peer.onRequest = (xid) => {
      peer.answer(xid - 1, jute.errors.ok, Buffer.from('late'));
      peer.answer(xid, jute.errors.ok, Buffer.from('right'));
    };
    // The first may not have reached the server yet: then it is answered there, too.
    const answered = jute.dataOf(await get()).toString();
    expect(answered).toBe('right');
  });

  it('fails what is under way when the server goes', async () => {
    peer.onRequest = () => peer.close();
    await expect(get()).rejects.toThrow(/closed|reset/i);
    expect(connection.isClosed).toBe(true);
  });
});
