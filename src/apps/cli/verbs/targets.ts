/** Where something goes that is copied or moved. */
import { toCairnError } from '../../../core/base/errors.ts';
import type { Cairn, Stats } from '../../library/client.ts';
import { baseName, joinPath } from './entries.ts';

/** `to`, or the same name inside it if it is a directory. */
export async function intoDirectory(cairn: Cairn, from: string, to: string): Promise<string> {
  const found = await statIfThere(cairn, to);
  return found?.isDirectory() === true ? joinPath(to, baseName(from)) : to;
}

export async function statIfThere(cairn: Cairn, path: string): Promise<Stats | undefined> {
  try {
    return await cairn.stat(path);
  } catch (thrown) {
    if (toCairnError(thrown).code === 'NOT_FOUND') return undefined;
    throw thrown;
  }
}
