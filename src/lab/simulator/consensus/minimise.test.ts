import { describe, expect, it } from 'vitest';
import { drawPlan } from './draw-plan.ts';
import { calm } from './group-network.ts';
import { minimise } from './minimise.ts';
import type { GroupPlan, Happening } from './plan.ts';

const target = { leader: true, pick: 0 };
const crash = (atMs: number): Happening => ({ kind: 'crash', atMs, target, downMs: 400, keep: 0 });
const pause = (atMs: number): Happening => ({ kind: 'pause', atMs, target, forMs: 300 });
const flush = (atMs: number): Happening => ({ kind: 'flush', atMs, target, keep: 0 });

/** 60 things happen; it takes a crash after a flush at 200 ms, and a lossy network, to fail at 900 ms. */
const plan: GroupPlan = {
  ...drawPlan(1, { engine: 'raft' }),
  stormMs: 5_000,
  weather: { ...calm, loss: 0.1 },
  happenings: Array.from({ length: 60 }, (_, i) => (i === 10 ? flush(200) : i === 33 ? crash(660) : pause(i * 20))),
};

function run({ happenings, weather }: GroupPlan) {
  const flushed = happenings.findIndex(({ kind }) => kind === 'flush');
  const fails = flushed >= 0 && happenings.slice(flushed).some(({ kind }) => kind === 'crash') && weather.loss > 0;
  return { broken: fails ? ({ rule: 'one vote', why: 'it fails', atMs: 900, stack: '' } as const) : undefined };
}

describe('a failing plan is made smaller', () => {
  it('to the events without which it does not fail, and what can be plain is plain', () => {
    const smallest = minimise(plan, { runsMax: 500, run })!;
    expect(smallest.plan.happenings.map(({ kind }) => kind)).toEqual(['flush', 'crash']);
    expect(smallest.plan.stormMs).toBe(901);
    expect(smallest.plan.weather.loss).toBe(0.1);
    expect(smallest.plan).toMatchObject({ clients: 1, others: 'well', voters: 3, spares: 0, lease: undefined });
    expect(smallest.plan.happenings[1]).toMatchObject({ downMs: 5 });
    expect(run(smallest.plan).broken).toBeDefined();
  });

  it('within its bound of runs', () => {
    const smaller = minimise(plan, { runsMax: 5, run })!;
    expect(smaller.runs).toBeLessThanOrEqual(5);
    expect(run(smaller.plan).broken).toBeDefined();
  });

  it('not for another failure than its own', () => {
    const other = (smaller: GroupPlan) =>
      smaller.happenings.length === plan.happenings.length
        ? run(smaller)
        : { broken: { rule: 'progress', why: 'another', atMs: 1, stack: '' } as const };
    expect(minimise(plan, { runsMax: 50, run: other })!.plan.happenings).toHaveLength(60);
  });

  it('not at all when it does not fail', () => {
    expect(minimise(plan, { runsMax: 50, run: () => ({ broken: undefined }) })).toBeUndefined();
  });
});
