/**
 * Commands on chunks: their making, leases as log entries (GFS §3.1, §4.5), what primaries report, and changes of the in-sync set.
 * A set of version v + 1 is a part of the set of version v, and a mutation needs every member of its version's set: so no two
 * versions can both acknowledge.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../../core/base/brand.ts';
import { toChunkHandle, toChunkIndex, toChunkVersion } from '../../../core/base/brand.ts';
import { ok, type Refused, type Result, refused } from '../../../core/base/result.ts';
import { replicasMax } from '../../../core/protocol/types.ts';
import { type CommandOf, type Granted, type HandlesResult, handlesMax } from './commands.ts';
import { settleFile } from './copies.ts';
import type { ChunkRecord, FileInode } from './records.ts';
import { unshare } from './sharing.ts';
import type { Transition } from './transition.ts';

const done = ok({});

/** Makes chunk `index`, open under version 1; the caller puts the file. */
export function newChunk(t: Transition, inode: InodeId, file: FileInode, index: number, servers: readonly ServerId[]) {
  const handle = t.tables.takeHandle();
  const version = toChunkVersion(1);
  const chunk = { inode, index: toChunkIndex(index), version, sealed: false, length: 0, servers, refs: 1 };
  t.tables.putChunk(handle, chunk, undefined);
  const grant: Granted = { handle, version, servers };
  return { file: t.tables.withHandleAt(inode, file, index, handle), grant };
}

export function addChunk(t: Transition, command: Omit<CommandOf<'addChunk'>, 'kind'>): Result<Granted> {
  const { inode, index, servers } = command;
  settleFile(t, inode, index);
  const file = t.tables.inode(inode);
  if (file === undefined) return goneFile(inode);
  if (file.kind === 'directory') return refused('IS_A_DIRECTORY', `inode ${inode} is a directory; name a file`);
  if (!isSet(servers)) return badSet(servers);
  if (!Number.isSafeInteger((index + 1) * file.chunkBytes))
    return refused('TOO_LARGE', `chunk ${index} would end beyond 2^53 bytes; files are smaller than that`);
  if (t.tables.handleAt(inode, file, index) !== undefined)
    return refused('EXISTS', `chunk ${index} of inode ${inode} exists; ask for its lease`);
  const made = newChunk(t, inode, file, index, servers);
  t.tables.putInode(inode, { ...made.file, modifiedAt: t.now });
  return ok(made.grant);
}

export function adjoinChunk(t: Transition, command: CommandOf<'adjoinChunk'>): Result<Granted> {
  const { inode, index, last } = command;
  const file = t.tables.inode(inode);
  const isMissing = file?.kind === 'file' && t.tables.handleAt(inode, file, index) === undefined;
  if (isMissing && !(file.chunkCount === index && t.tables.handleAt(inode, file, index - 1) === last))
    return cutChunk(inode, index);
  return addChunk(t, command);
}

export function cutChunk(inode: InodeId, index: number): Refused {
  return refused(
    'CHUNK_CUT',
    `inode ${inode} has no chunk ${index}, and was cut since it ended there; look where it ends`,
  );
}

export function grant(t: Transition, command: CommandOf<'grant'>): Result<Granted> {
  const { handle, servers } = command;
  const known = t.tables.chunk(handle);
  if (known !== undefined) settleFile(t, known.inode, known.index);
  const chunk = t.tables.chunk(handle);
  if (chunk === undefined) return goneChunk(handle);
  if (chunk.version !== command.version) return staleVersion(handle, command.version, chunk);
  if (chunk.refs > 1) return refused('BUSY', `chunk ${handle} is shared with a snapshot; it must be split first`);
  // Nobody would see what is written; and copies of the file that have not got it yet must get it as it is.
  if (!t.tables.isInFile(handle, chunk)) return goneChunk(handle);
  if (!isSet(servers)) return badSet(servers);
  if (!areMembers(chunk, servers)) return movedChunk(handle, servers);
  const version = toChunkVersion(chunk.version + 1);
  t.tables.putChunk(handle, { ...chunk, version, sealed: false, servers }, chunk);
  return ok({ handle, version, servers });
}

/** Reports of other versions, of sealed and of removed chunks are void: what they tell is known better. */
export function recordLengths(t: Transition, command: CommandOf<'recordLengths'>): Result<Record<never, never>> {
  for (const { handle, version, length, release } of command.reports) {
    const chunk = t.tables.chunk(handle);
    if (chunk === undefined || chunk.version !== version || chunk.sealed) continue;
    if (!release && length <= chunk.length) continue;
    putLength(t, handle, chunk, length, release);
  }
  return done;
}

export function recordCuts(t: Transition, command: CommandOf<'recordCuts'>): Result<Record<never, never>> {
  for (const { handle, version, length } of command.cuts) {
    const chunk = t.tables.chunk(handle);
    if (chunk !== undefined && chunk.version === version && !chunk.sealed && length < chunk.length)
      putLength(t, handle, chunk, length, false);
  }
  return done;
}

function putLength(t: Transition, handle: ChunkHandle, chunk: ChunkRecord, length: number, sealed: boolean): void {
  t.tables.putChunk(handle, { ...chunk, length, sealed }, chunk);
  const file = length === chunk.length ? undefined : t.tables.inode(chunk.inode);
  if (file !== undefined && file.modifiedAt !== t.now) t.tables.putInode(chunk.inode, { ...file, modifiedAt: t.now });
}

export function addReplica(t: Transition, command: CommandOf<'addReplica'>): Result<Record<never, never>> {
  const { handle, server } = command;
  const found = sealedChunk(t, handle, command.version);
  if (!found.ok) return found;
  const chunk = found.value;
  const others = chunk.servers.filter((member) => member !== server && !command.without.includes(member));
  const servers = [...others, server];
  if (!isSet(servers)) return badSet(servers);
  t.tables.putChunk(handle, { ...chunk, servers }, chunk);
  return done;
}

/** The last member never leaves: a chunk that nobody has any more is lost, and should say so. */
export function exclude(t: Transition, command: CommandOf<'exclude'>): Result<Record<never, never>> {
  const { handle } = command;
  const found = sealedChunk(t, handle, command.version);
  if (!found.ok) return found;
  const chunk = found.value;
  const servers = chunk.servers.filter((server) => !command.servers.includes(server));
  if (servers.length === 0)
    return refused(
      'UNAVAILABLE',
      `chunk ${handle} has no replica besides ${command.servers.join(', ')}; it stays as it is`,
    );
  if (servers.length === chunk.servers.length) return done;
  t.tables.putChunk(handle, { ...chunk, servers }, chunk);
  return done;
}

// ---------------------------------------------------------------- shared chunks

export function takeHandles(t: Transition, { count }: CommandOf<'takeHandles'>): Result<HandlesResult> {
  if (count < 1 || count > handlesMax)
    return refused('INVALID_ARGUMENT', `1 to ${handlesMax} handles are taken at once`);
  const first = toChunkHandle(t.tables.counters.nextHandle);
  t.tables.counters.nextHandle += count;
  return ok({ first });
}

/** The chunk is as it was for all who share it but `inode`, which has a copy from now on. */
export function splitChunk(t: Transition, command: CommandOf<'splitChunk'>): Result<Record<never, never>> {
  const { inode, index, into, servers, kept } = command;
  settleFile(t, inode, index);
  const file = t.tables.inode(inode);
  if (file?.kind !== 'file' || t.tables.handleAt(inode, file, index) !== command.handle)
    return goneChunk(command.handle);
  if (t.tables.chunk(command.handle)?.refs === 1) return done;
  const found = sealedChunk(t, command.handle, command.version);
  if (!found.ok) return found;
  const chunk = found.value;
  for (const set of [servers, kept]) {
    if (!isSet(set)) return badSet(set);
    if (!areMembers(chunk, set)) return movedChunk(command.handle, set);
  }
  if (into >= t.tables.counters.nextHandle || t.tables.chunk(into) !== undefined)
    return refused('INVALID_ARGUMENT', `handle ${into} was not taken for a copy; take one`);
  const { version, length } = chunk;
  t.tables.putChunk(into, { inode, index, version, sealed: true, length, servers, refs: 1 }, undefined);
  t.tables.counters.chunks += 1;
  t.tables.putInode(inode, t.tables.withHandleAt(inode, file, index, into));
  const next = { ...chunk, version: toChunkVersion(version + 1), servers: kept };
  t.tables.putChunk(command.handle, next, chunk);
  unshare(t.tables, command.handle, next, inode);
  return done;
}

// ---------------------------------------------------------------- servers

export function registerServer(t: Transition, command: CommandOf<'registerServer'>): Result<Record<never, never>> {
  const { server, address, rack } = command;
  const draining = t.tables.server(server)?.draining ?? false;
  t.tables.putServer(server, { address, rack, draining });
  return done;
}

export function drainServer(
  t: Transition,
  { server, draining }: CommandOf<'drainServer'>,
): Result<Record<never, never>> {
  const record = t.tables.server(server);
  if (record === undefined) return refused('NOT_FOUND', `there is no chunkserver ${server}; look at \`cairn servers\``);
  t.tables.putServer(server, { ...record, draining });
  return done;
}

// ---------------------------------------------------------------- checks

function sealedChunk(t: Transition, handle: ChunkHandle, version: number): Result<ChunkRecord> {
  const chunk = t.tables.chunk(handle);
  if (chunk === undefined) return goneChunk(handle);
  if (chunk.version !== version) return staleVersion(handle, version, chunk);
  if (!chunk.sealed) return refused('BUSY', `chunk ${handle} has an open lease; its primary must release it first`);
  return ok(chunk);
}

function isSet(servers: readonly ServerId[]): boolean {
  return servers.length > 0 && servers.length <= replicasMax && new Set(servers).size === servers.length;
}

function areMembers(chunk: ChunkRecord, servers: readonly ServerId[]): boolean {
  return servers.every((server) => chunk.servers.includes(server));
}

function badSet(servers: readonly ServerId[]): Refused {
  return refused(
    'INVALID_ARGUMENT',
    `${servers.join(', ') || 'nobody'} cannot be the replicas of this chunk; choose again`,
  );
}
function goneFile(inode: InodeId): Refused {
  return refused('STALE_HANDLE', `inode ${inode} does not exist any more; open the file by its path again`);
}
function goneChunk(handle: ChunkHandle): Refused {
  return refused('STALE_HANDLE', `chunk ${handle} does not exist any more; open the file by its path again`);
}
/** A replica has moved, which leaves the version as it is, since these were chosen. */
function movedChunk(handle: ChunkHandle, servers: readonly ServerId[]): Refused {
  return refused(
    'STALE_VERSION',
    `chunk ${handle} is not on all of ${servers.join(', ')} any more; ask for its lease again`,
  );
}
function staleVersion(handle: ChunkHandle, version: number, chunk: ChunkRecord): Refused {
  return refused(
    'STALE_VERSION',
    `chunk ${handle} is at version ${chunk.version}, not ${version}; ask for its lease again`,
  );
}
