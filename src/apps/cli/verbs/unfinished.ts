/** What is made beside its target and takes its name when it is whole: what fails or is interrupted leaves the target as it was. */
import { randomBytes } from 'node:crypto';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import { joinPath } from './entries.ts';
import { takingBack } from './interrupt.ts';
import { statIfThere } from './targets.ts';

/** Taking back what was made so far, when the cluster may be what failed. */
const removeMaxMs = 2000;

/** Passes a promise on: what it makes can be taken back only when it has come. */
type Beginning = <S>(creating: Promise<S>) => Promise<S>;

/**
 * @param make makes it under the name it is given; what it tells `beginning` of ends soon when the signal is aborted
 * @returns what `make` returns
 * @throws CairnError IS_A_DIRECTORY, EXISTS before anything is made; what `make` throws, with the name that the user knows
 */
export async function takingItsPlace<T>(
  cairn: Cairn,
  target: string,
  replace: boolean,
  make: (unfinished: string, beginning: Beginning, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const there = await statIfThere(cairn, target);
  if (there?.isDirectory() === true) throw new CairnError('IS_A_DIRECTORY', `${target}: is a directory; name a file`);
  if (there !== undefined && !replace)
    throw new CairnError('EXISTS', `${target}: exists already; remove it first or choose another name`);
  const unfinished = joinPath(parentOf(target), `.put-${randomBytes(8).toString('hex')}`);
  const remove = () =>
    cairn.rm(unfinished, {
      ...{ recursive: true, force: true, trash: false }, // nobody would want it back
      signal: AbortSignal.timeout(removeMaxMs),
    });
  let begun: Promise<unknown> = Promise.resolve();
  const beginning: Beginning = (creating) => {
    begun = creating.catch(() => undefined); // whoever waits for it is told
    return creating;
  };
  const stop = new AbortController();
  const takeBack = async () => {
    stop.abort();
    await begun;
    await remove();
  };
  return takingBack(takeBack, async () => {
    try {
      const made = await make(unfinished, beginning, stop.signal);
      await cairn.rename(unfinished, target, { replace });
      return made;
    } catch (thrown) {
      if (stop.signal.aborted) return new Promise<never>(() => {}); // the program ends, as soon as all is taken back
      await remove().catch(() => undefined); // the first error is the one to report
      const { code, message, hint } = toCairnError(thrown);
      throw new CairnError(code, message.replaceAll(unfinished, target), { cause: thrown, hint });
    }
  });
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.replace(/\/+$/, '').lastIndexOf('/')));
}
