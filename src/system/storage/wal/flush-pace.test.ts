import { describe, expect, it } from 'vitest';
import type { Millis } from '../../../core/base/brand.ts';
import type { Clock } from '../../../core/base/env.ts';
import { FlushPace } from './flush-pace.ts';

/** Flushes that take as long as they are told to. */
function paced() {
  let now = 0;
  const clock = { now: () => now as Millis } as Clock;
  const pace = new FlushPace(clock);
  const pass = (ms: number) => {
    now += ms;
  };
  const flush = async (ms: number, times: number) => {
    for (let i = 0; i < times; i++) {
      if (pace.isInTurn) pace.inTurn(() => pass(ms));
      else await pace.outOfTurn(async () => pass(ms));
    }
    return pace.isInTurn;
  };
  return { flush, pace };
}

describe('the pace of flushes', () => {
  it('comes into the turn when many in a row were quick, and not before', async () => {
    const { flush } = paced();
    expect(await flush(0.2, 31)).toBe(false);
    expect(await flush(0.2, 1)).toBe(true);
    expect(await flush(0.1, 1000)).toBe(true);
  });

  it('stays out of the turn where the disk is slow', async () => {
    const { flush } = paced();
    expect(await flush(2, 1000)).toBe(false);
  });

  it('leaves the turn with the first flush that stalls, and comes back only after many that were quick', async () => {
    const { flush } = paced();
    await flush(0.2, 32);
    expect(await flush(2000, 1)).toBe(false);
    expect(await flush(0.2, 31)).toBe(false);
    expect(await flush(0.2, 1)).toBe(true);
  });

  it('leaves the turn when flushes become slow by and by', async () => {
    const { flush } = paced();
    await flush(0.2, 32);
    expect(await flush(0.9, 16)).toBe(false);
  });

  it('is out of the turn while something else keeps the disk busy, and afterwards as it was before', async () => {
    const { flush, pace } = paced();
    await flush(0.2, 32);
    const during = await pace.besides(() => flush(20, 10));
    expect([during, pace.isInTurn]).toEqual([false, true]);
    await expect(pace.besides(() => Promise.reject(new Error('the disk is full')))).rejects.toThrow('full');
    expect(await flush(0.1, 1)).toBe(true);
  });
});
