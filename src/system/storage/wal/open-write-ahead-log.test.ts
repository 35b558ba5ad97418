import { describe, expect, test } from 'vitest';
import { crc32 } from '../../../core/base/crc32.ts';
import { CairnError } from '../../../core/base/errors.ts';
import {
  afterPowerLoss,
  type DiskOperation,
  type Loss,
  losses,
  MemoryDisk,
  type TestEnv,
  testEnv,
} from '../memory-disk.test-support.ts';
import { type LogPlace, queuedMaxBytes, type WriteAheadLog } from '../write-ahead-log.ts';
import { encodeSegmentHeader, recordBytes, recordHeadBytes, segmentName } from './format.ts';
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
  writeBehindBytes?: number,
): Promise<Opened> {
  const env = testEnv(disk);
  const replayed: string[] = [];
  const places: LogPlace[] = [];
  const log = await openWriteAheadLog(env, {
    directory: 'log',
    segmentBytes: size,
    ...(writeBehindBytes === undefined ? {} : { writeBehindBytes }),
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

/** Not the header and the zeros of a segment that is prepared meanwhile. */
function isFlush(operation: DiskOperation): boolean {
  return operation.kind === 'write' && operation.offset > 0 && !operation.bytes.every((byte) => byte === 0);
}

/** The first flush at or behind a place in the journal. */
function flushAfter(
  disk: MemoryDisk,
  before: number,
): { readonly at: number; readonly write: DiskOperation & { kind: 'write' } } {
  const at = disk.journal.findIndex((operation, i) => i >= before && isFlush(operation));
  return { at, write: disk.journal[at] as DiskOperation & { kind: 'write' } };
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
    await log.append([], true);
    await log.append([], true);
    expect(env.disk.journal.filter(({ kind }) => kind === 'sync').length, 'one sync is enough').toBe(syncs + 1);
  });

  test('an empty append with sync makes everything before it durable', async () => {
    const { env, log } = await open(undefined, undefined, 64 * 1024);
    await log.append([payload('written')], false);
    await log.append([], true);
    const found = await open(afterPowerLoss(env.disk.journal, losses['nothing unsynced is kept']!));
    expect(found.replayed).toEqual(['written']);
  });
});

describe('what nobody asks to be durable', () => {
  const behindBytes = 4096;
  const openBehind = () => open(undefined, undefined, 64 * 1024, behindBytes);
  const large = 'x'.repeat(1000);
  const synced = (disk: MemoryDisk) => disk.journal.filter(({ kind }) => kind === 'sync').length;

  test('is flushed by the log itself bit by bit, so that the end of a segment has little left to wait for', async () => {
    const { env, log } = await openBehind();
    const before = env.disk.journal.length;
    for (let i = 0; i < 60; i++) await log.append([payload(large)], false);
    let unsynced = 0;
    let most = 0;
    for (const operation of env.disk.journal.slice(before)) {
      if (operation.kind === 'sync') unsynced = 0;
      else if (isFlush(operation) && operation.kind === 'write') unsynced += operation.bytes.length;
      most = Math.max(most, unsynced);
    }
    expect(most).toBeGreaterThanOrEqual(behindBytes);
    expect(most).toBeLessThan(2 * behindBytes);
  });

  test('does not wait for that flush, nor is another one begun before it is done', async () => {
    const { env, log } = await openBehind();
    await log.append([payload('first')], true);
    env.disk.syncGate = () => new Promise(() => {});
    const before = synced(env.disk);
    for (let i = 0; i < 20; i++) await log.append([payload(large)], false);
    expect(synced(env.disk)).toBe(before + 1);
  });

  test('is durable once the flush is done, and an append with sync that comes meanwhile waits for it', async () => {
    const { env, log } = await openBehind();
    let release = (): void => {};
    env.disk.syncGate = () => new Promise((resolve) => (release = resolve));
    for (let i = 0; i < 5; i++) await log.append([payload(large)], false);
    let isDone = false;
    const durable = log.append([payload('last')], true).then(() => (isDone = true));
    for (let i = 0; i < 100; i++) await undefined;
    expect(isDone).toBe(false);
    env.disk.syncGate = async () => {};
    release();
    await durable;
    const found = await open(
      afterPowerLoss(env.disk.journal, losses['nothing unsynced is kept']!),
      undefined,
      64 * 1024,
    );
    expect(found.replayed).toHaveLength(6);
  });

  test('ends the log when that flush fails, though a later one would succeed', async () => {
    const { env, log } = await openBehind();
    env.disk.before = ({ kind }) => {
      if (kind === 'sync') throw new CairnError('DISK_FAILED', 'input/output error');
    };
    for (let i = 0; i < 5; i++) await log.append([payload(large)], false);
    env.disk.before = () => {};
    expect(await code(log.append([payload('a')], true))).toBe('DISK_FAILED');
    expect(await code(log.append([payload('b')], false))).toBe('DISK_FAILED');
    await log.close();
  });
});

describe('a quick disk', () => {
  /** A log that has seen enough flushes to make them in the turn; its asynchronous syncs do not return any more. */
  async function openQuick(): Promise<Opened> {
    const opened = await open(undefined, undefined, 64 * 1024);
    for (const text of numbered(0, 40)) await opened.log.append([payload(text)], true);
    opened.env.disk.syncGate = () => new Promise(() => {});
    return opened;
  }

  test('is flushed in the turn: what has resolved is durable as ever, and appends of a turn share a flush', async () => {
    const { env, log } = await openQuick();
    const before = env.disk.journal.length;
    await Promise.all(numbered(40, 60).map((text) => log.append([payload(text)], true)));
    expect(env.disk.journal.slice(before).map(({ kind }) => kind)).toEqual(['write', 'sync']);
    const found = await open(afterPowerLoss(env.disk.journal, losses['nothing unsynced is kept']!));
    expect(found.replayed).toEqual(numbered(0, 60));
  });

  test('that fails in the turn ends the log as any failure does', async () => {
    const { env, log } = await openQuick();
    env.disk.before = ({ kind }) => {
      if (kind === 'sync') throw new CairnError('DISK_FAILED', 'the disk is gone');
    };
    await expect(log.append([payload('lost')], true)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await expect(log.append([payload('later')], false)).rejects.toMatchObject({ code: 'DISK_FAILED' });
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

  test('keeps the segment that the place lies in', async () => {
    const { env, log } = await open();
    const places: LogPlace[] = [];
    for (const text of numbered(0, 60)) places.push(await log.append([payload(text)], true));
    const middle = places.findIndex(({ segment }) => segment === 3) + 1;
    await log.release(places[middle]!);
    expect((await open(env.disk)).replayed).toEqual(numbered(middle - 1, 60));
  });

  test('has ended when the log is closed: whoever opens it next has the directory to itself', async () => {
    const { env, log } = await open();
    let place: LogPlace | undefined;
    for (const text of numbered(0, 100)) place = await log.append([payload(text)], true);
    const released = log.release(place!);
    await log.close();
    const operations = env.disk.journal.length;
    await released;
    await new Promise((resolve) => setImmediate(resolve));
    expect(env.disk.journal.length).toBe(operations);
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

describe('damage', () => {
  interface Flush {
    readonly segment: number;
    readonly start: number;
    readonly end: number;
  }

  /** A log of several segments, two records to a flush; and where each flush lies. */
  async function damaged(close: boolean): Promise<{ disk: MemoryDisk; flushes: Flush[]; count: number }> {
    const { env, log } = await open(new MemoryDisk(), () => ['preamble'], 512);
    const flushes: Flush[] = [];
    const count = 28;
    for (let i = 0; i < count; i += 2) {
      const before = env.disk.journal.length;
      await log.append(numbered(i, i + 2, 30 + i).map(payload), true);
      const writes = env.disk.journal.slice(before).filter(isFlush);
      const write = writes.at(-1)!;
      if (write.kind !== 'write') throw new Error('a flush is a write');
      const segment = (await log.append([], false)).segment;
      flushes.push({ segment, start: write.offset, end: write.offset + write.bytes.length });
    }
    if (close) await log.close();
    return { disk: env.disk, flushes, count };
  }

  async function replayOrCode(disk: MemoryDisk): Promise<string | readonly string[]> {
    try {
      return (await open(disk, () => [], 512)).replayed.filter((text) => text !== 'preamble');
    } catch (thrown) {
      if (thrown instanceof CairnError) return `${thrown.code} ${thrown.message}`;
      throw thrown;
    }
  }

  test('of any byte before the last flush is refused, naming file and offset; in the last flush it is cut there', async () => {
    const { disk, flushes, count } = await damaged(false);
    const last = flushes.at(-1)!;
    for (let segment = 1; segment <= last.segment; segment++) {
      const end = flushes.findLast((flush) => flush.segment === segment)!.end;
      for (let at = 0; at < end; at++) {
        const copy = disk.copy();
        copy.bytesOf(path(segment))[at]! ^= 1 << (at & 7);
        const found = await replayOrCode(copy);
        if (segment === last.segment && at >= last.start) {
          const kept = found.length;
          expect(kept === count - 1 || kept === count - 2, `${segment} at ${at}: ${found}`).toBe(true);
          expect(found).toEqual(
            numbered(0, count)
              .map((_, i) => numbered(i, i + 1, 30 + i - (i % 2))[0])
              .slice(0, kept),
          );
        } else {
          expect(found, `${segment} at ${at}`).toMatch(
            /^LOG_CORRUPT log\/0+[0-9]+\.wal at offset [0-9]+: .*; nothing was changed/,
          );
        }
      }
    }
    expect(last.segment).toBeGreaterThan(3);
  });

  test('of any byte of a log that was closed is refused, but for the closing mark', async () => {
    const { disk, flushes, count } = await damaged(true);
    const last = flushes.at(-1)!;
    for (let at = 0; at < last.end + recordHeadBytes; at++) {
      const copy = disk.copy();
      copy.bytesOf(path(last.segment))[at]! ^= 0x10;
      const found = await replayOrCode(copy);
      if (at >= last.end) expect(found.length, `at ${at}`).toBe(count);
      else expect(found, `at ${at}`).toMatch(/^LOG_CORRUPT/);
    }
  });

  test('changes nothing on the disk when it is refused', async () => {
    const { disk, flushes } = await damaged(false);
    disk.bytesOf(path(1))[flushes[0]!.start + 20]! ^= 1;
    const before = disk.copy();
    expect(await replayOrCode(disk)).toMatch(/^LOG_CORRUPT/);
    for (const name of await before.list('log')) {
      expect(disk.bytesOf(`log/${name}`), name).toEqual(before.bytesOf(`log/${name}`));
    }
  });

  test('a segment that is missing, cut short or exchanged is refused unless it is the last', async () => {
    const { disk, flushes } = await damaged(false);
    const lastSegment = flushes.at(-1)!.segment;
    for (let segment = 2; segment < lastSegment; segment++) {
      const missing = disk.copy();
      missing.deleteFile(path(segment));
      expect(await replayOrCode(missing)).toMatch(
        new RegExp(`^LOG_CORRUPT ${path(segment)} at offset 0: the segment is missing`),
      );
      for (const flush of flushes.filter((f) => f.segment === segment)) {
        const short = disk.copy();
        short.truncateFile(path(segment), flush.start);
        expect(await replayOrCode(short)).toMatch(/^LOG_CORRUPT/);
      }
      const exchanged = disk.copy();
      exchanged.bytesOf(path(segment)).set(disk.bytesOf(path(segment - 1)));
      expect(await replayOrCode(exchanged)).toMatch(/^LOG_CORRUPT/);
    }
    const empty = disk.copy();
    empty.truncateFile(path(1), 0);
    expect(await replayOrCode(empty)).toMatch(/^LOG_CORRUPT/);
  });

  test('records of another log, of another segment or at another offset never pass', async () => {
    const { disk, flushes, count } = await damaged(false);
    const [first, second] = flushes as [Flush, Flush];
    const { end } = flushes.at(-1)!;
    const tail = path(flushes.at(-1)!.segment);
    const stray = disk.bytesOf(path(first.segment)).slice(first.start, first.end);
    disk.truncateFile(tail, 2048);
    const misdirected = disk.copy();
    misdirected.bytesOf(tail).set(stray, end);
    expect((await replayOrCode(misdirected)).length).toBe(count);
    const overwritten = disk.copy();
    overwritten.bytesOf(path(second.segment)).set(stray, second.start);
    expect(await replayOrCode(overwritten)).toMatch(/^LOG_CORRUPT/);
    const shifted = disk.copy();
    const earlier = flushes.find(({ segment }) => path(segment) === tail)!;
    expect(earlier.end).toBeLessThan(end);
    shifted.bytesOf(tail).set(disk.bytesOf(tail).slice(earlier.start, earlier.end), end);
    expect((await replayOrCode(shifted)).length).toBe(count);
    const foreign = disk.copy();
    const unused = foreign.bytesOf(path(flushes.at(-1)!.segment + 1));
    unused.set(encodeSegmentHeader(flushes.at(-1)!.segment + 1, 4711, crc32));
    expect(await replayOrCode(foreign)).toMatch(/^LOG_CORRUPT .* belongs to another log/);
  });

  test('another format version is refused as such', async () => {
    const { disk } = await damaged(false);
    const header = disk.bytesOf(path(2)).subarray(0, 64);
    header[8] = 2;
    new DataView(header.buffer, header.byteOffset).setUint32(60, crc32(header.subarray(0, 60)), true);
    expect(await replayOrCode(disk)).toMatch(/^WRONG_FORMAT/);
  });
});

describe('the next segment', () => {
  test('is written out in steps that are flushed, with pauses that end when somebody waits for it', async () => {
    // The clock of this world stands still: a pause ends only when it is cut short.
    const size = 8 * 1024 * 1024;
    const { env, log } = await open(new MemoryDisk(), () => [], size);
    await log.append([payload('first')], true);
    while (!(await env.disk.exists('log/next.tmp'))) await turn();
    for (let operations = 0; operations < env.disk.journal.length; await turn()) operations = env.disk.journal.length;
    expect(env.disk.bytesOf('log/next.tmp').length).toBe(1024 * 1024);
    expect(env.disk.journal.at(-1)!.kind).toBe('sync');
    await log.rotate();
    expect(env.disk.bytesOf(path(2)).length).toBe(size);
    await log.append([payload('last')], true);
    await log.close();
    expect((await open(env.disk, () => [], size)).replayed).toEqual(['first', 'last']);
  });

  test('makes no pauses while the present one is used up faster than it is made', async () => {
    const mebi = 1024 * 1024;
    const { env, log } = await open(new MemoryDisk(), () => [], 8 * mebi);
    while (!(await env.disk.exists('log/next.tmp'))) await turn();
    await turn();
    expect(env.disk.bytesOf('log/next.tmp').length).toBe(mebi);
    await log.append([new Uint8Array(5 * mebi)], false);
    for (let operations = 0; operations < env.disk.journal.length; await turn()) operations = env.disk.journal.length;
    expect(env.disk.bytesOf('log/next.tmp').length / mebi).toBeGreaterThan(5);
    expect(env.disk.bytesOf('log/next.tmp').length / mebi).toBeLessThan(8);
    await log.close();
  });

  function turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
});

describe('a torn tail', () => {
  test('is cut at every byte of the last batch to the records that are whole, and leaves nothing behind', async () => {
    const { env, log } = await open();
    await log.append(numbered(0, 3).map(payload), true);
    const before = env.disk.journal.length;
    await log.append(numbered(3, 8).map(payload), true);
    const { at, write } = flushAfter(env.disk, before);
    const whole = write.bytes.length / 5;
    for (let kept = 0; kept <= write.bytes.length; kept++) {
      const loss: Loss = {
        write: (bytes) => (bytes === write.bytes ? kept : bytes.length),
        names: (pending) => pending,
      };
      const disk = afterPowerLoss(env.disk.journal.slice(0, at + 1), loss);
      const found = await open(disk);
      // The padding of the last record is zeros on the disk already.
      const least = 3 + Math.floor(kept / whole);
      expect(found.replayed).toEqual(numbered(0, Math.max(least, found.replayed.length)));
      expect(found.replayed.length - least).toBeLessThanOrEqual(1);
      await found.log.append([payload('next')], true);
      expect((await open(disk)).replayed).toEqual([...found.replayed, 'next']);
    }
  });

  test('never lends its later records to what is appended in place of its earlier ones', async () => {
    const { env, log } = await open();
    await log.append([payload('durable')], true);
    const before = env.disk.journal.length;
    await log.append([payload('lost'), payload('left'), payload('more')], true);
    const { at, write } = flushAfter(env.disk, before);
    const disk = afterPowerLoss(env.disk.journal.slice(0, at), losses['everything is kept']!);
    // Only the second and third record reached the disk.
    disk.bytesOf(path(1)).set(write.bytes.subarray(recordBytes(4)), write.offset + recordBytes(4));
    const found = await open(disk);
    expect(found.replayed).toEqual(['durable']);
    expect(found.env.emitted.map(({ name }) => name)).toEqual(['log_tail_cut']);
    await found.log.append([payload('anew')], true);
    expect((await open(disk)).replayed).toEqual(['durable', 'anew']);
  });

  test('is not mistaken for damage though the process had been started again before the power went away', async () => {
    const { env, log } = await open();
    await log.append([payload('durable')], true);
    await log.append([payload('written')], false);
    const again = await open(env.disk);
    await again.log.append([payload('after')], false);
    const last = env.disk.journal.findLast(isFlush)!;
    const kept: Loss = {
      write: (bytes) => ('bytes' in last && bytes === last.bytes ? bytes.length : 0),
      names: (n) => n,
    };
    const found = await open(afterPowerLoss(env.disk.journal, kept));
    expect(found.replayed).toEqual(['durable', 'written', 'after']);
  });

  test('is not cut when the torn segment behind it says that it was longer', async () => {
    const { env, log } = await open(undefined, () => ['vote', 'term']);
    await log.append([payload('one')], true);
    const { offset } = await log.append([payload('two')], true);
    const before = env.disk.journal.length;
    await log.rotate();
    const { at, write } = flushAfter(env.disk, before);
    const loss: Loss = { write: (bytes) => (bytes === write.bytes ? 30 : bytes.length), names: (n) => n };
    const disk = afterPowerLoss(env.disk.journal.slice(0, at + 1), loss);
    expect((await open(disk.copy(), () => ['vote', 'term'])).replayed.at(-1)).toBe('two');
    disk.bytesOf(path(1))[offset + recordHeadBytes]! ^= 1;
    expect(await code(open(disk))).toBe('LOG_CORRUPT');
  });

  test('at the beginning of a segment discards it, so that no segment lacks a part of its preamble', async () => {
    const preamble = ['vote', 'term', 'point'];
    const { env, log } = await open(undefined, () => preamble);
    await log.append([payload('one')], true);
    const before = env.disk.journal.length;
    await log.rotate();
    const { at, write } = flushAfter(env.disk, before);
    for (let kept = 0; kept < write.bytes.length; kept++) {
      const loss: Loss = {
        write: (bytes) => (bytes === write.bytes ? kept : bytes.length),
        names: (pending) => pending,
      };
      const found = await open(afterPowerLoss(env.disk.journal.slice(0, at + 1), loss), () => preamble);
      const isWhole = found.replayed.length > 4;
      expect(found.replayed).toEqual(isWhole ? [...preamble, 'one', ...preamble] : [...preamble, 'one']);
      const place = await found.log.rotate();
      await found.log.release(place);
      expect((await open(found.env.disk.copy(), () => preamble)).replayed).toEqual(preamble);
    }
  });
});

describe('a disk that fails', () => {
  const full = new CairnError('DISK_FULL', 'the disk is full');
  const failed = new CairnError('DISK_FAILED', 'input/output error');

  for (const [kind, error] of [
    ['write', full],
    ['sync', failed],
  ] as const) {
    test(`at a ${kind} poisons the log: everything waiting and every later append is rejected with the cause`, async () => {
      const { env, log } = await open(undefined, undefined, 64 * 1024);
      await log.append([payload('held')], true);
      env.disk.before = (operation) => {
        if (operation.kind === kind) throw error;
      };
      const rejected = await Promise.allSettled([
        log.append([payload('a')], true),
        log.append([payload('b')], false),
        log.append([], true),
      ]);
      for (const outcome of rejected) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: error.code, cause: error } });
      }
      env.disk.before = () => {};
      expect(await code(log.append([payload('c')], true))).toBe(error.code);
      expect(await code(log.rotate())).toBe(error.code);
      expect(log.queuedBytes).toBe(0);
      await log.close();
      expect((await open(env.disk)).replayed[0]).toBe('held');
    });
  }

  test('while a segment is prepared stops nothing until it is needed, and not then if there is room again', async () => {
    const { env, log } = await open();
    await log.append([payload('first')], true);
    let refuse = true;
    env.disk.before = (operation) => {
      if (refuse && (operation.kind === 'create' || operation.kind === 'rename')) throw full;
    };
    await log.rotate();
    await log.append([payload('second')], true);
    refuse = false;
    await log.rotate();
    await log.append([payload('third')], true);
    expect((await open(env.disk.copy())).replayed).toEqual(['first', 'second', 'third']);
    refuse = true;
    await log.rotate();
    expect(await code(log.rotate())).toBe('DISK_FULL');
    expect((await open(env.disk.copy())).replayed).toEqual(['first', 'second', 'third']);
  });

  test('because it is full while a segment is prepared gets back what that took: the present segment and the store need it', async () => {
    const { env, log } = await open();
    await log.append([payload('first')], true);
    await log.rotate();
    const before = env.disk.journal.length;
    let written = 0;
    env.disk.before = (operation) => {
      if (operation.kind === 'write' && ++written > 1) throw full;
    };
    await log.rotate();
    await log.append([], true);
    env.disk.before = () => {};
    await log.close();
    const taken = env.disk.journal.slice(before).filter(({ kind }) => kind === 'create' || kind === 'truncate');
    expect(taken).toMatchObject([
      { kind: 'create', path: expect.stringMatching(/next\.tmp$/) },
      { kind: 'truncate', size: 0 },
    ]);
  });

  test('while segments are released releases no later one, so that no gap arises', async () => {
    const { env, log } = await open();
    for (let i = 0; i < 4; i++) {
      await log.append([payload(`in ${i}`)], true);
      await log.rotate();
    }
    env.disk.before = (operation) => {
      if (operation.kind === 'rename') throw failed;
    };
    expect(await code(log.release({ segment: 2, offset: 0 }))).toBe('DISK_FAILED');
    env.disk.before = () => {};
    expect(await code(log.release({ segment: 4, offset: 0 }))).toBe('DISK_FAILED');
    await log.append([payload('more')], true);
    expect((await open(env.disk.copy())).replayed).toEqual(['in 0', 'in 1', 'in 2', 'in 3', 'more']);
  });

  test('while segments are released makes no later one of a file whose old name may come back', async () => {
    const { env, log } = await open();
    for (let i = 0; i < 8; i++) {
      if (i === 4) {
        env.disk.before = (operation) => {
          if (operation.kind === 'syncDirectory') throw failed;
        };
        expect(await code(log.release({ segment: 3, offset: 0 }))).toBe('DISK_FAILED');
        env.disk.before = () => {};
      }
      await log.append([payload(`in ${i}`)], true);
      await log.rotate();
    }
    const { journal } = env.disk;
    for (let cut = 0; cut <= journal.length; cut++)
      await open(afterPowerLoss(journal.slice(0, cut), losses['nothing unsynced is kept']!));
  });

  test('or does not keep up makes appends be refused above a bound, and taken again below it', async () => {
    const { env, log } = await open(undefined, undefined, 2 ** 20);
    let release = (): void => {};
    await log.append([payload('first')], true);
    env.disk.syncGate = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const appended = [log.append([payload('held')], true)];
    while (env.disk.journal.at(-1)!.kind !== 'sync') await undefined;
    const large = new Uint8Array(queuedMaxBytes / 2);
    appended.push(log.append([large], false), log.append([large], false));
    expect(await code(log.append([payload('refused')], true))).toBe('BUSY');
    appended.push(log.append([], true)); // who only waits takes no room
    env.disk.syncGate = async () => {};
    release();
    await Promise.all(appended);
    await log.append([payload('taken')], true);
    expect(log.queuedBytes).toBe(0);
  });
});

describe('power loss', () => {
  test('takes nothing that was synced since a kill, though the one that was killed had not made the names of its segments durable', async () => {
    for (let kill = 1; kill <= 5; kill++) {
      const disk = new MemoryDisk();
      let syncs = 0;
      // It goes no further than this sync.
      disk.syncDirectory = (name) =>
        name === 'log' && ++syncs >= kill ? new Promise(() => {}) : MemoryDisk.prototype.syncDirectory.call(disk, name);
      const killed = open(disk).then(async ({ log }) => {
        for (const text of numbered(0, 60)) await log.append([payload(text)], true);
      });
      await Promise.race([killed, new Promise((resolve) => setImmediate(resolve))]);
      Reflect.deleteProperty(disk, 'syncDirectory');
      const { log, replayed } = await open(disk);
      const since = numbered(100, 160);
      for (const [n, text] of since.entries()) {
        await log.append([payload(text)], true);
        const found = await open(afterPowerLoss(disk.journal, losses['nothing unsynced is kept']!));
        const held = [...replayed, ...since.slice(0, n + 1)];
        expect(found.replayed, `killed in sync ${kill} of the directory`).toEqual(held);
      }
    }
  });

  /** Small enough that the log flushes by itself now and then, or what is usual. */
  const behinds = { '': undefined, ' and the log flushes by itself': 128 };
  const ways = Object.entries(losses).flatMap(([how, loss]) =>
    Object.entries(behinds).map(([more, behindBytes]) => [`${how}${more}`, loss, behindBytes] as const),
  );
  for (const [how, loss, behindBytes] of ways) {
    test(`after any operation, when ${how}, every acknowledged record is found, in order, and the log goes on`, async () => {
      const { env, log } = await open(undefined, () => ['preamble'], segmentBytes, behindBytes);
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
