/** What the file system's errors are called in Cairn. */
import { CairnError, type ErrorCode } from '../../core/base/errors.ts';

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  EEXIST: 'EXISTS',
  // of this process or its machine, and not for long: they say nothing about what is on the disk
  EMFILE: 'BUSY',
  ENFILE: 'BUSY',
  ENOMEM: 'BUSY',
};

const advices: Readonly<Record<string, string>> = {
  ENOSPC: ': the disk is full; free space on it',
  EDQUOT: ': the disk is full; free space on it',
  EMFILE: ': this process has as many files and connections open as it may; raise its limit (ulimit -n)',
  ENFILE: ': this machine has as many files open as it can; raise its limit (fs.file-max)',
  ENOMEM: ': this machine is out of memory',
};

/** `thrown` as a CairnError; `action` names the operation and the path. */
export function diskError(action: string, thrown: unknown): CairnError {
  const errno = errnoOf(thrown);
  const code = codes[errno] ?? 'DISK_FAILED';
  return new CairnError(code, `${action} failed: ${errno}${advices[errno] ?? ''}`, { cause: thrown });
}

/** The platform's name of an error (`ENOENT` …), or its text where it has none. */
export function errnoOf(thrown: unknown): string {
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return String(thrown);
}
