/** Where something goes that is copied or moved. */
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { Cairn, Stats } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';
import { baseName, joinPath } from './entries.ts';

/**
 * Does `work` for each of the arguments but the last, with where it goes: the last one, or the same name inside that if it is a directory.
 * @throws CairnError USAGE; NOT_A_DIRECTORY where several have only one name to take
 */
export async function forEachSource(
  invocation: Invocation,
  verb: string,
  work: (cairn: Cairn, from: string, target: string) => Promise<void>,
): Promise<void> {
  const sources = invocation.args.slice(0, -1);
  const to = invocation.args.at(-1)!;
  if (sources.length === 0)
    throw new CairnError('USAGE', `missing required argument 'to'; see \`cairn ${verb} --help\``);
  const taken = new TakenTargets();
  await withCluster(invocation, async (cairn) => {
    const isDirectory = (await statIfThere(cairn, to))?.isDirectory() === true;
    if (sources.length > 1 && !isDirectory)
      throw new CairnError('NOT_A_DIRECTORY', `${to} is not a directory; several sources need one to go to`);
    await forEachPath(invocation, sources, async (from) => {
      if (!isDirectory && to.endsWith('/') && (await cairn.stat(from)).isFile())
        throw new CairnError('NOT_FOUND', `${to}: there is no such directory; make it first, or leave out the last /`);
      const target = isDirectory ? joinPath(to, baseName(from)) : to;
      taken.take(target, from);
      await work(cairn, from, target);
    });
  });
}

/** Where the sources of one call have gone: of two with one name the second would silently take the place of the first. */
export class TakenTargets {
  readonly #sources = new Map<string, string>();

  /** @throws CairnError EXISTS */
  take(target: string, from: string): void {
    const first = this.#sources.get(target);
    if (first !== undefined)
      throw new CairnError(
        'EXISTS',
        `${from}: ${first} goes to ${target} too, and would be replaced; choose another place for one of them`,
      );
    this.#sources.set(target, from);
  }
}

/** `to`, or the same name inside it if it is a directory. */
export async function intoDirectory(cairn: Cairn, from: string, to: string): Promise<string> {
  const found = await statIfThere(cairn, to);
  return found?.isDirectory() === true ? joinPath(to, baseName(from)) : to;
}

/** What is to be made is missing: its directory is. */
export function parentIsMissing(path: string, advice: string): (thrown: unknown) => never {
  return (thrown) => {
    const error = toCairnError(thrown);
    if (error.code !== 'NOT_FOUND') throw error;
    throw new CairnError('NOT_FOUND', `${path}: its directory does not exist; ${advice}`, { cause: thrown });
  };
}

export async function statIfThere(cairn: Cairn, path: string): Promise<Stats | undefined> {
  try {
    return await cairn.stat(path);
  } catch (thrown) {
    if (toCairnError(thrown).code === 'NOT_FOUND') return undefined;
    throw thrown;
  }
}
