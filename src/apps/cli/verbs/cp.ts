/** `cairn cp`: within the cluster. */
import type { Cairn, CopyOptions } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { forEachSource, statIfThere } from './targets.ts';
import { takingItsPlace } from './unfinished.ts';

export async function run(invocation: Invocation): Promise<void> {
  const { recursive, replace } = invocation.options;
  const options = { recursive: recursive === true, replace: replace !== false };
  await forEachSource(invocation, 'cp', async (cairn, from, target) => {
    await copyOne(cairn, from, target, options);
    if (invocation.json) printJson({ from, to: target });
  });
}

/** A file, or a tree that is new at its target, is there when it is whole. Into a tree that is there already it goes file by file. */
async function copyOne(cairn: Cairn, from: string, target: string, options: CopyOptions): Promise<void> {
  const there = await statIfThere(cairn, target);
  const isPlain = there === undefined || (there.isFile() && (await cairn.stat(from)).isFile());
  if (!isPlain || isWithin(from, target)) return cairn.cp(from, target, options);
  // All of it is its beginning: directories that are still being made would come back behind what takes them back.
  await takingItsPlace(cairn, target, options.replace !== false, (unfinished, beginning, signal) =>
    beginning(cairn.cp(from, unfinished, { ...options, signal })),
  );
}

/** Such a copy is refused by its proper name, and not by that of an unfinished one. */
function isWithin(from: string, target: string): boolean {
  return `${target}/`.startsWith(`${from}/`);
}
