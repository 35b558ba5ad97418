import { describe, expect, test } from 'vitest';
import { CairnError } from '../../../core/base/errors.ts';
import { afterPowerLoss, losses, MemoryDisk, type TestEnv, testEnv } from '../memory-disk.test-support.ts';
import type { LogPlace, WriteAheadLog } from '../write-ahead-log.ts';
import { segmentName } from './format.ts';
import { openWriteAheadLog } from './open-write-ahead-log.ts';

const segmentBytes = 1024;

function payload(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

interface Opened {
  readonly env: TestEnv;
  readonly log: WriteAheadLog;
  readonly replayed: readonly string[];
  readonly places: readonly LogPlace[];
}

async function open(
  disk = new MemoryDisk(),
  preamble: () => string[] = () => [],
  size = segmentBytes,
): Promise<Opened> {
  const env = testEnv(disk);
  const replayed: string[] = [];
  const places: LogPlace[] = [];
  const log = await openWriteAheadLog(env, {
    directory: 'log',
    segmentBytes: size,
    preamble: () => preamble().map(payload),
    replay: (bytes, place) => {
      replayed.push(String.fromCharCode(...bytes));
      places.push(place);
    },
  });
  return { env, log, replayed, places };
}

function numbered(from: number, to: number, bytes = 40): string[] {
  return Array.from({ length: to - from }, (_, i) => `record ${from + i} `.padEnd(bytes, '.'));
}

function path(segment: number): string {
  return `log/${segmentName(segment)}`;
}

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof CairnError) return thrown.code;
    throw thrown;
  }
  return 'no error';
}


describe('a log that is opened again', () => {
  test('replays every record in order with the places that append gave', async () => {
    const { env, log } = await open();
    const places: LogPlace[] = [];
    for (const text of numbered(0, 60)) places.push(await log.append([payload(text)], true));
    await log.close();
    const again = await open(env.disk);
    expect(again.replayed).toEqual(numbered(0, 60));
    expect(again.places).toEqual(places);
    expect(again.places.at(-1)!.segment).toBeGreaterThan(3);
    expect(again.log.bytes).toBeGreaterThan(60 * 40);
  });

  test('goes on where it ended, again and again', async () => {
    const disk = new MemoryDisk();
    for (let round = 0; round < 10; round++) {
      const { log, replayed } = await open(disk);
      expect(replayed).toEqual(numbered(0, round * 7));
      await log.append(numbered(round * 7, round * 7 + 7).map(payload), round % 2 === 0);
      await log.close();
    }
  });

  test('holds records larger than a segment', async () => {
    const { env, log } = await open();
    const texts = ['a', 'x'.repeat(5000), 'b', 'y'.repeat(segmentBytes), 'c'];
    await log.append(texts.map(payload), true);
    await log.append([payload('d')], true);
    expect((await open(env.disk)).replayed).toEqual([...texts, 'd']);
  });

  test('begins each segment with the preamble of that moment', async () => {
    let term = 0;
    const disk = new MemoryDisk();
    const first = await open(disk, () => [`term ${++term}`]);
    for (const text of numbered(0, 40)) await first.log.append([payload(text)], true);
    const { replayed, places } = await open(disk, () => [`term ${++term}`]);
    const starts = replayed.filter((_, i) => i === 0 || places[i]!.segment !== places[i - 1]!.segment);
    expect(starts.length).toBeGreaterThan(2);
    expect(starts).toEqual(starts.map((_, i) => `term ${i + 1}`));
    expect(replayed.filter((text) => text.startsWith('record'))).toEqual(numbered(0, 40));
  });
});

describe('group commit', () => {
  test('what is appended during a sync is written with one write and one sync, and resolves in order', async () => {
    const { env, log } = await open(undefined, undefined, 64 * 1024);
    await log.append([payload('first')], true);
    const releases: (() => void)[] = [];
    env.disk.syncGate = () => new Promise((resolve) => releases.push(resolve));
    const order: number[] = [];
    const appended = [log.append([payload('held')], true).then(() => order.push(-1))];
    while (releases.length === 0) await undefined;
    const before = env.disk.journal.length;
    for (let i = 0; i < 50; i++)
      appended.push(log.append([payload(`queued ${i}`)], i % 3 === 0).then(() => order.push(i)));
    env.disk.syncGate = async () => {};
    releases[0]!();
    await Promise.all(appended);
    expect(order).toEqual([-1, ...Array.from({ length: 50 }, (_, i) => i)]);
    expect(env.disk.journal.slice(before).map(({ kind }) => kind)).toEqual(['write', 'sync']);
  });

  test('an append without sync resolves without one', async () => {
    const { env, log } = await open(undefined, undefined, 64 * 1024);
    await log.append([payload('durable')], true);
    const syncs = env.disk.journal.filter(({ kind }) => kind === 'sync').length;
    for (let i = 0; i < 10; i++) await log.append([payload('written')], false);
    expect(env.disk.journal.filter(({ kind }) => kind === 'sync').length).toBe(syncs);
  });

  test('an empty append with sync makes everything before it durable', async () => {
    const { env, log } = await open(undefined, undefined, 64 * 1024);
    await log.append([payload('written')], false);
    await log.append([], true);
    const found = await open(afterPowerLoss(env.disk.journal, losses['nothing unsynced is kept']!));
    expect(found.replayed).toEqual(['written']);
  });
});

describe('releasing', () => {
  test('drops whole segments before the place and uses their files again without their records coming back', async () => {
    const { env, log } = await open();
    let total = 0;
    for (let round = 0; round < 20; round++) {
      let place: LogPlace | undefined;
      for (const text of numbered(total, total + 20)) place = await log.append([payload(text)], true);
      total += 20;
      await log.release(place!);
      expect((await env.disk.list('log')).length).toBeLessThanOrEqual(6);
    }
    const { replayed } = await open(env.disk.copy());
    expect(replayed).toEqual(numbered(total - replayed.length, total));
    const created = env.disk.journal.filter(({ kind }) => kind === 'create').length;
    expect(created).toBeLessThan(15);
  });

  test('rotate starts a segment with its preamble, durable, so that all older ones can go', async () => {
    const disk = new MemoryDisk();
    const { env, log } = await open(disk, () => ['state']);
    await log.append(numbered(0, 5).map(payload), true);
    const place = await log.rotate();
    await log.release(place);
    const lost = afterPowerLoss(env.disk.journal, losses['nothing unsynced is kept']!);
    expect((await open(lost)).replayed).toEqual(['state']);
    expect(log.bytes).toBeLessThan(100);
  });
});

describe('power loss', () => {
  for (const [how, loss] of Object.entries(losses)) {
    test(`after any operation, when ${how}, every acknowledged record is found, in order, and the log goes on`, async () => {
      const { env, log } = await open(undefined, () => ['preamble']);
      const acknowledged: { readonly at: number; readonly upTo: number }[] = [];
      const firsts: { readonly at: number; readonly from: number }[] = [];
      let count = 0;
      for (let round = 0; round < 24; round++) {
        const size = 1 + (round % 4);
        const texts = numbered(count, count + size, 20 + ((round * 37) % 200));
        const place = await log.append(texts.map(payload), round % 5 !== 3);
        if (round % 5 !== 3) acknowledged.push({ at: env.disk.journal.length, upTo: count + size });
        count += size;
        if (round % 6 === 5) {
          firsts.push({ at: env.disk.journal.length, from: count - size });
          await log.release(place);
        }
      }
      await log.close();
      for (let cut = 0; cut <= env.disk.journal.length; cut++) {
        const disk = afterPowerLoss(env.disk.journal.slice(0, cut), loss);
        const found = await open(disk, () => ['preamble']);
        const numbers = found.replayed
          .filter((text) => text !== 'preamble')
          .map((text) => Number.parseInt(text.slice(7), 10));
        const least = acknowledged.findLast(({ at }) => at <= cut)?.upTo ?? 0;
        // Without `release` under way, everything from the first record on; with it, at least what was not released.
        const from = firsts.findLast(({ at }) => at <= cut + 12)?.from ?? 0;
        const start = numbers[0] ?? least;
        expect(numbers, `cut ${cut}`).toEqual(Array.from({ length: numbers.length }, (_, i) => start + i));
        expect(start, `cut ${cut}`).toBeLessThanOrEqual(Math.max(from, 0) || 0);
        expect(start + numbers.length, `cut ${cut}`).toBeGreaterThanOrEqual(least);
        await found.log.append([payload('after')], true);
        expect((await open(disk.copy())).replayed).toEqual([...found.replayed, ...afterwards(found)]);
      }
    });
  }

  function afterwards(found: Opened): string[] {
    return found.replayed.length === 0 ? ['preamble', 'after'] : ['after'];
  }
});
