/** Everything a Raft node knows: the state of Figure 2 under its own names, and what surrounds it. Owned by one engine; plain data. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { Durability } from '../durability.ts';
import type { Elector, ElectorView } from '../elector/elector.ts';
import type { EngineConfig, LogIndex, Members, ReadId, Role } from '../engine.ts';
import type { RaftLog } from './log.ts';
import type { Progress } from './progress.ts';
import type { RaftRecord } from './records.ts';
import type { Term } from './term.ts';

export interface RaftState {
  readonly config: EngineConfig;
  readonly id: NodeId;

  // persistent on all servers
  currentTerm: Term;
  votedFor: NodeId | undefined;
  readonly log: RaftLog;

  // volatile on all servers
  commitIndex: LogIndex;
  /** lastApplied of Figure 2, as the host reports it. */
  appliedIndex: LogIndex;
  role: Role;
  leader: NodeId | undefined;
  /** The latest time that an input brought. */
  now: Millis;
  readonly elector: Elector;
  /** Of this state, for the elector. */
  readonly view: ElectorView;
  readonly durability: Durability;

  /** Answers to our RequestVote, by sender: a repeated answer counts once. */
  readonly votes: Map<NodeId, boolean>;
  /** Set exactly while the role is leader. */
  leading: Leading | undefined;
  /** Peers to whom the host is streaming a snapshot, whoever leads. */
  readonly streaming: Set<NodeId>;
  /** What restoring found out that the log does not say yet; goes before the first record. */
  unrecorded: readonly RaftRecord[];
}

export const never = Number.POSITIVE_INFINITY as Millis;

/** A leader's volatile state; begins anew with each election. */
export interface Leading {
  /** Index of the no-op that opened the term. */
  readonly termStart: LogIndex;
  /** An entry of this term is committed. */
  established: boolean;
  readonly progress: Map<NodeId, Progress>;
  nextHeartbeatAt: Millis;
  /** When followers are to be told of a commit that nothing else has told them of; `never` if there is none. */
  announceAt: Millis;
  uncommittedBytes: number;
  /** The read round under way or last done; heartbeats of it confirm the reads that it holds. */
  round: number;
  roundIndex: LogIndex;
  roundReads: readonly ReadId[];
  waitingReads: ReadId[];
}

export function membersOf(s: RaftState): Members {
  return s.log.members;
}
