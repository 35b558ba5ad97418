import { describe, expect, it } from 'vitest';
import { configuredIdOf, incarnationMax, incarnationOf, nodeIdOf } from './node-id.ts';

describe('the name of a member', () => {
  it('holds its configured id and its incarnation', () => {
    for (const [id, incarnation] of [
      [1, 0],
      [65_535, 0],
      [3, 1],
      [65_535, incarnationMax],
    ] as const) {
      const node = nodeIdOf(id, incarnation);
      expect([configuredIdOf(node), incarnationOf(node)]).toEqual([id, incarnation]);
    }
    expect(nodeIdOf(2, 0)).toBe(2);
    expect(nodeIdOf(2, 1)).toBe(65_538);
  });

  it('is refused beyond its bounds', () => {
    expect(() => nodeIdOf(0, 0)).toThrow();
    expect(() => nodeIdOf(65_536, 0)).toThrow();
    expect(() => nodeIdOf(1, incarnationMax + 1)).toThrow();
  });
});
