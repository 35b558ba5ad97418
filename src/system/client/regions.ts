/**
 * The states of a file's regions (GFS §2.7.1), from the bytes of all replicas: consistent where all have the same, defined where moreover a whole
 * record is (docs/formats/records.md), padding where all have zeros. Without a history nobody can tell more of other bytes than that they are the same.
 */
import { toChunkIndex } from '../../core/base/brand.ts';
import { bytesEqual } from '../../core/base/bytes.ts';
import type { Crc32 } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';
import { type Location, packetMaxBytes, type Replica } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import type { ClientCore } from './core.ts';
import { locatePage, readAttemptMs } from './limits.ts';
import { RecordScanner } from './record-scanner.ts';

/** `unknown`: fewer than two replicas could be read. */
export type RegionState = 'defined' | 'consistent' | 'padding' | 'inconsistent' | 'unknown';

export interface Region {
  /** In the file, [from, to). */
  readonly from: number;
  readonly to: number;
  readonly state: RegionState;
}

/** The regions of one chunk. @param replicas the bytes of each; one that is shorter differs where it ends. */
export function regionsOf(replicas: readonly Uint8Array[], crc32: Crc32): readonly Region[] {
  const lengthBytes = Math.max(0, ...replicas.map(({ length }) => length));
  const regions: Region[] = [];
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
  return replicas.length < 2 ? regions.map((region) => ({ ...region, state: 'unknown' })) : regions;
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
      const replicas = await Promise.all(location.replicas.map((replica) => wholeReplica(core, location, replica)));
      const present = replicas.filter((bytes) => bytes !== undefined);
      for (const region of regionsOf(present, core.env.crc32)) {
        yield { ...region, from: start + region.from, to: start + region.to };
      }
    }
  }
}

/** Undefined where it cannot be read. */
async function wholeReplica(
  core: ClientCore,
  { handle }: Location,
  { address, server }: Replica,
): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  try {
    for (let offset = 0; ; ) {
      const request = { handle, offset, length: packetMaxBytes };
      const { body } = await core.pool.call(address, 'read', request, { timeoutMs: readAttemptMs });
      parts.push(body);
      offset += body.length;
      if (body.length < packetMaxBytes) break;
    }
  } catch (thrown) {
    core.env.events.emit('warn', 'client.replicaNotRead', { handle, server, code: toCairnError(thrown).code });
    return undefined;
  }
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
