/** Changes of settings: of a file at once, of a directory for what is made in it from then on. */
import { ok, type Result, refused } from '../../../core/base/result.ts';
import { show } from '../../../core/protocol/paths.ts';
import type { CommandOf, MadeResult } from './commands.ts';
import { settlePath } from './copies.ts';
import { lookup } from './resolve.ts';
import { checkSettings, settingsFrom } from './settings.ts';
import { mustBe } from './tables.ts';
import type { Transition } from './transition.ts';

export function set(t: Transition, command: CommandOf<'set'>): Result<MadeResult> {
  settlePath(t, command.path);
  const found = lookup(t.tables, command.path);
  if (!found.ok) return found;
  const { inode } = found.value;
  const present = mustBe(t.tables.inode(inode), 'an inode', inode);
  const settings = settingsFrom(present, command);
  const wrong = checkSettings({ ...command, ...settings });
  if (wrong !== undefined) return wrong;
  if (present.kind === 'file' && present.chunkCount > 0 && settings.chunkBytes !== present.chunkBytes)
    return refused(
      'INVALID_ARGUMENT',
      `${show(command.path)}: has chunks of ${present.chunkBytes} bytes already; copy it to a file with others`,
    );
  return ok({ inode, record: t.tables.putInode(inode, { ...present, ...settings }) });
}
