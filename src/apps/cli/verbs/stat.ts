/** `cairn stat`. */

import type { Invocation } from '../invocation.ts';
import { formatBytes, formatCount, formatName, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';
import { showEntry } from './entries.ts';
import { ageOf, type StaleFlag, shadowFor, tellAge } from './stale.ts';

export async function run(invocation: Invocation): Promise<void> {
  await withCluster(invocation, async (cairn) => {
    const shadow = shadowFor(cairn, invocation.options as StaleFlag);
    await forEachPath(invocation, invocation.args, async (path) => {
      const entry = showEntry(path, await (shadow ?? cairn).stat(path));
      if (invocation.json) {
        printJson({ ...entry, ...ageOf(shadow) });
        return;
      }
      const what =
        entry.kind === 'directory'
          ? `directory of ${formatCount(entry.entries ?? 0, 'entry', 'entries')}`
          : `file of ${entry.isSizeExact === false ? 'at least ' : ''}${formatCount(entry.size, 'byte')}${entry.size < 1024 ? '' : ` (${formatBytes(entry.size)})`} in ${formatCount(entry.chunks, 'chunk')} of ${formatBytes(entry.chunkBytes)}`;
      printLine(`${formatName(path)}: ${what}`);
      const least = entry.minReplicas > 1 ? ` (at least ${entry.minReplicas})` : '';
      printLine(`  copies ${entry.replication}${least}, mode ${entry.mode}, durability ${entry.durability}`);
      printLine(`  modified ${entry.modifiedAt}, created ${entry.createdAt}`);
    });
    tellAge(shadow, invocation.json);
  });
}
