/** What the file system's errors are called in Cairn. */
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  EEXIST: 'EXISTS',
};

/** `thrown` as a CairnError; `action` names the operation and the path. */
export function diskError(action: string, thrown: unknown): CairnError {
  const errno = errnoOf(thrown);
  const code = codes[errno] ?? 'DISK_FAILED';
  const advice = code === 'DISK_FULL' ? ': the disk is full; free space on it' : '';
  return new CairnError(code, `${action} failed: ${errno}${advice}`, { cause: thrown });
}

/** The platform's name of an error (`ENOENT` …), or its text where it has none. */
export function errnoOf(thrown: unknown): string {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return String(thrown);
}
