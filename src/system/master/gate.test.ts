import { describe, expect, it } from 'vitest';
import { Gate } from './gate.ts';

/** Work that ends when it is told to. */
function task() {
  let end = () => {};
  const done = new Promise<void>((resolve) => (end = resolve));
  return { done, end };
}

describe('the gate of file snapshots', () => {
  it('closes when those inside have come out, and keeps others out until it opens', async () => {
    const gate = new Gate();
    const inside = task();
    const closed = task();
    const told: string[] = [];
    const first = gate.through(() => inside.done);
    const snapshot = gate.closedWhile(() => {
      told.push('closed');
      return closed.done;
    });
    const second = gate.through(async () => void told.push('inside'));
    await Promise.resolve();
    expect(told).toEqual([]);
    inside.end();
    await first;
    await Promise.resolve();
    expect(told).toEqual(['closed']);
    closed.end();
    await Promise.all([snapshot, second]);
    expect(told).toEqual(['closed', 'inside']);
  });

  it('tells of a change of places also who has looked while it was under way', async () => {
    const gate = new Gate();
    const change = task();
    const moving = gate.through(() => change.done, true);
    const { moves } = gate;
    change.end();
    await moving;
    expect(gate.moves).not.toBe(moves);
  });

  it('tells of no change of places for what only opens chunks', async () => {
    const gate = new Gate();
    const { moves } = gate;
    await gate.through(async () => {});
    expect(gate.moves).toBe(moves);
  });
});
