/** `cairn set`: settings of a file or directory. */
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { showEntry } from './entries.ts';
import { parseAssignments } from './file-settings.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [path, ...assignments] = invocation.args as [string, ...string[]];
  const settings = parseAssignments(assignments);
  await withCluster(invocation, async (cairn) => {
    await cairn.set(path, settings);
    if (invocation.json) printJson(showEntry(path, await cairn.stat(path)));
  });
}
