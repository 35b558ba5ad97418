/** Everything a Multi-Paxos node knows. Owned by one engine; plain data. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { CatchUpRound } from '../catch-up-round.ts';
import type { Durability } from '../durability.ts';
import type { Elector, ElectorView } from '../elector/elector.ts';
import type {
  ControlId,
  ControlRequest,
  EngineConfig,
  EntryPayload,
  IoId,
  LogIndex,
  Members,
  ReadId,
  Role,
} from '../engine.ts';
import type { Ballot, Round } from './ballot.ts';
import type { Configuration } from './configuration.ts';
import type { PhaseOne } from './phase-one.ts';
import type { Progress } from './progress.ts';
import type { QuorumReads } from './read-round.ts';
import type { PaxosRecord } from './records.ts';
import type { SlotLog } from './slot-log.ts';

export interface PaxosState {
  readonly config: EngineConfig;
  readonly id: NodeId;

  // acceptor, durable
  /** For every slot: no part is taken in a lower ballot. */
  promised: Ballot;
  /** Votes, and the chosen values before them. */
  readonly log: SlotLog;

  // volatile
  /** How far the host has applied what was delivered to it. */
  appliedIndex: LogIndex;
  /** Slots up to here are known from the log to be chosen; those that are not delivered yet are so in the next step. */
  recoveredIndex: LogIndex;
  /** chosenIndex as the log on disk says it. */
  recordedIndex: LogIndex;
  /** The write that holds the last value that a peer told us of, or that members are chosen: what we say that we lack nothing by. */
  learnedIo: IoId;
  role: Role;
  leader: NodeId | undefined;
  /** The highest round that anybody has told us of. */
  roundSeen: Round;
  /** The latest time that an input brought. */
  now: Millis;
  readonly elector: Elector;
  /** Of this state, for the elector. */
  readonly view: ElectorView;
  readonly durability: Durability;
  /** Who decides in which slot. */
  configuration: Configuration;

  /** What the leader of the promised ballot has said, since we know it. */
  following: Following | undefined;
  /** Set exactly while the role is candidate. */
  campaign: Campaign | undefined;
  /** Set exactly while the role is leader. */
  leading: Leading | undefined;
  /** Chosen values that we have asked a peer for. */
  learning: Learning | undefined;
  /** A peer's state arrives, and has begun to in this ballot: nobody else is asked for what is missing. */
  stateArriving: boolean;
  /** Peers to whom the host is streaming a snapshot, whoever leads. */
  readonly streaming: Set<NodeId>;
  /** Reads that do without the leader. */
  readonly quorumReads: QuorumReads;
  /** Until then values that others proposed may carry a leader's lease; see leases.ts. */
  othersLeaseUntil: Millis;
  /** The same of values of which it is not known in which ballot they were chosen. */
  anybodysLeaseUntil: Millis;
  /** A transfer of leadership that this node was asked for while it led. */
  transfer: Transfer | undefined;
  /** What restoring found out that the log does not say yet; goes before the first record. */
  unrecorded: readonly PaxosRecord[];
}

export type TransferRequest = Extract<ControlRequest, { kind: 'transferLeadership' }>;
export type ChangeRequest = Extract<ControlRequest, { kind: 'changeMembers' }>;

export const never = Number.POSITIVE_INFINITY as Millis;

/** How an acceptor stands to the leader of its ballot. */
export interface Following {
  readonly ballot: Ballot;
  /** Every slot up to it is chosen, in this ballot or before it. */
  chosen: LogIndex;
  /** What that was when somebody last answered what we had asked for. */
  chosenAtAnswer: LogIndex;
  /** Slots before it have been sent to us, or will never be. */
  streamAt: LogIndex;
  /** Every slot up to it is chosen by the leader's word, or voted for by us in this ballot. */
  heldTo: LogIndex;
  /** The gap that the leader was told of last, and when. */
  toldMissing: LogIndex;
  toldAt: Millis;
}

/** Phase 1 under way. */
export interface Campaign {
  readonly phase: PhaseOne;
  /** The leader has asked us to take over. */
  readonly transfer: boolean;
  /** Leaders up to this ballot hold no lease any more. */
  readonly leasesEnded: Ballot | undefined;
  /** Who takes no part: they hear a leader. */
  readonly refusals: Map<NodeId, boolean>;
  /** When those who have not answered are asked again. */
  askAgainAt: Millis;
  /** Since they were asked last, something came that was asked for: then it is worth while for the others to wait. */
  hasAdvanced: boolean;
  /** Without anything for an election timeout it gives up: who is asked waits for it. */
  giveUpAt: Millis;
}

/** A leader's volatile state; begins anew with each ballot. */
export interface Leading {
  readonly ballot: Ballot;
  /** Promises go on being taken: those of voters to come are needed before their first slot. */
  readonly phase: PhaseOne;
  /** Where phase 2 begins in this ballot: everything before it was chosen, and is known here. */
  readonly start: LogIndex;
  /** The next slot to be given a value, and the checksum of the entry before it. */
  nextSlot: LogIndex;
  lastChecksum: number;
  /** From here on values are our clients', not those of earlier ballots. */
  firstOwn: LogIndex;
  /** Everything that was voted for in earlier ballots is decided: linearizable reads are possible. */
  established: boolean;
  /** Of each peer; and of those who are departing. */
  readonly progress: Map<NodeId, Progress>;
  /** The configuration whose members those are. */
  followed: Members;
  /** Who is no member any more and is to learn of it, and until when we try. */
  readonly departing: Map<NodeId, Millis>;
  /** The change of members that we were asked for. */
  change: MemberChange | undefined;
  /** The configuration in force is known to be chosen, and nothing is to follow it. */
  membersSettled: boolean;
  /** The round in which the members in force are told that they are chosen; 0 if nobody had to be. */
  membersRound: number;
  /** Where we last proposed a configuration; beyond all slots while it waits for one. */
  membersSlot: LogIndex;
  nextHeartbeatAt: Millis;
  /** When followers are to be told of a choice that nothing else has told them of; `never` if there is none. */
  announceAt: Millis;
  /** Of values in slots that are not delivered. */
  unchosenBytes: number;
  /** When values of our own that are not delivered were proposed, oldest first. Kept only where there are leases. */
  readonly proposed: { upTo: LogIndex; readonly at: Millis }[];
  /** When the youngest of them that is delivered was proposed; before all time if none is. */
  leaseFrom: Millis;
  /** Somebody was asked to take over. */
  leaseGivenUp: boolean;
  /** Proposals that have no slot yet, oldest first. */
  waiting: EntryPayload[];
  waitingBytes: number;
  /** The read round under way or last done; heartbeats of it confirm the reads that it holds. */
  round: number;
  roundIndex: LogIndex;
  roundReads: readonly ReadId[];
  waitingReads: ReadId[];
}

export interface Learning {
  readonly peer: NodeId;
  /** The first slot that was asked for: an answer that begins there is the answer. */
  readonly first: LogIndex;
  /** How many peers were asked in vain. */
  readonly attempt: number;
  readonly askedAt: Millis;
  /** It has answered, and is left in peace before it is asked on. */
  readonly isResting: boolean;
  /** When somebody else is asked; after a rest, the same. */
  askAgainAt: Millis;
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
  /** The members as they were when it began. */
  before: Members;
  stage: 'asked' | 'catchingUp' | 'switching';
  /** Nodes that are to vote and do not yet. */
  readonly catchingUp: Map<NodeId, CatchUpRound>;
}
