/** `cairn mv`. */

import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { intoDirectory } from './targets.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [from, to] = invocation.args as [string, string];
  await withCluster(invocation, async (cairn) => {
    const target = await intoDirectory(cairn, from, to);
    await cairn.rename(from, target, { replace: invocation.options.replace !== false });
    if (invocation.json) printJson({ from, to: target });
  });
}
