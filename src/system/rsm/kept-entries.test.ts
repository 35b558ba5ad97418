import { describe, expect, it } from 'vitest';
import { type Entry, toLogIndex } from '../../core/consensus/engine.ts';
import { KeptEntries } from './kept-entries.ts';

function entries(from: number, to: number, bytes: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    index: toLogIndex(from + i),
    term: 1,
    checksum: 0,
    payload: { kind: 'proposal', session: 1, sequence: i, data: new Uint8Array(bytes) },
  }));
}

describe('the entries kept behind the durable state', () => {
  it('are bounded in number', () => {
    const kept = new KeptEntries(10, 1_000_000, 0);
    kept.note(entries(1, 100, 1));
    expect(kept.compactTo(100)).toBe(90);
    kept.note(entries(101, 105, 1));
    expect(kept.compactTo(105)).toBe(95);
  });

  it('are bounded in bytes', () => {
    const kept = new KeptEntries(1000, 500, 0);
    kept.note(entries(1, 100, 100));
    expect(kept.compactTo(100)).toBe(95);
  });

  it('include everything that is not durable, however much it is', () => {
    const kept = new KeptEntries(10, 1000, 0);
    kept.note(entries(1, 100, 1000));
    expect(kept.compactTo(40)).toBe(40);
  });

  it('press a snapshot on its way once those that go on from it are two thirds of what it may cost', () => {
    const kept = new KeptEntries(10, 1000, 0);
    kept.note(entries(1, 90, 100));
    expect([kept.presses(9), kept.presses(10), kept.presses(90)]).toEqual([true, false, false]);
    kept.note(entries(91, 91, 100));
    expect([kept.presses(10), kept.presses(11)]).toEqual([true, false]);
    kept.compactTo(91);
    expect(kept.presses(0)).toBe(false);
  });

  it('are more while a snapshot is on its way, whose reader goes on with them, but not without bound', () => {
    const kept = new KeptEntries(10, 1000, 0);
    kept.note(entries(1, 100, 10));
    expect(kept.compactTo(100, 50)).toBe(50);
    expect(kept.compactTo(100)).toBe(90);
    kept.note(entries(101, 200, 1000));
    expect(kept.compactTo(200, 100)).toBe(188);
  });
});
