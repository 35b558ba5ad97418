import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Disk } from '../../core/base/env.ts';
import { nodeDisk } from './disk.ts';

let root: string;
let disk: Disk;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cairn-disk-'));
  disk = nodeDisk(root);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const bytes = (value: string): Uint8Array => Buffer.from(value);

async function contents(path: string): Promise<string> {
  const file = await disk.open(path, 'read');
  const into = Buffer.alloc(file.size());
  expect(await file.read(0, into)).toBe(into.length);
  await file.close();
  return into.toString();
}

describe('files', () => {
  test('parts are written one after another, and read back', async () => {
    const file = await disk.open('a', 'createNew');
    await file.write(0, [bytes('hello'), bytes(''), bytes(' world')]);
    file.writeNow(6, [bytes('W'), bytes('O')]);
    expect(file.size()).toBe(11);
    const into = Buffer.alloc(20);
    expect(file.readNow(6, into)).toBe(5);
    await file.sync();
    await file.truncate(8);
    await file.close();
    expect(await contents('a')).toBe('hello WO');
  });

  test('more parts than one system call takes are all written', async () => {
    const parts = Array.from({ length: 5000 }, (_, n) => bytes(`${n};`));
    const whole = Buffer.concat(parts).toString();
    const file = await disk.open('many', 'create');
    await file.write(0, parts);
    expect(await contents('many')).toBe(whole);
    file.writeNow(whole.length, parts);
    expect(await contents('many')).toBe(whole + whole);
    await file.close();
  });

  test('close waits for what is under way', async () => {
    const file = await disk.open('a', 'create');
    const writing = file.write(0, [Buffer.alloc(1 << 20, 7)]);
    await file.close();
    await writing;
    expect((await contents('a')).length).toBe(1 << 20);
  });
});

describe('names', () => {
  test.each(['../x', '/etc/passwd', 'a/../../x', 'a//b', './a', 'a/..', 'a\0b'])('%j is refused', async (path) => {
    await expect(disk.open(path, 'create')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(disk.rename('a', path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(() => disk.openNow(path, 'create')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test('errors carry codes and the cause', async () => {
    await expect(disk.open('none', 'read')).rejects.toMatchObject({ code: 'NOT_FOUND', cause: { code: 'ENOENT' } });
    await (await disk.open('a', 'createNew')).close();
    await expect(disk.open('a', 'createNew')).rejects.toMatchObject({ code: 'EXISTS', cause: { code: 'EEXIST' } });
    await expect(disk.open('a/b', 'create')).rejects.toMatchObject({ code: 'DISK_FAILED', cause: { code: 'ENOTDIR' } });
    await expect(disk.remove('none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const readOnly = disk.openNow('a', 'read');
    expect(() => readOnly.writeNow(0, [bytes('x')])).toThrow(expect.objectContaining({ code: 'DISK_FAILED' }));
    await readOnly.close();
  });

  test('directories are made with their parents, listed in order, renamed and removed', async () => {
    await disk.makeDirectory('x/y/z');
    await disk.makeDirectory('x/y/z');
    for (const name of ['b', 'a', 'c']) await disk.openNow(`x/${name}`, 'create').close();
    expect(await disk.list('x')).toEqual(['a', 'b', 'c', 'y']);
    await disk.rename('x/b', 'x/a');
    await disk.syncDirectory('x');
    await disk.remove('x/y/z');
    expect(await disk.list('x/y')).toEqual([]);
    expect(await disk.exists('x/b')).toBe(false);
    expect(await disk.exists('x/a')).toBe(true);
    expect(await disk.list('')).toEqual(['x']);
    await expect(disk.remove('x')).rejects.toMatchObject({ code: 'DISK_FAILED', cause: { code: 'ENOTEMPTY' } });
  });

  test('usage tells the bytes of the file system', async () => {
    const usage = await disk.usage();
    expect(usage.totalBytes).toBeGreaterThan(usage.freeBytes);
    expect(usage.freeBytes).toBeGreaterThan(0);
  });
});

describe('a full disk', () => {
  const small = join(tmpdir(), `cairn-small-${process.pid}`);
  let mounted = false;

  beforeAll(() => {
    mkdirSync(small);
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).status === 0;
    return () => {
      if (mounted) spawnSync('umount', [small]);
      rmdirSync(small);
    };
  });

  test('is DISK_FULL, after what fitted has been written', async ({ skip }) => {
    if (!mounted) skip('mounting a small file system needs root');
    const full = nodeDisk(small);
    const file = await full.open('f', 'create');
    const parts = [Buffer.alloc(700_000, 1), Buffer.alloc(700_000, 2)];
    await expect(file.write(0, parts)).rejects.toMatchObject({ code: 'DISK_FULL', cause: { code: 'ENOSPC' } });
    expect(file.size()).toBeGreaterThan(700_000);
    expect(() => file.writeNow(0, parts)).toThrow(expect.objectContaining({ code: 'DISK_FULL' }));
    const aligned = full.allocate(2 << 20);
    await expect(file.write(0, [aligned])).rejects.toMatchObject({ code: 'DISK_FULL' });
    await file.truncate(0);
    await file.write(0, [aligned.subarray(0, 1 << 19)]);
    await file.close();
  });
});

test('a flush may be made as slow as another disk is', async () => {
  const slow = nodeDisk(root, { extraFlushMs: 20 });
  const file = await slow.open('a', 'create');
  const before = performance.now();
  await file.sync();
  expect(performance.now() - before).toBeGreaterThanOrEqual(19);
  await file.close();
});
