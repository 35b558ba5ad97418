import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskBlockBytes } from '../../core/base/env.ts';
import { openDirect } from './direct-io.ts';
import { asksForHugePages, mappedArena, withHugePages } from './huge-pages.ts';

describe('the environment of a process with huge pages', () => {
  test('asks for them, beside what it says already', () => {
    expect(asksForHugePages({})).toBe(false);
    expect(withHugePages({ PATH: '/bin' })).toEqual({ PATH: '/bin', GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' });
    const more = withHugePages({ GLIBC_TUNABLES: 'glibc.malloc.check=1' });
    expect(more).toEqual({ GLIBC_TUNABLES: 'glibc.malloc.check=1:glibc.malloc.hugetlb=1' });
    expect(asksForHugePages(more)).toBe(true);
  });

  test('is left alone by who has chosen already', () => {
    const chosen = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=0' };
    expect(withHugePages(chosen)).toBe(chosen);
    expect(asksForHugePages(chosen)).toBe(false);
  });
});

describe('an arena of a mapping of its own', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(process.cwd(), 'node_modules', '.huge-pages-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  test('is zeroed, and each of its blocks goes to the disk directly and comes from it', ({ skip }) => {
    const arena = mappedArena(40 * 1024 * 1024);
    if (arena === undefined) return skip('the C library, or the file system of this program, is another one');
    const { bytes, bufferBehind } = arena;
    expect((bytes.byteOffset + bufferBehind) % diskBlockBytes).toBe(0);
    expect(bytes.length).toBe(40 * 1024 * 1024);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    const file = openSync(join(root, 'f'), 'w+');
    const direct = openDirect(file, true, { open: true });
    if (direct === undefined) return skip('the file system here takes no direct input and output');
    const last = bytes.subarray(bytes.length - diskBlockBytes).fill(7);
    expect(writeSync(direct, last, 0, last.length, 0)).toBe(diskBlockBytes);
    const second = bytes.subarray(diskBlockBytes, 2 * diskBlockBytes);
    expect(readSync(direct, second, 0, second.length, 0)).toBe(diskBlockBytes);
    expect(Buffer.compare(second, last)).toBe(0);
    expect(() => readSync(direct, bytes.subarray(1), 0, diskBlockBytes, 0)).toThrow(/EINVAL/);
    expect(fstatSync(file).size).toBe(diskBlockBytes);
    closeSync(direct);
    closeSync(file);
  });
});
