import { describe, expect, it } from 'vitest';
import { median, merged, toDocument, toTable } from './report.ts';

const creates = {
  name: 'create',
  unit: 'files/s',
  value: 4000,
  runs: [3000, 4000, 5000],
  limit: 8000,
  peer: 700,
  peerName: 'MooseFS',
  goal: 3000,
  cpuUs: 450,
};

describe('the report of the benchmarks', () => {
  it('takes the middle run, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(() => median([])).toThrow();
  });

  it('is one JSON document with the fields that others parse', () => {
    expect(JSON.parse(toDocument([creates]))).toEqual({ benchmarks: [{ ...creates }] });
  });

  it('keeps what was measured before and not now, in its order', () => {
    const before = [
      { name: 'a', value: 1 },
      { name: 'b', value: 2 },
    ];
    const now = [
      { name: 'c', value: 3 },
      { name: 'a', value: 4 },
    ];
    expect(merged({ benchmarks: before }, { benchmarks: now }).benchmarks).toEqual([
      { name: 'a', value: 4 },
      { name: 'b', value: 2 },
      { name: 'c', value: 3 },
    ]);
    expect(merged(undefined, { benchmarks: now }).benchmarks).toEqual(now);
  });

  it('shows limit, peer and the last baseline as ratios', () => {
    const table = toTable([creates], { benchmarks: [{ name: 'create', value: 2000 }] });
    const cells = table
      .split('\n')[2]!
      .split('|')
      .map((cell) => cell.trim());
    expect(cells).toEqual([
      '',
      'create',
      'files/s',
      '4,000',
      '3,000 … 5,000',
      '≥ 3,000',
      '8,000',
      '50 %',
      '700 MooseFS',
      '5.71',
      '2.00',
      '450',
      '',
    ]);
  });
});
