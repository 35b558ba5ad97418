import { describe, expect, test } from 'vitest';
import type { MutationSerial } from '../../../core/base/brand.ts';
import { ByteWriter } from '../../../core/base/bytes.ts';
import { MemoryDisk, testEnv } from '../memory-disk.test-support.ts';
import { AppendWindow } from './append-window.ts';
import { ChunkCache } from './chunk-cache.ts';
import { ChunkState } from './chunk-state.ts';
import { h, pattern, v } from './chunk-store.test-support.ts';
import { ChunkTable } from './chunk-table.ts';
import type { Replayed } from './journal.ts';
import { type JournalRecord, writeJournalRecord } from './journal-record.ts';
import { MetadataStore } from './metadata-store.ts';
import { RecordBatch } from './record-batch.ts';
import { Replayer } from './replayer.ts';

const entry = (writer: number, sequence: number) => ({ writer, sequence, offset: 0, lengthBytes: 1 });

const bounds = { entriesPerWriter: 4, writers: 2 };

function captured(change: number, lengthBytes: number): ChunkState {
  const window = new AppendWindow(bounds, v(1), [entry(1, 2), entry(1, 6), entry(2, 7)]);
  const state = new ChunkState(h(1), v(1), 7 as MutationSerial, window);
  state.settle(lengthBytes, Uint32Array.of(77));
  state.change = change;
  return state;
}

function appended(serial: number, lengthBefore: number, writer: number): JournalRecord {
  const known = { handle: h(1), version: v(1), serial: serial as MutationSerial };
  const place = { lengthBefore, lengthAfter: lengthBefore + 1, offset: lengthBefore, dataBytes: 1, firstBlock: 0 };
  const window = [entry(writer, serial)];
  return { kind: 'mutated', ...known, ...place, checksums: [serial], window, redo: [pattern(1, 1)], redoBytes: 1 };
}

/** A cache over metadata in which the chunk was captured (if it was), after a replay of the records. */
async function replay(records: readonly (readonly [number, JournalRecord])[], chunk?: ChunkState) {
  const env = testEnv(new MemoryDisk());
  const metadata = new MetadataStore(env, 'm', 4096, new ChunkTable(), []);
  const batch = new RecordBatch(env.crc32);
  if (chunk !== undefined) batch.add(chunk);
  await metadata.commit(batch, [], { segment: 1, offset: 0 }, 0);
  const cache = new ChunkCache(metadata, bounds, 10);
  const payloads: Replayed[] = records.map(([change, record], i) => {
    const writer = new ByteWriter();
    writeJournalRecord(writer, record, change);
    return { place: { segment: 1, offset: i }, payload: writer.finish() };
  });
  return { cache, outcome: new Replayer(cache).run(payloads, { segment: 1, offset: 0 }) };
}

describe('the replay', () => {
  test('leaves out what the checkpoint already has: else writers of long ago would push out those of late', async () => {
    const records = [5, 6, 7].map(
      (serial) => [serial, appended(serial, serial - 5, serial === 5 ? 3 : serial - 5)] as const,
    );
    const { cache, outcome } = await replay([...records, [8, appended(8, 3, 2)]], captured(7, 3));
    expect(cache.info(h(1))).toMatchObject({ serial: 8, lengthBytes: 4 });
    expect(cache.get(h(1))!.window.entries()).toEqual([entry(1, 2), entry(1, 6), entry(2, 7), entry(2, 8)]);
    expect(outcome.lastChange).toBe(8);
  });

  test('of a chunk that the metadata does not know and that was not empty says so, unless it is removed or made anew', async () => {
    const unknown = appended(5, 3, 1);
    const removed = { kind: 'removed', handle: h(1) } as const;
    const anew = appended(1, 0, 1);
    expect([...(await replay([[1, unknown]])).outcome.incomplete]).toEqual([1]);
    expect([
      ...(
        await replay([
          [1, unknown],
          [2, removed],
        ])
      ).outcome.incomplete,
    ]).toEqual([]);
    const { cache, outcome } = await replay([
      [1, unknown],
      [2, removed],
      [3, anew],
    ]);
    expect([...outcome.incomplete]).toEqual([]);
    expect(cache.info(h(1))).toMatchObject({ serial: 1, lengthBytes: 1 });
  });

  test('begins at the place of the checkpoint', async () => {
    const metadata = new MetadataStore(testEnv(new MemoryDisk()), 'm', 4096, new ChunkTable(), []);
    const cache = new ChunkCache(metadata, bounds, 10);
    const writer = new ByteWriter();
    writeJournalRecord(writer, appended(1, 0, 1), 1);
    const payload = writer.finish();
    const before = { place: { segment: 2, offset: 9 }, payload };
    new Replayer(cache).run([before, { ...before, place: { segment: 1, offset: 50 } }], { segment: 2, offset: 10 });
    expect(cache.count).toBe(0);
    new Replayer(cache).run([before], { segment: 2, offset: 9 });
    expect(cache.count).toBe(1);
  });
});
