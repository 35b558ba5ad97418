/**
 * Reads by the leader. What a file snapshot has not laid out yet is settled first where a path names it: so that it has an inode of its own to be
 * named by. What is looked for is in use.
 */
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import type { masterCalls } from '../../core/protocol/master-calls.ts';
import type { Attributes } from '../../core/protocol/types.ts';
import type { Leader } from './leader.ts';
import * as reads from './reads.ts';
import { doneResult, laidOutResult } from './state/commands.ts';
import { hasNames, isThere } from './state/copies.ts';
import { lookup } from './state/resolve.ts';

export async function stat(leader: Leader, request: RequestOf<typeof masterCalls.stat>): Promise<Attributes> {
  await settled(leader, request.path);
  return reads.stat(leader, request);
}

export async function readdir(
  leader: Leader,
  request: RequestOf<typeof masterCalls.readdir>,
): Promise<ResponseOf<typeof masterCalls.readdir>> {
  for (;;) {
    await settled(leader, request.path);
    const page = reads.readdir(leader, request);
    const directory = lookup(leader.tables, request.path);
    if (leader.tables.counters.copies === 0 || !directory.ok) return page;
    const { inode } = directory.value;
    const last = page.more ? page.entries.at(-1)?.name : undefined;
    if (hasNames(leader.tables, inode, request.after, last)) return page;
    const { after, limit } = request;
    await leader.execute({ kind: 'layOutNames', directory: inode, after, limit: limit + 1 }, laidOutResult);
  }
}

export function locate(
  leader: Leader,
  request: RequestOf<typeof masterCalls.locate>,
): ResponseOf<typeof masterCalls.locate> {
  const found = reads.locate(leader, request);
  for (const { handle } of found.locations) leader.used(handle);
  return found;
}

/** After it resolves what is at the path can be read in the same turn. */
async function settled(leader: Leader, path: string): Promise<void> {
  await leader.barrier();
  while (!isThere(leader.tables, path)) await leader.execute({ kind: 'settlePath', path }, doneResult);
}
