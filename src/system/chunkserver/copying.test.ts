import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import { blockBytes, type ChunkImage, forgottenMark, type WindowEntry } from '../storage/chunk-store.ts';
import { checksumsAfter, copySteps, stretchesOf } from './copying.ts';

const final = { version: toChunkVersion(7), serial: toMutationSerial(0) };

function stepsOf(...of: Parameters<typeof copySteps>) {
  return [...copySteps(...of)];
}

function record(writer: number, sequence: number, offset: number, lengthBytes: number): WindowEntry {
  return { writer, sequence, offset, lengthBytes };
}

/** A replica whose block i has checksum `sum(i)`. */
function image(lengthBytes: number, sum: (block: number) => number, window: readonly WindowEntry[] = []): ChunkImage {
  const blocks = Math.ceil(lengthBytes / blockBytes);
  return {
    handle: toChunkHandle(5),
    version: toChunkVersion(3),
    serial: toMutationSerial(9),
    lengthBytes,
    blockChecksums: Uint32Array.from({ length: blocks }, (_, block) => sum(block)),
    window,
  };
}

describe('copy steps', () => {
  test('until the last one leave version and serial as they were, and know the appends whose bytes have come', () => {
    const [third, reach] = [3 * blockBytes, 19 * blockBytes];
    const known = [record(1, 1, 100, 10), record(1, 2, third - 100, 100)];
    const news = [record(1, 3, third, 500), record(2, 1, 20 * blockBytes, 10), record(1, 4, 36 * blockBytes, 10)];
    const source = image(40 * blockBytes - 5, (block) => block + 1, [...known, ...news]);
    const target = image(third, (block) => block + 1, known);
    const steps = stepsOf(source, target, final);
    expect(steps.map(({ version, serial }) => [version, serial])).toEqual([
      [3, 9],
      [3, 9],
      [7, 0],
    ]);
    expect(steps.map(({ window }) => window)).toEqual([
      [...known, news[0]],
      [...known, news[0], news[1]],
      [...known, ...news],
    ]);
    expect(steps.map(({ lengthBytes }) => lengthBytes)).toEqual([reach, 35 * blockBytes, source.lengthBytes]);
    expect(steps.flatMap(({ blocks }) => blocks)).toEqual(Array.from({ length: 37 }, (_, i) => i + 3));
  });

  test('end where a record ends: before one that would be cut, or behind it where it begins the step', () => {
    const long = record(1, 2, 10 * blockBytes + 5, 16 * blockBytes);
    const source = image(60 * blockBytes, (block) => block + 1, [record(1, 1, 0, 10), long]);
    const steps = stepsOf(source, undefined, final);
    const ends = [long.offset, long.offset + long.lengthBytes, 42 * blockBytes, 58 * blockBytes, source.lengthBytes];
    expect(steps.map(({ lengthBytes }) => lengthBytes)).toEqual(ends);
    expect(steps.map(({ blocks }) => [blocks[0], blocks.at(-1)])).toEqual([
      [0, 10],
      [10, 26],
      [26, 41],
      [42, 57],
      [58, 59],
    ]);
    expect(steps.map(({ window }) => window.length)).toEqual([1, 2, 2, 2, 2]);
  });

  test('end outside of all records that are there, though others that were cut off lay across them', () => {
    const cutOff = record(1, 1, 15 * blockBytes, 10 * blockBytes);
    const live = Array.from({ length: 15 }, (_, i) => record(2, i + 1, (10 + 2 * i) * blockBytes + i, 2 * blockBytes));
    const resized = record(7, 1, 10 * blockBytes, 0);
    const source = image(40 * blockBytes + 20, (block) => block, [cutOff, resized, ...live]);
    const steps = stepsOf(source, undefined, final);
    expect(steps.length).toBeGreaterThan(2);
    for (const { lengthBytes, window } of steps) {
      const cut = live.filter(({ offset, lengthBytes: bytes }) => offset < lengthBytes && offset + bytes > lengthBytes);
      expect([lengthBytes, cut]).toEqual([lengthBytes, []]);
      expect(window.includes(resized)).toBe(lengthBytes === source.lengthBytes);
    }
  });

  test('end within the last block of all where the last record begins there', () => {
    const last = record(1, 1, 2 * blockBytes + 5, 100);
    const source = image(last.offset + 100, (block) => block, [last]);
    const before = image(blockBytes, (block) => block);
    const steps = stepsOf({ ...source, lengthBytes: 3 * blockBytes - 5 }, before, final, [], blockBytes);
    expect(steps.map(({ lengthBytes, blocks }) => [lengthBytes, blocks])).toEqual([
      [2 * blockBytes, [1]],
      [3 * blockBytes - 5, [2]],
    ]);
    const wide = record(1, 1, blockBytes + 5, blockBytes);
    const cut = stepsOf({ ...source, window: [wide] }, before, final, [], blockBytes);
    expect(cut.map(({ lengthBytes, blocks }) => [lengthBytes, blocks])).toEqual([
      [wide.offset, [1]],
      [wide.offset + blockBytes, [1, 2]],
      [source.lengthBytes, [2]],
    ]);
  });

  test('that replace what is there come before those that lengthen, and know only what both know behind them', () => {
    const [both, own] = [record(1, 1, 30 * blockBytes, 10), record(2, 1, 10 * blockBytes, 10)];
    const source = image(50 * blockBytes, (block) => block + 1, [own, both]);
    const target = image(31 * blockBytes, (block) => (block < 5 ? 99 : block + 1), [both]);
    const steps = stepsOf(source, target, final);
    expect(steps.map(({ blocks }) => blocks.length)).toEqual([5, 16, 3]);
    expect(steps.map(({ lengthBytes }) => lengthBytes)).toEqual([31, 47, 50].map((blocks) => blocks * blockBytes));
    expect(stepsOf(source, target, final, [20], 2 * blockBytes)[0]!.window).toEqual([both]); // the third block differs still
    expect(steps[0]!.window).toEqual([own, both]);
  });

  test('know nothing for certain of a writer of whom the copy had records that the source has not', () => {
    const [mine, theirs] = [record(1, 1, 0, 10), record(1, 2, 10, 10)];
    const target = image(20, () => 1, [mine, theirs]);
    const source = image(20 * blockBytes, (block) => block, [mine, record(1, 2, 30, 10), record(2, 1, 50, 10)]);
    const older = { ...target, version: toChunkVersion(2) };
    expect(stepsOf(source, older, final)[0]!.window).toEqual([forgottenMark(3), record(2, 1, 50, 10)]);
  });

  test('to a place where nothing is begin behind every other replica', () => {
    const steps = stepsOf(
      image(20 * blockBytes, (block) => block),
      undefined,
      final,
    );
    expect(steps).toHaveLength(2);
    expect(steps[0]).toMatchObject({ version: 1, serial: 0, lengthBytes: 16 * blockBytes, window: [] });
  });

  test('between equal replicas are one, without bytes, that takes the version', () => {
    const source = image(2 * blockBytes + 10, (block) => block);
    expect(stepsOf(source, source, final)).toEqual([
      { ...final, lengthBytes: source.lengthBytes, window: [], blocks: [] },
    ]);
  });

  test('are laid out when they are asked for: a long window is gone over once or twice at a time', () => {
    let looks = 0;
    const counted = (sequence: number): WindowEntry => ({
      ...record(1, sequence, 0, 100),
      get offset() {
        looks += 1;
        return 100 * sequence;
      },
    });
    const window = Array.from({ length: 1000 }, (_, n) => counted(n));
    const source = image(64 * blockBytes, (block) => block, window);
    for (const step of copySteps(source, undefined, final, [], blockBytes)) {
      expect(step.blocks).toEqual([0]);
      break;
    }
    expect(looks).toBeLessThan(10 * window.length);
  });

  test('name blocks that differ, that have another length, and that are known to be bad', () => {
    const source = image(5 * blockBytes + 10, (block) => block);
    const target = image(5 * blockBytes + 20, (block) => (block === 1 ? 99 : block));
    expect(stepsOf(source, target, final, [3]).map(({ blocks }) => blocks)).toEqual([[1, 3, 5]]);
  });
});

test('neighbouring blocks are one stretch; the last block ends with the chunk', () => {
  expect(stretchesOf([0, 1, 4], 4 * blockBytes + 100)).toEqual([
    { first: 0, count: 2, offset: 0, length: 2 * blockBytes },
    { first: 4, count: 1, offset: 4 * blockBytes, length: 100 },
  ]);
});

test('a stretch is no longer than a packet, whatever a step takes', () => {
  const source = image(70 * blockBytes, (block) => block);
  const steps = stepsOf(source, undefined, final, [], 64 * blockBytes);
  expect(steps.map(({ blocks }) => blocks.length)).toEqual([64, 6]);
  const stretches = stretchesOf(steps[0]!.blocks, source.lengthBytes);
  expect(stretches.map(({ first, count }) => [first, count])).toEqual([
    [0, 16],
    [16, 16],
    [32, 16],
    [48, 16],
  ]);
});

test('checksums after a step are those that stay and those that come', () => {
  const present = Uint32Array.of(1, 2, 3);
  expect([...checksumsAfter(present, 2 * blockBytes, [{ block: 1, crc: 8 }])]).toEqual([1, 8]);
  expect([...checksumsAfter(present, 4 * blockBytes, [{ block: 3, crc: 9 }])]).toEqual([1, 2, 3, 9]);
});
