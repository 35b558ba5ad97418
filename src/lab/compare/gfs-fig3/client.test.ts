import { describe, expect, it } from 'vitest';
import { bytesAt, stepBytesOf } from './client.ts';

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

describe('a step', () => {
  it('is the paper’s on the paper’s network, and smaller on a slower one, where a file of one read is whole writes', () => {
    expect(stepBytesOf('read', 1)).toBe(4 * 1024 * 1024);
    expect(stepBytesOf('write', 1)).toBe(1024 * 1024);
    expect(stepBytesOf('record append', 0.25)).toBe(16 * 1024);
    for (const scale of [0.001, 0.3, 0.777]) expect(stepBytesOf('read', scale) % stepBytesOf('write', scale)).toBe(0);
  });
});
