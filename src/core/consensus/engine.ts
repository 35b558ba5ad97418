/**
 * The contract of a consensus engine: a pure object that turns inputs into effects. No I/O, no clock, no promises; time is
 * an input, randomness is a seeded stream inside its state. The host (`system/rsm`) owns disk, network, timers and the
 * state machine; Raft and Multi-Paxos stand behind this one seam.
 *
 * What the host owes an engine:
 * - effects of one step are carried out in this order: `persist` is queued to the write-ahead log (in step order, never
 *   reordered), `send` leaves, `sendAfter` leaves once its `io` is durable, `committed` is applied in order;
 * - `persisted{io}` is given once that write and every earlier one are durable;
 * - `applied{index}` is given after the state machine has applied `committed` up to index;
 * - messages may be lost, duplicated, reordered and delayed without bound.
 */
import type { Brand, Millis, NodeId } from '../base/brand.ts';
import { naturalBrand } from '../base/brand.ts';
import type { Crc32 } from '../base/env.ts';

/** Position in the replicated log, from 1; 0 is before the first. Never restarts. */
export type LogIndex = Brand<number, 'LogIndex'>;
export const toLogIndex = naturalBrand<LogIndex>('a log index');
/** One span of the virtual log under one engine; from 1. */
export type Epoch = Brand<number, 'Epoch'>;
export const toEpoch = naturalBrand<Epoch>('an epoch');
/** One write to the log of this node: monotone, votes and entries in one order. */
export type IoId = Brand<number, 'IoId'>;
export const toIoId = naturalBrand<IoId>('an io id');
/** A read of this node; unique for the life of the engine, so that a late acknowledgement never confirms another read. */
export type ReadId = Brand<number, 'ReadId'>;
export const toReadId = naturalBrand<ReadId>('a read id');

export type EngineName = 'raft' | 'paxos';
/** A control request of this node; unique for the life of the engine. */
export type ControlId = Brand<number, 'ControlId'>;
export const toControlId = naturalBrand<ControlId>('a control id');
/**
 * - `linearizable`: confirmed by a round of a quorum that began after the read (read index);
 * - `lease`: linearizable too, without a round as long as the log is the lease (see EngineConfig.lease); else as `linearizable`;
 * - `quorum`: linearizable, on any node, without the leader (Multi-Paxos; Raft drops it as readLevelNotOffered);
 * - `stale`: on any node, at what it has applied.
 */
export type ReadLevel = 'linearizable' | 'lease' | 'quorum' | 'stale';

/**
 * What a proposer asks to have committed. `session` and `sequence` name it across retries (the state machine's session
 * table deduplicates; the engine carries them so that `dropped` and traces can name it).
 */
export interface Proposal {
  readonly session: number;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/**
 * One place of the log. Every node delivers the same entry at an index, all four fields included. `term` is the Raft term; in
 * Multi-Paxos the round in which the value was first proposed, which travels with the value (it may be chosen again in a higher one).
 */
export interface Entry {
  readonly index: LogIndex;
  readonly term: number;
  readonly payload: EntryPayload;
  /**
   * crc32(term, index, payload), continued from the previous entry's: the hash chain over the log. Whoever leads forms
   * it when it proposes the entry.
   */
  readonly checksum: number;
}

export type EntryPayload =
  | { readonly kind: 'noop' }
  | { readonly kind: 'proposal'; readonly session: number; readonly sequence: number; readonly data: Uint8Array }
  | { readonly kind: 'members'; readonly members: Members };

/** Who votes and who only listens. `votersNext` is set while a joint configuration is in force. */
export interface Members {
  readonly voters: readonly NodeId[];
  readonly votersNext?: readonly NodeId[];
  readonly nonVoters: readonly NodeId[];
}

// ------------------------------------------------------------------ inputs

export type Input<Message> =
  | { readonly kind: 'tick'; readonly now: Millis }
  | { readonly kind: 'message'; readonly from: NodeId; readonly message: Message; readonly now: Millis }
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[]; readonly now: Millis }
  | { readonly kind: 'read'; readonly id: ReadId; readonly level: ReadLevel; readonly now: Millis }
  | { readonly kind: 'persisted'; readonly io: IoId; readonly now: Millis }
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /** The host has put a peer's snapshot in place of its state: everything up to `at.index` is applied and durable. */
  | { readonly kind: 'snapshotInstalled'; readonly at: SnapshotPoint; readonly now: Millis }
  /** A peer's snapshot has begun to arrive, or was given up before it was whole: as long as one arrives, nobody else need send one. */
  | { readonly kind: 'snapshotArriving'; readonly arriving: boolean; readonly now: Millis }
  /** The host could not deliver, or has delivered, the snapshot that `snapshot` asked for. */
  | {
      readonly kind: 'snapshotSent';
      readonly to: NodeId;
      readonly at: SnapshotPoint;
      readonly delivered: boolean;
      readonly now: Millis;
    }
  /** State up to `index` is durable in the host's store: entries up to it may go (the engine keeps what it still needs). */
  | { readonly kind: 'compact'; readonly index: LogIndex }
  | { readonly kind: 'control'; readonly id: ControlId; readonly request: ControlRequest; readonly now: Millis };

export type ControlRequest =
  /** Completed when `to` is known to lead. */
  | { readonly kind: 'transferLeadership'; readonly to: NodeId }
  /**
   * `members` is the goal, without `votersNext`: how to get there (joint consensus, an α-window) is the engine's affair. Completed when the
   * goal is in force and committed. A node that becomes a voter should be a non-voter first, until it has caught up; one that is asked
   * for as a voter from nothing is caught up by the engine before its vote counts. One that is silent, or comes no nearer for long (see
   * catch-up-round.ts), is given up: the change is dropped as `targetUnavailable`, and the members are as they were.
   */
  | { readonly kind: 'changeMembers'; readonly members: Members }
  | { readonly kind: 'switchEngine'; readonly engine: EngineName; readonly members: Members };

/** Where a snapshot stands in the log, and the configuration in force there. */
export interface SnapshotPoint {
  readonly index: LogIndex;
  readonly term: number;
  readonly checksum: number;
  readonly members: Members;
}

// ------------------------------------------------------------------ effects

export interface Effects<Message, LogRecord> {
  /** To be appended to the write-ahead log as one batch, of which a crash may leave a prefix. `mustSync` false: may ride along with a later sync. */
  readonly persist?: { readonly io: IoId; readonly records: readonly LogRecord[]; readonly mustSync: boolean };
  readonly send: readonly Envelope<Message>[];
  readonly sendAfter: readonly { readonly io: IoId; readonly envelopes: readonly Envelope<Message>[] }[];
  readonly committed: readonly Entry[];
  /** Read `id` may be served by a state that has applied at least `index`. */
  readonly reads: readonly { readonly id: ReadId; readonly index: LogIndex }[];
  /**
   * Every proposal, read or control request that will not happen here, and why. Nothing disappears silently, and nothing is dropped in the step
   * that commits it.
   */
  readonly dropped: readonly Dropped[];
  /** Control requests that are done. */
  readonly completed: readonly ControlId[];
  /** Peer `to` is behind what this log still holds: the host should stream its state to it. At most one per peer under way. */
  readonly snapshots: readonly { readonly to: NodeId }[];
  readonly trace: readonly TraceEvent[];
}

export interface Envelope<Message> {
  readonly to: NodeId;
  readonly message: Message;
}

export type DropReason =
  | 'notLeader'
  | 'steppedDown' // outcome unknown: it may still commit
  | 'queueFull'
  | 'tooLarge'
  | 'readLevelNotOffered'
  /** A read without the leader got no answer from a quorum. */
  | 'noQuorum'
  | 'notSupported'
  /** A change of members, a transfer or a switch is under way; ask again when it is done. */
  | 'changeInProgress'
  /** The members asked for have no voter, or one twice, or the change could not be undone by those who are there. */
  | 'membersInvalid'
  /** The target of a transfer is no voter, or did not take over within an election timeout; a node that was to vote does not catch up. */
  | 'targetUnavailable';

export type Dropped =
  | { readonly kind: 'proposal'; readonly session: number; readonly sequence: number; readonly reason: DropReason }
  | { readonly kind: 'read'; readonly id: ReadId; readonly reason: DropReason }
  | {
      readonly kind: 'control';
      readonly id: ControlId;
      readonly request: ControlRequest;
      readonly reason: DropReason;
    };

/** What happened, for tests, logs and the visualiser: `name` is a verb in the past tense. */
export interface TraceEvent {
  readonly name: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

// ------------------------------------------------------------------ engine

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

export interface EngineStatus {
  readonly engine: EngineName;
  readonly id: NodeId;
  readonly role: Role;
  /** Raft's currentTerm, or the round of the highest ballot seen. */
  readonly term: number;
  readonly leader: NodeId | undefined;
  /** The leader has committed an entry of its own term, so linearizable reads are possible. */
  readonly established: boolean;
  readonly epoch: Epoch;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly members: Members;
  /**
   * Whether this node knows that whoever `members` leave out is not needed any more, not even after a crash of anybody: until then it must not be
   * switched off for good. With Multi-Paxos only who leads knows.
   */
  readonly membersSettled: boolean;
  /** On a leader: how many entries each peer is known to lack. */
  readonly lagPerPeer: ReadonlyMap<NodeId, number>;
}

export interface Engine<Message, LogRecord> {
  step(input: Input<Message>): Effects<Message, LogRecord>;
  readonly status: EngineStatus;
  /** When the engine next wants a tick, at the latest. */
  readonly nextTickAt: Millis;
  /**
   * Records that, replayed first, stand for all that precedes the entries still held (term and vote, promise, compaction
   * point, members): the host writes them at the head of each new log segment, so that older segments can go.
   */
  baseline(): readonly LogRecord[];
  /** Throws AssertionError when its state contradicts itself; called by tests and the simulator after each step. */
  invariants(): void;
  clone(): Engine<Message, LogRecord>;
}

/** Everything the host must know to run one kind of engine. */
export interface EngineKind<Message, LogRecord> {
  readonly name: EngineName;
  /** `records`: all that the log of this node holds, in order (empty at first start). `appliedIndex`: how far the host's store is. */
  create(config: EngineConfig, restored: Restored<LogRecord>): Engine<Message, LogRecord>;
  encodeMessage(message: Message): Uint8Array;
  /** @throws CairnError PROTOCOL */
  decodeMessage(bytes: Uint8Array): Message;
  encodeRecord(record: LogRecord): Uint8Array;
  /** @throws CairnError LOG_CORRUPT */
  decodeRecord(bytes: Uint8Array): LogRecord;
  /** The log index that a record belongs to, or undefined for state records: the log keeps segments by it. */
  indexOfRecord(record: LogRecord): LogIndex | undefined;
}

export interface Restored<LogRecord> {
  readonly records: readonly LogRecord[];
  /**
   * Where the host's store stands; undefined if no entry has reached it. It may be ahead of the log (a snapshot was put in place just
   * before the stop): then it is the compaction point. Of several baselines among the records the last one counts; entries at or before
   * its compaction point may have gaps.
   */
  readonly applied: SnapshotPoint | undefined;
  readonly now: Millis;
}

export interface EngineConfig {
  readonly id: NodeId;
  /** The members of a group that has never run; ignored once the log or a snapshot names others. */
  readonly bootstrap: Members;
  readonly epoch: Epoch;
  readonly seed: number;
  readonly crc32: Crc32;
  readonly timing: EngineTiming;
  readonly limits: EngineLimits;
  /** Who seeks leadership, and when. Absent: `timeout`. The same on all members. */
  readonly elector?: ElectorName;
  /** Absent: no read is served by lease, and nobody waits for one to end. The same on all members. */
  readonly lease?: LeaseTerms;
  /** Absent: majorities. Multi-Paxos only; the same on all members. */
  readonly quorums?: QuorumSizes;
  /**
   * α, at least 1: how many slots may be under way beyond what is delivered; a change of voters takes force so many slots after it is chosen.
   * Absent: 256. Multi-Paxos only; the same on all members, and the same for ever.
   */
  readonly windowSlots?: number;
  /** Trace each message received as well: for visualisers and tests, too much for production. */
  readonly traceMessages?: boolean;
}

/** Two policies that either engine can use; see elector/. */
export type ElectorName = 'timeout' | 'ballot';

/**
 * The log is the lease (LeaseGuard): a leader that knows its last committed entry to be younger than `durationMs` may serve reads alone;
 * a new leader commits nothing until the youngest entry that another leader left in its log has been here for durationMs × (1 + driftMax).
 * Only rates of clocks are trusted, within driftMax.
 */
export interface LeaseTerms {
  readonly durationMs: number;
  readonly driftMax: number;
}

/** Flexible Paxos: any `prepare` and any `accept` voters meet: prepare + accept > voters. */
export interface QuorumSizes {
  readonly prepare: number;
  readonly accept: number;
}

export interface EngineTiming {
  /** A follower that hears nothing for a random time in [min, max) starts an election. Also the window of CheckQuorum. */
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  readonly heartbeatIntervalMs: number;
}

export interface EngineLimits {
  /** Proposals over it are dropped as tooLarge. */
  readonly proposalMaxBytes: number;
  /** Proposals accepted but not yet committed; beyond it: queueFull. */
  readonly uncommittedMaxBytes: number;
  readonly uncommittedMaxEntries: number;
  /** One AppendEntries or Accept message. */
  readonly messageMaxBytes: number;
  /** Messages with entries that may be under way to one peer. */
  readonly windowMaxMessages: number;
  readonly windowMaxBytes: number;
}

export const defaultTiming: EngineTiming = {
  electionTimeoutMinMs: 150,
  electionTimeoutMaxMs: 300,
  heartbeatIntervalMs: 40,
};

export const defaultLimits: EngineLimits = {
  proposalMaxBytes: 4 * 1024 * 1024,
  uncommittedMaxBytes: 64 * 1024 * 1024,
  uncommittedMaxEntries: 16_384,
  messageMaxBytes: 1024 * 1024,
  windowMaxMessages: 64,
  windowMaxBytes: 16 * 1024 * 1024,
};
