/** `cairn rm`. */

import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';

export async function run(invocation: Invocation): Promise<void> {
  const { recursive, force, trash } = invocation.options;
  await withCluster(invocation, async (cairn) => {
    await forEachPath(invocation, invocation.args, async (path) => {
      await cairn.rm(path, { recursive: recursive === true, force: force === true, trash: trash !== false });
      if (invocation.json) printJson({ removed: path });
    });
  });
}
