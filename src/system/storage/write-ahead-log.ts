/**
 * The contract of the write-ahead log: one append-only sequence of opaque payloads, in segments, used by every engine and
 * epoch and by the chunkserver's journal. See docs/formats/write-ahead-log.md.
 */
import type { Env } from '../../core/base/env.ts';

export interface LogOptions {
  /** Directory of the log, on env.disk. */
  readonly directory: string;
  readonly segmentBytes: number;
  /**
   * What the first records of each new segment must be, so that a reader that begins there lacks nothing but the entries
   * that older segments hold (term and vote, compaction point …). Asked for when a segment is opened.
   */
  preamble(): readonly Uint8Array[];
  /** Called in order for each payload found at opening, with its place. Payloads are copies that may be kept. */
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
   * @throws CairnError DISK_FULL, DISK_FAILED: the log takes nothing more afterwards; the owner must stop or reopen it.
   */
  append(payloads: readonly Uint8Array[], sync: boolean): Promise<LogPlace>;
  /** Drops whole segments that lie before `place`. */
  release(place: LogPlace): Promise<void>;
  /** Starts a new segment at once (its preamble is asked for), so that older ones can be released. */
  rotate(): Promise<LogPlace>;
  readonly bytes: number;
  close(): Promise<void>;
}

/** @throws CairnError LOG_CORRUPT with file and offset when damage lies before the tail; WRONG_FORMAT for another format version. */
export type OpenWriteAheadLog = (env: Env, options: LogOptions) => Promise<WriteAheadLog>;
