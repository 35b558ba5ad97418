import { describe, expect, test } from 'vitest';
import { BannedGlobalError, withBannedGlobals } from './banned-globals.ts';
import { testWorld } from './node-host.test-support.ts';

const banned: Readonly<Record<string, () => unknown>> = {
  'Date.now': () => Date.now(),
  'new Date()': () => new Date(),
  'Date()': () => Date(),
  'Math.random': () => Math.random(),
  'performance.now': () => performance.now(),
  setTimeout: () => setTimeout(() => undefined, 0),
  setInterval: () => setInterval(() => undefined, 1),
  setImmediate: () => setImmediate(() => undefined),
  'crypto.randomUUID': () => crypto.randomUUID(),
  'crypto.getRandomValues': () => crypto.getRandomValues(new Uint8Array(1)),
  fetch: () => fetch('http://localhost'),
};

describe('banned globals', () => {
  test.each(Object.keys(banned))('%s throws in a simulated step and works after it', async (name) => {
    const world = testWorld(1);
    let thrown: unknown;
    world.node('a').env.clock.after(1, () => {
      try {
        banned[name]!();
      } catch (error) {
        thrown = error;
      }
    });
    await world.run(10);
    expect(thrown).toBeInstanceOf(BannedGlobalError);
    expect((thrown as Error).message).toContain(name);
  });

  test('the ban holds in promise reactions too, and is lifted when the work is done or has failed', async () => {
    const original = Date;
    const failure = withBannedGlobals(globalThis, async () => {
      await undefined;
      return Date.now();
    });
    await expect(failure).rejects.toBeInstanceOf(BannedGlobalError);
    expect(Date).toBe(original);
    expect(Date.now()).toBeGreaterThan(0);
    expect(Math.random()).toBeLessThan(1);
    expect(crypto.randomUUID()).toHaveLength(36);
  });

  test('bans nest', async () => {
    await withBannedGlobals(globalThis, async () => {
      await withBannedGlobals(globalThis, () => undefined);
      expect(() => Math.random()).toThrow(BannedGlobalError);
    });
    expect(() => Math.random()).not.toThrow();
  });

  test('a date that says which is no reading of the clock', async () => {
    const year = await withBannedGlobals(globalThis, () => new Date(0).getUTCFullYear());
    expect(year).toBe(1970);
  });
});
