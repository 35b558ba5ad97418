/** What clients read: attributes, directories, locations. All of the applied state at one moment. */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import { utf8Length } from '../../core/base/bytes.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { locatePageMax, type masterCalls, readdirPageMax } from '../../core/protocol/master-calls.ts';
import { show } from '../../core/protocol/paths.ts';
import { type Attributes, type Location, nameMaxBytes } from '../../core/protocol/types.ts';
import { addressesOf } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import type { ChunkRecord, FileInode, Inode } from './state/records.ts';
import { lookup } from './state/resolve.ts';
import { mustBe, type Tables } from './state/tables.ts';

/** What a reader needs besides the tables. */
export interface ReadWorld {
  readonly tables: Tables;
  hasSession(server: ServerId): boolean;
}

/** @throws CairnError NOT_FOUND, NOT_A_DIRECTORY, what is wrong with the path */
export function stat(world: ReadWorld, { path }: RequestOf<typeof masterCalls.stat>): Attributes {
  const { inode } = valueOrThrow(lookup(world.tables, path));
  return attributesOf(world, inode, mustBe(world.tables.inode(inode), 'an inode', inode));
}

export function readdir(
  world: ReadWorld,
  { path, after, limit, withAttributes }: RequestOf<typeof masterCalls.readdir>,
): ResponseOf<typeof masterCalls.readdir> {
  if (limit < 1 || limit > readdirPageMax || utf8Length(after) > nameMaxBytes)
    throw new CairnError('INVALID_ARGUMENT', `a page has 1 to ${readdirPageMax} entries, after a name; ask for that`);
  const { tables } = world;
  const directory = valueOrThrow(lookup(tables, path));
  if (directory.kind !== 'directory')
    throw new CairnError('NOT_A_DIRECTORY', `${show(path)}: is a file; list the directory it is in`);
  const found = tables.dirents(directory.inode, after, limit + 1);
  const entries = found.slice(0, limit).map(({ name, dirent: { inode, kind } }) => ({
    ...{ name, inode, kind },
    attributes: withAttributes ? attributesOf(world, inode, mustBe(tables.inode(inode), 'an inode', inode)) : undefined,
  }));
  return { entries, more: found.length > limit };
}

export function locate(
  world: ReadWorld,
  { inode, first, count }: RequestOf<typeof masterCalls.locate>,
): ResponseOf<typeof masterCalls.locate> {
  if (count < 1 || count > locatePageMax)
    throw new CairnError('INVALID_ARGUMENT', `${count} chunks were asked for; ask for 1 to ${locatePageMax}`);
  const file = world.tables.inode(inode);
  if (file === undefined)
    throw new CairnError('STALE_HANDLE', `inode ${inode} does not exist any more; open the file by its path again`);
  if (file.kind === 'directory') throw new CairnError('IS_A_DIRECTORY', `inode ${inode} is a directory; name a file`);
  const locations = world.tables
    .handlesFrom(inode, file, first, count)
    .filter(({ index }) => index < first + count)
    .map(({ handle }) => locationOf(world, handle, mustBe(world.tables.chunk(handle), 'a chunk', handle)));
  return { attributes: attributesOf(world, inode, file), locations };
}

export function attributesOf(world: ReadWorld, inode: InodeId, record: Inode): Attributes {
  const { kind, modifiedAt, createdAt, replication, chunkBytes, durability, mode, minReplicas } = record;
  const isFile = kind === 'file';
  const { size, tail } = isFile ? sizeOf(world, inode, record) : nothing;
  const links = isFile ? 1 : record.entries;
  const chunkCount = isFile ? record.chunkCount : 0;
  // Field by field: an answer to each create has one, and to spread others into it would cost more than all the rest.
  return {
    inode,
    kind,
    modifiedAt,
    createdAt,
    replication,
    chunkBytes,
    durability,
    mode,
    minReplicas,
    size,
    links,
    chunkCount,
    tail,
  };
}

const nothing = { size: 0, tail: undefined };

/** While the last chunk is open its length is asked of its replicas; `size` is then what is known of it. */
function sizeOf(world: ReadWorld, inode: InodeId, file: FileInode): Pick<Attributes, 'size' | 'tail'> {
  const last = file.chunkCount - 1;
  const handle = last < 0 ? undefined : world.tables.handleAt(inode, file, last);
  if (handle === undefined) return { size: 0, tail: undefined };
  const chunk = world.tables.chunk(handle);
  if (chunk === undefined) return { size: 0, tail: undefined }; // removed since `file` was read
  const size = last * file.chunkBytes + chunk.length;
  return { size, tail: chunk.sealed ? undefined : locationOf(world, handle, chunk) };
}

/** Replicas that serve come first, in the order of the set. */
function locationOf({ tables, hasSession }: ReadWorld, handle: ChunkHandle, chunk: ChunkRecord): Location {
  const { index, version, sealed, length, servers } = chunk;
  const serving = servers.filter(hasSession);
  const isEvery = serving.length === servers.length;
  const ordered = isEvery ? servers : [...serving, ...servers.filter((server) => !serving.includes(server))];
  const replicas = addressesOf(tables, ordered);
  return { index, handle, version, replicas, sealedLength: sealed ? length : undefined, knownLength: length };
}
