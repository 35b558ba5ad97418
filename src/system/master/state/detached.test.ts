import { expect, test } from 'vitest';
import { toInodeId } from '../../../core/base/brand.ts';
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
