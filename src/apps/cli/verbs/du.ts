/** `cairn du`. */

import type { Invocation } from '../invocation.ts';
import { formatBytes, formatCount, formatName, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath, telling } from './each.ts';

export async function run(invocation: Invocation): Promise<void> {
  const paths = invocation.args.length === 0 ? ['/'] : invocation.args;
  await withCluster(invocation, async (cairn) => {
    await forEachPath(invocation, paths, async (path) => {
      const { bytes, storedBytes, isExact, files, directories } = await cairn.usage(path, {
        onUnreached: telling(invocation),
      });
      if (invocation.json) printJson({ path, bytes, storedBytes, ...(isExact ? {} : { isExact }), files, directories });
      else
        printLine(
          `${`${isExact ? '' : '≥'}${formatBytes(bytes)}`.padStart(9)}  ${formatCount(files, 'file')}  ${formatCount(directories, 'directory', 'directories')}  ${formatName(path)}`,
        );
    });
  });
}
