import { expect, test } from 'vitest';
import { diskError } from './disk-errors.ts';

const failing = (code: string) => diskError('open of chunks/1', Object.assign(new Error(code), { code }));

test('what the disk fails with is told apart from what this machine has not enough of just now', () => {
  expect(['EIO', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOENT'].map((errno) => failing(errno).code)).toEqual([
    'DISK_FAILED',
    'DISK_FAILED',
    'DISK_FULL',
    'DISK_FULL',
    'NOT_FOUND',
  ]);
  expect(['EMFILE', 'ENFILE', 'ENOMEM'].map((errno) => failing(errno).code)).toEqual(['BUSY', 'BUSY', 'BUSY']);
  expect(failing('EMFILE').message).toMatch(/open of chunks\/1 failed: EMFILE: .*ulimit/);
});
