import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, toUtf8 } from '../../core/base/bytes.ts';
import { crc32 } from '../../core/base/crc32.ts';
import { encodeRecord, recordHeadBytes, recordMagic } from './record-format.ts';
import { type ReadRecord, RecordScanner } from './record-scanner.ts';

const zeros = (bytes: number) => new Uint8Array(bytes);
const record = (sequence: number, payload: string | Uint8Array, writer = 7) =>
  encodeRecord(writer, sequence, typeof payload === 'string' ? toUtf8(payload) : payload, crc32);

/** All records, the bytes given in pieces of this size. */
function scan(bytes: Uint8Array, pieceBytes = bytes.length, scanner = new RecordScanner(crc32, 0)) {
  const found: ReadRecord[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    found.push(...scanner.push(bytes.subarray(at, at + pieceBytes)));
  found.push(...scanner.end());
  expect(scanner.position).toBe(bytes.length);
  return { told: found.map(({ writer, sequence }) => `${writer}/${sequence}`), found, skipped: scanner.skipped };
}

describe('the record scanner', () => {
  test('finds records that lie one after another, with their places', () => {
    const { found } = scan(concatBytes([record(1, 'one'), record(2, ''), record(3, 'three')]));
    expect(found.map(({ position, end, data }) => [position, end, data.length])).toEqual([
      [0, 35, 3],
      [35, 67, 0],
      [67, 104, 5],
    ]);
    expect(found[2]!.data).toEqual(toUtf8('three'));
  });

  test('passes over padding between records and says how much there was', () => {
    const { told, skipped } = scan(concatBytes([record(1, 'a'), zeros(500), record(2, 'b'), zeros(3)]));
    expect(told).toEqual(['7/1', '7/2']);
    expect(skipped).toEqual({ padding: 503, fragments: 0, duplicates: 0 });
  });

  test('passes over a record that was torn: cut short, or with other bytes in it', () => {
    const torn = record(2, 'torn in the middle');
    const changed = record(3, 'changed');
    changed[recordHeadBytes] = 0x21;
    const { told } = scan(concatBytes([record(1, 'a'), torn.subarray(0, 40), record(4, 'b'), changed, record(5, 'c')]));
    expect(told).toEqual(['7/1', '7/4', '7/5']);
  });

  test('a record that was torn, and claims to be longer than all that is left, hides none of those behind it', () => {
    const torn = record(2, zeros(5000)).subarray(0, 100);
    const bytes = concatBytes([record(1, 'a'), torn, record(3, 'b'), torn, record(4, 'c'), torn.subarray(0, 20)]);
    for (const pieceBytes of [1, 50, bytes.length]) expect(scan(bytes, pieceBytes).told).toEqual(['7/1', '7/3', '7/4']);
  });

  test('what a head claims is gathered, however small its pieces are, without copying all of it for each', () => {
    const large = record(1, new Uint8Array(1024 * 1024 - recordHeadBytes).fill(1));
    const { told } = scan(concatBytes([large, large.subarray(0, -1), record(2, 'b'), large.subarray(0, 100)]), 16);
    expect(told).toEqual(['7/1', '7/2']);
  }, 5_000);

  test('a record that comes twice is told once; of another writer it is another record', () => {
    const twice = record(2, 'twice');
    const { told, skipped } = scan(concatBytes([record(1, 'a'), twice, record(3, 'c'), twice, record(2, 'other', 8)]));
    expect(told).toEqual(['7/1', '7/2', '7/3', '8/2']);
    expect(skipped.duplicates).toBe(twice.length);
  });

  test('begins in the middle of a record with the next one', () => {
    const bytes = concatBytes([record(1, 'the first'), record(2, 'the second')]);
    expect(scan(bytes.subarray(20)).told).toEqual(['7/2']);
  });

  test('what is no record at all is passed over, a head that claims more than a record can have too', () => {
    const head = record(1, '').slice();
    const view = new DataView(head.buffer);
    view.setUint32(4, 0x7fff_ffff, true);
    view.setUint32(28, crc32(head.subarray(0, 28)), true);
    const { told, skipped } = scan(concatBytes([toUtf8('plain text, CA 52 45 43: \xca REC'), head, record(2, 'b')]));
    expect(told).toEqual(['7/2']);
    expect(skipped.padding + skipped.fragments).toBeGreaterThan(40);
  });

  test('tells the same however the bytes are cut into pieces, and accounts for each of them', () => {
    const part = fc.oneof(
      fc.record({
        kind: fc.constant('record' as const),
        payload: fc.uint8Array({ maxLength: 90 }),
        isRepeated: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('padding' as const), bytes: fc.integer({ min: 1, max: 80 }) }),
      fc.record({
        kind: fc.constant('fragment' as const),
        // Neither padding nor the magic: what follows a fragment must not happen to be the rest of it.
        payload: fc.array(fc.integer({ min: 1, max: recordMagic[0]! - 1 }), { maxLength: 60 }),
        cut: fc.integer({ min: 1, max: 80 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.integer({ min: 1, max: 200 }), (parts, pieceBytes) => {
        const bytes: Uint8Array[] = [];
        const wanted: string[] = [];
        let wantedBytes = 0;
        for (const [n, one] of parts.entries()) {
          if (one.kind === 'padding') bytes.push(zeros(one.bytes));
          else {
            const whole = record(n, Uint8Array.from(one.payload));
            if (one.kind === 'fragment') bytes.push(whole.subarray(0, Math.min(one.cut, whole.length - 1)));
            else {
              bytes.push(whole, ...(one.isRepeated ? [whole] : []));
              wanted.push(`7/${n}`);
              wantedBytes += whole.length;
            }
          }
        }
        const all = concatBytes(bytes);
        const { told, skipped } = scan(all, pieceBytes);
        expect(told).toEqual(wanted);
        expect(wantedBytes + skipped.padding + skipped.fragments + skipped.duplicates).toBe(all.length);
      }),
    );
  });
});
