/** How each engine is watched from outside. */
import type { EngineName, Members } from '../../../core/consensus/engine.ts';
import type { CommittedLog } from './committed-log.ts';
import { PaxosWatch } from './paxos-watch.ts';
import type { GroupPlan } from './plan.ts';
import type { ProtocolWatch } from './protocol-watch.ts';
import { RaftWatch } from './raft-watch.ts';

type Terms = Pick<GroupPlan, 'quorums' | 'windowSlots'>;
type MakeWatch = (bootstrap: Members, log: CommittedLog, terms: Terms) => ProtocolWatch<unknown, unknown>;

const watches: Readonly<Record<EngineName, MakeWatch>> = {
  raft: (bootstrap, log) => new RaftWatch(bootstrap, log) as ProtocolWatch<unknown, unknown>,
  paxos: (bootstrap, log, terms) => new PaxosWatch(bootstrap, log, terms) as ProtocolWatch<unknown, unknown>,
};

export function watchOf(
  { engine, ...terms }: Terms & { readonly engine: EngineName },
  bootstrap: Members,
  log: CommittedLog,
): ProtocolWatch<unknown, unknown> {
  return watches[engine](bootstrap, log, terms);
}
