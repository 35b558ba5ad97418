/** What clients change. Where a new chunk goes is decided here, before the command is proposed; all else when it is applied. */

import type { ServerId } from '../../core/base/brand.ts';
import type { Codec } from '../../core/base/codec.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type masterCalls, trashPageMax } from '../../core/protocol/master-calls.ts';
import { parsePath } from '../../core/protocol/paths.ts';
import type { Attributes, CommandId } from '../../core/protocol/types.ts';
import type { Replica } from '../rsm/replica.ts';
import type { Leader } from './leader.ts';
import { grantOf, mustHaveChunksOf } from './leader-world.ts';
import { attributesOf } from './reads.ts';
import { valueOrThrow } from './refusal.ts';
import {
  type Command,
  decodeResult,
  doneResult,
  emptiedResult,
  encodeCommand,
  madeResult,
  openResult,
  restoredResult,
} from './state/commands.ts';
import { decodeInode } from './state/records.ts';
import { directory, nearest, nearestDirectory, placeOf } from './state/resolve.ts';
import { checkAsked, settingsFrom } from './state/settings.ts';

export type Executor = Pick<Replica, 'execute' | 'touch'>;

type OpenRequest = RequestOf<typeof masterCalls.openForWrite>;

/**
 * What it led to is told by the leader that was told of it when it was applied: one that has stopped by then knows nothing of it, and the client
 * asks the next.
 * @throws CairnError what the state machine refused; NOT_LEADER, UNKNOWN_OUTCOME
 */
async function commit<T>(
  replica: Executor,
  leader: Leader,
  id: CommandId,
  command: Command,
  result: Codec<T>,
): Promise<T> {
  leader.checkLeading();
  const bytes = await replica.execute(id, encodeCommand(command));
  if (leader.isStopped)
    throw new CairnError('UNKNOWN_OUTCOME', 'this master does not lead any more; ask the leader again');
  return valueOrThrow(decodeResult(result, bytes));
}

/** What is wrong with a command is found before anything is logged, where it can be. */
function prepared<T>(replica: Executor, id: CommandId, prepare: () => T): T | Promise<never> {
  try {
    return prepare();
  } catch (thrown) {
    return replica.touch(id).then(() => {
      throw thrown;
    });
  }
}

function checkPaths(...paths: readonly string[]): void {
  for (const path of paths) valueOrThrow(parsePath(path));
}

export async function openForWrite(
  replica: Executor,
  leader: Leader,
  request: OpenRequest,
): Promise<ResponseOf<typeof masterCalls.openForWrite>> {
  const { id } = request;
  const placement = await prepared(replica, id, () => {
    checkPaths(request.path);
    return request.allocate && !isFrozen(leader, request.path) ? placementFor(leader, request) : [];
  });
  // Field by field: to spread one object into another costs more than to encode it.
  const command = {
    kind: 'openForWrite',
    path: request.path,
    create: request.create,
    truncate: request.truncate,
    parents: request.parents,
    replication: request.replication,
    durability: request.durability,
    chunkBytes: request.chunkBytes,
    mode: request.mode,
    minReplicas: request.minReplicas,
    placement,
  } as const;
  const done = await leader.gate.through(() => commit(replica, leader, id, command, openResult));
  const record = decodeInode(done.record);
  const { tables } = leader;
  if (request.truncate) {
    leader.garbage.reap();
    await leader.cutChunks.closed(done.inode);
  }
  if (done.grant !== undefined && done.grant.servers.length < record.replication) leader.noteShort(done.grant.handle);
  return {
    attributes: attributesOf(leader, done.inode, record),
    created: done.created,
    grant: done.grant === undefined ? undefined : grantOf(tables, done.grant, record),
  };
}

/**
 * What is made where a snapshot is being taken gets its first chunk afterwards, when it is acquired: where files are made all the time there would be
 * no moment at which no lease is out.
 */
function isFrozen({ tables, holds }: Leader, path: string): boolean {
  return holds.freezesAny && holds.isFrozen(nearest(tables, path));
}

/** For the first chunk, of which it is known by now how many replicas it will want. @throws CairnError NO_SERVERS, INVALID_ARGUMENT */
function placementFor({ tables, placement }: Leader, request: OpenRequest): readonly ServerId[] {
  const place = placeOf(tables, request.path);
  const { found, parent } = (place.ok ? place.value : undefined) ?? {};
  const file = found === undefined ? undefined : tables.inode(found.inode);
  const wrong = file === undefined ? checkAsked(tables, request.path, request) : undefined;
  if (wrong !== undefined) valueOrThrow(wrong); // no number of servers would help
  const above = parent === undefined ? nearestDirectory(tables, request.path) : directory(tables, parent);
  const { replication, minReplicas } = file ?? settingsFrom(above, request);
  return request.isSmall
    ? placement.chooseForSmall(replication, minReplicas)
    : placement.chooseForNew(replication, minReplicas);
}

export async function mkdir(
  replica: Executor,
  leader: Leader,
  { id, ...request }: RequestOf<typeof masterCalls.mkdir>,
): Promise<Attributes> {
  await prepared(replica, id, () => checkPaths(request.path));
  const made = await commit(replica, leader, id, { kind: 'mkdir', ...request }, madeResult);
  return attributesOf(leader, made.inode, decodeInode(made.record));
}

export async function truncate(
  replica: Executor,
  leader: Leader,
  { id, chunkBytes, ...request }: RequestOf<typeof masterCalls.truncate>,
): Promise<Attributes> {
  const file = leader.tables.inode(request.inode);
  // A file whose chunk size changes before the command is carried out is empty then, and nothing is cut off it.
  if (file?.kind === 'file') await prepared(replica, id, () => mustHaveChunksOf(chunkBytes, request.inode, file));
  const cut = await commit(replica, leader, id, { kind: 'truncate', ...request }, madeResult);
  leader.garbage.reap();
  await leader.cutChunks.closed(cut.inode);
  return attributesOf(leader, cut.inode, decodeInode(cut.record));
}

export async function set(
  replica: Executor,
  leader: Leader,
  { id, ...request }: RequestOf<typeof masterCalls.set>,
): Promise<Attributes> {
  await prepared(replica, id, () => checkPaths(request.path));
  const changed = await commit(replica, leader, id, { kind: 'set', ...request }, madeResult);
  const record = decodeInode(changed.record);
  if (record.kind === 'file') await leader.settingsChanged(changed.inode);
  return attributesOf(leader, changed.inode, record);
}

/** As `remove`, if there is no trash. */
export async function discard(
  replica: Executor,
  leader: Leader,
  request: RequestOf<typeof masterCalls.discard>,
): Promise<ResponseOf<typeof masterCalls.discard>> {
  const { isKept } = leader.trash;
  if (!isKept) await remove(replica, leader, request);
  else {
    const { id, ...command } = request;
    await prepared(replica, id, () => checkPaths(command.path));
    await leader.gate.through(() => commit(replica, leader, id, { kind: 'discard', ...command }, doneResult), true);
  }
  return { isKept };
}

export async function restore(
  replica: Executor,
  leader: Leader,
  { id, ...command }: RequestOf<typeof masterCalls.restore>,
): Promise<ResponseOf<typeof masterCalls.restore>> {
  await prepared(replica, id, () => checkPaths(...(command.to === undefined ? [] : [command.to])));
  return leader.gate.through(() => commit(replica, leader, id, { kind: 'restore', ...command }, restoredResult), true);
}

export async function emptyTrash(
  replica: Executor,
  leader: Leader,
  { id, inode }: RequestOf<typeof masterCalls.emptyTrash>,
): Promise<ResponseOf<typeof masterCalls.emptyTrash>> {
  // Whatever its time of removal: the clock of who led then may have been ahead.
  const before = Number.MAX_SAFE_INTEGER;
  const command = { kind: 'emptyTrash', inode, before, limit: trashPageMax } as const;
  const emptied = await commit(replica, leader, id, command, emptiedResult);
  leader.garbage.reap();
  return emptied;
}

/** A copy of a file or tree as it is at one moment: no mutation of it is half in the copy, and none that is acknowledged before is missing. */
export async function fileSnapshot(
  replica: Executor,
  leader: Leader,
  { id, ...request }: RequestOf<typeof masterCalls.fileSnapshot>,
): Promise<Attributes> {
  await prepared(replica, id, () => checkPaths(request.from, request.to));
  const made = await leader.fileSnapshots.take(request.from, () =>
    commit(replica, leader, id, { kind: 'fileSnapshot', ...request }, madeResult),
  );
  return attributesOf(leader, made.inode, decodeInode(made.record));
}

/** Empties a chunkserver, or lets it have chunks again. */
export async function drain(
  replica: Executor,
  leader: Leader,
  { id, server, draining }: RequestOf<typeof masterCalls.drain>,
): Promise<Record<never, never>> {
  await commit(replica, leader, id, { kind: 'drainServer', server, draining }, doneResult);
  leader.drainingChanged(server);
  return {};
}

export async function remove(
  replica: Executor,
  leader: Leader,
  { id, ...request }: RequestOf<typeof masterCalls.remove>,
): Promise<Record<never, never>> {
  await prepared(replica, id, () => checkPaths(request.path));
  await commit(replica, leader, id, { kind: 'remove', ...request }, doneResult);
  leader.garbage.reap();
  return {};
}

export async function rename(
  replica: Executor,
  leader: Leader,
  { id, ...request }: RequestOf<typeof masterCalls.rename>,
): Promise<Record<never, never>> {
  await prepared(replica, id, () => checkPaths(request.from, request.to));
  await leader.gate.through(() => commit(replica, leader, id, { kind: 'rename', ...request }, doneResult), true);
  leader.garbage.reap();
  return {};
}
