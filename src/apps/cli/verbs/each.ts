/** A verb over several paths: what fails is told and the others are done all the same, as rm and ls do. */
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { Invocation } from '../invocation.ts';
import { reportError } from '../output.ts';

/** @throws CairnError what concerns the cluster and not one path: the next would fail as well */
export async function forEachPath(
  { json }: Invocation,
  paths: readonly string[],
  work: (path: string) => Promise<void>,
): Promise<void> {
  for (const path of paths) {
    try {
      await work(path);
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.retry !== 'never' || paths.length === 1) throw error;
      reportError(error, json, path);
    }
  }
}

/** For what fails at one thing of many below a path. */
export function telling({ json }: Invocation): (path: string, error: CairnError) => void {
  return (path, error) => reportError(error, json, path);
}
