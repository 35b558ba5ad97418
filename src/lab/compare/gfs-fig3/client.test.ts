import { describe, expect, it } from 'vitest';
import { bytesAt } from './client.ts';

describe('how far a client is', () => {
  const ended = [
    { at: 0, bytes: 0 },
    { at: 100, bytes: 4 },
    { at: 100, bytes: 8 },
    { at: 300, bytes: 12 },
  ];

  it.each([
    [0, 0],
    [50, 2],
    [100, 8],
    [200, 10],
    [300, 12],
    [400, 12],
  ])('at %d ms lies between the steps that ended around it', (time, bytes) => {
    expect(bytesAt(ended, time)).toBe(bytes);
  });

  it('counts the one batch that ended in a second as its share of the time it took', () => {
    const slow = [
      { at: 0, bytes: 0 },
      { at: 2000, bytes: 4 },
      { at: 2001, bytes: 8 },
      { at: 4001, bytes: 12 },
    ];
    expect(bytesAt(slow, 3000) - bytesAt(slow, 1000)).toBeCloseTo(8, 0);
  });
});
