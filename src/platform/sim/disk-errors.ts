/** What a simulated disk throws: the same codes as a real one, with the errno in the cause. */
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';

const codes = {
  ENOSPC: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  EEXIST: 'EXISTS',
  EIO: 'DISK_FAILED',
  EBADF: 'DISK_FAILED',
  EISDIR: 'DISK_FAILED',
  ENOTDIR: 'DISK_FAILED',
  ENOTEMPTY: 'DISK_FAILED',
} as const satisfies Readonly<Record<string, ErrorCode>>;

export type Errno = keyof typeof codes;

export function diskError(errno: Errno, action: string, path: string): CairnError {
  const where = path === '' ? 'the root' : path;
  return new CairnError(codes[errno], `${action} ${where} failed: ${errno}`, { cause: new Error(errno) });
}
