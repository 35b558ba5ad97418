/** Everything a Multi-Paxos node knows. Owned by one engine; plain data. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { Durability } from '../durability.ts';
import type { Elector, ElectorView } from '../elector/elector.ts';
import type { EngineConfig, EntryPayload, LogIndex, ReadId, Role } from '../engine.ts';
import type { Ballot, Round } from './ballot.ts';
import type { Configuration } from './configuration.ts';
import type { PhaseOne } from './phase-one.ts';
import type { Progress } from './progress.ts';
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
  /** Peers to whom the host is streaming a snapshot, whoever leads. */
  readonly streaming: Set<NodeId>;
  /** What restoring found out that the log does not say yet; goes before the first record. */
  unrecorded: readonly PaxosRecord[];
}

export const never = Number.POSITIVE_INFINITY as Millis;

/** How an acceptor stands to the leader of its ballot. */
export interface Following {
  readonly ballot: Ballot;
  /** Every slot up to it is chosen, in this ballot or before it. */
  chosen: LogIndex;
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
  /** Who takes no part: they hear a leader. */
  readonly refusals: Map<NodeId, boolean>;
  /** When those who have not answered are asked again. */
  askAgainAt: Millis;
}

/** A leader's volatile state; begins anew with each ballot. */
export interface Leading {
  readonly ballot: Ballot;
  /** Promises go on being taken: those of voters to come are needed before their first slot. */
  readonly phase: PhaseOne;
  /** Where phase 2 begins in this ballot, once everything that was chosen before is known here; undefined until then. */
  start: LogIndex | undefined;
  /** The next slot to be given a value, and the checksum of the entry before it. */
  nextSlot: LogIndex;
  lastChecksum: number;
  /** From here on values are our clients', not those of earlier ballots. */
  firstOwn: LogIndex;
  /** Everything that was voted for in earlier ballots is decided: linearizable reads are possible. */
  established: boolean;
  readonly progress: Map<NodeId, Progress>;
  nextHeartbeatAt: Millis;
  /** When followers are to be told of a choice that nothing else has told them of; `never` if there is none. */
  announceAt: Millis;
  /** Of values in slots that are not delivered. */
  unchosenBytes: number;
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
  /** How many peers were asked in vain. */
  readonly attempt: number;
  /** When somebody else is asked. */
  askAgainAt: Millis;
}
