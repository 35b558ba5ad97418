/** `cairn mkdir`. */
import { printJson } from '../output.ts';
import type { Invocation } from '../program.ts';
import { withCluster } from './connect.ts';

export async function run(invocation: Invocation): Promise<void> {
  await withCluster(invocation, async (cairn) => {
    for (const path of invocation.args) {
      await cairn.mkdir(path, { recursive: invocation.options.parents === true });
      if (invocation.json) printJson({ made: path });
    }
  });
}
