/** A directory, with those above it that are missing. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { CairnError } from '../../core/base/errors.ts';

/**
 * Not with `recursive`, which Node lets run for ever where the kernel answers ENOENT to each attempt, below /proc say.
 * @throws CairnError LOCAL_IO
 */
export function makeDirectory(dir: string): void {
  try {
    makeWithParents(dir);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'a file is in the way' : message;
    throw new CairnError('LOCAL_IO', `cannot make the directory ${dir}: ${why}; choose another`, { cause });
  }
}

function makeWithParents(dir: string): void {
  if (isDirectory(dir)) return;
  const parent = dirname(dir);
  if (parent !== dir) makeWithParents(parent);
  try {
    mkdirSync(dir);
  } catch (cause) {
    if (!isDirectory(dir)) throw cause; // another process may just have made it
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
