/** What a master needs to run. */
import type { Address } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import type { CairnError } from '../../core/base/errors.ts';
import type { ReplicaOptions } from '../rsm/replica.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import type { Settings } from './state/records.ts';

export interface MasterAddress {
  /** Configured. */
  readonly id: number;
  readonly address: Address;
}

/** Engine, log and store of the metadata, below directories of env.disk that are moved aside when what they hold is damaged. */
export interface MasterReplica<Message, LogRecord>
  extends Pick<ReplicaOptions<Message, LogRecord>, 'kind' | 'directory' | 'openLog' | 'limits'> {
  /** Name and first members come from the group. */
  readonly config: Omit<ReplicaOptions<Message, LogRecord>['config'], 'id' | 'bootstrap'>;
  readonly storeDirectory: string;
  openStore(): Promise<OrderedStore>;
}

export interface MasterOptions<Message, LogRecord> {
  readonly env: Env;
  /** Configured. */
  readonly id: number;
  /** Where it listens; needed if it is not among the masters. */
  readonly address?: Address;
  readonly clusterId: string;
  /** Of the process, for `status`. */
  readonly pid: number;
  /** The masters that a new group is founded with, this one among them; to a group that exists already it must be added otherwise. */
  readonly masters: readonly MasterAddress[];
  readonly replica: MasterReplica<Message, LogRecord>;
  /** What the root is made with, when the cluster is new. */
  readonly defaults: Settings;
  readonly timing?: Partial<MasterTiming>;
  /** The disk failed, the state contradicts itself, the directory is another cluster's, or this master was removed: the process must stop. */
  onFailure(error: CairnError): void;
}

export interface MasterTiming {
  readonly heartbeatMs: number;
  /** A chunkserver serves this long after it sent a heartbeat that was answered; without one for so long it is suspect. */
  readonly sessionMs: number;
  /** A chunkserver that was silent for so long is dead: its chunks are copied. */
  readonly deadAfterMs: number;
  /** How long an `acquire` or `exclude` waits for sessions to lapse before it asks the caller to come again: less than callers wait. */
  readonly acquireMs: number;
  /** Copies of one chunk may take so long. */
  readonly cloneMs: number;
  /** A server that left a chunk's set gets no copy of it before readers have forgotten that it was there. */
  readonly rejoinAfterMs: number;
  /** For so long a file snapshot tries to call the leases of its source back. */
  readonly recallMs: number;
  /** An open chunk of which nothing was heard for so long is sealed: longer than an idle lease is kept. */
  readonly openQuietMs: number;
  /** How fast chunks are copied from server to server, in bytes a second; 0: no bound. See throttle.ts. */
  readonly clusterBytesPerSecond: number;
  readonly serverBytesPerSecond: number;
  /** Servers that differ by less are even enough. */
  readonly unevenBytes: number;
  /** What was removed can be restored for so long; 0: there is no trash. */
  readonly trashRetentionMs: number;
  /** Pause between slices of the background scan while there is no haste. */
  readonly scanPauseMs: number;
}

export const defaultMasterTiming: MasterTiming = {
  heartbeatMs: 250,
  sessionMs: 1000,
  deadAfterMs: 10_000,
  acquireMs: 500,
  cloneMs: 60_000,
  rejoinAfterMs: 7000, // clients believe a location for 5 s
  recallMs: 10_000,
  openQuietMs: 10_000,
  clusterBytesPerSecond: 0,
  serverBytesPerSecond: 100 * 1024 * 1024,
  unevenBytes: 512 * 1024 * 1024,
  trashRetentionMs: 0,
  scanPauseMs: 1000,
};

/** A server's clock may be that much slower than ours over one session. */
export const clockDriftMax = 0.01;
