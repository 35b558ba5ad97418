import { describe, expect, test } from 'vitest';
import { bytesEqual, fromUtf8 } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';
import type { FileHandle } from './file-handle.ts';

const kibi = 1024;

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (thrown) {
    return thrown instanceof CairnError ? thrown.code : String(thrown);
  }
}

describe('whole files', () => {
  test('what was written is read back, over several chunks', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const bytes = sample(200 * kibi + 17);
    await cluster.run(client.writeFile('/a', bytes));
    expect(bytesEqual(cluster.content('/a'), bytes)).toBe(true);
    expect(bytesEqual(await cluster.run(client.readFile('/a')), bytes)).toBe(true);
    expect((await cluster.run(client.stat('/a'))).size).toBe(bytes.length);
  });

  test('a small file costs one command and one mutation', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/small', sample(4096)));
    expect(cluster.master.commands.map(({ kind }) => kind)).toEqual(['openForWrite']);
    expect(cluster.mutations.length).toBe(1);
  });

  test('an empty file makes no chunk, and is read as empty', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/empty', ''));
    expect(cluster.master.file('/empty').chunks.size).toBe(0);
    expect((await cluster.run(client.readFile('/empty'))).length).toBe(0);
    expect((await cluster.run(client.stat('/empty'))).size).toBe(0);
  });

  test('writing again replaces what was there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/a', sample(100 * kibi)));
    await cluster.run(client.writeFile('/a', 'short'));
    expect(cluster.content('/a').length).toBe(5);
  });

  test('data may come in pieces of any size, as bytes or text', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const bytes = sample(150 * kibi);
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 777) yield bytes.subarray(at, at + 777);
      yield 'é';
    }
    await cluster.run(client.writeFile('/pieces', pieces()));
    expect(bytesEqual(cluster.content('/pieces'), Uint8Array.from([...bytes, 0xc3, 0xa9]))).toBe(true);
  });

  test('what a file asks for is passed on when it is made', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const settings = { replication: 2, durability: 'disk', chunkBytes: 128 * kibi } as const;
    await cluster.run(client.writeFile('/a', 'x', settings));
    expect(await cluster.run(client.stat('/a'))).toMatchObject(settings);
  });

  test('a path means the file that is there: one that is replaced meanwhile is read, cut and written by its path', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    let replaced = 0;
    const replaceOnce = (at: string) => {
      replaced = 0;
      cluster.master.before = async (kind) => {
        if (kind !== at || replaced > 0) return;
        replaced += 1;
        await other.rm('/f');
        await other.writeFile('/f', `new ${at}`);
      };
    };
    await cluster.run(client.writeFile('/f', sample(70 * kibi)));
    replaceOnce('locate');
    expect(fromUtf8(await cluster.run(client.readFile('/f')))).toBe('new locate');
    replaceOnce('truncate');
    await cluster.run(client.truncate('/f', 3));
    expect([replaced, fromUtf8(cluster.content('/f'))]).toEqual([1, 'new']);
    replaceOnce('acquire');
    await cluster.run(client.writeFile('/f', 'whole', { flags: 'r+' }));
    expect([replaced, fromUtf8(cluster.content('/f'))]).toEqual([1, 'wholecquire']);
    cluster.master.before = () => undefined;
    await cluster.run(other.writeFile('/f', sample(70 * kibi)));
    replaceOnce('locate');
    const pieces: (string | undefined)[] = [];
    const read = async () => {
      for await (const piece of client.readStream('/f')) pieces.push(fromUtf8(piece));
    };
    await cluster.run(read());
    expect([replaced, ...pieces]).toEqual([1, 'new locate']);
  });

  test('a length of Infinity is all there is; one that is no number of bytes is refused, of files and of streams', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/a', 'whole'));
    const streamed = async (length: number) => {
      const pieces: (string | undefined)[] = [];
      for await (const piece of client.readStream('/a', { start: 2, length })) pieces.push(fromUtf8(piece));
      return pieces.join('');
    };
    const read = async (length: number) => fromUtf8(await client.readFile('/a', { start: 2, length }));
    for (const reading of [read, streamed]) {
      expect(await cluster.run(reading(Number.POSITIVE_INFINITY))).toBe('ole');
      expect(await cluster.run(reading(2))).toBe('ol');
      for (const wrong of [-1, 0.5, Number.NaN])
        expect(await codeOf(cluster.run(reading(wrong)))).toBe('INVALID_ARGUMENT');
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 0, -1])(
    'a window of %d bytes is refused before anything is done',
    async (bytes) => {
      const cluster = await FakeCluster.start(1);
      for (const name of ['readWindowBytes', 'writeWindowBytes'])
        expect(await codeOf(cluster.client({ [name]: bytes }))).toBe('INVALID_ARGUMENT');
      const client = await cluster.client();
      await cluster.run(client.writeFile('/a', 'whole'));
      const handle = await cluster.run(client.open('/a', 'r+'));
      const windowBytes = bytes;
      const drained = async (pieces: AsyncIterable<unknown>) => {
        for await (const piece of pieces) expect(piece).toBeUndefined();
      };
      for (const work of [
        () => drained(client.readStream('/a', { windowBytes })),
        () => drained(handle.readStream({ windowBytes })),
        () => client.writeStream('/a', { windowBytes }),
        async () => handle.writeStream({ windowBytes }),
      ])
        expect(await codeOf(cluster.run<unknown>(work()))).toBe('INVALID_ARGUMENT');
      expect(fromUtf8(cluster.content('/a'))).toBe('whole');
    },
  );

  test('a stream is not made for bytes that cannot be counted', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/a', 'whole'));
    for (const expectedBytes of [-1, 0.5, Number.NaN])
      expect(await codeOf(cluster.run(client.writeStream('/a', { expectedBytes })))).toBe('INVALID_ARGUMENT');
    expect(fromUtf8(cluster.content('/a'))).toBe('whole');
  });

  test('a part of a file is read without the rest', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const bytes = sample(200 * kibi);
    await cluster.run(client.writeFile('/a', bytes));
    const part = await cluster.run(client.readFile('/a', { start: 60 * kibi, length: 10 * kibi }));
    expect(bytesEqual(part, bytes.subarray(60 * kibi, 70 * kibi))).toBe(true);
    expect((await cluster.run(client.readFile('/a', { start: 300 * kibi }))).length).toBe(0);
    const read = cluster.servers.flatMap(({ reads }) => reads).reduce((sum, { length }) => sum + length, 0);
    expect(read).toBe(10 * kibi);
  });
});

describe('handles', () => {
  test('reads and writes at positions, and one after another', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/h', 'w+'));
    await cluster.run(handle.write(sample(10, 1)));
    await cluster.run(handle.write(sample(10, 2)));
    await cluster.run(handle.write(sample(4, 3), { position: 5 }));
    const memory = new Uint8Array(30);
    const first = await cluster.run(handle.read(memory, { position: 0 }));
    const expected = [...sample(10, 1), ...sample(10, 2)];
    expected.splice(5, 4, ...sample(4, 3));
    expect([first.bytesRead, [...memory.subarray(0, 20)]]).toEqual([20, expected]);
    const end = await cluster.run(handle.read(memory));
    expect(end.bytesRead).toBe(0); // its own position is behind what it wrote
  });

  test('reads without a position go on where the one before ends, though nobody waits for it; a stream begins there too', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/f', 'w+'));
    await cluster.run(handle.write(sample(100), { position: 0 }));
    const memories = [40, 40, 40].map((bytes) => new Uint8Array(bytes));
    const reads = await cluster.run(Promise.all(memories.map((memory) => handle.read(memory))));
    expect(reads.map(({ bytesRead }) => bytesRead)).toEqual([40, 40, 20]);
    expect(bytesEqual(memories[1]!, sample(100).subarray(40, 80))).toBe(true);
    const stream = handle.writeStream({ start: undefined });
    await cluster.run(stream.write(sample(5)).then(() => stream.close()));
    expect((await cluster.run(handle.stat())).size).toBe(105);
    expect(() => handle.writeStream({ start: -1 })).toThrow('position -1');
  });

  test('a hole reads as zeros, within a chunk and over whole chunks', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    const handle = await cluster.run(client.open('/holes', 'w+'));
    await cluster.run(handle.write(sample(10)));
    await cluster.run(handle.write(sample(10), { position: 200 * kibi }));
    expect(cluster.master.file('/holes').chunks.size).toBe(2);
    const memory = new Uint8Array(300 * kibi).fill(9);
    const { bytesRead } = await cluster.run(handle.read(memory, { position: 0 }));
    expect(bytesRead).toBe(200 * kibi + 10);
    expect(memory.subarray(10, 200 * kibi).every((byte) => byte === 0)).toBe(true);
    expect(memory.slice(200 * kibi, 200 * kibi + 10)).toEqual(sample(10));
  });

  test('the end of a file that grows is found anew by each read', async () => {
    const cluster = await FakeCluster.start(1);
    const [reader, writer] = [await cluster.client(), await cluster.client({}, 'other')];
    await cluster.run(writer.writeFile('/log', 'abc'));
    const handle = await cluster.run(reader.open('/log', 'r'));
    const memory = new Uint8Array(200 * kibi);
    expect((await cluster.run(handle.read(memory))).bytesRead).toBe(3);
    expect((await cluster.run(handle.read(memory))).bytesRead).toBe(0);
    await cluster.run(writer.appendFile('/log', 'def'));
    expect((await cluster.run(handle.read(memory))).bytesRead).toBe(3);
    const far = await cluster.run(writer.open('/log', 'r+'));
    await cluster.run(far.write(sample(7), { position: 64 * kibi + 3 }));
    expect((await cluster.run(handle.read(memory))).bytesRead).toBe(64 * kibi + 3 + 7 - 6);
  });

  test('of an empty file that has got another chunk size are of no use any more, and do no harm', async () => {
    const cluster = await FakeCluster.start(1);
    const [client, other] = [await cluster.client(), await cluster.client()];
    await cluster.run(client.writeFile('/f', '', { chunkBytes: 128 * kibi }));
    const handles = await cluster.run(
      Promise.all((['r+', 'a', 'r+', 'r'] as const).map((as) => client.open('/f', as))),
    );
    const [written, appended, cut, read] = handles as [FileHandle, FileHandle, FileHandle, FileHandle];
    await cluster.run(other.set('/f', { chunkBytes: 64 * kibi }));
    expect(await cluster.run(codeOf(written.write(sample(10), { position: 70 * kibi })))).toBe('STALE_HANDLE');
    expect(await cluster.run(codeOf(appended.recordAppend(sample(10))))).toBe('STALE_HANDLE');
    const bytes = sample(120 * kibi);
    await cluster.run(other.writeFile('/f', bytes));
    expect(await cluster.run(codeOf(cut.truncate(100 * kibi)))).toBe('STALE_HANDLE');
    expect(bytesEqual(cluster.content('/f'), bytes)).toBe(true);
    expect(await cluster.run(codeOf(read.read(new Uint8Array(120 * kibi))))).toBe('STALE_HANDLE');
    expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
    expect(await cluster.run(client.recordAppend('/f', sample(10)))).toBe(120 * kibi); // by the path it is looked up anew
  });

  test('flags say what may be done, and what must be there', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    expect(await codeOf(cluster.run(client.open('/missing', 'r')))).toBe('NOT_FOUND');
    expect(await codeOf(cluster.run(client.open('/missing', 'r+')))).toBe('NOT_FOUND');
    await cluster.run(client.writeFile('/there', 'text'));
    expect(await codeOf(cluster.run(client.open('/there', 'wx')))).toBe('EXISTS');
    const handle = await cluster.run(client.open('/there', 'r'));
    expect(await codeOf(cluster.run(handle.write(sample(1))))).toBe('INVALID_ARGUMENT');
    await handle.close();
    expect(await codeOf(cluster.run(handle.read(new Uint8Array(1))))).toBe('ABORTED');
    await cluster.run(client.mkdir('/d'));
    expect(await codeOf(cluster.run(client.open('/d', 'r')))).toBe('IS_A_DIRECTORY');
  });
});

describe('the tree', () => {
  test('names, kinds and sizes of a listing; open chunks are asked in one call per server', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.mkdir('/d/e', { recursive: true }));
    for (let n = 0; n < 9; n++) await cluster.run(client.writeFile(`/d/f${n}`, sample(n)));
    expect(await cluster.run(client.readdir('/d'))).toEqual(['e', ...Array.from({ length: 9 }, (_, n) => `f${n}`)]);
    const entries = await cluster.run(client.readdir('/d', { withAttributes: true }));
    expect(entries.map(({ stats }) => stats!.size)).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(entries[0]!.isDirectory()).toBe(true);
    expect(cluster.servers.every(({ lengthCalls }) => lengthCalls <= 1)).toBe(true);
  });

  test('an unreachable open chunk leaves a listing whole, with that size marked; stat says so within its deadline', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 3000 });
    await cluster.run(client.writeFile('/lost', 'text', { replication: 1 }));
    cluster.primaryOf('/lost').node.crash();
    const [entry] = await cluster.run(client.readdir('/', { withAttributes: true }));
    expect(entry!.stats).toMatchObject({ size: 0, isSizeExact: false });
    const before = cluster.world.now;
    expect(await codeOf(cluster.run(client.stat('/lost')))).toBe('UNAVAILABLE');
    expect(cluster.world.now - before).toBeLessThan(4000);
  });

  test('a chunk that has moved while its primary was waited for is not taken for one that was never written', async () => {
    for (const isOpened of [false, true]) {
      const cluster = await FakeCluster.start(1);
      const client = await cluster.client();
      const other = await cluster.client({}, 'other');
      const handle = await cluster.run(client.open('/a', 'w+', { replication: 2 }));
      await cluster.run(client.writeFile('/a', 'text', { flags: 'r+' }));
      const chunk = cluster.master.file('/a').chunks.get(0)!;
      const [primary, second] = chunk.servers.map((id) => cluster.server(id));
      const third = cluster.servers.find(({ id }) => !chunk.servers.includes(id))!;
      primary!.beforeLengths = () => {
        if (!chunk.servers.includes(second!.id)) throw new CairnError('LEASE_EXPIRED', 'it was away for long');
        third.chunks.set(chunk.handle, second!.chunks.get(chunk.handle)!);
        second!.chunks.delete(chunk.handle);
        chunk.servers = [third.id];
        chunk.version += 1;
        throw new CairnError('LEASE_EXPIRED', 'it was away for long');
      };
      const size = isOpened
        ? cluster.run(handle.stat().then((stats) => stats.size))
        : cluster.run(other.readFile('/a').then((bytes) => bytes.length));
      expect(await size).toBe(4);
    }
  });

  test('a chunk that no member has was never written; where one cannot be asked, those that had it may have dropped it', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 3000 });
    await cluster.run(client.writeFile('/a', 'text'));
    const { handle, servers } = cluster.master.file('/a').chunks.get(0)!;
    const whole = cluster.servers.map(({ chunks }) => chunks.get(handle)!);
    for (const server of cluster.servers) server.chunks.delete(handle);
    expect((await cluster.run(client.stat('/a'))).size).toBe(0);
    expect(await cluster.run(client.readFile('/a'))).toHaveLength(0);
    const [entry] = await cluster.run(client.readdir('/', { withAttributes: true }));
    expect(entry!.stats).toMatchObject({ size: 0, isSizeExact: false });

    const kept = cluster.server(servers[1]!);
    kept.chunks.set(handle, whole[kept.id - 1]!);
    kept.beforeLengths = () => {
      throw new CairnError('LEASE_EXPIRED', 'it does not reach the master');
    };
    expect(await codeOf(cluster.run(client.stat('/a')))).toBe('UNAVAILABLE');
    expect(await codeOf(cluster.run(client.readFile('/a')))).toBe('UNAVAILABLE');
    kept.beforeLengths = () => undefined;
    expect((await cluster.run(client.stat('/a'))).size).toBe(4);
  });

  test('a server that cannot tell lengths at all spoils no size that another knows, and ends no listing', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ deadlineMs: 3000 });
    await cluster.run(client.writeFile('/a', 'text'));
    await cluster.run(client.writeFile('/alone', 'text', { replication: 1 }));
    for (const path of ['/a', '/alone'])
      cluster.primaryOf(path).beforeLengths = () => {
        throw new CairnError('INTERNAL', 'a bug of this server');
      };
    expect((await cluster.run(client.stat('/a'))).size).toBe(4);
    const entries = await cluster.run(client.readdir('/', { withAttributes: true }));
    expect(entries.map(({ stats }) => [stats!.size, stats!.isSizeExact])).toEqual([
      [4, true],
      [0, false],
    ]);
    expect(await cluster.run(client.usage('/'))).toMatchObject({ bytes: 4, isExact: false });
    expect(await codeOf(cluster.run(client.stat('/alone')))).toBe('UNAVAILABLE');
    const asking = client.stat('/alone');
    client.close();
    expect(await codeOf(cluster.run(asking))).toBe('ABORTED');
  });

  test('a huge directory comes in pages', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (let n = 0; n < 2500; n++)
      cluster.master.root.children.set(`f${String(n).padStart(5, '0')}`, cluster.master.root);
    const names: string[] = [];
    const all = (async () => {
      for await (const { name } of client.entries('/')) names.push(name);
    })();
    await cluster.run(all);
    expect([names.length, cluster.master.counts.get('readdir')]).toEqual([2500, 3]);
    expect(names).toEqual(names.toSorted());
  });

  test('trees are copied, added up and removed', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.mkdir('/src/a/b', { recursive: true }));
    await cluster.run(client.writeFile('/src/x', sample(100 * kibi, 1)));
    await cluster.run(client.writeFile('/src/a/y', sample(10, 2)));
    await cluster.run(client.writeFile('/src/a/b/empty', ''));
    await cluster.run(client.cp('/src', '/dst', { recursive: true }));
    expect(bytesEqual(cluster.content('/dst/x'), sample(100 * kibi, 1))).toBe(true);
    const usage = await cluster.run(client.usage('/dst'));
    expect(usage).toEqual({
      files: 3,
      directories: 3,
      bytes: 100 * kibi + 10,
      storedBytes: 3 * (100 * kibi + 10),
      isExact: true,
    });
    expect(await codeOf(cluster.run(client.cp('/src', '/src/a/b/c', { recursive: true })))).toBe('INTO_ITSELF');
    expect(await codeOf(cluster.run(client.cp('/src', '/other')))).toBe('IS_A_DIRECTORY');
    expect(await codeOf(cluster.run(client.rm('/dst')))).toBe('NOT_EMPTY');
    await cluster.run(client.rm('/dst', { recursive: true }));
    expect(await cluster.run(client.exists('/dst'))).toBe(false);
    expect(await codeOf(cluster.run(client.rm('/dst')))).toBe('NOT_FOUND');
    expect(await codeOf(cluster.run(client.rm('/dst', { force: true })))).toBe('ok');
  });

  test('rename replaces unless told not to', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/a', 'a'));
    await cluster.run(client.writeFile('/b', 'b'));
    expect(await codeOf(cluster.run(client.rename('/a', '/b', { replace: false })))).toBe('EXISTS');
    await cluster.run(client.rename('/a', '/b'));
    expect(cluster.content('/b')).toEqual(Uint8Array.of(97));
  });

  test('wrong paths are refused before anybody is asked, and errors name the path', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    expect(await codeOf(cluster.run(client.stat('relative')))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(cluster.run(client.mkdir('/a/../b')))).toBe('INVALID_NAME');
    expect(await codeOf(cluster.run(client.writeFile(`/${'n'.repeat(256)}`, '')))).toBe('NAME_TOO_LONG');
    expect(await codeOf(cluster.run(client.rename('/a', '/b\0')))).toBe('INVALID_NAME');
    expect([cluster.master.commands.length, cluster.master.counts.get('stat')]).toEqual([0, undefined]);
    await expect(cluster.run(client.stat('/not/here'))).rejects.toThrow(/^\/not\/here: /);
  });

  test('free space and servers are told', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    expect(await cluster.run(client.df())).toEqual({
      totalBytes: 300,
      usedBytes: 30,
      freeBytes: 270,
      availableBytes: 90,
      replication: 3,
      servers: 3,
    });
    expect((await cluster.run(client.servers())).length).toBe(3);
    expect(client.clusterId).toBe('fake');
  });
});

describe('what goes away while a tree is looked at', () => {
  async function treeWithGoneDirectory() {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const name of ['a', 'b', 'c']) await cluster.run(client.writeFile(`/t/${name}/f`, 'x', { parents: true }));
    cluster.master.before = (kind, request) => {
      if (kind === 'readdir' && (request as { path: string }).path === '/t/b')
        throw new CairnError('NOT_FOUND', '/t/b: no such file or directory');
    };
    return { cluster, client };
  }

  test('is not added up, and not searched for damage: the rest is', async () => {
    const { cluster, client } = await treeWithGoneDirectory();
    expect(await cluster.run(client.usage('/t'))).toMatchObject({ files: 2, bytes: 2 });
    expect(await cluster.run(client.fsck('/t'))).toMatchObject({ files: 2, chunks: 2, lost: 0 });
    expect(await codeOf(cluster.run(client.fsck('/t/b')))).toBe('NOT_FOUND');
    expect(await codeOf(cluster.run(client.usage('/t/b')))).toBe('NOT_FOUND');
  });

  test('a chunk that its file has lost meanwhile is no lost chunk; one that is still its own is', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    for (const path of ['/cut', '/lost']) {
      await cluster.run(client.writeFile(path, sample(100)));
      cluster.master.seal(path, 0);
    }
    const dropped = ['/cut', '/lost'].map((path) => cluster.master.file(path).chunks.get(0)!.handle);
    for (const server of cluster.servers)
      server.beforeImage = () => {
        cluster.master.file('/cut').chunks.clear();
        for (const handle of dropped) server.chunks.delete(handle);
      };
    const found: string[] = [];
    const onFinding = ({ path, problem }: { path: string; problem: string }) => found.push(`${path} ${problem}`);
    expect(await cluster.run(client.fsck('/', { onFinding }))).toMatchObject({ files: 2, lost: 1 });
    expect(found).toEqual(['/lost lost']);
  });
});
