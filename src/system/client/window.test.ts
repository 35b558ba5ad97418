import { describe, expect, test } from 'vitest';
import { Window } from './window.ts';

/** Lets as many packets leave as there is room for. */
function fill(window: Window): number {
  let left = 0;
  for (; window.hasRoom; left++) window.leave();
  return left;
}

describe('the window of packets under way', () => {
  test('begins with two, and takes one more for each that is answered soon, up to its bound', () => {
    const window = new Window(5);
    expect(fill(window)).toBe(2);
    for (let n = 0; n < 20; n++) {
      window.back(n, n + 1);
      fill(window);
    }
    expect(window.underWay).toBe(5);
  });

  test('a bound of one is kept', () => {
    const window = new Window(1);
    expect(fill(window)).toBe(1);
    window.back(0, 1);
    expect(fill(window)).toBe(1);
  });

  test('halves once for all that left together and took long, never below one', () => {
    const window = new Window(8);
    for (let n = 0; n < 20; n++) {
      fill(window);
      window.back(0, 1);
    }
    fill(window);
    expect(window.underWay).toBe(8);
    for (let n = 0; n < 8; n++) window.back(10, 2010 + n);
    expect(fill(window)).toBe(4);
    for (let now = 3000; now < 30_000; now += 2000) {
      while (window.underWay > 0) window.back(now, now + 1500);
      fill(window);
    }
    expect(window.underWay).toBe(1);
  });

  test('who waits for room goes on when one is back', async () => {
    const window = new Window(1);
    await window.enter();
    let isIn = false;
    const second = window.enter().then(() => {
      isIn = true;
    });
    await Promise.resolve();
    expect(isIn).toBe(false);
    window.back(0, 1);
    await second;
    expect(window.underWay).toBe(1);
  });
});
