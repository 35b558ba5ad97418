/** What the host and operators see of a node. */
import type { NodeId } from '../../base/brand.ts';
import type { EngineStatus } from '../engine.ts';
import { membersOf, type RaftState } from './state.ts';

/** A picture of this moment, except for `lagPerPeer`, which is made when it is looked at. */
export function statusOf(s: RaftState): EngineStatus {
  return {
    engine: 'raft',
    id: s.id,
    role: s.role,
    term: s.currentTerm,
    leader: s.leader,
    established: s.leading?.established ?? false,
    epoch: s.config.epoch,
    firstIndex: s.log.firstIndex,
    lastIndex: s.log.lastIndex,
    commitIndex: s.commitIndex,
    appliedIndex: s.appliedIndex,
    members: membersOf(s),
    get lagPerPeer() {
      return lagPerPeer(s);
    },
  };
}

function lagPerPeer(s: RaftState): ReadonlyMap<NodeId, number> {
  const lag = new Map<NodeId, number>();
  for (const [id, p] of s.leading?.progress ?? []) lag.set(id, s.log.lastIndex - p.matchIndex);
  return lag;
}
