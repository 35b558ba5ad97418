/** `cairn du`. */
import { formatBytes, printJson, printLine } from '../output.ts';
import type { Invocation } from '../program.ts';
import { withCluster } from './connect.ts';

export async function run(invocation: Invocation): Promise<void> {
  const paths = invocation.args.length === 0 ? ['/'] : invocation.args;
  await withCluster(invocation, async (cairn) => {
    for (const path of paths) {
      const { bytes, storedBytes, files, directories } = await cairn.usage(path);
      if (invocation.json) printJson({ path, bytes, storedBytes, files, directories });
      else printLine(`${formatBytes(bytes).padStart(9)}  ${files} files  ${directories} directories  ${path}`);
    }
  });
}
