import { describe, expect, test } from 'vitest';
import { type ChunkHandle, toChunkHandle, toChunkVersion, toMutationSerial } from '../../core/base/brand.ts';
import type { CairnError } from '../../core/base/errors.ts';
import { inventoryPageMax } from '../../core/protocol/master-calls.ts';
import type { ChunkInfo } from '../storage/chunk-store.ts';
import { Inventory } from './inventory.ts';

const everyMs = 1000;

/** So many chunks, handles from 1. */
function storeOf(count: number) {
  const list = (after: ChunkHandle | undefined, limit: number): ChunkInfo[] => {
    const from = (after ?? 0) + 1;
    const length = Math.max(0, Math.min(limit, count - from + 1));
    return Array.from({ length }, (_, i) => ({
      handle: toChunkHandle(from + i),
      version: toChunkVersion(1),
      serial: toMutationSerial(0),
      lengthBytes: 0,
    }));
  };
  return { list };
}

function codeAt(inventory: Inventory, handle: number): string {
  try {
    inventory.mustBeConfirmed(toChunkHandle(handle));
    return 'OK';
  } catch (thrown) {
    return (thrown as CairnError).code;
  }
}

const many = inventoryPageMax + 10;

describe('an inventory', () => {
  test('goes page by page without a pause until all was told, then one page in a while', () => {
    const inventory = new Inventory(everyMs);
    const store = storeOf(many);
    const pages = [];
    for (let now = 0; inventory.isUrgent; now++) {
      const page = inventory.page(store, now);
      pages.push([page.from, page.to, page.held.length]);
      inventory.answered(page);
    }
    expect(pages).toEqual([
      [1, inventoryPageMax, inventoryPageMax],
      [inventoryPageMax + 1, Number.MAX_SAFE_INTEGER, 10],
    ]);
    expect(inventory.page(store, 500).held).toHaveLength(0);
    expect(inventory.page(store, 1500).held).toHaveLength(inventoryPageMax);
  });

  test('repeats a page that was not answered', () => {
    const inventory = new Inventory(everyMs);
    const first = inventory.page(storeOf(3), 0);
    expect(inventory.page(storeOf(3), 1)).toEqual(first);
  });

  test('serves a chunk again only when a page that names it was answered', () => {
    const inventory = new Inventory(everyMs);
    const store = storeOf(many);
    expect([codeAt(inventory, 1), codeAt(inventory, many)]).toEqual(['LEASE_EXPIRED', 'LEASE_EXPIRED']);
    inventory.answered(inventory.page(store, 0));
    expect([codeAt(inventory, 1), codeAt(inventory, many)]).toEqual(['OK', 'LEASE_EXPIRED']);
    inventory.answered(inventory.page(store, 1));
    expect([codeAt(inventory, 1), codeAt(inventory, many)]).toEqual(['OK', 'OK']);
    // A further round changes nothing; a lapsed session does.
    inventory.beginRound();
    expect(codeAt(inventory, many)).toBe('OK');
    inventory.doubtAll();
    expect(codeAt(inventory, 1)).toBe('LEASE_EXPIRED');
  });

  test('does not count a page that was asked for before the session lapsed', () => {
    const inventory = new Inventory(everyMs);
    const page = inventory.page(storeOf(3), 0);
    inventory.doubtAll();
    inventory.answered(page);
    expect(codeAt(inventory, 1)).toBe('LEASE_EXPIRED');
    expect(inventory.isUrgent).toBe(true);
    inventory.answered(inventory.page(storeOf(3), 1));
    expect(codeAt(inventory, 1)).toBe('OK');
  });

  test('tells of damage until the master has heard it, and remembers it until it is mended', () => {
    const inventory = new Inventory(everyMs);
    const handle = toChunkHandle(7);
    inventory.markDamaged(handle);
    expect(inventory.damagedPage()).toEqual([7]);
    inventory.damageReported([handle]);
    inventory.markDamaged(handle);
    expect(inventory.damagedPage()).toEqual([]);
    expect(inventory.isDamaged(handle)).toBe(true);
    inventory.mended(handle);
    expect(inventory.isDamaged(handle)).toBe(false);
  });

  test('tells of damage that stays once in each round: it was no member when it told of it first', () => {
    const inventory = new Inventory(everyMs);
    const handle = toChunkHandle(3);
    inventory.answered(inventory.page(storeOf(3), 0));
    inventory.markDamaged(handle);
    inventory.damageReported(inventory.damagedPage());
    expect(inventory.damagedPage()).toEqual([]);
    inventory.answered(inventory.page(storeOf(3), everyMs));
    expect(inventory.damagedPage()).toEqual([handle]);
    inventory.mended(handle);
    inventory.answered(inventory.page(storeOf(3), 2 * everyMs));
    expect(inventory.damagedPage()).toEqual([]);
  });
});
