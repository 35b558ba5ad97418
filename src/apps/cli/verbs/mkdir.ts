/** `cairn mkdir`. */

import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';
import { type SettingsFlags, settingsOf } from './file-settings.ts';
import { parentIsMissing } from './targets.ts';

export async function run(invocation: Invocation): Promise<void> {
  await withCluster(invocation, async (cairn) => {
    await forEachPath(invocation, invocation.args, async (path) => {
      const settings = settingsOf(invocation.options as SettingsFlags);
      await cairn
        .mkdir(path, { recursive: invocation.options.parents === true, ...settings })
        .catch(parentIsMissing(path, 'make it first, or all with -p'));
      if (invocation.json) printJson({ made: path });
    });
  });
}
