import { describe, expect, test } from 'vitest';
import { digestBytes, EventHash } from './event-hash.ts';
import { EventQueue, type Timed } from './event-queue.ts';
import { SimRandom } from './random.ts';

describe('SimRandom', () => {
  test('a fork does not depend on how much its parent was used', () => {
    const fresh = SimRandom.fromSeed(1).fork('disk');
    const parent = SimRandom.fromSeed(1);
    for (let i = 0; i < 100; i++) parent.u32();
    const late = parent.fork('disk');
    expect([late.u32(), late.u32(), late.id53()]).toEqual([fresh.u32(), fresh.u32(), fresh.id53()]);
  });

  test('seeds, labels and neighbouring seeds give streams of their own', () => {
    const streams = [
      SimRandom.fromSeed(1),
      SimRandom.fromSeed(2),
      SimRandom.fromSeed('x'),
      SimRandom.fromSeed(1).fork('a'),
      SimRandom.fromSeed(1).fork('b'),
      SimRandom.fromSeed(2).fork('a'),
      SimRandom.fromSeed(1).fork('a').fork('a'),
    ];
    expect(new Set(streams.map((stream) => stream.id53())).size).toBe(streams.length);
  });

  test('every value of a small range is drawn about equally often', () => {
    const random = SimRandom.fromSeed(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[random.below(10)]! += 1;
    // Six standard deviations of a binomial with p = 1/10.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(6 * Math.sqrt(9_000));
  });

  test('numbers stay inside their bounds', () => {
    const random = SimRandom.fromSeed(4);
    for (let i = 0; i < 10_000; i++) {
      expect(random.next()).toSatisfy((n: number) => n >= 0 && n < 1);
      expect(random.below(2 ** 40)).toSatisfy((n: number) => Number.isInteger(n) && n >= 0 && n < 2 ** 40);
      expect(random.between(-2, 2)).toSatisfy((n: number) => n >= -2 && n <= 2);
      expect(Number.isSafeInteger(random.id53())).toBe(true);
    }
  });

  test('a shuffle keeps the members', () => {
    const shuffled = SimRandom.fromSeed(5).shuffled([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(shuffled).not.toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...shuffled].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe('EventQueue', () => {
  const event = (atUs: number, sequence: number): Timed => ({ atUs, sequence, isQueued: false, isCancelled: false });

  test('events come by time, and at one time in the order in which they were put in', () => {
    const random = SimRandom.fromSeed(6);
    const queue = new EventQueue<Timed>();
    const events = Array.from({ length: 5_000 }, (_, n) => event(random.below(500), n));
    for (const one of events) queue.push(one);
    const cancelled = new Set(events.filter(() => random.chance(0.7)));
    for (const one of cancelled) queue.cancel(one);
    expect(queue.size).toBe(events.length - cancelled.size);
    const came: Timed[] = [];
    for (let next = queue.popUntil(1_000); next !== undefined; next = queue.popUntil(1_000)) came.push(next);
    const expected = events
      .filter((one) => !cancelled.has(one))
      .sort((a, b) => a.atUs - b.atUs || a.sequence - b.sequence);
    expect(came).toEqual(expected);
  });

  test('nothing comes before its time', () => {
    const queue = new EventQueue<Timed>();
    queue.push(event(10, 0));
    expect(queue.popUntil(9)).toBeUndefined();
    expect(queue.popUntil(10)?.atUs).toBe(10);
  });
});

describe('EventHash', () => {
  const hashOf = (...words: number[]) => {
    const hash = new EventHash();
    for (const word of words) hash.mix(word);
    return hash.value;
  };

  test('the order counts, and so does every word', () => {
    const values = [hashOf(1, 2), hashOf(2, 1), hashOf(1), hashOf(1, 2, 0), hashOf(1, 3), hashOf()];
    expect(new Set(values).size).toBe(values.length);
  });

  test('a digest sees every byte and its place, not where the bytes lie in memory', () => {
    const bytes = Uint8Array.from({ length: 23 }, (_, n) => n);
    const shifted = new Uint8Array(26).subarray(3);
    shifted.set(bytes);
    expect(digestBytes(shifted)).toBe(digestBytes(bytes));
    const digests = new Set([digestBytes(bytes)]);
    for (let n = 0; n < bytes.length; n++) {
      const other = bytes.slice();
      other[n]! ^= 0x80;
      digests.add(digestBytes(other));
    }
    expect(digests.size).toBe(24);
  });
});
