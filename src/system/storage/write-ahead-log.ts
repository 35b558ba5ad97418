/**
 * The contract of the write-ahead log: one append-only sequence of opaque payloads, in segments, used by every engine and
 * epoch and by the chunkserver's journal. See docs/formats/write-ahead-log.md.
 */
import type { Env } from '../../core/base/env.ts';

export interface LogOptions {
  /** Directory of the log, on env.disk. */
  readonly directory: string;
  readonly segmentBytes: number;
  /** With so much written that nobody has asked to be durable, the log flushes it by itself. Default 1 MiB. */
  readonly writeBehindBytes?: number;
  /** Released segments that are kept, to be written over: as many as are released at once. Default 1. */
  readonly sparesMax?: number;
  /**
   * What the first records of each new segment must be (none of them empty), so that a reader that begins there lacks nothing but the entries
   * that older segments hold (term and vote, compaction point …). Asked for when a segment is opened.
   */
  preamble(): readonly Uint8Array[];
  /**
   * Called in order for each payload found at opening, preambles included, with its place. Payloads are copies that may be kept.
   * What it throws ends the opening.
   */
  replay(payload: Uint8Array, place: LogPlace): void;
}

/** Places order records; `release(place)` may drop what comes before. */
export interface LogPlace {
  readonly segment: number;
  readonly offset: number;
}

export interface WriteAheadLog {
  /**
   * Appends the payloads as one batch and resolves once they are written, and with `sync` once they and all earlier ones
   * are durable. Calls may overlap: batches that wait are written and synced together (group commit), and resolve in order.
   * The payloads are copied at once. After a crash a batch may be there in part: a prefix of its records.
   * @param payloads each at least one byte; none at all: resolves once everything earlier is written (durable with `sync`).
   * @returns the place of the first payload.
   * @throws CairnError DISK_FULL, DISK_FAILED: the log takes nothing more afterwards; the owner must stop or reopen it.
   * @throws CairnError BUSY when `queuedMaxBytes` wait already: nothing of this batch is taken, the log goes on. Not for an empty one.
   */
  append(payloads: readonly Uint8Array[], sync: boolean): Promise<LogPlace>;
  /** Drops whole segments that lie before `place`, never the one that is being written. */
  release(place: LogPlace): Promise<void>;
  /** Starts a new segment at once (its preamble is asked for), so that older ones can be released. Durable when it resolves. */
  rotate(): Promise<LogPlace>;
  /** Carries out what keeps the same disk busy; a flush of the log that has to wait for it does not hold up the turn meanwhile. */
  besides<T>(work: () => Promise<T>): Promise<T>;
  /** Bytes of records in all segments that are held, not counting preallocated space. */
  readonly bytes: number;
  /** Bytes taken by `append` and not yet written. */
  readonly queuedBytes: number;
  /** Writes and syncs what is queued, and closes. */
  close(): Promise<void>;
}

/** Bytes that may wait for the disk. */
export const queuedMaxBytes = 64 * 1024 * 1024;

/** @throws CairnError LOG_CORRUPT with file and offset when damage lies before the tail; WRONG_FORMAT for another format version. */
export type OpenWriteAheadLog = (env: Env, options: LogOptions) => Promise<WriteAheadLog>;
