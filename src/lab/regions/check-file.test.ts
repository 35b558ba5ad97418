import { describe, expect, test } from 'vitest';
import { concatBytes, toUtf8 } from '../../core/base/bytes.ts';
import type { Mode } from '../../core/protocol/types.ts';
import { checkFile } from './check-file.ts';
import type { Operation } from './history.ts';

const record = (n: number) => toUtf8(`<record ${n}>`);
const size = record(1).length;
const zeros = (bytes: number) => new Uint8Array(bytes);

function append(n: number, position: number | undefined, more: Partial<Operation> = {}): Operation {
  const outcome = position === undefined ? 'unknown' : 'acknowledged';
  return {
    id: `a${n}`,
    kind: 'append',
    bytes: record(n),
    position,
    outcome,
    begunAt: n * 10,
    endedAt: n * 10 + 5,
    ...more,
  };
}
function write(id: string, position: number, text: string, begunAt: number, endedAt: number): Operation {
  return { id, kind: 'write', bytes: toUtf8(text), position, outcome: 'acknowledged', begunAt, endedAt };
}
/** What the checker says of a file of one chunk with these replicas. */
function check(operations: readonly Operation[], replicas: readonly Uint8Array[], mode: Mode = 'strong'): string {
  return checkFile({ mode, chunkBytes: 1000, operations, chunks: [{ start: 0, replicas }] }).join('; ');
}
/** Of one whose chunks take two records, and have one replica each. */
function checkChunks(operations: readonly Operation[], contents: readonly Uint8Array[], mode: Mode = 'strong'): string {
  const chunks = contents.map((content, n) => ({ start: n * 2 * size, replicas: [content] }));
  return checkFile({ mode, chunkBytes: 2 * size, operations, chunks }).join('; ');
}

const three = [append(1, 0), append(2, size), append(3, 2 * size)];
const whole = concatBytes([record(1), record(2), record(3)]);

describe('appends in mode strong', () => {
  test('each where it was answered, and padding, are right', () => {
    expect(check(three, [whole, whole, whole])).toBe('');
    expect(check(three, [concatBytes([whole, zeros(50)]), concatBytes([whole, zeros(50)])])).toBe('');
  });
  test('of unknown outcome may be there once, or not at all', () => {
    const four = [...three, append(4, undefined)];
    expect(check(four, [whole])).toBe('');
    expect(check(four, [concatBytes([whole, record(4)])])).toBe('');
    expect(check(four, [concatBytes([whole, record(4), record(4)])])).toContain('a4 lies at');
  });
  test('that a replica skipped, or has elsewhere, is found', () => {
    const skipped = concatBytes([record(1), zeros(size), record(3)]);
    expect(check(three, [whole, skipped])).toContain('replica 1: a2 was acknowledged');
    expect(check(three, [concatBytes([record(2), record(1), record(3)])])).toContain('a1 was acknowledged at 0');
  });
  test('lie in an order that clients can have seen', () => {
    const swapped = [append(1, size), append(2, 0)];
    const content = concatBytes([record(2), record(1)]);
    expect(check(swapped, [content])).toContain('a2 at 0 was begun after a1 behind it');
    expect(check([append(1, size), append(2, 0, { begunAt: 12 })], [content])).toBe('');
  });
  test('that a replica lacks at its end are found', () => {
    expect(check(three, [whole, whole.subarray(0, 2 * size)])).toContain('replica 1: a3 was acknowledged');
    expect(check(three, [whole, whole.subarray(0, 2 * size)], 'gfs')).toContain('replica 1: a3 was acknowledged');
  });
  test('that came twice, or that nobody sent, is found', () => {
    expect(check(three, [concatBytes([whole, record(2)])])).toContain('a2 lies at');
    expect(check(three, [concatBytes([whole, toUtf8('stray')])])).toContain('nothing that a client sent');
    expect(check(three, [concatBytes([whole, record(9).subarray(0, 4)])])).toContain('nothing that a client sent');
  });
});

describe('appends to several chunks', () => {
  const pair = concatBytes([record(1), record(2)]);
  test.each(['strong', 'async'] as const)('in mode %s are in one of them', (mode) => {
    const five = [...three, append(4, undefined), append(5, 4 * size)];
    const two = concatBytes([record(3), record(4)]);
    expect(checkChunks(five, [pair, two, record(5)], mode)).toBe('');
    expect(checkChunks(five, [pair, two, concatBytes([record(5), record(4)])], mode)).toContain('a4 is in two chunks');
  });
  test.each(['strong', 'async'] as const)('in mode %s leave none before it is full', (mode) => {
    const two = [append(1, 0), append(2, 2 * size)];
    expect(checkChunks(two, [concatBytes([record(1), zeros(size)]), record(2)], mode)).toBe('');
    expect(checkChunks(two, [record(1), record(2)], mode)).toContain(`has ${size} bytes only`);
    expect(checkChunks(two, [zeros(0), record(2)], mode)).toContain('has 0 bytes only');
  });
  test('are where there is a chunk', () => {
    expect(checkChunks(three, [pair], 'async')).toContain('a3 was acknowledged');
  });
  test('in mode async lose no chunk behind which something later is kept', () => {
    const later = [...three, append(7, 0, { begunAt: 40, endedAt: 41 }), append(8, size, { begunAt: 42, endedAt: 43 })];
    const refilled = concatBytes([record(7), record(8)]);
    expect(checkChunks(later, [refilled, record(3)], 'async')).toContain('a1 at 0 is lost and a3 behind it is not');
    const again = [...later, append(9, 2 * size, { begunAt: 44, endedAt: 45 })];
    expect(checkChunks(again, [refilled, record(9)], 'async')).toBe('');
  });
});

describe('appends in mode gfs', () => {
  test('may leave repetitions, fragments and padding, different ones on each replica', () => {
    const later = [append(1, 0), append(2, 3 * size)];
    const a = concatBytes([record(1), record(2), record(2), record(2)]);
    const b = concatBytes([record(1), record(2).subarray(0, 4), zeros(2 * size - 4), record(2)]);
    expect(check(later, [a, b], 'gfs')).toBe('');
  });
  test('must be on every replica where they were acknowledged, and what lies between was really sent', () => {
    expect(check(three, [whole, concatBytes([record(1), zeros(size), record(3)])], 'gfs')).toContain(
      'a2 was acknowledged',
    );
    expect(check(three, [concatBytes([whole, toUtf8('~~~')])], 'gfs')).toContain('nothing that a client sent');
  });
});

describe('appends in mode async', () => {
  test('may lose a suffix, in place of which others come later', () => {
    expect(check(three, [concatBytes([record(1)])], 'async')).toBe('');
    const replaced = [...three, append(7, size)];
    expect(check(replaced, [concatBytes([record(1), record(7)])], 'async')).toBe('');
  });
  test('may come behind others in place of what is lost, though begun before that had ended: tried again where the next primary began', () => {
    const tried = [append(1, 0), append(2, size), append(7, size), append(3, 2 * size, { begunAt: 21, endedAt: 90 })];
    expect(check(tried, [concatBytes([record(1), record(7), record(3)])], 'async')).toBe('');
  });
  test('that lose something in the middle are found, also where others have been put in its place', () => {
    expect(check(three, [concatBytes([record(1), zeros(size), record(3)])], 'async')).toContain('no suffix');
    const filled = [...three, append(7, size)];
    expect(check(filled, [concatBytes([record(1), record(7), record(3)])], 'async')).toContain('no suffix');
  });
});

describe('writes', () => {
  test('at the same time end in one order, the same on every replica', () => {
    const both = [write('x', 0, 'xxxx', 0, 9), write('y', 2, 'yyyy', 1, 8)];
    expect(check(both, [toUtf8('xxyyyy'), toUtf8('xxyyyy')])).toBe('');
    expect(check(both, [toUtf8('xxxxyy'), toUtf8('xxxxyy')])).toBe('');
    expect(check(both, [toUtf8('xxyyyy'), toUtf8('xxxxyy')])).toContain('replica 1 differs');
  });
  test('that each lie over the other are in no order', () => {
    const both = [write('x', 0, 'xxxx', 0, 9), write('y', 0, 'yyyy', 1, 8)];
    expect(check(both, [toUtf8('xyxy')])).toContain('x → y');
  });
  test('of which the earlier lies over the later were carried out in the wrong order', () => {
    const both = [write('old', 0, 'aaaa', 0, 1), write('new', 0, 'bbbb', 5, 6)];
    expect(check(both, [toUtf8('bbbb')])).toBe('');
    expect(check(both, [toUtf8('aaaa')])).toContain('circle');
  });
});
