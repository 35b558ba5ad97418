/** How much there is at a path and below it. */
import type { ClientCore } from './core.ts';
import { walkParallel } from './limits.ts';
import type { CallOptions } from './opening.ts';
import { Stats, settledSize } from './stats.ts';
import { childPath, entriesOf, type OnUnreached, unlessGone, workThrough } from './tree.ts';

export interface Usage {
  readonly files: number;
  /** The one at the path included. */
  readonly directories: number;
  /** Sizes of files added up, once, whatever their replication. */
  readonly bytes: number;
  /** The same times each file's replication. */
  readonly storedBytes: number;
  /** False if there are files whose last chunk nobody could be asked about: there are at least so many bytes. */
  readonly isExact: boolean;
}

export interface UsageOptions extends CallOptions {
  /** Without it such a thing is an error. */
  readonly onUnreached?: OnUnreached | undefined;
}

/** What goes away meanwhile is passed over. @throws CairnError NOT_FOUND for the path itself */
export async function usageOf(core: ClientCore, path: string, options: UsageOptions): Promise<Usage> {
  const { signal, onUnreached } = options;
  const sum = { files: 0, directories: 0, bytes: 0, storedBytes: 0, isExact: true };
  const add = (stats: Stats): void => {
    if (stats.isDirectory()) sum.directories += 1;
    else sum.files += 1;
    sum.isExact &&= stats.isSizeExact;
    sum.bytes += stats.size;
    sum.storedBytes += stats.size * stats.replication;
  };
  const { attributes, size } = await settledSize(core, () => core.masters.read('stat', { path }));
  const root = new Stats(attributes, size, true);
  add(root);
  const addEntries = async (directory: string): Promise<readonly string[]> => {
    const below: string[] = [];
    for await (const page of entriesOf(core, directory, { withAttributes: true, signal })) {
      for (const entry of page) {
        add(entry.stats!);
        if (entry.isDirectory()) below.push(childPath(entry));
      }
    }
    return below;
  };
  await workThrough(root.isDirectory() ? [path] : [], walkParallel, (directory) =>
    directory === path ? addEntries(path) : unlessGone(directory, onUnreached, addEntries),
  );
  return sum;
}
