/** docs/formats/records.md, held to what the code does. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { encodeRecord, readRecordHead, recordHeadBytes } from './record-format.ts';

function example(): Uint8Array {
  const page = readFileSync(new URL('../../../docs/formats/records.md', import.meta.url), 'utf8');
  const lines = /```hex\n([\s\S]*?)```/.exec(page)![1]!.trim().split('\n');
  return Uint8Array.from(
    lines.flatMap((line) => line.trim().split(/\s+/).slice(1)),
    (pair) => Number.parseInt(pair, 16),
  );
}

const hello = toUtf8('hello');

test('the example is what the code writes', () => {
  expect(example()).toEqual(encodeRecord(4660, 1, hello, crc32));
});

test('the example decodes to what the page says', () => {
  const bytes = example();
  const head = { payloadBytes: 5, writer: 4660, sequence: 1, payloadCrc: crc32(hello) };
  expect(readRecordHead(bytes, 0, crc32)).toEqual(head);
  expect(bytes.subarray(recordHeadBytes)).toEqual(hello);
});

test('writers and sequences up to 2^53 - 1 come back', () => {
  const most = Number.MAX_SAFE_INTEGER;
  expect(readRecordHead(encodeRecord(most, most, hello, crc32), 0, crc32)).toMatchObject({
    writer: most,
    sequence: most,
  });
});

test('a head with any bit changed is none', () => {
  const bytes = example();
  for (let bit = 0; bit < recordHeadBytes * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    expect(readRecordHead(bytes, 0, crc32), `bit ${bit}`).toBeUndefined();
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});
