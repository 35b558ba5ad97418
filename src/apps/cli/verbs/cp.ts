/** `cairn cp`: within the cluster. */

import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { intoDirectory } from './targets.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [from, to] = invocation.args as [string, string];
  const { recursive, replace } = invocation.options;
  await withCluster(invocation, async (cairn) => {
    const target = await intoDirectory(cairn, from, to);
    await cairn.cp(from, target, { recursive: recursive === true, replace: replace !== false });
    if (invocation.json) printJson({ from, to: target });
  });
}
