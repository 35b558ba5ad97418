/** What `cairn status`, `consensus status`, `servers` and `df` show. */
import type { Address, NodeId } from '../../core/base/brand.ts';
import { configuredIdOf, incarnationOf } from '../../core/base/node-id.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { MasterStatus, masterCalls } from '../../core/protocol/master-calls.ts';
import type { Replica } from '../rsm/replica.ts';
import type { Leader } from './leader.ts';
import type { Caller } from './membership/doorkeeper.ts';
import type { Group } from './membership/group.ts';
import type { Keeper } from './membership/keeper.ts';
import { directory } from './state/resolve.ts';
import { rootInode } from './state/tables.ts';

type StatusSource = Pick<Replica, 'status' | 'durableIndex' | 'logBytes'>;
type GroupSource = Pick<Group<unknown, unknown, Caller>, 'peers' | 'self' | 'roster' | 'members' | 'addressOf'>;

/** What a master knows of itself; only the leader knows its standing and lag. */
export function ownStatus(replica: StatusSource, node: NodeId, address: Address, pid: number, elector: Elector) {
  const { role, engine, term, commitIndex, appliedIndex } = replica.status;
  const { durableIndex, logBytes } = replica;
  const told = { pid, address, role, engine, elector, term, commitIndex, appliedIndex, durableIndex, logBytes };
  return { ...nameOf(node), ...told, standing: 'voter' as const, lag: undefined } satisfies MasterStatus;
}

type Elector = MasterStatus['elector'];

function nameOf(node: NodeId) {
  return { id: configuredIdOf(node), incarnation: incarnationOf(node) };
}

export interface StatusView {
  readonly leader: Leader;
  readonly keeper: Keeper;
  readonly group: GroupSource;
  readonly replica: Pick<Replica, 'status'>;
  readonly own: MasterStatus;
}

async function mastersStatus({ keeper, group, replica, own }: StatusView): Promise<MasterStatus[]> {
  const { voters, votersNext = [], nonVoters } = group.members;
  const nodes = new Set([...group.roster.members.map(({ node }) => node), ...voters, ...votersNext, ...nonVoters]);
  const lags = replica.status.lagPerPeer;
  return Promise.all(
    [...nodes].sort(byId).map(async (node) => {
      const told = node === group.self.node ? own : await peerStatus(group, node, own);
      return { ...told, standing: keeper.standingOf(node) ?? 'leaving', lag: lags.get(node) };
    }),
  );
}

function byId(a: NodeId, b: NodeId): number {
  return configuredIdOf(a) - configuredIdOf(b) || a - b;
}

/** A master that does not answer soon, or answers under another name, is `down`. */
async function peerStatus(group: GroupSource, node: NodeId, own: MasterStatus): Promise<MasterStatus> {
  const told = await group.peers.status(node).catch(() => undefined); // whatever the reason: this is what `down` means here
  const { id, incarnation } = nameOf(node);
  if (told !== undefined && told.id === id && told.incarnation === incarnation) return told;
  const unknown = { pid: 0, term: 0, commitIndex: 0, appliedIndex: 0, durableIndex: 0, logBytes: 0, lag: undefined };
  const address = group.addressOf(node) ?? ('-:0' as Address);
  return {
    id,
    incarnation,
    address,
    role: 'down',
    standing: 'voter',
    engine: own.engine,
    elector: own.elector,
    ...unknown,
  };
}

export async function clusterStatus(view: StatusView): Promise<ResponseOf<typeof masterCalls.status>> {
  const masters = await mastersStatus(view);
  const { leader, own } = view;
  leader.checkLeading();
  const { tables, servers, replication } = leader;
  const { files, directories, chunks } = tables.counters;
  return {
    clusterId: tables.identity?.clusterId ?? '',
    leader: own.id,
    masters,
    servers: servers.status((id) => tables.chunksOn(id)),
    files,
    directories,
    chunks,
    underReplicatedChunks: replication.needs.short,
    lostChunks: replication.needs.lost,
    replication: directory(tables, rootInode).replication,
  };
}
