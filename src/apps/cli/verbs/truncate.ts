/** `cairn truncate`: makes files so long, shorter or longer. */
import { toCairnError } from '../../../core/base/errors.ts';
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';

export async function run(invocation: Invocation): Promise<void> {
  const { size: asked, create } = invocation.options;
  const size = Number(asked);
  await withCluster(invocation, async (cairn) => {
    await forEachPath(invocation, invocation.args, async (path) => {
      try {
        await cairn.truncate(path, size);
      } catch (thrown) {
        if (create !== true || toCairnError(thrown).code !== 'NOT_FOUND') throw thrown;
        await (await cairn.open(path, 'a')).close(); // made if it is still missing
        await cairn.truncate(path, size);
      }
      if (invocation.json) printJson({ path, size });
    });
  });
}
