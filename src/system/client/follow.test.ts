import { describe, expect, test } from 'vitest';
import { concatBytes, toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { CairnClient } from './client.ts';
import { FakeCluster, sample } from './fake-cluster.test-support.ts';
import { encodeRecord } from './record-format.ts';
import type { RecordsOptions } from './records.ts';

const chunkBytes = 64 * 1024;
const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/** Follows a file's records in the background. */
class Tail {
  readonly told: string[] = [];
  readonly ended: Promise<string>;
  readonly #abort = new AbortController();

  constructor(client: CairnClient, path: string, options: RecordsOptions = {}) {
    this.ended = this.#follow(client, path, options).catch((thrown: CairnError) => thrown.code);
  }

  async #follow(client: CairnClient, path: string, options: RecordsOptions): Promise<string> {
    const { signal } = this.#abort;
    for await (const { data } of client.records(path, { follow: true, signal, ...options })) {
      this.told.push(text(data.subarray(0, 20)));
    }
    return 'the end';
  }

  stop(): Promise<string> {
    this.#abort.abort();
    return this.ended;
  }
}

async function clusterWithLog(seed: number, records: readonly string[]) {
  const cluster = await FakeCluster.start(seed, { servers: 3 });
  const client = await cluster.client({ deadlineMs: 5000 });
  await cluster.run(client.writeFile('/log', ''));
  for (const record of records) await cluster.run(client.appendRecord('/log', toUtf8(record)));
  return { cluster, client };
}

/** The primary is gone, nobody has its lease, and the others have only so many bytes of the chunk. */
function loseEnd(cluster: FakeCluster, bytes: number): void {
  const { handle } = cluster.master.file('/log').chunks.get(0)!;
  cluster.primaryOf('/log').node.crash();
  for (const { host, chunks } of cluster.servers) {
    const held = chunks.get(handle)!;
    if (host.isUp) chunks.set(handle, { ...held, bytes: held.bytes.slice(0, bytes) });
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const callsOf = ({ master, servers }: FakeCluster) =>
  servers.reduce((sum, { growthCalls, lengthCalls, reads }) => sum + growthCalls + lengthCalls + reads.length, 0) +
  [...master.counts.values()].reduce((a, b) => a + b, 0);

describe('records', () => {
  test('come back in order, across chunks, with the places to go on from', async () => {
    const { cluster, client } = await clusterWithLog(1, []);
    const large = Array.from({ length: 40 }, (_, n) => sample(9000 + n, n));
    const positions = await cluster.run(Promise.all(large.map((bytes) => client.appendRecord('/log', bytes))));
    expect(positions.at(-1)).toBeGreaterThan(5 * chunkBytes);
    const found = await cluster.run(all(client.records('/log')));
    expect(found.map(({ position }) => position)).toEqual(positions);
    expect(found.every(({ data }, n) => concatBytes([data]).join() === large[n]!.join())).toBe(true);
    const rest = await cluster.run(all(client.records('/log', { from: found[29]!.end })));
    expect(rest.map(({ sequence }) => sequence)).toEqual(found.slice(30).map(({ sequence }) => sequence));
  });

  test('are told apart from raw appends and from the padding at the end of a chunk', async () => {
    const { cluster, client } = await clusterWithLog(2, ['one']);
    await cluster.run(client.recordAppend('/log', toUtf8('raw bytes, no record')));
    for (let n = 0; n < 5; n++) await cluster.run(client.appendRecord('/log', sample(15_000, n)));
    const skipped: unknown[] = [];
    const onSkipped = (what: object) => skipped.push({ ...what });
    const found = await cluster.run(all(client.records('/log', { onSkipped })));
    expect(found.map(({ data }) => data.length)).toEqual([3, 15_000, 15_000, 15_000, 15_000, 15_000]);
    expect(skipped).toEqual([{ padding: chunkBytes - 35 - 20 - 4 * 15_032, fragments: 20, duplicates: 0 }]);
  });

  test('too large for a chunk of the file are refused before anything is sent', async () => {
    const { cluster, client } = await clusterWithLog(3, []);
    const tooLarge = client.appendRecord('/log', new Uint8Array(chunkBytes / 4 - 31));
    await expect(cluster.run(tooLarge)).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' });
    await cluster.run(client.appendRecord('/log', new Uint8Array(chunkBytes / 4 - 32)));
    expect(cluster.mutations.length).toBe(1);
  });
});

describe('following', () => {
  test('tells what is there and then each record as it comes, at once', async () => {
    const { cluster, client } = await clusterWithLog(4, ['a', 'b']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(1000);
    expect(tail.told).toEqual(['a', 'b']);
    await cluster.run(client.appendRecord('/log', toUtf8('c')));
    await cluster.world.run(20);
    expect(tail.told).toEqual(['a', 'b', 'c']);
    expect(await cluster.run(tail.stop())).toBe('ABORTED');
  });

  test('asks nobody while nothing comes, but for a round of four calls in ten seconds', async () => {
    const { cluster, client } = await clusterWithLog(5, ['a']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(1000);
    const before = callsOf(cluster);
    await cluster.world.run(60_000);
    expect(callsOf(cluster) - before).toBeLessThanOrEqual(24);
    await cluster.run(client.appendRecord('/log', toUtf8('b')));
    await cluster.world.run(20);
    expect(tail.told).toEqual(['a', 'b']);
    await cluster.run(tail.stop());
  });

  test('begins at the end when asked to, and waits on a file that is empty', async () => {
    const { cluster, client } = await clusterWithLog(6, []);
    const fromStart = new Tail(client, '/log');
    await cluster.world.run(100);
    await cluster.run(client.appendRecord('/log', toUtf8('a')));
    const fromEnd = new Tail(client, '/log', { from: 'end' });
    await cluster.world.run(100);
    await cluster.run(client.appendRecord('/log', toUtf8('b')));
    await cluster.world.run(100);
    expect(fromStart.told).toEqual(['a', 'b']);
    expect(fromEnd.told).toEqual(['b']);
  });

  test('goes on in the next chunk, and behind a chunk that was sealed meanwhile', async () => {
    const { cluster, client } = await clusterWithLog(7, ['a']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    cluster.master.seal('/log', 0);
    await cluster.world.run(20_000);
    const wanted = ['a'];
    for (let n = 0; n < 12; n++) {
      await cluster.run(
        client.appendRecord('/log', concatBytes([toUtf8(`record ${n} .......................`), sample(15_000)])),
      );
      wanted.push(`record ${n} .......................`.slice(0, 20));
      await cluster.world.run(50);
      expect(tail.told).toEqual(wanted);
    }
  });

  test('goes on with another replica when the primary is gone, and ends with an error when all are', async () => {
    const { cluster, client } = await clusterWithLog(8, ['a']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    cluster.primaryOf('/log').node.crash();
    await cluster.world.run(100);
    await cluster.run(client.appendRecord('/log', toUtf8('b')));
    await cluster.world.run(3000);
    expect(tail.told).toEqual(['a', 'b']);
    for (const { host, node } of cluster.servers) if (host.isUp) node.crash();
    expect(await cluster.run(tail.ended)).toBe('UNAVAILABLE');
  });

  test('goes on with another replica when one says what no other try would change', async () => {
    const { cluster, client } = await clusterWithLog(8, ['a']);
    cluster.primaryOf('/log').beforeGrowth = () => {
      throw new CairnError('INTERNAL', 'this server has met its own mistake');
    };
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    await cluster.run(client.appendRecord('/log', toUtf8('b')));
    await cluster.world.run(100);
    expect(tail.told).toEqual(['a', 'b']);
    expect(await cluster.run(tail.stop())).toBe('ABORTED');
  });

  test('ends when the file is removed', async () => {
    const { cluster, client } = await clusterWithLog(9, ['a']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    await cluster.run(client.rm('/log'));
    expect(await cluster.run(tail.ended, 60_000)).toBe('STALE_HANDLE');
  });

  test('begins anew when the file was emptied', async () => {
    const { cluster, client } = await clusterWithLog(10, ['a', 'b', 'c']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    await cluster.run(client.writeFile('/log', ''));
    await cluster.run(client.appendRecord('/log', toUtf8('d')));
    await cluster.world.run(15_000);
    expect(tail.told).toEqual(['a', 'b', 'c', 'd']);
  });

  test('that others have less is no cut; what the next primary has less is', async () => {
    const { cluster, client } = await clusterWithLog(13, ['a', 'b', 'c']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    loseEnd(cluster, 33);
    await cluster.world.run(2000);
    expect(tail.told).toEqual(['a', 'b', 'c']);
    await cluster.run(client.appendRecord('/log', toUtf8('d')));
    await cluster.world.run(1000);
    expect(tail.told).toEqual(['a', 'b', 'c', 'a', 'd']);
    await cluster.run(tail.stop());
  });

  test('that the primary has less than what another one told, which is not acknowledged yet, is no cut', async () => {
    const { cluster, client } = await clusterWithLog(16, ['a', 'b', 'c']);
    const { handle } = cluster.master.file('/log').chunks.get(0)!;
    const primary = cluster.primaryOf('/log');
    const held = primary.chunks.get(handle)!;
    const ahead = { ...held, bytes: concatBytes([held.bytes, encodeRecord(7, 1, toUtf8('d'), crc32)]) };
    for (const { chunks } of cluster.servers) if (chunks !== primary.chunks) chunks.set(handle, ahead);
    let failures = 1;
    primary.beforeGrowth = async () => {
      if (failures-- > 0) throw new CairnError('LEASE_EXPIRED', 'the master is not heard');
    };
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    expect(tail.told).toEqual(['a', 'b', 'c', 'd']);
    await cluster.world.run(12_000);
    primary.chunks.set(handle, ahead);
    await cluster.world.run(1000);
    await cluster.run(client.appendRecord('/log', toUtf8('e')));
    await cluster.world.run(1000);
    expect(tail.told).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await cluster.run(tail.stop())).toBe('ABORTED');
  });

  test('ends with an error where nobody has, within the deadline of a call, what was read before', async () => {
    const { cluster, client } = await clusterWithLog(14, ['a', 'b', 'c']);
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    loseEnd(cluster, 33);
    expect(await cluster.run(tail.ended, 10_000)).toBe('UNAVAILABLE');
    expect(tail.told).toEqual(['a', 'b', 'c']);
  });

  test('from behind the end waits until the file has grown to there', async () => {
    const { cluster, client } = await clusterWithLog(15, ['a']);
    const tail = new Tail(client, '/log', { from: 99 });
    const inNextChunk = new Tail(client, '/log', { from: chunkBytes });
    await cluster.world.run(1000);
    const before = callsOf(cluster);
    await cluster.world.run(60_000);
    expect(callsOf(cluster) - before).toBeLessThanOrEqual(48);
    for (const record of ['b', 'c', 'd']) {
      await cluster.run(client.appendRecord('/log', toUtf8(record)));
      await cluster.world.run(50);
    }
    expect(tail.told).toEqual(['d']);
    await cluster.run(tail.stop());
    for (let n = 0; n < 5; n++) await cluster.run(client.appendRecord('/log', sample(16_000, n)));
    await cluster.run(client.appendRecord('/log', toUtf8('e')));
    await cluster.world.run(12_000);
    expect(inNextChunk.told).toEqual([text(sample(20, 4)), 'e']);
    await cluster.run(inNextChunk.stop());
  });

  test('each failure has a time of its own, however long ago the last one was', async () => {
    const { cluster, client } = await clusterWithLog(11, ['a']);
    let failures = 0;
    for (const server of cluster.servers)
      server.beforeGrowth = async () => {
        if (failures-- > 0) throw new CairnError('LEASE_EXPIRED', 'the master is not heard');
      };
    const tail = new Tail(client, '/log');
    for (let n = 0; n < 3; n++) {
      await cluster.world.run(20_000);
      failures = 6;
    }
    await cluster.world.run(20_000);
    await cluster.run(client.appendRecord('/log', toUtf8('b')));
    await cluster.world.run(1000);
    expect(tail.told).toEqual(['a', 'b']);
    await cluster.run(tail.stop());
  });

  test('a file that is cut, and grows again, between the look at its end and the wait for more is read anew', async () => {
    const { cluster, client } = await clusterWithLog(12, ['a', 'b', 'c']);
    const handle = await cluster.run(client.open('/log', 'r+'));
    const primary = cluster.primaryOf('/log');
    let isHeld = false;
    primary.beforeGrowth = async () => {
      if (isHeld) return;
      isHeld = true;
      await new Promise<void>((go) => cluster.world.after(500, go));
    };
    const tail = new Tail(client, '/log');
    await cluster.world.run(100);
    await cluster.run(handle.truncate(33));
    await cluster.world.run(1000);
    for (const record of ['d', 'e', 'f', 'g']) {
      await cluster.run(client.appendRecord('/log', toUtf8(record)));
      await cluster.world.run(100);
    }
    await cluster.world.run(15_000);
    expect(tail.told).toEqual(['a', 'b', 'c', 'a', 'd', 'e', 'f', 'g']);
    await cluster.run(tail.stop());
  });
});
