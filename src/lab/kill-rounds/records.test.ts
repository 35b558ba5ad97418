import { describe, expect, test } from 'vitest';
import { examine, recordOf, type Sent } from './records.ts';

/** Records 1 … n of one writer, one after another, and the file that they make. */
function written(count: number): { sent: Map<string, Sent>; content: Uint8Array } {
  const sent = new Map<string, Sent>();
  const parts: number[] = [];
  for (let n = 1; n <= count; n++) {
    const record = recordOf(1, n, n);
    record.offset = parts.length;
    record.endedAt = n + 0.5;
    sent.set(record.id, record);
    parts.push(...record.bytes);
  }
  return { sent, content: Uint8Array.from(parts) };
}

describe('what became of records', () => {
  test('nothing is found where each is where it was answered to be; zeros are padding', () => {
    const { sent, content } = written(5);
    const padded = new Uint8Array(content.length + 100);
    padded.set(content);
    sent.set('1:6', recordOf(1, 6, 6));
    const nothing = { lost: [], lostBytes: 0, disordered: [], doubled: [], torn: [] };
    expect(examine(padded, sent)).toEqual({ acknowledged: 5, unknown: 1, ...nothing });
  });

  test('one that is cut off at the end is lost and torn; one that is there twice is doubled; a strange byte is torn', () => {
    const { sent, content } = written(5);
    const last = sent.get('1:5')!;
    expect(examine(content.subarray(0, content.length - 1), sent)).toMatchObject({
      lost: ['1:5'],
      lostBytes: last.bytes.length,
      torn: [last.offset],
    });
    const twice = Uint8Array.from([...content, ...last.bytes]);
    expect(examine(twice, sent)).toMatchObject({ lost: [], doubled: ['1:5'] });
    const changed = content.slice();
    changed[sent.get('1:3')!.offset! + 9]! ^= 1;
    expect(examine(changed, sent)).toMatchObject({ lost: ['1:3'], torn: [sent.get('1:3')!.offset] });
  });

  test('one that lies before another that had been acknowledged when it was begun is out of order', () => {
    const { sent } = written(2);
    const [first, second] = [...sent.values()];
    second!.offset = 0;
    first!.offset = second!.bytes.length;
    const content = Uint8Array.from([...second!.bytes, ...first!.bytes]);
    expect(examine(content, sent)).toMatchObject({ lost: [], torn: [], disordered: ['1:2'] });
  });
});
