/** What `cairn status`, `servers` and `df` show. */
import type { NodeId } from '../../core/base/brand.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { MasterStatus, masterCalls } from '../../core/protocol/master-calls.ts';
import type { Replica } from '../rsm/replica.ts';
import type { Leader } from './leader.ts';
import type { MasterAddress } from './options.ts';
import type { Peers } from './peers.ts';
import { directory } from './state/resolve.ts';
import { rootInode } from './state/tables.ts';

type StatusSource = Pick<Replica, 'status' | 'durableIndex' | 'logBytes'>;

export function ownStatus(replica: StatusSource, { id, address }: MasterAddress, pid: number): MasterStatus {
  const { role, engine, term, commitIndex, appliedIndex } = replica.status;
  const { durableIndex, logBytes } = replica;
  return { id, pid, address, role, engine, term, commitIndex, appliedIndex, durableIndex, logBytes };
}

/** A master that does not answer soon is `down`. */
async function peerStatus(peers: Peers, { id, address }: MasterAddress, own: MasterStatus): Promise<MasterStatus> {
  try {
    return await peers.status(id);
  } catch {
    // Whatever the reason: this is what `down` means here.
    const unknown = { pid: 0, term: 0, commitIndex: 0, appliedIndex: 0, durableIndex: 0, logBytes: 0 };
    return { id, address, role: 'down', engine: own.engine, ...unknown };
  }
}

export async function clusterStatus(
  leader: Leader,
  peers: Peers,
  masters: readonly MasterAddress[],
  own: MasterStatus,
): Promise<ResponseOf<typeof masterCalls.status>> {
  const all = await Promise.all(masters.map((master) => (master.id === own.id ? own : peerStatus(peers, master, own))));
  leader.checkLeading();
  const { tables, servers, replication } = leader;
  const { files, directories, chunks } = tables.counters;
  return {
    clusterId: tables.identity?.clusterId ?? '',
    leader: own.id satisfies NodeId,
    masters: all,
    servers: servers.status(),
    files,
    directories,
    chunks,
    underReplicatedChunks: replication.needs.short,
    lostChunks: replication.needs.lost,
    replication: directory(tables, rootInode).replication,
  };
}
