import { describe, expect, test } from 'vitest';
import { chunkBytes, codeOf, difference, joined, pattern, TestCluster } from './cluster.test-support.ts';

const kibi = 1024;

describe('writes', () => {
  test('a small write is held by every replica when it is acknowledged', async () => {
    const cluster = await TestCluster.start(1);
    const grant = cluster.master.grant(7, [1, 2, 3]);
    const bytes = pattern(4 * kibi, 1);
    const answer = await cluster.settle(cluster.client.write(grant, 0, bytes));
    expect(answer.lengthBytes).toBe(bytes.length);
    for (const server of [1, 2, 3]) expect(await cluster.content(server, 7)).toEqual(bytes);
  });

  test('large writes flow down the chain and land in the order of their arrival', async () => {
    const cluster = await TestCluster.start(2);
    const grant = cluster.master.grant(7, [2, 3, 1]);
    const pieces = [0, 1, 2].map((n) => pattern(300 * kibi, n));
    const writes = pieces.map((piece, n) => cluster.client.write(grant, n * 300 * kibi, piece));
    await cluster.settle(Promise.all(writes));
    for (const server of [1, 2, 3]) {
      expect(difference(await cluster.content(server, 7), joined(pieces))).toBe('none');
    }
  });
});

describe('record appends', () => {
  test('records of many writers land whole, each once, at the offsets that were answered', async () => {
    const cluster = await TestCluster.start(3);
    const grant = cluster.master.grant(9, [1, 2, 3], 'disk');
    const frames = [...Array(40).keys()].map((n) => ({
      writer: 1 + (n % 4),
      first: Math.floor(n / 4) * 3,
      records: [0, 1, 2].map((k) => pattern(100 + n + k, n * 3 + k)),
    }));
    const answers = await cluster.settle(
      Promise.all(frames.map(({ writer, first, records }) => cluster.client.append(grant, writer, first, records))),
    );
    const total = frames.flatMap(({ records }) => records).reduce((sum, record) => sum + record.length, 0);
    for (const server of [1, 2, 3]) {
      const content = await cluster.content(server, 9);
      expect(content.length).toBe(total);
      frames.forEach(({ records }, n) => {
        records.forEach((record, k) => {
          const offset = answers[n]!.offsets[k]!;
          expect(content.subarray(offset, offset + record.length)).toEqual(record);
        });
      });
    }
  });

  test('a record that does not fit fills the chunk, and stays without an offset', async () => {
    const cluster = await TestCluster.start(4);
    const grant = cluster.master.grant(9, [1, 2, 3]);
    const quarter = chunkBytes / 4;
    for (let n = 0; n < 3; n++) await cluster.settle(cluster.client.append(grant, 1, n, [pattern(quarter, n)]));
    const answer = await cluster.settle(
      cluster.client.append(grant, 1, 3, [pattern(100, 3), pattern(quarter, 4), pattern(50, 5)]),
    );
    expect(answer).toEqual({ offsets: [3 * quarter], lengthBytes: chunkBytes });
    expect(await cluster.settle(cluster.client.append(grant, 1, 4, [pattern(10, 4)]))).toEqual({
      offsets: [],
      lengthBytes: chunkBytes,
    });
    for (const server of [1, 2, 3]) {
      const content = await cluster.content(server, 9);
      expect(content.length).toBe(chunkBytes);
      expect(content.subarray(3 * quarter, 3 * quarter + 100)).toEqual(pattern(100, 3));
      expect(content.subarray(3 * quarter + 100).every((byte) => byte === 0)).toBe(true);
    }
  });

  test('behind an append that is refused for a reason that passes none of its writer is taken, until that has come again', async () => {
    const cluster = await TestCluster.start(6, 3, { mutationBytesMax: 100 * kibi });
    const grant = cluster.master.grant(9, [1, 2, 3]);
    const append = (sequence: number, bytes: number) =>
      cluster.client.append(grant, 1, sequence, [pattern(bytes, sequence)]);
    const other = () => cluster.client.append(grant, 2, 1, [pattern(10, 9)]);
    const filling = cluster.client.write(grant, 0, pattern(80 * kibi, 0));
    const together = [codeOf(append(1, 40 * kibi)), codeOf(append(2, 100)), codeOf(other())];
    expect(await cluster.settle(Promise.all(together))).toEqual(['BUSY', 'BUSY', 'OK']);
    await cluster.settle(filling);
    expect(await cluster.settle(codeOf(append(2, 100)))).toBe('BUSY');
    const [first] = (await cluster.settle(append(1, 40 * kibi))).offsets;
    expect((await cluster.settle(append(2, 100))).offsets).toEqual([first! + 40 * kibi]);
    const damaged = codeOf(cluster.client.append(grant, 1, 3, [pattern(100, 3)], undefined, 7));
    expect(await cluster.settle(Promise.all([damaged, codeOf(append(4, 100))]))).toEqual(['CHECKSUM_MISMATCH', 'BUSY']);
    await cluster.world.run(1000); // the writer has given it up
    expect(await cluster.settle(codeOf(append(4, 100)))).toBe('OK');
  });

  test('a record over a quarter of a chunk is refused', async () => {
    const cluster = await TestCluster.start(5);
    const grant = cluster.master.grant(9, [1, 2, 3]);
    const refused = codeOf(cluster.client.append(grant, 1, 0, [pattern(chunkBytes / 4 + 1, 0)]));
    expect(await cluster.settle(refused)).toBe('RECORD_TOO_LARGE');
  });
});
