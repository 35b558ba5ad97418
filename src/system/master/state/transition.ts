/** What one command is carried out with. */
import type { ChunkHandle, InodeId } from '../../../core/base/brand.ts';
import type { ChunkRecord } from './records.ts';
import type { Tables } from './tables.ts';

export interface Transition {
  readonly tables: Tables;
  /** Wall time of the log, whole milliseconds. */
  readonly now: number;
  /** Told of each chunk that leaves the table, so that a leader can have its replicas dropped at once. Not part of the state. */
  readonly chunkRemoved: (handle: ChunkHandle, chunk: ChunkRecord) => void;
  /** Told of each file of which chunks are cut off that leave the table later. Not part of the state either. */
  readonly chunksCutOff: (file: InodeId) => void;
}
