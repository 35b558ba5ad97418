/** Every bound and time of the client, by name. */
import { type Durability, type Mode, packetMaxBytes } from '../../core/protocol/types.ts';

const mebi = 1024 * 1024;

/** Commands without an answer at one time; callers beyond it wait. The master remembers four times as many. */
export const commandsInFlightMax = 1024;
/** So many commands after one that has no answer yet, the others go on under another id. Half of the answers that the masters keep. */
export const commandSessionSpanMax = 2048;
/**
 * So many commands that were all refused, and the others go on under another id: before one succeeds none of their answers can be acknowledged.
 * The masters keep 512 KiB of a client's answers, so those may name paths of 4 KiB each.
 */
export const commandsRefusedMax = 128;
/** After so long without a command the client takes a new id: its session may have ended. Far below the master's hour. */
export const commandSessionIdleMs = 10 * 60 * 1000;

export const connectionsMax = 64;
export const connectionIdleMs = 30_000;
/** How often connections are looked after. */
export const poolTickMs = 400;
/** A server that was silent for so many ticks is asked for a sign of life … */
export const silentTicksToPing = 2;
/** … and if it still is, its connection is closed: it is stopped, or cut off. */
export const silentTicksToClose = 4;
/** A connection on which nothing came for so many ticks is closed, though its server is there: another one may work. */
export const stuckTicksToClose = 25;
/** One attempt at one chunkserver, however slow it answers. */
export const mutateAttemptMs = 10_000;
export const readAttemptMs = 5_000;
/** For so long a server that was lost is tried last. */
export const suspectMs = 2_000;
/** For so long a replica that gave wrong bytes, or none, is tried last. */
export const badReplicaMs = 30_000;
export const badReplicasMax = 1024;

/** A grant that was not used for so long has likely been given up by its primary (it does after 2 s). */
export const grantIdleMs = 1_800;
export const grantsPerFileMax = 64;

export const locationsPerFileMax = 4096;
export const locatePage = 64;
/** Where a chunk was is believed for so long. */
export const locationMs = 5_000;

/** How often a path is looked up for one call, where each file that was found there is gone at once. */
export const lookUpsMax = 8;

/** Frames of records under way per file: two, so that a batch forms while one is away. */
export const appendFramesMax = 2;
export const appendQueueRecordsMax = 8192;
export const appendQueueBytesMax = 8 * mebi;
/** Records that one who appends one after another has under way at most: what two frames hold, and as many that gather meanwhile. */
export const sinkRecordsMax = 2048;
/** Files whose append queues are kept for the next append. */
export const appendersMax = 256;

/** A call that waits for a change must be answered so soon after the time for it is over. */
export const waitAnswerMs = 2_000;
/** A lease that is not there, or not there any more: so long until the master knows too. */
export const leaseSettlesMs = 1_000;

/** Pieces shorter than this are copied together: as parts of their own they would cost more than the copy. */
export const copyBelowBytes = 8 * 1024;
export const readFileMaxBytes = 2 * 1024 * mebi;

/** One attempt at a call that the master answers when leases have come back, or a server has thrown something away. */
export const recallAttemptMs = 12_000;

/** Directories walked, and files copied, at one time. */
export const walkParallel = 8;
export const copyParallel = 4;
/** Files of a directory that are looked at together, and chunks of a file. */
export const fsckFilesParallel = 4;
export const fsckParallel = 16;

export interface ClientSettings {
  /** Within this time a call makes progress or fails. */
  readonly deadlineMs: number;
  /** Bytes under way for one reader. */
  readonly readWindowBytes: number;
  /** Bytes under way for one writer. */
  readonly writeWindowBytes: number;
}

/** What is not given is as in `defaultSettings`. */
export type GivenSettings = { readonly [Name in keyof ClientSettings]?: ClientSettings[Name] | undefined };

export const defaultSettings: ClientSettings = {
  deadlineMs: 15_000,
  readWindowBytes: 8 * mebi,
  writeWindowBytes: 8 * mebi,
};

/** How many packets a window of so many bytes holds. */
export function packetsIn(windowBytes: number): number {
  return Math.max(1, Math.floor(windowBytes / packetMaxBytes));
}

/** What a file that is made may ask for; the rest comes from its directory. */
export interface FileSettings {
  readonly replication?: number | undefined;
  readonly durability?: Durability | undefined;
  readonly chunkBytes?: number | undefined;
  readonly mode?: Mode | undefined;
  /** A mutation succeeds on no fewer copies; 1 … replication. */
  readonly minReplicas?: number | undefined;
}
