/** The call `awaitGrowth`: who follows a file waits here until there is more of a chunk, or until it has to look elsewhere. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { type chunkCalls, growthWaitMaxMs, type LengthHere } from '../../core/protocol/chunk-calls.ts';
import type { Reply } from '../rpc/handlers.ts';
import { Waits } from '../rpc/waits.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { Inventory } from './inventory.ts';
import type { Leases } from './leases.ts';
import type { Session } from './session.ts';

type GrowthSpec = (typeof chunkCalls)['awaitGrowth'];
type Present = ResponseOf<GrowthSpec>;

export interface GrowthWorld {
  readonly env: Env;
  readonly store: ChunkStore;
  readonly session: Session;
  readonly inventory: Inventory;
  readonly leases: Leases;
  readonly waits: GrowthWaits;
}

export type GrowthWaits = Waits<ChunkHandle, Present>;

export function makeGrowthWaits(env: Env, waitsMax: number): GrowthWaits {
  return new Waits(env, waitsMax);
}

/** @throws CairnError CHUNK_MISSING, LEASE_EXPIRED, BUSY */
export async function awaitGrowth(
  world: GrowthWorld,
  { handle, known, waitMs }: RequestOf<GrowthSpec>,
): Promise<Reply<Present>> {
  const look = (isOver: boolean) => {
    const present = presentOf(world, handle);
    return isOver || known === undefined || isOther(present, known) ? present : undefined;
  };
  return { response: await world.waits.wait(handle, Math.min(waitMs, growthWaitMaxMs), look) };
}

function presentOf({ store, session, inventory, leases }: GrowthWorld, handle: ChunkHandle): Present {
  session.mustBeValid();
  inventory.mustBeConfirmed(handle);
  const info = store.info(handle);
  const length = lengthHere(store, leases, handle)?.bytes;
  if (info === undefined || length === undefined) {
    throw new CairnError('CHUNK_MISSING', `chunk ${handle} is not here; ask the master again`);
  }
  return { version: info.version, length, isOpen: leases.of(handle) !== undefined };
}

function isOther(a: Present, b: Present): boolean {
  return a.length !== b.length || a.version !== b.version || a.isOpen !== b.isOpen;
}

/** Undefined for a chunk that is not here. */
export function lengthHere(
  store: Pick<ChunkStore, 'info'>,
  leases: Pick<Leases, 'of'>,
  handle: ChunkHandle,
): LengthHere | undefined {
  const lease = leases.of(handle);
  if (lease?.state === 'active' || lease?.state === 'closing')
    return { bytes: lease.acknowledgedLength, hasLease: true };
  const bytes = store.info(handle)?.lengthBytes;
  return bytes === undefined ? undefined : { bytes, hasLease: false };
}
