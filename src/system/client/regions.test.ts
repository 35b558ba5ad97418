import { describe, expect, test } from 'vitest';
import { concatBytes, toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';
import { FakeCluster, type FakeServer, sample } from './fake-cluster.test-support.ts';
import { encodeRecord } from './record-format.ts';
import { type Region, regionsOf } from './regions.ts';

const record = (n: number) => encodeRecord(7, n, toUtf8(`record ${n}`), crc32);
const states = (...replicas: Uint8Array[]) =>
  regionsOf(replicas, crc32).map(({ from, to, state }) => `${from}-${to} ${state}`);

test('records that are the same everywhere are defined, zeros between them padding, other bytes consistent', () => {
  const bytes = concatBytes([record(1), new Uint8Array(100), record(2), toUtf8('raw')]);
  expect(states(bytes, bytes, bytes)).toEqual([
    '0-40 defined',
    '40-140 padding',
    '140-180 defined',
    '180-183 consistent',
  ]);
});

test('what differs on one replica is inconsistent, byte by byte, also in the middle of a record', () => {
  const one = concatBytes([record(1), record(2), record(3)]);
  const other = one.slice();
  other[50]! ^= 1;
  expect(states(one, other)).toEqual([
    '0-40 defined',
    '40-50 consistent',
    '50-51 inconsistent',
    '51-80 consistent',
    '80-120 defined',
  ]);
});

test('a replica that is shorter differs from where it ends', () => {
  const one = concatBytes([record(1), record(2)]);
  expect(states(one, one.subarray(0, 40), one)).toEqual(['0-40 defined', '40-80 inconsistent']);
});

test('of one replica alone nothing can be told', () => {
  expect(states(record(1))).toEqual(['0-40 unknown']);
  expect(states()).toEqual([]);
});

describe('the regions of a file', () => {
  /** Of two chunks of 64 KiB, each on three servers; the first is sealed. */
  async function withFile(replication = 3) {
    const cluster = await FakeCluster.start(1);
    const client = await cluster.client();
    await cluster.run(client.writeFile('/f', sample(chunkBytes + 1000), { replication }));
    cluster.master.seal('/f', 0);
    const shown = async () => {
      const lines: string[] = [];
      for await (const region of client.regions('/f')) lines.push(lineOf(region));
      return lines;
    };
    return { cluster, shown: () => cluster.run(shown()) };
  }
  const chunkBytes = 65_536;
  const lineOf = ({ from, to, state, handle, read, unread }: Region) =>
    [`${from}-${to} ${state} chunk ${handle} read ${read}`, ...unread.map((one) => `${one.server} ${one.code}`)].join();
  const second = `${chunkBytes}-${chunkBytes + 1000} consistent chunk 2 read 3`;

  function refuse(server: FakeServer, code: ErrorCode): void {
    server.beforeRead = ({ handle }) => {
      if (handle === 1) throw new CairnError(code, 'refused');
      return undefined;
    };
  }

  test('name each replica that could not be read', async () => {
    const { cluster, shown } = await withFile();
    refuse(cluster.server(2), 'DISK_CORRUPT');
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 1 read 2,2 DISK_CORRUPT`, second]);
    cluster.server(3).chunks.delete(1);
    expect(await shown()).toEqual([`0-${chunkBytes} unknown chunk 1 read 1,2 DISK_CORRUPT,3 CHUNK_MISSING`, second]);
  });

  test('have one of a chunk that nobody could read', async () => {
    const { cluster, shown } = await withFile(1);
    cluster.primaryOf('/f', 0).chunks.delete(1);
    const open = `${chunkBytes}-${chunkBytes + 1000} unknown chunk 2 read 1`;
    expect(await shown()).toEqual([`0-${chunkBytes} unknown chunk 1 read 0,2 CHUNK_MISSING`, open]);
    refuse(cluster.primaryOf('/f', 0), 'UNAVAILABLE');
    cluster.master.file('/f').chunks.get(0)!.sealedLength = undefined;
    expect(await shown()).toEqual(['0-0 unknown chunk 1 read 0,2 UNAVAILABLE', open]);
  });

  test('have one of the end that all lack, and none of what was never written', async () => {
    const { cluster, shown } = await withFile();
    for (const { chunks } of cluster.servers) {
      chunks.get(1)!.bytes = chunks.get(1)!.bytes.slice(0, 1000);
      chunks.delete(2);
    }
    expect(await shown()).toEqual(['0-1000 consistent chunk 1 read 3', `1000-${chunkBytes} unknown chunk 1 read 0`]);
    cluster.master.file('/f').chunks.get(0)!.sealedLength = 0;
    for (const { chunks } of cluster.servers) chunks.clear();
    expect(await shown()).toEqual([]);
  });

  test('are of the bytes that were sent: what has changed on its way is asked for once more', async () => {
    const { cluster, shown } = await withFile();
    let left = 1;
    cluster.server(1).spoil = ({ handle }, body) => {
      if (handle === 1 && left-- > 0) body[7]! ^= 1;
    };
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 1 read 3`, second]);
    left = Number.POSITIVE_INFINITY;
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 1 read 2,1 CHECKSUM_MISMATCH`, second]);
  });

  test('are those of where a chunk is by now', async () => {
    const { cluster, shown } = await withFile();
    const { master } = cluster;
    const { chunks } = master.file('/f');
    /** As the chunk is about to be read from server 2 it is dropped there, for something has become of it. */
    const dropped = (handle: number, become: () => void) => {
      cluster.server(2).beforeRead = (request) => {
        if (request.handle !== handle) return undefined;
        cluster.server(2).beforeRead = () => undefined;
        become();
        cluster.server(2).chunks.delete(handle);
        return undefined;
      };
    };
    dropped(1, () => master.split('/f', 0));
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 3 read 3`, second]);
    dropped(3, () => chunks.get(0)!.servers.splice(0, 3, 1, 3));
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 3 read 2`, second]);
    dropped(2, () => chunks.delete(1));
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 3 read 2`]);
  });

  test('name a replica that was damaged, though its master has dropped it by now', async () => {
    const { cluster, shown } = await withFile();
    const { chunks } = cluster.master.file('/f');
    const damagedThen = (become: () => void) => {
      cluster.server(2).beforeRead = () => {
        cluster.server(2).beforeRead = () => undefined;
        become();
        throw new CairnError('DISK_CORRUPT', 'a block is damaged');
      };
    };
    damagedThen(() => {
      chunks.get(0)!.version = 2; // it is made anew in its place
    });
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 1 read 3`, second]);
    damagedThen(() => chunks.get(0)!.servers.splice(0, 3, 1, 3));
    expect(await shown()).toEqual([`0-${chunkBytes} consistent chunk 1 read 2,2 DISK_CORRUPT`, second]);
  });
});
