import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crc32 as plainCrc32 } from '../../core/base/crc32.ts';
import type { Env } from '../../core/base/env.ts';
import { openEvents } from './events.ts';
import { nodeEnv } from './node-env.ts';

let dir: string;
let env: Env;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cairn-env-'));
  env = nodeEnv({ dir: join(dir, 'made/on/the/way') });
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a timer never fires early by the monotonic clock', async () => {
  const early: number[] = [];
  await Promise.all(
    [0, 0.4, 1, 1.5, 3, 7.3, 20].map(
      (delayMs) =>
        new Promise<void>((resolve) => {
          const due = env.clock.now() + delayMs;
          env.clock.after(delayMs, () => {
            if (env.clock.now() < due) early.push(delayMs);
            resolve();
          });
        }),
    ),
  );
  expect(early).toEqual([]);
});

test('a cancelled timer does not fire, and one of a year does not fire at once', async () => {
  const fired: string[] = [];
  env.clock.after(1, () => fired.push('cancelled')).cancel();
  const year = env.clock.after(365 * 86_400_000, () => fired.push('year'));
  await new Promise<void>((resolve) => env.clock.after(10, resolve));
  year.cancel();
  expect(fired).toEqual([]);
});

test('soon runs after the microtasks of this turn', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    env.clock.soon(() => resolve(void order.push('soon')));
    void Promise.resolve().then(() => Promise.resolve().then(() => order.push('microtask')));
  });
  expect(order).toEqual(['microtask', 'soon']);
});

test('random numbers stay in their ranges and identifiers do not repeat', () => {
  const ids = new Set(Array.from({ length: 20_000 }, () => env.random.id53()));
  expect(ids.size).toBe(20_000);
  for (const id of ids) expect(Number.isSafeInteger(id) && id >= 1).toBe(true);
  const dice = Array.from({ length: 6000 }, () => env.random.below(6));
  for (let side = 0; side < 6; side++) expect(dice.filter((die) => die === side).length).toBeGreaterThan(800);
  expect(Math.max(...dice)).toBe(5);
  expect(() => env.random.below(0)).toThrow('bound');
  const units = Array.from({ length: 1000 }, () => env.random.next());
  expect(units.every((unit) => unit >= 0 && unit < 1)).toBe(true);
});

test('checksums are those of the plain implementation, continued or not', () => {
  const bytes = Buffer.from('the quick brown fox jumps over the lazy dog');
  expect(env.crc32(bytes)).toBe(plainCrc32(bytes));
  expect(env.crc32(bytes.subarray(9), env.crc32(bytes.subarray(0, 9)))).toBe(plainCrc32(bytes));
});

test('events are lines of JSON from their level on, with errors in full', async () => {
  const file = join(dir, 'logs/events.jsonl');
  for (const async of [false, true]) {
    const events = await openEvents({ destination: file, async, level: 'info', base: { role: 'master' } });
    events.emit('debug', 'test.unheard');
    events.emit('warn', 'test.happened', { async, error: new Error('broken') });
    await events.flush();
  }
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const [first, second] = lines.map((line) => JSON.parse(line) as unknown);
  expect(lines.length).toBe(2);
  expect(first).toMatchObject({ level: 'warn', event: 'test.happened', role: 'master', async: false });
  expect(first).toMatchObject({
    error: { message: 'broken', stack: expect.stringContaining('node-env.test') },
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  });
  expect(second).toMatchObject({ event: 'test.happened', async: true });
});

test('events that a full disk does not take harm nobody: they are written when there is room, but for those beyond a bound', async ({
  skip,
}) => {
  if (!existsSync('/dev/full')) skip('this system has no /dev/full');
  const descriptor = openSync('/dev/full', 'w');
  const events = await openEvents({ destination: descriptor });
  const text = 'x'.repeat(1000);
  for (let n = 0; n < 2000; n++) events.emit('info', 'test.happened', { n, text });
  closeSync(descriptor);
  const file = join(dir, 'events-of-a-disk-that-was-full.log');
  expect(openSync(file, 'a')).toBe(descriptor); // the lowest that is free: there is room again
  events.emit('info', 'test.roomAgain');
  closeSync(descriptor);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const told = lines.map((line) => JSON.parse(line) as { event: string; n?: number; lines?: number });
  const kept = told.filter(({ event }) => event === 'test.happened');
  expect(kept.map(({ n }) => n)).toEqual(kept.map((_, n) => n));
  expect(kept.length).toBeGreaterThan(500);
  expect(told.slice(kept.length)).toMatchObject([
    { event: 'events_lost', lines: 2000 - kept.length },
    { event: 'test.roomAgain' },
  ]);
});
