/** Everything a Raft node knows: the state of Figure 2 under its own names, and what surrounds it. Owned by one engine; plain data. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { CatchUpRound } from '../catch-up-round.ts';
import type { Durability } from '../durability.ts';
import type { Elector, ElectorView } from '../elector/elector.ts';
import type { ControlId, ControlRequest, EngineConfig, LogIndex, Members, ReadId, Role } from '../engine.ts';
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
  /** Until when another leader might serve reads by a lease that an entry of our log gives it. */
  othersLeaseUntil: Millis;
  /** A term in which we need not wait for that: the leader before it has said that no lease is left. */
  noLeaseBefore: Term | undefined;
  /** A transfer that we were asked for and whose outcome we do not know yet. */
  transfer: Transfer | undefined;
  /** What restoring found out that the log does not say yet; goes before the first record. */
  unrecorded: readonly RaftRecord[];
}

export type TransferRequest = Extract<ControlRequest, { kind: 'transferLeadership' }>;
export type ChangeRequest = Extract<ControlRequest, { kind: 'changeMembers' }>;

export const longAgo = Number.NEGATIVE_INFINITY as Millis;
export const never = Number.POSITIVE_INFINITY as Millis;

/** A leader's volatile state; begins anew with each election. */
export interface Leading {
  /** Index of the no-op that opened the term. */
  readonly termStart: LogIndex;
  /** An entry of this term is committed. */
  established: boolean;
  /** Of each peer; and of those who are departing. */
  readonly progress: Map<NodeId, Progress>;
  /** Who is no member any more and is to learn of it, and until when we try. */
  readonly departing: Map<NodeId, Millis>;
  /** The change of members that we were asked for. */
  change: MemberChange | undefined;
  /** The configuration in force is known to be committed, and nothing is to follow it. */
  membersSettled: boolean;
  nextHeartbeatAt: Millis;
  /** When the next rest of a follower that is far behind ends; `never` if none rests. */
  resumeAt: Millis;
  /** When followers are to be told of a commit that nothing else has told them of; `never` if there is none. */
  announceAt: Millis;
  uncommittedBytes: number;
  /** When the entries of this term were appended that are not known to be committed, oldest first; see lease.ts. */
  readonly appended: { upTo: LogIndex; readonly at: Millis }[];
  /** When the latest committed entry of this term was appended. */
  leaseFrom: Millis;
  leaseGivenUp: boolean;
  /** The read round under way or last done; heartbeats of it confirm the reads that it holds. */
  round: number;
  roundIndex: LogIndex;
  roundReads: readonly ReadId[];
  waitingReads: ReadId[];
}

/** Outlives the leadership that it ends, until it is known who leads. */
export interface Transfer {
  readonly id: ControlId;
  readonly request: TransferRequest;
  readonly until: Millis;
}

/** A change that this leader was asked for. */
export interface MemberChange {
  readonly id: ControlId;
  readonly request: ChangeRequest;
  readonly before: Members;
  stage: 'asked' | 'catchingUp' | 'switching';
  /** Nodes that are to vote and do not yet. */
  readonly catchingUp: Map<NodeId, CatchUpRound>;
}

export function membersOf(s: RaftState): Members {
  return s.log.members;
}
