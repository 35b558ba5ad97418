import { describe, expect, it } from 'vitest';
import { toInodeId } from '../../../core/base/brand.ts';
import { NewNames } from './new-names.ts';

const young = toInodeId(100);

function withNames(count: number): NewNames {
  const names = new NewNames(100);
  for (let i = 0; i < count; i++) names.put(young, `name-${i}`, 101);
  return names;
}

describe('new names', () => {
  it('lack nothing that was put, in however many filters', () => {
    const names = withNames(30_000);
    const lacking = Array.from({ length: 30_000 }, (_, i) => names.lacks(young, `name-${i}`)).filter((lacks) => lacks);
    expect(lacking).toEqual([]);
  });

  it('lack nearly all that was not put, also in another directory', () => {
    const names = withNames(30_000);
    let lacking = 0;
    for (let i = 0; i < 10_000; i++) {
      if (names.lacks(young, `other-${i}`)) lacking += 1;
      if (names.lacks(toInodeId(7_000_000_000), `name-${i}`)) lacking += 1;
    }
    expect(lacking).toBeGreaterThan(19_600);
  });

  it('say nothing of directories that were there before them', () => {
    const names = new NewNames(100);
    expect(names.lacks(toInodeId(99), 'a')).toBe(false);
    expect(names.lacks(toInodeId(100), 'a')).toBe(true);
  });

  it('say nothing of a directory that was there when they began anew', () => {
    const names = new NewNames(100, 4096);
    for (let i = 0; i < 1024 + 4096; i++) names.put(young, `name-${i}`, 101);
    expect(names.lacks(young, 'other')).toBe(true);
    names.put(young, 'one too many', 201);
    for (const name of ['one too many', 'name-1', 'other']) expect(names.lacks(young, name)).toBe(false);
    expect(names.lacks(toInodeId(200), 'a')).toBe(false);
    expect(names.lacks(toInodeId(201), 'a')).toBe(true);
    names.put(toInodeId(201), 'a', 202);
    expect(names.lacks(toInodeId(201), 'a')).toBe(false);
  });
});
