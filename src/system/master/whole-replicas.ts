/** Whether a server has all of a chunk, in good order: its own word at this moment. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';

const holdsMs = 1000;

/** False if it does not say so, for whatever reason. */
export async function isHeldWhole(
  { servers, tables, env }: LeaderWorld,
  handle: ChunkHandle,
  id: ServerId,
): Promise<boolean> {
  const rpc = servers.get(id)?.rpc;
  if (rpc === undefined || rpc.isClosed) return false;
  try {
    const { response } = await rpc.call('holds', { handle }, { timeoutMs: holdsMs });
    return response.isSound && response.length >= (tables.chunk(handle)?.length ?? 0);
  } catch (thrown) {
    env.events.emit('warn', 'replica_unknown', { server: id, handle, why: toCairnError(thrown).message });
    return false;
  }
}
