/** What a server has of a chunk, and whether that is all of it, in good order: its own word at this moment. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { serverOrders } from '../../core/protocol/master-calls.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { ChunkRecord } from './state/records.ts';

const holdsMs = 1000;

export type Held = ResponseOf<(typeof serverOrders)['holds']>;

/** Undefined if it does not say, for whatever reason. */
export async function heldBy(
  { servers, env }: LeaderWorld,
  handle: ChunkHandle,
  id: ServerId,
): Promise<Held | undefined> {
  const rpc = servers.get(id)?.rpc;
  if (rpc === undefined || rpc.isClosed) return undefined;
  try {
    return (await rpc.call('holds', { handle }, { timeoutMs: holdsMs })).response;
  } catch (thrown) {
    env.events.emit('warn', 'replica_unknown', { server: id, handle, why: toCairnError(thrown).message });
    return undefined;
  }
}

/** False if it does not say so. */
export async function isHeldWhole(world: LeaderWorld, handle: ChunkHandle, id: ServerId): Promise<boolean> {
  const held = await heldBy(world, handle, id);
  const chunk = world.tables.chunk(handle);
  return held?.isSound === true && (chunk === undefined || isWhole(chunk, held));
}

/**
 * Whether a replica is all of a chunk, as far as is known. Each replica of a sealed one that has bytes has its version too; of an open one the
 * version may have been granted and never begun.
 */
export function isWhole({ version, length, sealed }: ChunkRecord, held: Pick<Held, 'version' | 'length'>): boolean {
  return held.length >= length && (!sealed || length === 0 || (held.version ?? 0) >= version);
}
