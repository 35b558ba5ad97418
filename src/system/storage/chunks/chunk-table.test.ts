import { describe, expect, test } from 'vitest';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { SimRandom } from '../../../platform/sim/random.ts';
import { type ChunkInfo, forgottenMark } from '../chunk-store.ts';
import { AppendWindow } from './append-window.ts';
import { ChunkTable } from './chunk-table.ts';
import { OrderedHandles } from './ordered-handles.ts';

function infoOf(handle: number, n: number): ChunkInfo {
  return { handle, version: n, serial: n + 1, lengthBytes: n * 100 } as unknown as ChunkInfo;
}

/** Handles that meet in the table: small ones, neighbours, and ones that differ only in the upper half. */
function someHandle(random: SimRandom): number {
  const base = random.pick([1, 1, 2 ** 32, 2 ** 32 * 5]);
  return base + random.below(400);
}

describe('the table', () => {
  test('agrees with a map over any puts and deletions, and grows', () => {
    const random = SimRandom.fromSeed(1);
    const table = new ChunkTable();
    const model = new Map<number, number>();
    for (let step = 0; step < 20_000; step++) {
      const handle = someHandle(random);
      if (random.chance(step < 10_000 ? 0.3 : 0.6)) {
        table.delete(handle as ChunkHandle);
        model.delete(handle);
      } else {
        table.putRecord(infoOf(handle, step), { segment: step + 1, offset: step, bytes: 7 }, undefined);
        model.set(handle, step);
      }
      const looked = someHandle(random);
      const expected = model.get(looked);
      expect(table.has(looked as ChunkHandle)).toBe(expected !== undefined);
      if (expected !== undefined) expect(table.place(looked as ChunkHandle)?.offset).toBe(expected);
    }
    expect(table.size).toBe(model.size);
    expect([...table.handles()].sort((a, b) => a - b)).toEqual([...model.keys()].sort((a, b) => a - b));
    for (const [handle, n] of model) expect(table.info(handle as ChunkHandle)).toEqual(infoOf(handle, n));
  });

  test('a chunk without a record has no place, also where an earlier one had it', () => {
    const table = new ChunkTable();
    const handle = 5 as ChunkHandle;
    table.putRecord(infoOf(5, 1), { segment: 1, offset: 2, bytes: 3 }, undefined);
    table.put(infoOf(5, 2));
    expect(table.place(handle)).toEqual({ segment: 1, offset: 2, bytes: 3 });
    table.delete(handle);
    table.put(infoOf(5, 3));
    expect(table.place(handle)).toBeUndefined();
    expect(table.isMarked(handle)).toBe(false);
  });
});

test('handles come in ascending order by page, whatever the order of their coming and going', () => {
  const random = SimRandom.fromSeed(2);
  const live = new Set<number>();
  const isLive = (handle: number) => live.has(handle);
  const ordered = new OrderedHandles();
  for (let step = 0; step < 30_000; step++) {
    const handle = random.chance(0.3) ? step + 50_000 : 1 + random.below(20_000);
    if (live.has(handle) && random.chance(0.5)) {
      live.delete(handle);
      ordered.removed(isLive);
    } else if (!live.has(handle)) {
      live.add(handle);
      ordered.add(handle);
    }
    if (step % 3000 !== 0) continue;
    const all: number[] = [];
    for (let page = ordered.after(0, 100, isLive); page.length > 0; page = ordered.after(all.at(-1)!, 100, isLive)) {
      all.push(...page);
    }
    expect(all).toEqual([...live].sort((a, b) => a - b));
  }
});

describe('the window', () => {
  const bounds = { entriesPerWriter: 3, writers: 2 };
  const entry = (writer: number, sequence: number) => ({ writer, sequence, offset: sequence * 10, lengthBytes: 10 });
  const sequences = (window: AppendWindow) => window.entries().map(({ writer, sequence }) => `${writer}.${sequence}`);

  test('keeps the highest sequences of each writer, in whatever order they come, and one entry for each', () => {
    const window = new AppendWindow(bounds, 1);
    for (const sequence of [1, 5, 3, 4, 2, 5, 9, 8, 7]) window.add([entry(1, sequence)], 1);
    expect(sequences(window)).toEqual(['1.7', '1.8', '1.9']);
    window.add([{ ...entry(1, 8), offset: 77 }], 1);
    expect(window.entries()[1]).toMatchObject({ sequence: 8, offset: 77 });
  });

  test('forgets the writer that appended longest ago, and keeps under which version that happened last', () => {
    const window = new AppendWindow(bounds, 1);
    for (const writer of [1, 2, 1]) window.add([entry(writer, 1)], 1);
    expect(window.entries().map(({ writer }) => writer)).toEqual([2, 1]);
    window.add([entry(3, 1)], 4);
    expect(window.entries()).toEqual([forgottenMark(4), entry(1, 1), entry(3, 1)]);
    window.add([entry(1, 2)], 5);
    expect(window.entries()[0]).toEqual(forgottenMark(4));
  });

  test('takes the mark of what another has forgotten, and gives it up with all the rest', () => {
    const window = new AppendWindow(bounds, 1, [forgottenMark(3), entry(1, 1)]);
    window.add([forgottenMark(2)], 9);
    expect(window.entries()).toEqual([forgottenMark(3), entry(1, 1)]);
    window.replace([entry(2, 7)], 9);
    expect(window.entries()).toEqual([entry(2, 7)]);
  });

  test('is the same when it is made from its own entries', () => {
    const window = new AppendWindow(bounds, 1);
    for (let i = 0; i < 20; i++) window.add([entry(1 + (i % 3 === 2 ? 2 : i % 2), i)], 1);
    expect(window.entries()[0]).toEqual(forgottenMark(1));
    expect(new AppendWindow(bounds, 8, window.entries()).entries()).toEqual(window.entries());
  });
});
