/** What servers have of a chunk, whether that is all of it, in good order, and whom the chunk can do without: by their own word at this moment. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { serverOrders } from '../../core/protocol/master-calls.ts';
import type { LeaderWorld } from './leader-world.ts';
import { isLive } from './needs.ts';
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
  return held !== undefined && isSoundAndWhole(chunk, held);
}

export function isSoundAndWhole(chunk: ChunkRecord | undefined, held: Held): boolean {
  return held.isSound && (chunk === undefined || isWhole(chunk, held));
}

/**
 * Whether a replica is all of a chunk, as far as is known. Each replica of a sealed one that has bytes has its version too; of an open one the
 * version may have been granted and never begun.
 */
export function isWhole({ version, length, sealed }: ChunkRecord, held: Pick<Held, 'version' | 'length'>): boolean {
  return held.length >= length && (!sealed || length === 0 || (held.version ?? 0) >= version);
}

/**
 * Whether a chunk can do without those who leave. Whoever has come back with an empty disk, or has lost bytes with its power, must not be left alone
 * with it while others have it. So one that stays is sound and has all that the master knows of; or all that each of those who leave has, damaged or
 * not: so it is where all have lost their power, or where a chunk was cut since the master was told, and its next version never begun. A chunk that is
 * sealed, or of which no length was ever told, does not wait for who is dead. Who says that it has nothing, and never had, has all that was acknowledged.
 * @param isBelieved to have all of it, whatever its length
 */
export async function canDoWithout(
  world: LeaderWorld,
  handle: ChunkHandle,
  chunk: ChunkRecord,
  leaving: readonly ServerId[],
  staying: readonly ServerId[],
  isBelieved: (held: Held, id: ServerId) => boolean = () => false,
): Promise<boolean> {
  const heldByAll = (ids: readonly ServerId[]) => Promise.all(ids.map((id) => heldBy(world, handle, id)));
  const isOfNow = (held: Held) => !chunk.sealed || (held.version ?? 0) >= chunk.version;
  const own = await heldByAll(staying);
  const sound = own.flatMap((held) => (held?.isSound === true && isOfNow(held) ? [held] : []));
  if (sound.some((held) => isWhole(chunk, held) || isBelieved(held, staying[own.indexOf(held)]!))) return true;
  const haveNothing = own.length > 0 && own.every((held) => held?.length === 0);
  const enough = chunk.length === 0 && haveNothing ? [...sound, nothing] : sound;
  if (enough.length === 0) return false;
  // only now the others: who is leaving may be slow to answer
  const mayBeDead = chunk.sealed || chunk.length === 0;
  const others = await heldByAll(mayBeDead ? leaving.filter((id) => isLive(world.servers, id)) : leaving);
  return enough.some((held) => others.every((other) => other !== undefined && !isMore(other, held)));
}

/** All that there is of a chunk that was never written to. */
const nothing: Held = { version: undefined, length: 0, isSound: true, serial: 0 };

/**
 * Who has the later mutations of one version has the earlier ones; one of them may have been a cut. An empty replica to which nothing was done is no
 * more than none at all.
 */
function isMore(a: Held, b: Held): boolean {
  if (b.version === undefined && a.length === 0 && a.serial === 0) return false;
  const [ofA, ofB] = [a.version ?? 0, b.version ?? 0];
  if (ofA !== ofB) return ofA > ofB;
  return a.serial > b.serial || (a.serial === b.serial && a.length > b.length);
}
