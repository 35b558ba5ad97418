import { describe, expect, it } from 'vitest';
import { type CatchUpStep, restAfter } from './catch-up-pace.ts';
import { defaultTiming } from './engine.ts';

const step: CatchUpStep = { tookMs: 3, entries: 1000, bytes: 1_000_000, committed: 100 };
const restOf = (changed: Partial<CatchUpStep>) => restAfter({ ...step, ...changed }, defaultTiming);

describe('who is far behind', () => {
  it('rests six times as long as a message and its answer took', () => {
    expect(restOf({})).toBe(18);
  });

  it('rests no longer than until others would miss it', () => {
    expect(restOf({ tookMs: 60_000 })).toBe(defaultTiming.electionTimeoutMinMs);
  });

  it('does not rest when nothing is committed meanwhile: nobody writes, or waits for it', () => {
    expect(restOf({ committed: 0 })).toBe(0);
  });

  it('does not rest when more than half of what it gets is committed meanwhile: it would never arrive', () => {
    expect([restOf({ committed: 500 }), restOf({ committed: 501 })]).toEqual([18, 0]);
  });

  it('does not rest after a small message', () => {
    expect([restOf({ bytes: 64 * 1024 }), restOf({ bytes: 64 * 1024 - 1 })]).toEqual([18, 0]);
  });
});
