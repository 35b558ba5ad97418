/** docs/formats/chunk-files.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { toMutationSerial } from '../../../core/base/brand.ts';
import { ByteReader, ByteWriter, toUtf8 } from '../../../core/base/bytes.ts';
import { crc32 } from '../../../core/base/crc32.ts';
import { AppendWindow } from './append-window.ts';
import { h, v } from './chunk-store.test-support.ts';
import { type JournalRecord, readJournalRecord, writeJournalRecord } from './journal-record.ts';
import { handleOfName, Layout } from './layout.ts';
import {
  frameKinds,
  readChunkPayload,
  writeChunkPayload,
  writeCommitted,
  writeFrame,
  writeSegmentHeader,
} from './metadata-frame.ts';
import { SegmentContent } from './metadata-segment.ts';

/** The blocks of `hex` lines of the page: offset, up to sixteen bytes. */
function examples(): Uint8Array[] {
  const text = readFileSync(new URL('../../../../docs/formats/chunk-files.md', import.meta.url), 'utf8');
  return [...text.matchAll(/```hex\n([\s\S]*?)```/g)].map(([, block]) => {
    const bytes: number[] = [];
    for (const line of block!.trim().split('\n')) {
      const [offset, ...pairs] = line.trim().split(/\s+/);
      expect(Number.parseInt(offset!, 16)).toBe(bytes.length);
      bytes.push(...pairs.map((pair) => Number.parseInt(pair, 16)));
    }
    return Uint8Array.from(bytes);
  });
}

const hello = toUtf8('hello');
const checksum = crc32(Uint8Array.of(...hello, 0, 0, 0));
const window = [{ writer: 9, sequence: 1, offset: 0, lengthBytes: 5 }];
const known = { handle: h(4097), version: v(2), serial: toMutationSerial(7) };
const record: JournalRecord = {
  kind: 'mutated',
  ...known,
  lengthBefore: 0,
  lengthAfter: 8,
  offset: 0,
  dataBytes: 5,
  firstBlock: 0,
  checksums: Uint32Array.of(checksum),
  window,
  redo: [hello],
  redoBytes: 5,
};
const slot = { slab: 8, index: 2 };
const committed = { journal: { segment: 2, offset: 64 }, oldestSegment: 1, change: 3 };

describe('the example of the journal', () => {
  test('decodes to what the page says', () => {
    const reader = new ByteReader(examples()[0]!);
    expect(readJournalRecord(reader)).toEqual({ change: 3, record });
    expect(reader.remaining).toBe(0);
  });

  test('is what the code writes', () => {
    const writer = new ByteWriter();
    writeJournalRecord(writer, record, 3);
    expect(writer.finish()).toEqual(examples()[0]);
  });
});

describe('the example of the metadata log', () => {
  test('decodes to what the page says', () => {
    const content = new SegmentContent(examples()[1]!, 1, 'example', crc32);
    expect(content.broken).toBeUndefined();
    const [batch] = content.batches;
    expect(batch).toMatchObject({ committed, isSound: true });
    const frames = Array.from(content.frames(batch!), ({ kind, handle }) => ({ kind, handle }));
    expect(frames).toEqual([
      { kind: frameKinds.removed, handle: 4098 },
      { kind: frameKinds.chunk, handle: 4097 },
    ]);
    const payloads = Array.from(content.frames(batch!), (frame) => frame.payload());
    const expected = { ...known, change: 3, slot, lengthBytes: 8, checksums: Uint32Array.of(checksum) };
    const { window: written, ...found } = readChunkPayload(h(4097), payloads[1]!);
    expect(found).toEqual(expected);
    const bounds = { entriesPerWriter: 1, writers: 1 };
    expect(AppendWindow.written(bounds, known.version, written).entries()).toEqual(window);
  });

  test('is what the code writes', () => {
    const writer = new ByteWriter();
    writeSegmentHeader(writer, 1, crc32);
    writeFrame(writer, frameKinds.removed, 4098, crc32, () => {});
    writeFrame(writer, frameKinds.chunk, 4097, crc32, () =>
      writeChunkPayload(writer, { ...known, change: 3, slot, lengthBytes: 8 }, Uint32Array.of(checksum), window),
    );
    writeFrame(writer, frameKinds.committed, 0, crc32, () => writeCommitted(writer, committed));
    expect(writer.finish()).toEqual(examples()[1]);
  });
});

test('a chunk file is named for its handle, and 4096 neighbours share a directory', () => {
  const layout = new Layout('data');
  expect(layout.pathOf(h(4097))).toBe('data/chunks/01/0000000000001001');
  expect(layout.pathOf(h(8191))).toBe('data/chunks/01/0000000000001fff');
  expect(layout.pathOf(h(2 ** 53 - 1))).toBe('data/chunks/ff/001fffffffffffff');
  expect(handleOfName('0000000000001001')).toBe(4097);
  expect(['1001', '00000000000010010', 'ffffffffffffffff', '000000000000100G'].map(handleOfName)).toEqual(
    Array(4).fill(undefined),
  );
});
