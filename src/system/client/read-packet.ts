/**
 * One packet of one chunk, into the caller's memory: from the replica this client prefers, else from another, verified by its
 * checksum. Holes, and what a chunk lacks before the last one, read as zeros.
 */
import type { BodySink, Crc32 } from '../../core/base/env.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import type { Location, Replica } from '../../core/protocol/types.ts';
import type { ChunkLocations, Place } from './chunk-locations.ts';
import { isLost } from './chunk-pool.ts';
import { attemptsOf, type ClientCore } from './core.ts';
import { isSamePlace, lengthsOf } from './lengths.ts';
import { readAttemptMs } from './limits.ts';

export interface PacketRequest {
  /** In the file. */
  readonly position: number;
  readonly index: number;
  /** Within the chunk. */
  readonly offset: number;
  /** At most packetMaxBytes. */
  readonly into: Uint8Array;
  /** When the reading began: the end of the file must have been looked up since. */
  readonly since: number;
}

/** @returns how many bytes there are; fewer than asked for only at the end of the file. @throws CairnError */
export async function readPacket(core: ClientCore, locations: ChunkLocations, packet: PacketRequest): Promise<number> {
  const { index, offset, into, since } = packet;
  const attempts = attemptsOf(core);
  /** What each replica has answered in this round. */
  const failed = new Map<number, CairnError>();
  let lostRounds = 0;
  /** Of an open chunk: as long as it was when a replica had less. */
  let openLength: number | undefined;
  /** A replica had this version, later than whoever named it knew: the chunk was looked up anew since then. */
  let laterVersion = 0;
  let lookedUpSince = since;
  for (;;) {
    const place = await locations.find(index, lookedUpSince);
    if (place.kind === 'end') return 0;
    if (place.kind === 'hole') return zerosFrom(into, 0);
    const { location } = place;
    const replica = chooseReplica(core, place, failed);
    if (replica === undefined) {
      if (openLength === undefined && isUnwritten(location, failed)) {
        const now = await placeOfUnwritten(core, locations, location, failed);
        if (now === undefined) {
          failed.clear();
          continue;
        }
        const all = amount(now, 0, packet);
        if (all !== undefined) return all;
      }
      if (isLostEverywhere(location, failed)) lostRounds += 1;
      if (lostRounds === lostRoundsMax) throw dataLost(location, failed, packet);
      attempts.failed(`reading chunk ${location.handle}`, whyNone(location, failed), false);
      await attempts.pause();
      locations.forget(index);
      failed.clear();
      openLength = undefined;
      continue;
    }
    try {
      const { bytes: have, version } = await readReplica(core, location, replica, packet, attempts.leftMs);
      if (version > Math.max(location.version, laterVersion)) {
        // It may be another file's by now, if this file shared it and was written since; or this replica was left behind.
        laterVersion = version;
        lookedUpSince = core.env.clock.now();
        locations.forget(index);
        failed.clear();
        openLength = undefined;
        continue;
      }
      mustBeCurrent(location, replica, version);
      if (version <= location.version)
        mustBeWhole(location, replica, packet, have, location.sealedLength ?? openLength ?? 0);
      if (location.sealedLength === undefined && openLength === undefined && have < into.length) {
        const [length] = await lengthsOf(core, [place], (tail) => isStillThere(core, locations, tail));
        if (length === undefined) throw endUnknown(location);
        openLength = length.bytes;
        if (offset + have < openLength) continue; // it has grown since, or this replica lacks what others have
      }
      const all = amount(place, have, packet);
      if (all !== undefined) return all;
      locations.forget(index); // what is behind it may be gone, or there may be more: looked up again before this is called a hole, or the end
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code === 'ABORTED') throw error; // by the caller
      failed.set(replica.server, error);
      noteFailure(core, location, replica, error);
    }
  }
}

/**
 * Where the chunk is that no replica has: asked after they said so, for the file may have another since, or it may be on other servers, and has
 * been written to there.
 * @returns undefined if so
 */
async function placeOfUnwritten(
  core: ClientCore,
  locations: ChunkLocations,
  { index, handle }: Location,
  failed: ReadonlyMap<number, CairnError>,
): Promise<(Place & { kind: 'chunk' }) | undefined> {
  locations.forget(index);
  const now = await locations.find(index, core.env.clock.now());
  return now.kind === 'chunk' && now.location.handle === handle && isUnwritten(now.location, failed) ? now : undefined;
}

async function isStillThere(core: ClientCore, locations: ChunkLocations, tail: Location): Promise<boolean> {
  locations.forget(tail.index);
  const now = await locations.find(tail.index, core.env.clock.now());
  return now.kind === 'chunk' && isSamePlace(tail, now.location);
}

/**
 * Every replica of a chunk that was sealed with bytes in it has the version under which it was. One with an earlier version is of the past: its
 * server lost what came since, or its directory was put back to what it was.
 */
function mustBeCurrent({ handle, version, sealedLength = 0 }: Location, { server }: Replica, has: number): void {
  if (sealedLength === 0 || has >= version) return;
  throw new CairnError(
    'STALE_VERSION',
    `server ${server} has version ${has} of chunk ${handle}, which is at ${version}; another replica has that`,
  );
}

/**
 * Every replica has all of a chunk that is sealed, or that was acknowledged before it was asked. One whose machine lost power after the last
 * mutation may have less, if the bytes were of durability memory: what it lacks is no hole, and not the end.
 */
function mustBeWhole(
  { handle }: Location,
  { server }: Replica,
  { offset, into }: PacketRequest,
  have: number,
  length: number,
): void {
  if (offset + have >= Math.min(offset + into.length, length)) return;
  throw new CairnError(
    'CHUNK_MISSING',
    `server ${server} has ${offset + have} of the ${length} bytes of chunk ${handle}; another replica has them`,
  );
}

/** How much of the packet there is when the chunk had `have` bytes of it; undefined if that cannot be said yet. */
function amount(
  { asOf, isLast }: Place & { kind: 'chunk' },
  have: number,
  { into, since }: PacketRequest,
): number | undefined {
  if (have === into.length) return have;
  if (asOf < since) return undefined;
  return isLast ? have : zerosFrom(into, have);
}

function zerosFrom(into: Uint8Array, from: number): number {
  into.fill(0, from);
  return into.length;
}

// ---------------------------------------------------------------- which replica

/** The one with the highest score among the healthy, else among the others; undefined when all have failed. */
function chooseReplica(
  core: ClientCore,
  { location, isAheadAtPrimary }: Place & { kind: 'chunk' },
  failed: ReadonlyMap<number, CairnError>,
): Replica | undefined {
  if (isAheadAtPrimary) return primaryFirst(location, failed);
  let best: Replica | undefined;
  let bestScore = -1;
  for (const replica of location.replicas) {
    if (failed.has(replica.server)) continue;
    const score = scoreOf(core, location, replica);
    if (score > bestScore) {
      best = replica;
      bestScore = score;
    }
  }
  return best;
}

/** The others may lack what the primary alone has: they are read where it is lost there, or when the master names another one first. */
function primaryFirst({ replicas }: Location, failed: ReadonlyMap<number, CairnError>): Replica | undefined {
  const failure = replicas[0] && failed.get(replicas[0].server);
  if (failure !== undefined && !lostReplica.has(failure.code)) return undefined;
  return replicas.find(({ server }) => !failed.has(server));
}

/** Rendezvous of client, chunk and server: readers spread, each stays with its choice. Unhealthy ones rank below all healthy ones. */
function scoreOf(core: ClientCore, { handle }: Location, { server, address }: Replica): number {
  const isDoubtful = core.pool.isSuspect(address) || core.pool.isBadReplica(handle, server);
  const spread = mix(mix(core.seed ^ handle) ^ server) >>> 1;
  return isDoubtful ? spread : spread + 0x8000_0000;
}

/** A 32-bit mixer (the finalizer of MurmurHash3). */
function mix(n: number): number {
  let h = n | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}

const badReplica: ReadonlySet<ErrorCode> = new Set([
  'CHECKSUM_MISMATCH',
  'CHUNK_MISSING',
  'DISK_CORRUPT',
  'DISK_FAILED',
  'STALE_VERSION',
]);

/** The server is up, and these bytes are not there. */
const lostReplica: ReadonlySet<ErrorCode> = new Set(['CHUNK_MISSING', 'DISK_CORRUPT', 'DISK_FAILED']);

function noteFailure(core: ClientCore, { handle }: Location, { server, address }: Replica, error: CairnError): void {
  if (badReplica.has(error.code) || error.retry === 'never') core.pool.reportBadReplica(handle, server);
  const level = isLost(error) ? 'info' : 'warn';
  core.env.events.emit(level, 'client.replicaNotRead', { handle, server, address, code: error.code });
}

/** Rounds in which every replica has said that it is damaged or gone, before it is believed: copies may be moving. */
const lostRoundsMax = 3;

/** A chunk is made by its first mutation, which has not come. */
function isUnwritten({ replicas, knownLength }: Location, failed: ReadonlyMap<number, CairnError>): boolean {
  return knownLength === 0 && replicas.every(({ server }) => failed.get(server)?.code === 'CHUNK_MISSING');
}

function isLostEverywhere({ replicas }: Location, failed: ReadonlyMap<number, CairnError>): boolean {
  const isLostAt = (server: number) => lostReplica.has(failed.get(server)?.code ?? 'INTERNAL');
  return replicas.length > 0 && replicas.every(({ server }) => isLostAt(server));
}

function dataLost(
  { handle }: Location,
  failed: ReadonlyMap<number, CairnError>,
  { position, into }: PacketRequest,
): CairnError {
  const range = `bytes ${position} to ${position + into.length} of the file`;
  const reasons = [...failed].map(([server, { code }]) => `server ${server}: ${code}`).join(', ');
  return new CairnError(
    'DATA_LOST',
    `${range} are lost: no server of chunk ${handle} has them any more (${reasons}); the rest can be read, \`cairn fsck\` lists what is gone`,
    { hint: String(handle) },
  );
}

function endUnknown({ handle }: Location): CairnError {
  return new CairnError('UNAVAILABLE', `no replica of chunk ${handle} that has all of it tells how long it is`);
}

/** Why this round has come to nothing. One replica's last word is not that of all: what another round may mend comes first. */
function whyNone({ handle }: Location, failed: ReadonlyMap<number, CairnError>): CairnError {
  const all = [...failed.values()];
  const why = all.findLast(({ retry }) => retry !== 'never') ?? all.at(-1);
  return why ?? new CairnError('UNAVAILABLE', `chunk ${handle} has no replica on a server that is up`);
}

// ---------------------------------------------------------------- one attempt

async function readReplica(
  core: ClientCore,
  { handle }: Location,
  { server, address }: Replica,
  { offset, into }: PacketRequest,
  leftMs: number,
): Promise<{ readonly bytes: number; readonly version: number }> {
  const sink = new MemorySink(into, core.env.crc32);
  const request = { handle, offset, length: into.length };
  const options = {
    sink: (bodyBytes: number) => sink.begin(bodyBytes),
    timeoutMs: Math.min(leftMs, readAttemptMs),
  };
  const { response } = await core.pool.call(address, 'read', request, options);
  if (sink.crc !== response.crc) {
    throw new CairnError(
      'CHECKSUM_MISMATCH',
      `the bytes of chunk ${handle} changed on their way from server ${server}`,
    );
  }
  return { bytes: sink.bytes, version: response.version };
}

/** Has the network write straight into the caller's memory, and sums up what comes while it is in the processor's cache. */
class MemorySink implements BodySink {
  bytes = 0;
  crc = 0;
  readonly #into: Uint8Array;
  readonly #crc32: Crc32;

  constructor(into: Uint8Array, crc32: Crc32) {
    this.#into = into;
    this.#crc32 = crc32;
  }

  /** @throws CairnError PROTOCOL: more bytes than were asked for */
  begin(bodyBytes: number): BodySink {
    if (bodyBytes > this.#into.length) {
      throw new CairnError('PROTOCOL', `${bodyBytes} bytes came, ${this.#into.length} were asked for`);
    }
    return this;
  }
  space(): Uint8Array {
    return this.#into.subarray(this.bytes);
  }
  piece(bytes: Uint8Array): void {
    this.crc = this.#crc32(bytes, this.crc);
    this.bytes += bytes.length;
  }
  end(): void {}
  aborted(): void {}
}
