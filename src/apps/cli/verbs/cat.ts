/** `cairn cat`: files to stdout. */
import type { Invocation } from '../invocation.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';
import { writeOut } from './stdout.ts';

export async function run(invocation: Invocation): Promise<void> {
  const start = Number(invocation.options.offset ?? 0);
  const length = invocation.options.length === undefined ? undefined : Number(invocation.options.length);
  await withCluster(invocation, async (cairn) => {
    await forEachPath(invocation, invocation.args, async (path) => {
      const file = await cairn.open(path, 'r');
      try {
        const part = length === undefined ? { start } : { start, length };
        for await (const piece of file.readStream({ ...part, reuseMemory: false })) await writeOut(piece);
      } finally {
        await file.close();
      }
    });
  });
}
