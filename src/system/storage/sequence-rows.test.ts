import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SequenceRows } from './sequence-rows.ts';

const kept = 4;

function contentOf(rows: SequenceRows): number[][] {
  return Array.from({ length: rows.count }, (_, at) => [rows.sequenceAt(at), rows.offsetAt(at), rows.bytesAt(at)]);
}

describe('the rows of a writer', () => {
  it('are by sequence, whatever the order in which they come, and one of the same sequence is replaced', () => {
    const rows = new SequenceRows(kept);
    for (const sequence of [7, 3, 5, 3]) rows.put(sequence, sequence * 100 + rows.count, 1);
    expect(contentOf(rows)).toEqual([
      [3, 303, 1],
      [5, 502, 1],
      [7, 700, 1],
    ]);
    expect([rows.find(5), rows.find(4), rows.find(8)]).toEqual([1, undefined, undefined]);
    expect(rows.lowest).toBe(3);
  });

  it('are at least as many as are to be kept; at twice as many the lowest go, and the highest of these is told', () => {
    const rows = new SequenceRows(kept);
    const dropped = Array.from({ length: 2 * kept }, (_, sequence) => rows.put(sequence, 0, 0));
    expect(dropped).toEqual([...Array(2 * kept - 1).fill(undefined), kept - 1]);
    expect(contentOf(rows).map(([sequence]) => sequence)).toEqual([4, 5, 6, 7]);
  });

  it('hold numbers up to 2^53', () => {
    const rows = new SequenceRows(kept);
    rows.put(Number.MAX_SAFE_INTEGER, 2 ** 52, 2 ** 33);
    expect(contentOf(rows)).toEqual([[Number.MAX_SAFE_INTEGER, 2 ** 52, 2 ** 33]]);
  });

  it('are what a sorted list of the same would be', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(), fc.nat()), { maxLength: 60 }), (puts) => {
        const rows = new SequenceRows(kept);
        let model: [number, number, number][] = [];
        for (const put of puts) {
          rows.put(...put);
          model = [...model.filter(([sequence]) => sequence !== put[0]), put].sort(([a], [b]) => a - b);
          if (model.length >= 2 * kept) model = model.slice(model.length - kept);
          expect(contentOf(rows)).toEqual(model);
          for (const [at, [sequence]] of model.entries()) expect(rows.find(sequence)).toBe(at);
        }
      }),
    );
  });
});
