import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../core/base/crc32.ts';
import { decodeMap, openFileMap } from './file-map.ts';
import { MemoryDisk, testEnv } from './memory-disk.test-support.ts';
import { OverlayStore } from './overlay-store.ts';
import { decodeSegmentHeader, SegmentImage } from './wal/format.ts';
import { openWriteAheadLog } from './wal/open-write-ahead-log.ts';

/** The worked example of a page: its block of `hex` lines (offset, up to sixteen bytes). */
function example(page: string): Uint8Array {
  const text = readFileSync(new URL(`../../../docs/formats/${page}`, import.meta.url), 'utf8');
  const block = /```hex\n([\s\S]*?)```/.exec(text)![1]!;
  const bytes: number[] = [];
  for (const line of block.trim().split('\n')) {
    const [offset, ...pairs] = line.trim().split(/\s+/);
    expect(Number.parseInt(offset!, 16)).toBe(bytes.length);
    bytes.push(...pairs.map((pair) => Number.parseInt(pair, 16)));
  }
  return Uint8Array.from(bytes);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

const logId = 0x1234_5678_9abc;

describe('docs/formats/write-ahead-log.md', () => {
  test('its example decodes to what the page says', () => {
    const bytes = example('write-ahead-log.md');
    expect(decodeSegmentHeader(bytes, crc32)).toEqual({ formatVersion: 1, segment: 1, logId });
    const image = new SegmentImage(bytes, 1, logId, crc32);
    expect(image.link()).toEqual({ previousEnd: 0, preambleEnd: 108 });
    expect([88, 108, 132].map((offset) => image.recordAt(offset))).toEqual([4, 5, 0]);
    expect(String.fromCharCode(...image.payloadAt(88, 4), ...image.payloadAt(108, 5))).toBe('votehello');
    expect(image.soundPart().end).toBe(bytes.length);
  });

  test('its example is what the log writes', async () => {
    const env = { ...testEnv(), random: { ...testEnv().random, id53: () => logId } };
    const log = await openWriteAheadLog(env, {
      directory: 'log',
      segmentBytes: 4096,
      preamble: () => [ascii('vote')],
      replay: () => {},
    });
    await log.append([ascii('hello')], true);
    await log.close();
    const bytes = example('write-ahead-log.md');
    expect(env.disk.bytesOf('log/0000000000000001.wal').subarray(0, bytes.length)).toEqual(bytes);
  });
});

describe('docs/formats/ordered-store.md', () => {
  test('its example decodes to what the page says', async () => {
    const bytes = example('ordered-store.md');
    const pairs = [...decodeMap(bytes, crc32, 'example').entries()];
    expect(pairs.map(([key]) => key)).toEqual(['\x00', 'a', 'b']);
    expect(pairs[1]![1]).toEqual(ascii('one'));
    const env = testEnv(MemoryDisk.of(new Map([['state/map', bytes]])));
    expect(new OverlayStore(await openFileMap(env, 'state')).appliedIndex).toBe(7);
  });

  test('its example is what the store writes', async () => {
    const env = testEnv();
    const store = new OverlayStore(await openFileMap(env, 'state'));
    store.put('b', ascii('two'));
    store.put('a', ascii('one'));
    store.applied(7);
    await store.flush();
    expect(env.disk.bytesOf('state/map')).toEqual(example('ordered-store.md'));
  });
});
