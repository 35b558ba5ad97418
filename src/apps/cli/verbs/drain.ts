/** `cairn drain`: empties a chunkserver, and with --wait waits until no chunk needs it. */
import { CairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatCount, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';

const lookEveryMs = 500;

interface Flags {
  readonly undo?: boolean;
  readonly wait?: boolean;
}

export async function run(invocation: Invocation): Promise<void> {
  const { undo = false, wait = false } = invocation.options as Flags;
  const id = Number(invocation.args[0]);
  if (!/^\d+$/.test(invocation.args[0]!) || id < 1 || id > 65_535)
    throw new CairnError('USAGE', `'${invocation.args[0]}' is no chunkserver's id; look at \`cairn servers\``);
  if (undo && wait) throw new CairnError('USAGE', 'with --undo there is nothing to wait for');
  await withCluster(invocation, async (cairn) => {
    await cairn.drain(id, { undo });
    for (let last = -1; ; ) {
      const { state, needed, stuck } = await serverOf(cairn, id);
      if (needed !== last) {
        if (invocation.json) printJson({ server: id, state, needed });
        else printLine(`chunkserver ${id} is ${state}; ${formatCount(needed, 'chunk counts', 'chunks count')} on it`);
      }
      if (last === -1 && wait && stuck !== undefined && !invocation.json) printLine(stuck);
      last = needed;
      if (!wait || state === 'drained') return;
      if (state === 'healthy')
        throw new CairnError(
          'ABORTED',
          `the drain of chunkserver ${id} was undone; drain it again if it is to be emptied`,
        );
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  });
}

async function serverOf(cairn: Cairn, id: number) {
  const { servers, replication } = await cairn.status();
  const server = servers.find((known) => known.id === id);
  if (server === undefined)
    throw new CairnError('NOT_FOUND', `there is no chunkserver ${id}; look at \`cairn servers\``);
  const others = servers.filter((other) => other.id !== id && other.state === 'healthy').length;
  const stuck =
    server.needed > 0 && others < replication
      ? `only ${formatCount(others, 'other is', 'others are')} healthy, for ${formatCount(replication, 'copy', 'copies')}: start another chunkserver, or it cannot become empty`
      : undefined;
  return { ...server, stuck };
}
