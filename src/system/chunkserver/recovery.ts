/**
 * A primary makes all members of a new version equal, before its first mutation. Acknowledged bytes are on every member, unless one has
 * lost what it held in memory; so the member that is furthest, by version and serial, holds all of them. The primary makes itself
 * equal to that one if it is behind, then the others equal to itself: it compares the checksums of their blocks, copies those that
 * differ, cuts or extends, and hands over the append window. In the end all hold the new version with serial 0 and refuse every
 * older one.
 */
import {
  type ChunkHandle,
  type ChunkVersion,
  type MutationSerial,
  type ServerId,
  toMutationSerial,
} from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { blockBytes, type ChunkImage, type ChunkStore } from '../storage/chunk-store.ts';
import { type CopyWorld, copyFrom, imageOf } from './cloning.ts';
import { bytesIn, type CopyStep, copySteps, type ReplicaState, stretchesOf } from './copying.ts';
import type { Fences } from './fences.ts';
import type { ReplicaLink } from './replica-link.ts';
import { runsOf } from './window-runs.ts';

const noSerial: MutationSerial = toMutationSerial(0);

export interface Recovered {
  /** Members that failed: if there are any, the version must not be used. */
  readonly failed: ReadonlyMap<ServerId, CairnError>;
  /** The version of the member that this replica was behind, and has been made equal to. */
  readonly wasBehind: ChunkVersion | undefined;
}

/** What the master knows of the chunk, and whether that was on disks. */
export interface Expected {
  readonly length: number;
  readonly isDurable: boolean;
  /**
   * False in mode gfs: members keep what they have, only who has nothing is given a copy. But who is behind may have lost bytes of durability
   * memory with its power, as well as have missed what failed, or be of an earlier version: then all are made equal.
   */
  readonly isReconciled: boolean;
}

interface Member {
  readonly link: ReplicaLink;
  readonly image: ChunkImage | undefined;
}

/**
 * The caller sees to it that nothing mutates the chunk under the new version meanwhile.
 * @throws CairnError STALE_VERSION when a member knows of a newer version, or holds this one; DATA_LOST when nobody has what was on disks; DISK_FULL, DISK_FAILED, DISK_CORRUPT of this server
 */
export async function recoverReplicas(
  world: CopyWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  links: readonly ReplicaLink[],
  expects: Expected,
): Promise<Recovered> {
  world.fences.raise(handle, version);
  const failed = new Map<ServerId, CairnError>();
  const members = await Promise.all(links.map((link) => memberOf(link, handle, version, failed)));
  throwIfStale(failed);
  throwIfBegun(members, handle, version);
  const present = await presentImage(world, handle, version);
  const isNowhere = present === undefined && members.every(({ image }) => image === undefined);
  const mayBeElsewhere = failed.size > 0;
  if (isNowhere && expects.length > 0 && (expects.isDurable || mayBeElsewhere))
    throw lost(handle, expects.length, [...failed.keys()]);
  if (failed.size > 0) return { failed, wasBehind: undefined };
  if (!expects.isReconciled && isOfOneVersion(members, present))
    return takeVersionOnly(world, handle, version, members);
  const ahead = furthest(members, present);
  if (ahead !== undefined) await copyFrom(world, ahead.image, present, ahead.link, version);
  const own = await imageToGive(world, handle, version, isNowhere);
  await Promise.all(members.map((member) => makeEqual(world, own, version, member, failed)));
  throwIfStale(failed);
  if (failed.size === 0) await takeVersion(world, own, version);
  return { failed, wasBehind: ahead?.image.version };
}

/** Who does not answer may have it still: it must not be left out for those who have nothing. */
function lost(handle: ChunkHandle, lengthBytes: number, silent: readonly ServerId[]): CairnError {
  if (silent.length > 0) {
    const where = `chunk ${handle} is gone from all servers of it that are up; start ${silent.join(', ')}`;
    return new CairnError('UNAVAILABLE', where);
  }
  return new CairnError(
    'DATA_LOST',
    `chunk ${handle} had ${lengthBytes} bytes, and none of its servers has it any more; \`cairn fsck\` lists what is gone`,
  );
}

async function memberOf(
  link: ReplicaLink,
  handle: ChunkHandle,
  fence: ChunkVersion,
  failed: Map<ServerId, CairnError>,
): Promise<Member> {
  try {
    return { link, image: await imageOf(link, handle, fence) };
  } catch (thrown) {
    const error = toCairnError(thrown);
    if (error.code !== 'CHUNK_MISSING') failed.set(link.replica.server, error);
    return { link, image: undefined };
  }
}

/** Once all that was queued here has been written. */
function presentImage(world: CopyWorld, handle: ChunkHandle, version: ChunkVersion): Promise<ChunkImage | undefined> {
  return world.writer.exclusive(handle, () => {
    throwIfOvertaken(world.fences, handle, version);
    return world.store.image(handle);
  });
}

/** A chunk that nobody of the set holds was never written to: it begins empty. One that somebody has must not be emptied by who has lost it. */
function imageToGive(
  world: CopyWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  isNowhere: boolean,
): Promise<ChunkImage> {
  const { store, writer, fences } = world;
  return writer.exclusive(handle, () => {
    throwIfOvertaken(fences, handle, version);
    if (isNowhere && store.info(handle) === undefined) store.create(handle, version);
    const image = store.image(handle);
    if (image === undefined)
      throw new CairnError('STALE_VERSION', `chunk ${handle} was removed while it was recovered; ask for a new grant`);
    return image;
  });
}

/** The member that holds more than this server, if any does. */
function furthest(
  members: readonly Member[],
  own: ChunkImage | undefined,
): { readonly link: ReplicaLink; readonly image: ChunkImage } | undefined {
  let best: { readonly link: ReplicaLink; readonly image: ChunkImage } | undefined;
  for (const { link, image } of members) {
    if (image !== undefined && isAhead(image, best?.image ?? own)) best = { link, image };
  }
  return best;
}

function isAhead(a: ReplicaState, b: ReplicaState | undefined): boolean {
  if (b === undefined) return true;
  return a.version > b.version || (a.version === b.version && a.serial > b.serial);
}

/**
 * Whether this server and all that have the chunk have it under one version. Who is at an earlier one has missed more than what failed under the
 * last, which alone may stay different in mode gfs: its directory may have been put back to what it was.
 */
function isOfOneVersion(members: readonly Member[], own: ChunkImage | undefined): boolean {
  return own !== undefined && members.every(({ image }) => image === undefined || image.version === own.version);
}

/** All take the version, each with the bytes that it has, and what it knows of mutations. */
async function takeVersionOnly(
  world: CopyWorld,
  handle: ChunkHandle,
  version: ChunkVersion,
  members: readonly Member[],
): Promise<Recovered> {
  const failed = new Map<ServerId, CairnError>();
  const own = await imageToGive(world, handle, version, false);
  const take = async (member: Member): Promise<void> => {
    const { link, image } = member;
    if (image === undefined) return makeEqual(world, own, version, member, failed);
    const { lengthBytes } = image;
    const request = {
      handle,
      under: version,
      base: image,
      version,
      serial: noSerial,
      lengthBytes,
      window: runsOf(image.window),
      blocks: [],
    };
    await link.adopt(request, []).catch((thrown: unknown) => failed.set(link.replica.server, toCairnError(thrown)));
  };
  await Promise.all(members.map(take));
  throwIfStale(failed);
  if (failed.size === 0) await takeVersion(world, own, version);
  return { failed, wasBehind: undefined };
}

async function makeEqual(
  { store, limits }: CopyWorld,
  own: ChunkImage,
  version: ChunkVersion,
  { link, image }: Member,
  failed: Map<ServerId, CairnError>,
): Promise<void> {
  let base: ReplicaState | undefined = image;
  for (const step of copySteps(own, image, { version, serial: noSerial }, [], limits.recoveryStepBytes)) {
    const { body, blocks } = await readBlocks(store, own, step);
    const request = { ...step, handle: own.handle, under: version, base, window: runsOf(step.window), blocks };
    try {
      await link.adopt(request, body);
    } catch (thrown) {
      failed.set(link.replica.server, toCairnError(thrown));
      return;
    }
    base = step;
  }
}

/** The bytes of what a step takes, one block after another, and their checksums. */
async function readBlocks(
  store: ChunkStore,
  { handle, lengthBytes, blockChecksums }: ChunkImage,
  step: CopyStep,
): Promise<{ readonly body: Uint8Array[]; readonly blocks: { block: number; crc: number }[] }> {
  const body: Uint8Array[] = [];
  for (const { offset, length } of stretchesOf(step.blocks, Math.min(step.lengthBytes, lengthBytes)))
    body.push(...(await store.read(handle, offset, length)));
  const blocks = step.blocks.map((block) => ({ block, crc: blockChecksums[block]! }));
  const last = blocks.at(-1);
  const taken = last === undefined ? 0 : bytesIn(step.lengthBytes, last.block);
  if (last !== undefined && taken < bytesIn(lengthBytes, last.block))
    last.crc = (await store.readSummed(handle, last.block * blockBytes, taken)).crc;
  return { body, blocks };
}

async function takeVersion(
  { store, writer, fences }: CopyWorld,
  own: ChunkImage,
  version: ChunkVersion,
): Promise<void> {
  await writer.exclusive(own.handle, () => {
    throwIfOvertaken(fences, own.handle, version);
    return store.adopt({ ...own, version, serial: noSerial }, []);
  });
  writer.mended(own.handle);
  fences.reached(own.handle, version);
}

function throwIfOvertaken(fences: Fences, handle: ChunkHandle, version: ChunkVersion): void {
  if (fences.of(handle) > version) throw new CairnError('STALE_VERSION', `chunk ${handle} has a newer version`);
}

/**
 * A version is begun once. Whoever holds it has it from its primary, which may have given it up since: the master may count on what the
 * chunk was then.
 */
function throwIfBegun(members: readonly Member[], handle: ChunkHandle, version: ChunkVersion): void {
  const holder = members.find(({ image }) => image?.version === version);
  if (holder === undefined) return;
  throw new CairnError(
    'STALE_VERSION',
    `chunk ${handle}: server ${holder.link.replica.server} holds version ${version}, which was begun before; ask for a new grant`,
  );
}

function throwIfStale(failed: ReadonlyMap<ServerId, CairnError>): void {
  for (const error of failed.values()) if (error.code === 'STALE_VERSION') throw error;
}
