import { expect, test } from 'vitest';
import { toInodeId } from '../../../core/base/brand.ts';
import { beginCopy, endCopy, firstCopy } from './copy-links.ts';
import { MapStore } from './map-store.test-support.ts';
import { Tables } from './tables.ts';

test('what is detached first is found wherever it is put, by tables that are made anew too', () => {
  const store = new MapStore();
  const tables = new Tables(store);
  const first = () => [tables.firstDetached()?.id, new Tables(store).firstDetached()?.id];
  const [three, five, seven] = [3, 5, 7].map(toInodeId);
  tables.detach(five!, { kind: 'tree' });
  tables.detach(seven!, { kind: 'tree' });
  expect(first()).toEqual([five, five]);
  tables.deleteDetached(five!);
  expect(first()).toEqual([seven, seven]);
  tables.detach(three!, { kind: 'tree' });
  expect(first()).toEqual([three, three]);
  for (const id of [three!, seven!]) tables.deleteDetached(id);
  expect(first()).toEqual([undefined, undefined]);
});

test('so is the first copy that is not complete', () => {
  const store = new MapStore();
  const tables = new Tables(store);
  const first = () => [firstCopy(tables), firstCopy(new Tables(store))];
  const link = { kind: 'tree', origin: 2, file: 0, cursor: '' } as const;
  for (const target of [5, 7]) beginCopy(tables, target, link);
  expect(first()).toEqual([5, 5]);
  endCopy(tables, 5, link);
  expect(first()).toEqual([7, 7]);
  beginCopy(tables, 3, link);
  expect(first()).toEqual([3, 3]);
  for (const target of [3, 7]) endCopy(tables, target, link);
  expect(first()).toEqual([undefined, undefined]);
  beginCopy(tables, 9, link);
  expect(first()).toEqual([9, 9]);
});
