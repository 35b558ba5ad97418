import { expect, test } from 'vitest';
import { blockBytes } from '../chunk-store.ts';
import type { MutatedRecord, ReplacedRecord } from './journal-record.ts';
import { Redo } from './redo.ts';

function appended(offset: number, bytes: number, redoBytes = bytes): MutatedRecord {
  const lengths = { offset, dataBytes: bytes, redoBytes, lengthBefore: offset, lengthAfter: offset + bytes };
  const redo = [new Uint8Array(redoBytes).fill(7)];
  return { ...lengths, redo, firstBlock: Math.floor(offset / blockBytes), checksums: [0] } as unknown as MutatedRecord;
}

function cutTo(lengthBytes: number): ReplacedRecord {
  return { lengthBytes, redo: [] } as unknown as ReplacedRecord;
}

test('what reaches into several blocks is in each of them; of what was cut off nothing is left, at a border of blocks too', () => {
  const redo = new Redo();
  redo.mutated(appended(blockBytes - 10, 2 * blockBytes));
  expect([0, 1, 2, 3].map((block) => redo.writtenIn(block))).toEqual([
    { from: blockBytes - 10, to: blockBytes },
    { from: 0, to: blockBytes },
    { from: 0, to: blockBytes - 10 },
    undefined,
  ]);
  redo.replaced(cutTo(blockBytes + 5), 3 * blockBytes - 10);
  expect([1, 2].map((block) => redo.writtenIn(block))).toEqual([{ from: 0, to: 5 }, undefined]);
  const bytes = new Uint8Array(5);
  expect([redo.applyTo(1, bytes), [...bytes]]).toEqual([true, [7, 7, 7, 7, 7]]);
  redo.replaced(cutTo(blockBytes), blockBytes + 5);
  expect([0, 1].map((block) => redo.has(block))).toEqual([true, false]);
});

test('what was written and is not in the journal counts as written, and is not done again', () => {
  const redo = new Redo();
  redo.mutated(appended(100, blockBytes, 0));
  redo.replaced(cutTo(200), 100 + blockBytes);
  expect([redo.writtenIn(0), redo.writtenIn(1)]).toEqual([{ from: 100, to: 200 }, undefined]);
  expect(redo.has(0)).toBe(false);
});
