/** How each engine is watched from outside. */
import type { EngineName, Members, QuorumSizes } from '../../../core/consensus/engine.ts';
import type { CommittedLog } from './committed-log.ts';
import { PaxosWatch } from './paxos-watch.ts';
import type { ProtocolWatch } from './protocol-watch.ts';
import { RaftWatch } from './raft-watch.ts';

type MakeWatch = (
  bootstrap: Members,
  log: CommittedLog,
  sizes: QuorumSizes | undefined,
) => ProtocolWatch<unknown, unknown>;

const watches: Readonly<Record<EngineName, MakeWatch>> = {
  raft: (bootstrap, log) => new RaftWatch(bootstrap, log) as ProtocolWatch<unknown, unknown>,
  paxos: (bootstrap, log, sizes) => new PaxosWatch(bootstrap, log, sizes) as ProtocolWatch<unknown, unknown>,
};

export function watchOf(
  engine: EngineName,
  bootstrap: Members,
  log: CommittedLog,
  sizes: QuorumSizes | undefined,
): ProtocolWatch<unknown, unknown> {
  return watches[engine](bootstrap, log, sizes);
}
