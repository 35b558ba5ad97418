import { describe, expect, test } from 'vitest';
import { toChunkHandle, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import { blockBytes, type ChunkImage, forgottenMark, type WindowEntry } from '../storage/chunk-store.ts';
import { checksumsAfter, copySteps, stretchesOf } from './copying.ts';

const final = { version: toChunkVersion(7), serial: toMutationSerial(0) };

function entry(sequence: number): WindowEntry {
  return { writer: 1, sequence, offset: sequence * 10, lengthBytes: 10 };
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
  test('until the last one leave version and serial as they were, and the appends that both know; what else was known is forgotten', () => {
    const source = image(40 * blockBytes - 5, (block) => block + 1, [entry(1), entry(2)]);
    const target = image(3 * blockBytes, (block) => block + 1, [entry(2), entry(3)]);
    const steps = copySteps(source, target, final);
    expect(steps.map(({ version, serial }) => [version, serial])).toEqual([
      [3, 9],
      [3, 9],
      [7, 0],
    ]);
    expect(steps.map(({ window }) => window.map(({ sequence }) => sequence))).toEqual([
      [3, 2],
      [3, 2],
      [1, 2],
    ]);
    expect(steps[0]!.window[0]).toEqual(forgottenMark(3));
    expect(steps.map(({ lengthBytes }) => lengthBytes)).toEqual([19 * blockBytes, 35 * blockBytes, source.lengthBytes]);
    expect(steps.flatMap(({ blocks }) => blocks)).toEqual(Array.from({ length: 37 }, (_, i) => i + 3));
  });

  test('to a place where nothing is begin behind every other replica', () => {
    const steps = copySteps(
      image(20 * blockBytes, (block) => block),
      undefined,
      final,
    );
    expect(steps).toHaveLength(2);
    expect(steps[0]).toMatchObject({ version: 1, serial: 0, lengthBytes: 16 * blockBytes, window: [forgottenMark(1)] });
  });

  test('between equal replicas are one, without bytes, that takes the version', () => {
    const source = image(2 * blockBytes + 10, (block) => block);
    expect(copySteps(source, source, final)).toEqual([
      { ...final, lengthBytes: source.lengthBytes, window: [], blocks: [] },
    ]);
  });

  test('name blocks that differ, that have another length, and that are known to be bad', () => {
    const source = image(5 * blockBytes + 10, (block) => block);
    const target = image(5 * blockBytes + 20, (block) => (block === 1 ? 99 : block));
    expect(copySteps(source, target, final, [3]).map(({ blocks }) => blocks)).toEqual([[1, 3, 5]]);
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
  const steps = copySteps(source, undefined, final, [], 64 * blockBytes);
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
