import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { FakeCluster, sample } from '../../system/client/fake-cluster.test-support.ts';
import { Cairn } from './client.ts';

const kibi = 1024;
const mebi = 1024 * kibi;

describe('the client on Node', () => {
  let cluster: FakeCluster;
  let cairn: Cairn;

  beforeEach(async () => {
    cluster = await FakeCluster.startOn(nodeEnv({ dir: tmpdir() }));
    cairn = await Cairn.connect(`cairn://${cluster.master.address}`, { deadlineMs: 5000 });
  });
  afterEach(async () => {
    await cairn.close();
    await cluster.stop();
  });

  test('whole files as Buffers and text', async () => {
    await cairn.writeFile('/text', 'héllo');
    const bytes = await cairn.readFile('/text');
    expect([Buffer.isBuffer(bytes), bytes.toString()]).toEqual([true, 'héllo']);
    expect(await cairn.readFile('/text', 'utf8')).toBe('héllo');
    expect(await cairn.readFile('/text', { encoding: 'hex', start: 0, length: 1 })).toBe('68');
  });

  test('streams copy bit for bit over several chunks', async () => {
    const bytes = Buffer.from(sample(3 * mebi + 7));
    const pieces = Array.from({ length: 50 }, (_, n) => bytes.subarray(n * 65_000, (n + 1) * 65_000));
    await pipeline(
      Readable.from(pieces, { objectMode: false }),
      cairn.createWriteStream('/big', { chunkBytes: 256 * kibi }),
    );
    const read: Buffer[] = [];
    for await (const piece of cairn.createReadStream('/big')) read.push(piece as Buffer);
    expect(Buffer.concat(read).equals(bytes)).toBe(true);
    await pipeline(cairn.createReadStream('/big'), cairn.createWriteStream('/copy', { flags: 'wx' }));
    expect((await cairn.readFile('/copy')).equals(bytes)).toBe(true);
  });

  test('start and end of a stream are both included, as in node:fs', async () => {
    await cairn.writeFile('/digits', '0123456789');
    const read = cairn.createReadStream('/digits', { start: 2, end: 5, encoding: 'utf8' });
    expect((await read.toArray()).join('')).toBe('2345');
  });

  test('finish comes when all bytes are acknowledged, and an append stream adds to what is there', async () => {
    await cairn.writeFile('/log', 'one ');
    const stream = cairn.createWriteStream('/log', { flags: 'a' });
    stream.end('two');
    await once(stream, 'finish');
    expect(Buffer.from(cluster.content('/log')).toString()).toBe('one two');
  });

  test('errors of opening come as errors of the stream', async () => {
    await expect(pipeline(Readable.from(['x']), cairn.createWriteStream('/no/dir'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(cairn.createReadStream('/missing').toArray()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await cairn.writeFile('/there', '');
    const again = cairn.createWriteStream('/there', { flags: 'wx' });
    await expect(pipeline(Readable.from(['x']), again)).rejects.toMatchObject({ code: 'EXISTS' });
  });

  test('a write stream holds its producer back', async () => {
    let written = 0;
    for (const server of cluster.servers) {
      server.afterMutate = ({ kind }) => {
        written = kind.kind === 'write' ? Math.max(written, kind.offset) : written;
        return undefined;
      };
    }
    let made = 0;
    let aheadMax = 0;
    function* pieces() {
      for (; made < 12 * mebi; made += 64 * kibi) {
        aheadMax = Math.max(aheadMax, made - written);
        yield Buffer.alloc(64 * kibi);
      }
    }
    const stream = cairn.createWriteStream('/big', { chunkBytes: 64 * mebi, windowBytes: 2 * mebi });
    await pipeline(pieces, stream);
    expect(made).toBe(12 * mebi);
    expect(aheadMax).toBeLessThan(8 * mebi); // the window, a packet that gathers, what the streams hold
  });

  test('an AbortSignal ends calls and streams', async () => {
    await cairn.writeFile('/big', Buffer.alloc(2 * mebi), { chunkBytes: 64 * mebi });
    for (const server of cluster.servers) server.beforeRead = () => new Promise(() => undefined);
    const reading = cairn.readFile('/big', { signal: AbortSignal.timeout(50) });
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' });
    const controller = new AbortController();
    const stream = cairn.createReadStream('/big', { signal: controller.signal });
    setImmediate(() => controller.abort());
    await expect(stream.toArray()).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('a destroyed stream asks for nothing more', async () => {
    await cairn.writeFile('/big', Buffer.alloc(8 * mebi), { chunkBytes: 64 * mebi });
    const stream = cairn.createReadStream('/big', { windowBytes: mebi });
    await once(stream, 'readable');
    stream.destroy();
    await once(stream, 'close');
    const reads = cluster.servers.flatMap((server) => server.reads).length;
    expect(reads).toBeLessThan(6);
  });

  test('a cluster that is not there, and a name that is none, are told apart', async () => {
    await expect(Cairn.connect('cairn://127.0.0.1:1', { deadlineMs: 300 })).rejects.toMatchObject({
      code: 'NO_QUORUM',
    });
    await expect(Cairn.connect('127.0.0.1:7070')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('await using closes it', async () => {
    const other = await Cairn.connect(`cairn://${cluster.master.address}`);
    await other[Symbol.asyncDispose]();
    await expect(other.stat('/')).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
