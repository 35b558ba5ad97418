import { describe, expect, it } from 'vitest';
import { smallMutationMaxBytes } from '../../core/protocol/types.ts';
import { SmallBytePool } from './byte-pool.ts';

const small = 8 * 1024;

describe('memory for small bodies', () => {
  it('is used again once its last holder has released it, and is as long as was asked for', () => {
    const pool = new SmallBytePool(smallMutationMaxBytes);
    const first = pool.take(100)!;
    first.retain();
    first.release();
    expect(pool.take(100)!.bytes.buffer).not.toBe(first.bytes.buffer);
    first.release();
    const again = pool.take(200)!;
    expect(again.bytes.buffer).toBe(first.bytes.buffer);
    expect(again.bytes).toHaveLength(200);
  });

  it('is of the smallest size that fits and is left, and has a bound', () => {
    const pool = new SmallBytePool(smallMutationMaxBytes);
    const ofSmallSize = Array.from({ length: smallMutationMaxBytes / small }, () => pool.take(small)!);
    expect(ofSmallSize.every(({ bytes }) => bytes.buffer.byteLength === small)).toBe(true);
    expect(pool.take(small)!.bytes.buffer.byteLength).toBe(smallMutationMaxBytes);
    expect(pool.take(1)).toBeUndefined();
    expect(pool.take(smallMutationMaxBytes)).toBeUndefined();
    for (const one of ofSmallSize) one.release();
    expect(pool.take(1)).toBeDefined();
    expect(pool.inUse).toBe(2);
  });

  it('is not for what is longer', () => {
    expect(new SmallBytePool(1024 * 1024).take(smallMutationMaxBytes + 1)).toBeUndefined();
  });
});
