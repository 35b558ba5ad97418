/** `cairn snapshot`: a copy of a file or tree as it is now. */
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { intoDirectory } from './targets.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [from, to] = invocation.args as [string, string];
  await withCluster(invocation, async (cairn) => {
    const target = await intoDirectory(cairn, from, to);
    await cairn.fileSnapshot(from, target);
    if (invocation.json) printJson({ from, to: target });
  });
}
