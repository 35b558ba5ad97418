import { describe, expect, it } from 'vitest';
import { type DataOperation, masterRequests, PaperMix, sizeClasses } from './paper-mix.ts';

const drawn = 40_000;

/** A small generator of its own, so that each run draws the same. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe.each([
  ['X', 0],
  ['Y', 1],
] as const)('the mix of cluster %s', (cluster, column) => {
  it.each(['read', 'write', 'recordAppend'] satisfies DataOperation[])(
    'has %ss of the sizes of Table 4',
    (operation) => {
      const mix = new PaperMix(cluster, seeded(7));
      const sizes = Array.from({ length: drawn }, () => mix.size(operation));
      for (const { from, to, [operation]: shares } of sizeClasses) {
        const found = (100 * sizes.filter((bytes) => bytes >= from && bytes <= to).length) / drawn;
        expect(Math.abs(found - shares[column]), `${from} … ${to}`).toBeLessThan(1);
      }
    },
  );

  it('asks the master as Table 6 tells', () => {
    const mix = new PaperMix(cluster, seeded(11));
    const asked = Array.from({ length: drawn }, () => mix.masterRequest());
    for (const [name, shares] of Object.entries(masterRequests)) {
      const found = (100 * asked.filter((request) => request === name).length) / drawn;
      expect(Math.abs(found - shares[column]), name).toBeLessThan(1);
    }
  });

  it('writes and appends in the ratio of the paper', () => {
    const mix = new PaperMix(cluster, seeded(13));
    const operations = Array.from({ length: drawn }, () => mix.mutation().operation);
    const writes = operations.filter((operation) => operation === 'write').length;
    expect(writes / (drawn - writes) / (cluster === 'X' ? 8 : 2.5)).toBeCloseTo(1, 1);
  });
});

it('the same random numbers give the same operations', () => {
  const draw = () => {
    const mix = new PaperMix('Y', seeded(3));
    return Array.from({ length: 20 }, () => mix.mutation());
  };
  expect(draw()).toEqual(draw());
});
