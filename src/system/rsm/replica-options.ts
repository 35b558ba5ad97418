/** What a replica is given by its owner, and the bounds that it keeps. */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import type { CairnError } from '../../core/base/errors.ts';
import type { EngineConfig, EngineKind } from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import type { OpenWriteAheadLog } from '../storage/write-ahead-log.ts';
import type { SnapshotPart } from './snapshot-transfer.ts';
import type { FlushLimits } from './state-flusher.ts';
import type { StateMachine } from './state-machine.ts';
import type { BatchLimits } from './waiting-commands.ts';

export interface Transport {
  /** One-way; may be lost. */
  send(to: NodeId, message: Uint8Array): void;
  /** Resolves with the number of the next part that the receiver wants. */
  sendSnapshotPart(to: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number>;
}

export interface Leadership {
  readonly leading: boolean;
  readonly established: boolean;
  readonly leader: NodeId | undefined;
  readonly term: number;
}

export interface ReplicaOptions<Message, LogRecord> {
  readonly env: Env;
  readonly kind: EngineKind<Message, LogRecord>;
  readonly config: EngineConfig;
  /** Of the log, on env.disk. */
  readonly directory: string;
  readonly openLog: OpenWriteAheadLog;
  readonly store: OrderedStore;
  readonly stateMachine: StateMachine;
  readonly transport: Transport;
  /** Awaited once the log is there, before anything is promised in it. */
  readonly logOpened?: () => Promise<void>;
  readonly limits?: Partial<ReplicaLimits>;
  onLeadership(change: Leadership): void;
  /** More of the log is applied than before. */
  onApplied?(): void;
  /** The disk failed or the state contradicts itself: the process must stop. Called once. */
  onFailure(error: CairnError): void;
}

export interface ReplicaLimits extends BatchLimits, FlushLimits {
  readonly segmentBytes: number;
  /** Entries kept behind the durable state, for peers that are a little behind: at most so many, and so many bytes. */
  readonly keepEntries: number;
  readonly keepBytes: number;
}

export const defaultReplicaLimits: ReplicaLimits = {
  segmentBytes: 32 * 1024 * 1024,
  flushDirtyBytes: 4 * 1024 * 1024,
  flushLogBytes: 128 * 1024 * 1024,
  keepEntries: 10_000,
  keepBytes: 16 * 1024 * 1024,
  batchesInFlight: 2,
  overlapMinCommands: 32,
};
