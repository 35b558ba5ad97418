import { describe, expect, test } from 'vitest';
import { bytesEqual, concatBytes } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { CairnClient } from './client.ts';
import { FakeCluster, type FakeServer, sample } from './fake-cluster.test-support.ts';

const kibi = 1024;
const mebi = 1024 * kibi;

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (thrown) {
    return thrown instanceof CairnError ? thrown.code : String(thrown);
  }
}

/** A cluster with one file, written by another client than the one that reads. */
async function withFile(
  bytes: Uint8Array,
  settings: { chunkBytes?: number; deadlineMs?: number } = {},
): Promise<[FakeCluster, CairnClient]> {
  const cluster = await FakeCluster.start(1);
  const writer = await cluster.client({}, 'writer');
  await cluster.run(writer.writeFile('/f', bytes, { chunkBytes: settings.chunkBytes }));
  return [cluster, await cluster.client({ deadlineMs: settings.deadlineMs })];
}

/** Its files are of mode async from now on, and all members of the chunk but its primary have only these bytes. */
function lag(cluster: FakeCluster, path: string, bytes: Uint8Array): FakeServer {
  const { master } = cluster;
  const attributesOf = master.attributesOf.bind(master);
  master.attributesOf = (inode) => ({ ...attributesOf(inode), mode: 'async' });
  const primary = cluster.primaryOf(path);
  const { handle } = master.file(path).chunks.get(0)!;
  for (const { chunks } of cluster.servers) {
    if (chunks !== primary.chunks) chunks.set(handle, { ...chunks.get(handle)!, bytes });
  }
  return primary;
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: number[] = [];
  for await (const piece of pieces) for (const byte of piece) all.push(byte);
  return Uint8Array.from(all);
}

describe('reading', () => {
  test('a stream reads ahead over the borders of chunks, no more than its window', async () => {
    const bytes = sample(6 * mebi + 5);
    const [cluster, client] = await withFile(bytes, { chunkBytes: 2 * mebi });
    let inRead = 0;
    let inReadMax = 0;
    for (const server of cluster.servers) {
      server.beforeRead = async () => {
        inReadMax = Math.max(inReadMax, ++inRead);
        await new Promise<void>((go) => server.node.env.clock.after(10, go));
        inRead -= 1;
        return undefined;
      };
    }
    const read = await cluster.run(collect(client.readStream('/f', { windowBytes: 4 * mebi })));
    expect(bytesEqual(read, bytes)).toBe(true);
    expect(inReadMax).toBe(4);
    expect(cluster.master.counts.get('locate')).toBe(1);
  });

  test('before a chunk that no replica has reads as zeros it is asked for again: the file may have another since', async () => {
    const bytes = sample(4 * mebi);
    const [cluster, client] = await withFile(bytes, { chunkBytes: 2 * mebi });
    const { chunks } = cluster.master.file('/f');
    const unwritten = chunks.get(0)!;
    const content = cluster.servers.map((server) => server.chunks.get(unwritten.handle)!);
    for (const server of cluster.servers) server.chunks.delete(unwritten.handle);
    const file = await cluster.run(client.open('/f'));
    const read = async () => (await cluster.run(file.read(new Uint8Array(mebi).fill(1), { position: 0 }))).buffer;
    expect(bytesEqual(await read(), new Uint8Array(mebi))).toBe(true);
    const other = 1_000;
    for (const [i, server] of cluster.servers.entries()) server.chunks.set(other, content[i]!);
    chunks.set(0, { ...unwritten, handle: other });
    expect(bytesEqual(await read(), bytes.subarray(0, mebi))).toBe(true);
    await cluster.run(file.close());
  });

  test('a reader that stops early asks for no more', async () => {
    const [cluster, client] = await withFile(sample(8 * mebi), { chunkBytes: 8 * mebi });
    const first = async () => {
      for await (const piece of client.readStream('/f', { windowBytes: 2 * mebi })) return piece.length;
      return 0;
    };
    expect(await cluster.run(first())).toBe(mebi);
    await cluster.world.run(100);
    expect(cluster.servers.flatMap(({ reads }) => reads).length).toBeLessThanOrEqual(3);
  });

  test('memory is used again only if that was asked for', async () => {
    const [cluster, client] = await withFile(sample(4 * mebi), { chunkBytes: 4 * mebi });
    const memories = async (reuseMemory: boolean) => {
      const seen = new Set<ArrayBufferLike>();
      for await (const piece of client.readStream('/f', { windowBytes: mebi, reuseMemory })) seen.add(piece.buffer);
      return seen.size;
    };
    expect([await cluster.run(memories(false)), await cluster.run(memories(true))]).toEqual([4, 1]);
  });

  test('a file that somebody has cut ends there for whoever has it open, and not with zeros', async () => {
    const bytes = sample(200 * kibi);
    const [cluster, client] = await withFile(bytes);
    const other = await cluster.client({}, 'other');
    const file = await cluster.run(client.open('/f'));
    const read = async () => (await cluster.run(file.read(new Uint8Array(200), { position: 50 }))).bytesRead;
    expect(await read()).toBe(200);
    await cluster.run(other.truncate('/f', 100));
    expect([await read(), (await cluster.run(file.stat())).size]).toEqual([50, 100]);
  });

  test('after a part that is lost no more of the file is asked for', async () => {
    const bytes = sample(20 * mebi);
    const [cluster, client] = await withFile(bytes, { chunkBytes: mebi });
    const lost = cluster.master.file('/f').chunks.get(0)!;
    cluster.master.seal('/f', 0);
    for (const server of cluster.servers) server.chunks.delete(lost.handle);
    for (const server of cluster.servers)
      server.beforeRead = ({ handle }) =>
        handle === lost.handle ? undefined : new Promise((go) => cluster.world.after(200, () => go(undefined)));
    expect(await codeOf(cluster.run(client.readFile('/f')))).toBe('DATA_LOST');
    const asked = cluster.servers.flatMap(({ reads }) => reads).filter(({ handle }) => handle !== lost.handle);
    expect(asked.length).toBeLessThan(19);
  });

  test('a part of a stream begins and ends where it should', async () => {
    const bytes = sample(300 * kibi);
    const [cluster, client] = await withFile(bytes);
    const part = await cluster.run(collect(client.readStream('/f', { start: 65_000, length: 100_000 })));
    expect(bytesEqual(part, bytes.subarray(65_000, 165_000))).toBe(true);
    expect((await cluster.run(collect(client.readStream('/f', { start: 400 * kibi })))).length).toBe(0);
  });

  test('several readers spread over the replicas', async () => {
    const bytes = sample(10);
    const [cluster] = await withFile(bytes);
    for (let n = 0; n < 24; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      await cluster.run(reader.readFile('/f'));
    }
    for (const server of cluster.servers) expect(server.reads.length).toBeGreaterThan(2);
  });
});

describe('replicas that fail', () => {
  test('flipped bits on the way are noticed; another replica is read, and preferred for a while', async () => {
    const bytes = sample(200 * kibi);
    const [cluster, client] = await withFile(bytes);
    for (const server of cluster.servers.slice(0, 2)) {
      server.spoil = (_, body) => {
        body[body.length >> 1]! ^= 0x10;
      };
    }
    expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
    expect(cluster.events).toContain('client.replicaNotRead');
    const before = cluster.server(1).reads.length + cluster.server(2).reads.length;
    expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
    expect(cluster.server(1).reads.length + cluster.server(2).reads.length).toBe(before);
  });

  test('a replica that has lost the chunk, or refuses, is passed over', async () => {
    const bytes = sample(100);
    const [cluster, client] = await withFile(bytes);
    cluster.server(1).chunks.clear();
    cluster.server(2).beforeRead = () => {
      throw new CairnError('DISK_CORRUPT', 'a block is damaged');
    };
    for (let n = 0; n < 3; n++) expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
  });

  test('a replica of a sealed chunk that is too short is passed over: what it lacks is no hole', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    cluster.master.seal('/f', 0);
    for (const id of [1, 2]) {
      const [handle, chunk] = [...cluster.server(id).chunks][0]!;
      cluster.server(id).chunks.set(handle, { ...chunk, bytes: chunk.bytes.slice(0, 900) });
    }
    for (let n = 0; n < 3; n++) expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
    cluster.server(3).chunks.clear();
    expect(await codeOf(cluster.run(client.readFile('/f')))).toBe('DATA_LOST');
  });

  test('of an open chunk only the primary tells where it ends: another one may have lost the power and the last bytes', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    const [handle] = [...cluster.server(1).chunks][0]!;
    const primary = cluster.servers.find(({ mutations }) => mutations.length > 0)!;
    for (const server of cluster.servers) {
      const chunk = server.chunks.get(handle)!;
      if (server !== primary) server.chunks.set(handle, { ...chunk, bytes: chunk.bytes.slice(0, 900) });
    }
    for (let n = 0; n < 6; n++) {
      const reader = n < 3 ? client : await cluster.client({}, `reader ${n}`);
      expect(bytesEqual(await cluster.run(reader.readFile('/f')), bytes)).toBe(true);
    }
  });

  test('of an open chunk whose primary has lost its power, and with it its last bytes and the lease, whoever has most tells where it ends', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    const [handle] = [...cluster.server(1).chunks][0]!;
    const primary = cluster.servers.find(({ mutations }) => mutations.length > 0)!;
    primary.chunks.set(handle, { ...primary.chunks.get(handle)!, bytes: bytes.slice(0, 900) });
    primary.hasLeases = false;
    expect((await cluster.run(client.stat('/f'))).size).toBe(1000);
    for (let n = 0; n < 6; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      expect(bytesEqual(await cluster.run(reader.readFile('/f', { length: 2000 })), bytes)).toBe(true);
    }
  });

  test('of an open chunk in mode async the primary tells where it ends, though the connection to it was just lost', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    const primary = lag(cluster, '/f', bytes.subarray(0, 900));
    primary.beforeRead = (_, count) => (count > 1 ? undefined : new Promise(() => undefined));
    const reading = client.readFile('/f');
    await cluster.world.run(10);
    cluster.world.network.reset('client', primary.node.name);
    expect((await cluster.run(client.stat('/f'))).size).toBe(1000);
    expect(bytesEqual(await cluster.run(reading), bytes)).toBe(true);
  });

  test('of an open chunk in mode async the others do not tell where it ends while the primary cannot, and the master hears it', async () => {
    const [cluster, client] = await withFile(sample(1000), { deadlineMs: 2000 });
    const primary = lag(cluster, '/f', sample(900));
    let failures = 2;
    primary.beforeLengths = () => {
      if (failures-- > 0) throw new CairnError('LEASE_EXPIRED', 'the master is not heard');
    };
    expect((await cluster.run(client.stat('/f'))).size).toBe(1000);
    primary.node.crash();
    const before = cluster.world.now;
    expect(await codeOf(cluster.run(client.stat('/f')))).toBe('UNAVAILABLE');
    expect(cluster.world.now - before).toBeLessThan(3000);
    const [entry] = await cluster.run(client.readdir('/', { withAttributes: true }));
    expect(entry!.stats!.isSizeExact).toBe(false);
    const chunk = cluster.master.file('/f').chunks.get(0)!;
    chunk.servers = [...chunk.servers.filter((id) => id !== primary.id), primary.id];
    expect((await cluster.run(client.stat('/f'))).size).toBe(900);
  });

  test('an open chunk in mode async is read from its primary, though the connection to it is lost meanwhile', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    const primary = lag(cluster, '/f', sample(1000, 2));
    primary.beforeRead = (_, count) => (count > 1 ? undefined : 'lose');
    expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
    primary.chunks.clear();
    expect(bytesEqual(await cluster.run(client.readFile('/f')), sample(1000, 2))).toBe(true);
  });

  test('an answer that no other try would change is the word of one replica: another is asked', async () => {
    const bytes = sample(1000);
    const [cluster, client] = await withFile(bytes);
    for (const server of cluster.servers.slice(0, 2))
      server.beforeRead = () => {
        throw new CairnError('INTERNAL', 'this server has met its own mistake');
      };
    for (let n = 0; n < 6; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      expect(bytesEqual(await cluster.run(reader.readFile('/f')), bytes)).toBe(true);
    }
    for (const server of cluster.servers) server.beforeRead = cluster.server(1).beforeRead;
    const before = cluster.world.now;
    expect(await codeOf(cluster.run(client.readFile('/f')))).toBe('INTERNAL');
    expect(cluster.world.now - before).toBeLessThan(200);
  });

  test('a replica that is older than the chunk is now, and shorter, is passed over while the chunk is open', async () => {
    const bytes = sample(1000);
    const [cluster] = await withFile(bytes);
    const chunk = cluster.master.file('/f').chunks.get(0)!;
    const primary = cluster.servers.find(({ mutations }) => mutations.length > 0)!;
    for (const server of cluster.servers) {
      const held = server.chunks.get(chunk.handle)!;
      if (server !== primary) server.chunks.set(chunk.handle, { ...held, bytes: held.bytes.slice(0, 900) });
    }
    chunk.version = 2; // granted, and not begun
    for (let n = 0; n < 6; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      expect(bytesEqual(await cluster.run(reader.readFile('/f'), 5000), bytes)).toBe(true);
    }
    expect(cluster.servers.reduce((sum, { reads }) => sum + reads.length, 0)).toBeLessThan(30);
  });

  test('a chunk that is cut between the question how long it is and the next replica is not taken for one without bytes', async () => {
    const bytes = sample(1000);
    const [cluster] = await withFile(bytes);
    const { handle } = cluster.master.file('/f').chunks.get(0)!;
    const primary = cluster.servers.find(({ mutations }) => mutations.length > 0)!;
    const cut = (server: FakeServer, to: number) => {
      const held = server.chunks.get(handle)!;
      server.chunks.set(handle, { ...held, bytes: bytes.slice(0, to) });
    };
    for (const server of cluster.servers) cut(server, 900);
    for (let n = 0; n < 6; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      const file = await cluster.run(reader.open('/f'));
      cut(primary, 1000);
      primary.beforeRead = () => {
        cut(primary, 900);
        return undefined;
      };
      expect((await cluster.run(file.read(new Uint8Array(2000), { position: 0 }))).bytesRead).toBe(900);
    }
  });

  test('a replica that was left behind since the chunk was looked up is passed over, though it is newer than that', async () => {
    const bytes = sample(1000);
    const [cluster] = await withFile(sample(1000, 2));
    const readers = [];
    for (let n = 0; n < 6; n++) {
      const reader = await cluster.client({}, `reader ${n}`);
      const file = await cluster.run(reader.open('/f'));
      await cluster.run(file.read(new Uint8Array(10), { position: 0 }));
      readers.push(file);
    }
    const chunk = cluster.master.file('/f').chunks.get(0)!;
    for (const server of cluster.servers) {
      const held = server.chunks.get(chunk.handle)!;
      server.chunks.set(chunk.handle, server.id === 1 ? { ...held, version: 2 } : { ...held, version: 3, bytes });
    }
    Object.assign(chunk, { version: 3, sealedLength: 1000 });
    for (const file of readers) {
      const { buffer } = await cluster.run(file.read(new Uint8Array(1000), { position: 0 }));
      expect(bytesEqual(buffer, bytes)).toBe(true);
    }
  });

  test('a dead server costs a moment, a stopped one less than two and a half seconds, once', async () => {
    const bytes = sample(100);
    for (const end of ['crash', 'pause'] as const) {
      const [cluster, client] = await withFile(bytes);
      await cluster.run(client.readFile('/f'));
      const preferred = cluster.servers.find(({ reads }) => reads.length > 0)!;
      cluster.master.seal('/f', 0);
      preferred.node[end]();
      const before = cluster.world.now;
      expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
      expect(cluster.world.now - before).toBeLessThan(end === 'crash' ? 200 : 2500);
      const again = cluster.world.now;
      expect(bytesEqual(await cluster.run(client.readFile('/f')), bytes)).toBe(true);
      expect(cluster.world.now - again).toBeLessThan(200);
    }
  });

  test('over a slow link nothing is given up and asked for again: less is under way, and the server is heard', async () => {
    const cluster = await FakeCluster.start(1, { network: { bytesPerMs: 450 } });
    const writer = await cluster.client();
    const bytes = sample(12 * mebi);
    await cluster.run(writer.writeFile('/f', bytes, { chunkBytes: 64 * mebi }), 200_000);
    for (const read of ['whole', 'stream'] as const) {
      const client = await cluster.client();
      const before = cluster.servers.reduce((sum, { reads }) => sum + reads.length, 0);
      const readAll = async () => {
        if (read === 'whole') return client.readFile('/f');
        const parts: Uint8Array[] = [];
        for await (const part of client.readStream('/f')) parts.push(part.slice());
        return concatBytes(parts);
      };
      expect(bytesEqual(await cluster.run(readAll(), 200_000), bytes)).toBe(true);
      expect(cluster.servers.reduce((sum, { reads }) => sum + reads.length, 0) - before).toBe(12);
    }
    expect(cluster.events).not.toContain('client.serverSilent');
  });

  test('a chunk that has moved is looked up again', async () => {
    const bytes = sample(100);
    const [cluster, client] = await withFile(bytes);
    const handle = await cluster.run(client.open('/f', 'r'));
    const memory = new Uint8Array(100);
    await cluster.run(handle.read(memory, { position: 0 }));
    const chunk = cluster.master.file('/f').chunks.get(0)!;
    const kept = cluster.server(1).chunks.get(chunk.handle)!;
    for (const server of cluster.servers) server.chunks.clear();
    cluster.server(3).chunks.set(chunk.handle, kept);
    chunk.servers = [3];
    memory.fill(0);
    await cluster.run(handle.read(memory, { position: 0 }));
    expect(bytesEqual(memory, bytes)).toBe(true);
  });

  test('when no replica can be read the error comes within the deadline', async () => {
    const [cluster, client] = await withFile(sample(100), { deadlineMs: 2000 });
    cluster.master.seal('/f', 0);
    for (const server of cluster.servers) server.chunks.clear();
    const before = cluster.world.now;
    expect(await codeOf(cluster.run(client.readFile('/f')))).toBe('DATA_LOST');
    expect(cluster.world.now - before).toBeLessThan(3000);
  });

  test('an answer that stops half-way is given up, and its late bytes go nowhere', async () => {
    const bytes = sample(900 * kibi);
    const [cluster, client] = await withFile(bytes, { chunkBytes: mebi });
    await cluster.run(client.readFile('/f'));
    const preferred = cluster.servers.find(({ reads }) => reads.length > 0)!;
    const sever = cluster.world.network;
    const reading = client.readFile('/f');
    let heal: (() => void) | undefined;
    preferred.beforeRead = () => {
      cluster.world.after(0.4, () => {
        heal = sever.blackhole([preferred.node.name], ['client']);
      });
      return undefined;
    };
    const read = await cluster.run(reading);
    expect(bytesEqual(read, bytes)).toBe(true);
    expect(heal).toBeDefined();
    heal?.();
    await cluster.world.run(5000);
    expect(bytesEqual(read, bytes)).toBe(true);
  });

  test('after an abort nothing comes into the memory that the caller has got back', async () => {
    const cluster = await FakeCluster.start(1, { network: { bytesPerMs: 5000 } });
    const client = await cluster.client();
    await cluster.run(client.writeFile('/f', sample(900 * kibi), { chunkBytes: 4 * mebi }));
    const handle = await cluster.run(client.open('/f'));
    const memory = new Uint8Array(900 * kibi);
    const controller = new AbortController();
    const read = handle.read(memory, { position: 0, signal: controller.signal });
    cluster.world.after(50, () => controller.abort());
    expect(await codeOf(cluster.run(read))).toBe('ABORTED');
    memory.fill(7);
    await cluster.world.run(5000);
    expect(memory.every((byte) => byte === 7)).toBe(true);
    const { bytesRead } = await cluster.run(handle.read(memory, { position: 0, signal: new AbortController().signal }));
    expect([bytesRead, bytesEqual(memory, sample(900 * kibi))]).toEqual([900 * kibi, true]);
  });

  test('an aborted read asks for no more', async () => {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client({ readWindowBytes: 2 * mebi });
    await cluster.run(client.writeFile('/f', sample(20 * mebi), { chunkBytes: 64 * mebi }));
    for (const server of cluster.servers)
      server.beforeRead = () => new Promise((go) => cluster.world.after(10, () => go(undefined)));
    const controller = new AbortController();
    const reads = () => cluster.servers.reduce((sum, server) => sum + server.reads.length, 0);
    cluster.world.after(25, () => controller.abort());
    expect(await codeOf(cluster.run(client.readFile('/f', { signal: controller.signal })))).toBe('ABORTED');
    const asked = reads();
    await cluster.world.run(2000);
    expect([asked < 10, reads() - asked]).toEqual([true, 0]);
  });

  test('an abort ends a read at once', async () => {
    const [cluster, client] = await withFile(sample(100));
    for (const server of cluster.servers) server.beforeRead = () => new Promise(() => undefined);
    const controller = new AbortController();
    cluster.world.after(50, () => controller.abort());
    expect(await codeOf(cluster.run(client.readFile('/f', { signal: controller.signal })))).toBe('ABORTED');
    expect(await codeOf(cluster.run(client.readFile('/f', { signal: AbortSignal.abort() })))).toBe('ABORTED');
    const stream = collect(client.readStream('/f', { signal: controller.signal }));
    expect(await codeOf(cluster.run(stream))).toBe('ABORTED');
  });
});
