import { expect, test } from 'vitest';
import { concatBytes, toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { encodeRecord } from './record-format.ts';
import { regionsOf } from './regions.ts';

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
