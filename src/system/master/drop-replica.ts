/** Has a server throw a replica away: it serves it no longer. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { ChunkRecord } from './state/records.ts';

const dropMs = 1000;

/** False if that is not certain. */
export async function dropReplica(
  { servers, env }: LeaderWorld,
  id: ServerId,
  handle: ChunkHandle,
  { version, length }: ChunkRecord,
): Promise<boolean> {
  const rpc = servers.get(id)?.rpc;
  if (rpc === undefined || rpc.isClosed) return false;
  try {
    await rpc.call('drop', { handles: [{ handle, version, length }] }, { timeoutMs: dropMs });
    return true;
  } catch (thrown) {
    env.events.emit('warn', 'replica_not_dropped', { server: id, handle, why: toCairnError(thrown).message });
    return false;
  }
}
