/** `cairn mv`. */
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { forEachSource } from './targets.ts';

export async function run(invocation: Invocation): Promise<void> {
  const replace = invocation.options.replace !== false;
  await forEachSource(invocation, 'mv', async (cairn, from, target) => {
    await cairn.rename(from, target, { replace });
    if (invocation.json) printJson({ from, to: target });
  });
}
