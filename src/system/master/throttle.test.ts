import { describe, expect, it } from 'vitest';
import { toChunkHandle, toServerId } from '../../core/base/brand.ts';
import { testWorld } from '../../platform/sim/node-host.test-support.ts';
import { Needs } from './needs.ts';
import { Throttle } from './throttle.ts';

const mebi = 1024 * 1024;
const [a, b, c] = [1, 2, 3].map(toServerId) as [never, never, never];

function throttled(clusterBytesPerSecond: number, serverBytesPerSecond: number) {
  const world = testWorld(1);
  const { env } = world.node('m');
  return { world, throttle: new Throttle(env, { clusterBytesPerSecond, serverBytesPerSecond }) };
}

describe('the throttle', () => {
  it('lets at least 90 % of what is configured through, and no more than that with a burst at the beginning', async () => {
    const { world, throttle } = throttled(50 * mebi, 0);
    let bytes = 0;
    for (let ms = 0; ms < 60_000; ms += 5) {
      while (throttle.isOpen()) {
        throttle.charge([a, b], 64 * mebi);
        bytes += 64 * mebi;
      }
      await world.run(5);
    }
    expect(bytes).toBeGreaterThanOrEqual(0.9 * 60 * 50 * mebi);
    expect(bytes).toBeLessThanOrEqual(60 * 50 * mebi + 2 * 64 * mebi);
  });

  it('holds each server back by itself, giving or taking, and says when the next is free', async () => {
    const { world, throttle } = throttled(0, 10 * mebi);
    throttle.charge([a, b], 10 * mebi);
    expect([a, b, c].map((server) => throttle.isOpenFor(server))).toEqual([false, false, true]);
    expect(throttle.isOpen()).toBe(true);
    expect(throttle.opensInMs).toBeGreaterThan(800);
    await world.run(1010);
    expect(throttle.isOpenFor(a)).toBe(true);
    expect(throttle.opensInMs).toBeUndefined();
  });

  it('has one copy keep to the lower of the two rates, or to none', () => {
    expect(throttled(50, 10).throttle.copyBytesPerSecond).toBe(10);
    expect(throttled(5, 10).throttle.copyBytesPerSecond).toBe(5);
    expect(throttled(5, 0).throttle.copyBytesPerSecond).toBe(5);
    expect(throttled(0, 0).throttle.copyBytesPerSecond).toBe(0);
  });
});

describe('needs', () => {
  const h = toChunkHandle;

  it('are met in the order of GFS §4.3: one copy left first, then by how many are lacking, of those the ones in use first', () => {
    const needs = new Needs((handle) => handle === 5 || handle === 9);
    needs.set(h(1), { kind: 'uneven' });
    needs.set(h(2), { kind: 'surplus', members: [a] });
    needs.set(h(3), { kind: 'leaving' });
    needs.set(h(4), { kind: 'short', live: 2, goal: 3 });
    needs.set(h(5), { kind: 'short', live: 2, goal: 3 });
    needs.set(h(6), { kind: 'short', live: 2, goal: 4 });
    needs.set(h(7), { kind: 'short', live: 1, goal: 2 });
    needs.set(h(8), { kind: 'short', live: 1, goal: 3 });
    needs.set(h(9), { kind: 'short', live: 1, goal: 3 });
    expect(needs.take(100)).toEqual([9, 7, 8, 6, 5, 4, 3, 2, 1]);
    expect(needs.take(3)).toEqual([9, 7, 8]);
    expect(needs.short).toBe(6);
  });

  it('take turns within their lane; a lane that is too long for one go leaves the lanes behind it a share', () => {
    const needs = new Needs();
    for (let n = 1; n <= 200; n++) needs.set(h(n), { kind: 'short', live: 1, goal: 3 });
    for (let n = 201; n <= 220; n++) needs.set(h(n), { kind: 'short', live: 2, goal: 3 });
    needs.set(h(300), { kind: 'surplus', members: [a] });
    const first = needs.take(64);
    expect(first).toEqual([...Array.from({ length: 59 }, (_, n) => n + 1), 201, 202, 203, 204, 300]);
    const seen = new Set(first);
    for (let go = 0; go < 4; go++) for (const handle of needs.take(64)) seen.add(handle);
    expect(seen.size).toBe(221);
  });

  it('are remembered up to a bound: what presses more takes the place of what presses less, and what is lost takes none', () => {
    const needs = new Needs(() => false, 10);
    for (let n = 1; n <= 20; n++) needs.set(h(n), { kind: 'lost' });
    for (let n = 101; n <= 120; n++) needs.set(h(n), { kind: 'leaving' });
    expect([needs.lost, needs.count('leaving')]).toEqual([10, 10]);
    expect(needs.set(h(201), { kind: 'short', live: 1, goal: 3 })).toBe(false);
    needs.set(h(202), { kind: 'uneven' });
    expect([needs.count('one left'), needs.count('leaving'), needs.count('uneven')]).toEqual([1, 9, 0]);
    expect(needs.take(1)).toEqual([201]);
  });

  it('that have changed leave their place; a loss is told once', () => {
    const needs = new Needs();
    needs.set(h(1), { kind: 'short', live: 1, goal: 3 });
    needs.set(h(1), { kind: 'short', live: 2, goal: 3 });
    expect([needs.count('one left'), needs.count('one lacking')]).toEqual([0, 1]);
    expect([needs.set(h(1), { kind: 'lost' }), needs.set(h(1), { kind: 'lost' })]).toEqual([true, false]);
    expect([needs.short, needs.lost]).toEqual([0, 1]);
    needs.set(h(1), { kind: 'none' });
    expect([needs.short, needs.lost, needs.waiting]).toEqual([0, 0, 0]);
  });
});
