/** A directory whose name survives a power loss. */
import type { Disk } from '../../core/base/env.ts';

/** Makes it with its missing parents; all their names are durable when it resolves. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  await disk.makeDirectory(path);
  const names = path.split('/');
  for (let depth = names.length - 1; depth >= 0; depth--) await disk.syncDirectory(names.slice(0, depth).join('/'));
}
