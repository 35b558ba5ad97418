/** `cairn trash`: what was removed, back or for good. */
import { CairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatCount, formatName, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { formatTime } from './entries.ts';
import { writeJson, writeLine } from './stdout.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [action, ...rest] = invocation.args as [string, ...string[]];
  switch (action) {
    case 'ls':
      mustHave(rest, 0, 0, 'trash ls');
      return withCluster(invocation, (cairn) => list(cairn, invocation.json));
    case 'restore':
      mustHave(rest, 1, 2, 'trash restore ID|PATH [TO]');
      return withCluster(invocation, (cairn) => restore(cairn, rest[0]!, rest[1], invocation.json));
    case 'empty':
      mustHave(rest, 0, 1, 'trash empty [ID]');
      return withCluster(invocation, (cairn) => empty(cairn, rest[0], invocation.json));
    default:
      throw new CairnError(
        'USAGE',
        `there is nothing to do with the trash that is called '${action}'; give ls, restore or empty`,
      );
  }
}

function mustHave(args: readonly string[], min: number, max: number, usage: string): void {
  if (args.length < min || args.length > max) throw new CairnError('USAGE', `say \`cairn ${usage}\``);
}

function idOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

async function list(cairn: Cairn, json: boolean): Promise<void> {
  for await (const { id, kind, path, removedAtMs, expiresAtMs } of cairn.trash.entries()) {
    const removedAt = new Date(removedAtMs).toISOString();
    const expiresAt = new Date(expiresAtMs).toISOString();
    if (json) await writeJson({ id, kind, path, removedAt, expiresAt });
    else
      await writeLine(
        `${String(id).padStart(8)}  ${formatTime(removedAtMs)}  ${formatName(path)}${kind === 'directory' ? '/' : ''}`,
      );
  }
}

async function restore(cairn: Cairn, what: string, to: string | undefined, json: boolean): Promise<void> {
  const path = await cairn.trash.restore(idOf(what) ?? what, to);
  if (json) printJson({ restored: path });
  else printLine(formatName(path));
}

async function empty(cairn: Cairn, what: string | undefined, json: boolean): Promise<void> {
  const id = what === undefined ? undefined : idOf(what);
  if (what !== undefined && id === undefined)
    throw new CairnError('USAGE', `'${what}' is no id; look at \`cairn trash ls\``);
  const removed = await cairn.trash.empty(id);
  if (json) printJson({ removed });
  else printLine(`${formatCount(removed, 'thing')} removed for good`);
}
