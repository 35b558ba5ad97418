import { describe, expect, test } from 'vitest';
import type { MutationSerial } from '../../../core/base/brand.ts';
import { blockBytes } from '../chunk-store.ts';
import { h, pattern, v } from './chunk-store.test-support.ts';
import type { MutatedRecord, ReplacedRecord } from './journal-record.ts';
import { Redo } from './redo.ts';

const known = { handle: h(1), version: v(1), serial: 1 as MutationSerial, window: [] };

function mutated(place: Partial<MutatedRecord>, data?: Uint8Array): MutatedRecord {
  const redo = data === undefined ? [] : [data];
  const record = { kind: 'mutated', ...known, lengthBefore: 0, lengthAfter: 0, offset: 0, dataBytes: 0 } as const;
  return { ...record, firstBlock: 0, checksums: [0], redo, redoBytes: data?.length ?? 0, ...place };
}

function replaced(lengthBytes: number, redo: ReplacedRecord['redo'] = []): ReplacedRecord {
  return { kind: 'replaced', ...known, lengthBytes, checksums: new Uint32Array(1), redo };
}

function applied(redo: Redo, block: number, before: Uint8Array): Uint8Array {
  const bytes = before.slice();
  redo.applyTo(block, bytes);
  return bytes;
}

describe('redo', () => {
  test('lays gap, data and padding over what the file holds, in the order of the journal', () => {
    const redo = new Redo();
    redo.mutated(mutated({ lengthAfter: 100, dataBytes: 100 }, pattern(100, 1)));
    redo.mutated(mutated({ lengthBefore: 100, offset: 150, dataBytes: 50, lengthAfter: 260 }, pattern(50, 2)));
    redo.mutated(mutated({ lengthBefore: 260, offset: 90, dataBytes: 20, lengthAfter: 260 }, pattern(20, 3)));
    const expected = new Uint8Array(260);
    expected.set(pattern(100, 1));
    expected.set(pattern(50, 2), 150);
    expected.set(pattern(20, 3), 90);
    expect(applied(redo, 0, pattern(260, 9))).toEqual(expected);
  });

  test('of what was cut away is void: it must not lie over what came later without redo', () => {
    const redo = new Redo();
    redo.mutated(mutated({ lengthAfter: 100, dataBytes: 100 }, pattern(100, 1)));
    redo.replaced(replaced(40), 100);
    redo.mutated(mutated({ lengthBefore: 40, lengthAfter: 300_000, offset: 40, dataBytes: 299_960 }));
    const bulk = pattern(300, 2);
    const expected = bulk.slice();
    expected.set(pattern(100, 1).subarray(0, 40));
    expect(applied(redo, 0, bulk)).toEqual(expected);
  });

  test('names the blocks to look at: those of the journal that the chunk still has', () => {
    const redo = new Redo();
    redo.mutated(mutated({ firstBlock: 1, checksums: [0, 0, 0] }));
    redo.replaced(replaced(5 * blockBytes), 4 * blockBytes);
    expect(redo.touched(5 * blockBytes)).toEqual([1, 2, 3, 4]);
    expect(redo.touched(2 * blockBytes + 1)).toEqual([1, 2]);
    expect([redo.has(0), redo.has(2)]).toEqual([false, false]);
    redo.replaced(replaced(5 * blockBytes, [{ block: 2, bytes: pattern(blockBytes, 1) }]), 5 * blockBytes);
    expect([1, 2, 3].map((block) => redo.has(block))).toEqual([false, true, false]);
  });

  test('knows what was written, also where the journal does not have it', () => {
    const redo = new Redo();
    const whole = { from: 0, to: blockBytes };
    const bulk = { offset: 100, dataBytes: 3 * blockBytes, lengthBefore: 100, lengthAfter: 100 + 3 * blockBytes };
    redo.mutated(mutated(bulk, pattern(1000, 1)));
    expect([0, 1, 2, 3, 4].map((block) => redo.has(block))).toEqual([true, false, false, false, false]);
    const ranges = [0, 1, 2, 3, 4].map((block) => redo.writtenIn(block));
    expect(ranges).toEqual([{ from: 100, to: blockBytes }, whole, whole, { from: 0, to: 100 }, undefined]);
    redo.replaced(replaced(2 * blockBytes + 50), bulk.lengthAfter);
    expect([1, 2, 3].map((block) => redo.writtenIn(block))).toEqual([whole, { from: 0, to: 50 }, undefined]);
  });
});
