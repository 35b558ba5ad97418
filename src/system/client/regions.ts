/**
 * The states of a file's regions (GFS §2.7.1), from the bytes of all replicas: consistent where all have the same, defined where moreover a whole
 * record is (docs/formats/records.md), padding where all have zeros. Without a history nobody can tell more of other bytes than that they are the same.
 */
import { type ChunkHandle, type ServerId, toChunkIndex } from '../../core/base/brand.ts';
import { bytesEqual, concatBytes } from '../../core/base/bytes.ts';
import type { Crc32 } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import { type Attributes, type Location, packetMaxBytes, type Replica } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import type { ClientCore } from './core.ts';
import { chunkAt, looksMax } from './fsck.ts';
import { isSamePlace } from './lengths.ts';
import { locatePage, readAttemptMs } from './limits.ts';
import { RecordScanner } from './record-scanner.ts';

/** `unknown`: fewer than two replicas could be read. */
export type RegionState = 'defined' | 'consistent' | 'padding' | 'inconsistent' | 'unknown';

export interface Region {
  /** In the file, [from, to). */
  readonly from: number;
  readonly to: number;
  readonly state: RegionState;
  /** The chunk it is in. */
  readonly handle: ChunkHandle;
  /** How many replicas of the chunk were read; 0 where none gave these bytes. */
  readonly read: number;
  /** The other replicas of the chunk, and those that were damaged and are dropped by now. */
  readonly unread: readonly UnreadReplica[];
}

export interface UnreadReplica {
  readonly server: ServerId;
  /** Why it could not be read. */
  readonly code: ErrorCode;
}

type Stretch = Pick<Region, 'from' | 'to' | 'state'>;

/** The regions of one chunk. @param replicas the bytes of each; one that is shorter differs where it ends. */
export function regionsOf(replicas: readonly Uint8Array[], crc32: Crc32): readonly Stretch[] {
  const lengthBytes = longestOf(replicas);
  if (replicas.length < 2) return lengthBytes === 0 ? [] : [{ from: 0, to: lengthBytes, state: 'unknown' }];
  const regions: Stretch[] = [];
  const add = (from: number, to: number, state: RegionState): void => {
    const last = regions.at(-1);
    if (to <= from) return;
    if (last?.state === state && last.to === from) regions[regions.length - 1] = { ...last, to };
    else regions.push({ from, to, state });
  };
  for (const { from, to } of sameRuns(replicas, lengthBytes)) {
    if (from.isSame) addSame(replicas[0]!.subarray(from.at, to), from.at, crc32, add);
    else add(from.at, to, 'inconsistent');
  }
  return regions;
}

function longestOf(replicas: readonly Uint8Array[]): number {
  return Math.max(0, ...replicas.map(({ length }) => length));
}

function* sameRuns(replicas: readonly Uint8Array[], lengthBytes: number) {
  const [first = new Uint8Array(0), ...others] = replicas;
  const isSameAt = (at: number) => others.every((other) => other[at] === first[at]);
  const step = 4096;
  let from = { at: 0, isSame: true };
  for (let at = 0; at < lengthBytes; ) {
    const block = first.subarray(at, at + step);
    const isWholeSame = block.length > 0 && others.every((other) => bytesEqual(other.subarray(at, at + step), block));
    const isSame = isWholeSame || isSameAt(at);
    if (isSame !== from.isSame) {
      if (at > from.at) yield { from, to: at };
      from = { at, isSame };
    }
    at += isWholeSame ? block.length : 1;
  }
  if (lengthBytes > from.at) yield { from, to: lengthBytes };
}

/** Bytes that all replicas have. */
function addSame(
  bytes: Uint8Array,
  start: number,
  crc32: Crc32,
  add: (from: number, to: number, state: RegionState) => void,
): void {
  const scanner = new RecordScanner(crc32, start);
  const records = [...scanner.push(bytes), ...scanner.end()];
  let at = start;
  const between = (to: number): void => {
    for (let from = at; from < to; ) {
      const isZero = bytes[from - start] === 0;
      let end = from + 1;
      while (end < to && (bytes[end - start] === 0) === isZero) end += 1;
      // A few zeros within other bytes are no padding.
      add(from, end, isZero && end - from >= paddingMinBytes ? 'padding' : 'consistent');
      from = end;
    }
  };
  for (const record of records) {
    between(record.position);
    add(record.position, record.end, 'defined');
    at = record.end;
  }
  between(start + bytes.length);
}

const paddingMinBytes = 16;
const readsMax = 2;

/** Chunk by chunk: holes have no regions. */
export async function* regionsOfFile(
  core: ClientCore,
  path: string,
  signal: AbortSignalLike | undefined,
): AsyncGenerator<Region, void, void> {
  const { inode, chunkCount, chunkBytes } = await core.masters.read('stat', { path });
  for (let first = 0; first < chunkCount; first += locatePage) {
    const request = { inode, first: toChunkIndex(first), count: locatePage };
    const { locations } = await core.masters.read('locate', request);
    for (const location of locations) {
      throwIfAborted(signal);
      const start = location.index * chunkBytes;
      for (const region of await regionsOfChunk(core, inode, location))
        yield { ...region, from: start + region.from, to: start + region.to };
    }
  }
}

/**
 * What could not be read counts if the chunk is still there after it was looked at; the file may have another in its place. Damage that was met
 * counts all the same: the master may have dropped the replica since.
 */
async function regionsOfChunk(
  core: ClientCore,
  inode: Attributes['inode'],
  chunk: Location,
): Promise<readonly Region[]> {
  let location = chunk;
  let dropped: readonly UnreadReplica[] = [];
  for (let looks = 1; ; looks++) {
    const { replicas, unread } = await readReplicas(core, location);
    const regions = regionsAmong(location, replicas, [...unread, ...dropped], core.env.crc32);
    if (unread.length === 0 && regions.every(({ read }) => read > 0)) return regions;
    const now = await chunkAt(core, inode, location.index);
    if (now === undefined) return []; // cut off
    if (looks === looksMax || isSamePlace(location, now)) return regions;
    dropped = now.handle === location.handle ? droppedOf(now, [...unread, ...dropped]) : [];
    location = now;
  }
}

function droppedOf({ replicas }: Location, unread: readonly UnreadReplica[]): readonly UnreadReplica[] {
  const isThere = (id: ServerId) => replicas.some(({ server }) => server === id);
  return unread.filter(({ server, code }) => code.startsWith('DISK_') && !isThere(server));
}

/** Bytes that no replica gave are a region too: up to where a sealed chunk ends, or as far as its master knows. */
function regionsAmong(
  { handle, sealedLength, knownLength }: Location,
  replicas: readonly Uint8Array[],
  unread: readonly UnreadReplica[],
  crc32: Crc32,
): readonly Region[] {
  const read = replicas.length;
  const regions = regionsOf(replicas, crc32).map((stretch): Region => ({ ...stretch, handle, read, unread }));
  const from = longestOf(replicas);
  const to = sealedLength ?? (read === 0 ? knownLength : from);
  // Where nobody tells how long it is the region is empty: that nothing could be read is told all the same.
  if (to > from || (read === 0 && unread.length > 0))
    regions.push({ from, to, state: 'unknown', handle, read: 0, unread });
  return regions;
}

async function readReplicas(core: ClientCore, location: Location) {
  const all = await Promise.all(location.replicas.map((replica) => readReplica(core, location, replica)));
  const unread = all.flatMap((one) => (one instanceof Uint8Array ? [] : [one]));
  return {
    replicas: all.filter((one) => one instanceof Uint8Array),
    unread: isNowhere(location, unread) ? [] : unread,
  };
}

/** A chunk that was never written to is nowhere; of one that is empty nobody need have anything. */
function isNowhere({ sealedLength, knownLength, replicas }: Location, unread: readonly UnreadReplica[]): boolean {
  const isMissingEverywhere = unread.length === replicas.length && unread.every(({ code }) => code === 'CHUNK_MISSING');
  return sealedLength === 0 || (knownLength === 0 && isMissingEverywhere);
}

/** All its bytes. */
async function readReplica(
  core: ClientCore,
  { handle }: Location,
  replica: Replica,
): Promise<Uint8Array | UnreadReplica> {
  const parts: Uint8Array[] = [];
  try {
    for (let offset = 0; ; ) {
      const body = await readPacket(core, handle, replica, offset);
      parts.push(body);
      offset += body.length;
      if (body.length < packetMaxBytes) return concatBytes(parts);
    }
  } catch (thrown) {
    const { server } = replica;
    const { code } = toCairnError(thrown);
    core.env.events.emit('warn', 'client.replicaNotRead', { handle, server, code });
    return { server, code };
  }
}

/** Bytes that have changed on their way are asked for once more. @throws CairnError */
async function readPacket(
  core: ClientCore,
  handle: ChunkHandle,
  { address, server }: Replica,
  offset: number,
): Promise<Uint8Array> {
  const request = { handle, offset, length: packetMaxBytes };
  for (let reads = 1; ; reads++) {
    const { response, body } = await core.pool.call(address, 'read', request, { timeoutMs: readAttemptMs });
    if (core.env.crc32(body) === response.crc) return body;
    if (reads === readsMax)
      throw new CairnError(
        'CHECKSUM_MISMATCH',
        `the bytes of chunk ${handle} change on their way from server ${server}`,
      );
  }
}
