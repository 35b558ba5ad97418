/** `cairn stat`. */
import { formatBytes, printJson, printLine } from '../output.ts';
import type { Invocation } from '../program.ts';
import { withCluster } from './connect.ts';
import { showEntry } from './entries.ts';

export async function run(invocation: Invocation): Promise<void> {
  await withCluster(invocation, async (cairn) => {
    for (const path of invocation.args) {
      const entry = showEntry(path, await cairn.stat(path));
      if (invocation.json) {
        printJson(entry);
        continue;
      }
      const what =
        entry.kind === 'directory'
          ? `directory of ${entry.entries} entries`
          : `file of ${entry.size} bytes (${formatBytes(entry.size)}) in ${entry.chunks} chunks of ${formatBytes(entry.chunkBytes)}`;
      printLine(`${path}: ${what}`);
      printLine(`  copies ${entry.replication}, durability ${entry.durability}`);
      printLine(`  modified ${entry.modifiedAt}, created ${entry.createdAt}`);
    }
  });
}
