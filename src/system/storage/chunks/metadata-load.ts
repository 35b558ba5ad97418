/** Opening the metadata log: reads every segment, fills the table, and says up to where the journal is contained in it. */
import type { ChunkHandle } from '../../../core/base/brand.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import { ChunkTable } from './chunk-table.ts';
import { type Committed, frameKinds, readChunkSummary } from './metadata-frame.ts';
import { type Batch, SegmentContent } from './metadata-segment.ts';
import { MetadataStore, type Segment, segmentPath } from './metadata-store.ts';

export interface LoadedMetadata {
  readonly store: MetadataStore;
  /** The journal counts from here; undefined when there has been no checkpoint. */
  readonly journal: LogPlace | undefined;
  /** Batches of the journal up to this number had been given when the checkpoint was written. */
  readonly change: number;
  /** Chunks whose metadata is damaged: they are not in the table. */
  readonly damaged: readonly ChunkHandle[];
}

/** What the journal still has, to tell a checkpoint that its release was built on from one that a crash has torn. */
export interface JournalReach {
  /** The segment of its first record; undefined when it has none. */
  readonly oldestSegment: number | undefined;
  /** It has every record that was ever written to it. */
  readonly isWhole: boolean;
}

/**
 * @throws CairnError DISK_CORRUPT when records are missing that the journal no longer holds; WRONG_FORMAT
 */
export async function loadMetadata(
  env: Env,
  directory: string,
  segmentBytes: number,
  reach: JournalReach,
): Promise<LoadedMetadata> {
  const numbers = await listSegments(env, directory);
  const loader = new Loader(env, directory, reach);
  const segments: Segment[] = [];
  for (let i = 0; i < numbers.length; i++) {
    const segment = await loader.load(numbers[i]!, i === numbers.length - 1);
    if (segment !== undefined) segments.push(segment);
  }
  const kept = await loader.finish(segments);
  const store = new MetadataStore(env, directory, segmentBytes, loader.table, kept);
  const { committed } = loader;
  return { store, journal: committed?.journal, change: committed?.change ?? 0, damaged: [...loader.damaged] };
}

async function listSegments(env: Env, directory: string): Promise<number[]> {
  const names = await env.disk.list(directory);
  const numbers: number[] = [];
  for (const name of names) {
    if (/^[0-9a-f]{16}$/.test(name)) numbers.push(Number.parseInt(name, 16));
    else env.events.emit('warn', 'chunk-metadata-foreign-file', { path: `${directory}/${name}` });
  }
  return numbers.sort((a, b) => a - b);
}

class Loader {
  readonly table = new ChunkTable();
  readonly damaged = new Set<ChunkHandle>();
  committed: Committed | undefined;
  readonly #env: Env;
  readonly #directory: string;
  readonly #reach: JournalReach;

  constructor(env: Env, directory: string, reach: JournalReach) {
    this.#env = env;
    this.#directory = directory;
    this.#reach = reach;
  }

  /** @returns undefined when nothing of the segment counts and it has been removed. */
  async load(number: number, isLast: boolean): Promise<Segment | undefined> {
    const path = segmentPath(this.#directory, number);
    const file = await this.#env.disk.open(path, 'write');
    const bytes = new Uint8Array(file.size());
    await this.#read(file, bytes);
    const content = new SegmentContent(bytes, number, path, this.#env.crc32);
    if (!isLast && content.broken !== undefined) throw this.#corrupt(path, content.broken);
    const { batches } = content;
    for (let i = 0; i < batches.length; i++) {
      const mayBeTorn = isLast && i === batches.length - 1 && !batches[i]!.isSound;
      if (mayBeTorn && this.#journalReaches(this.committed)) {
        return this.#cut(file, number, batches[i - 1], 'its last batch is torn');
      }
      this.#apply(content, batches[i]!, number);
    }
    const { broken } = content;
    if (broken !== undefined) return this.#cut(file, number, batches.at(-1), broken);
    if (isLast) await this.#writeAgain(file, bytes, batches);
    return { number, file, bytes: bytes.length };
  }

  /** Nobody knows what was in a part that the disk does not give any more: what changed, or went, may be known there only. */
  async #read(file: DiskFile, bytes: Uint8Array): Promise<void> {
    try {
      await file.read(0, bytes);
    } catch (thrown) {
      const error = toCairnError(thrown);
      throw error.code === 'DISK_FAILED' ? this.#corrupt(file.path, error.message, error) : error;
    }
  }

  /** If the sync of the last batch has failed, the system holds it for clean, and would not write it before it is built on. */
  async #writeAgain(file: DiskFile, bytes: Uint8Array, batches: readonly Batch[]): Promise<void> {
    const from = batches.length === 1 ? 0 : (batches.at(-1)?.start ?? 0);
    await file.write(from, [bytes.subarray(from)]);
  }

  /** Removes segments that no longer count and looks whether all that count are there. */
  async finish(segments: readonly Segment[]): Promise<Segment[]> {
    const { committed } = this;
    if (!this.#journalReaches(committed)) {
      throw this.#corrupt(this.#directory, 'its last checkpoint and the journal do not meet');
    }
    // A process may have been killed between a write and its sync: what is believed from here on must last.
    await segments.at(-1)?.file.sync();
    await this.#env.disk.syncDirectory(this.#directory);
    const oldest = committed?.oldestSegment ?? Number.POSITIVE_INFINITY;
    for (const segment of segments.filter((one) => one.number < oldest)) {
      // What was removed since may have its mark in a segment that is gone already.
      for (const handle of this.table.handlesIn(segment.number)) this.table.delete(handle);
      await segment.file.close();
      await this.#env.disk.remove(segment.file.path);
    }
    const kept = segments.filter((one) => one.number >= oldest);
    for (let i = 0; i < kept.length; i++) {
      if (kept[i]!.number !== oldest + i) {
        throw this.#corrupt(segmentPath(this.#directory, oldest + i), 'it is missing');
      }
    }
    if (committed !== undefined && kept.length === 0) {
      throw this.#corrupt(segmentPath(this.#directory, oldest), 'it is missing');
    }
    return kept;
  }

  #journalReaches(committed: Committed | undefined): boolean {
    const { oldestSegment, isWhole } = this.#reach;
    if (committed === undefined) return isWhole;
    return oldestSegment !== undefined && oldestSegment <= committed.journal.segment;
  }

  async #cut(file: DiskFile, number: number, last: Batch | undefined, why: string): Promise<Segment | undefined> {
    this.#env.events.emit('info', 'chunk-metadata-tail-cut', { path: file.path, why });
    if (last === undefined) {
      await file.close();
      await this.#env.disk.remove(file.path);
      return undefined;
    }
    await file.truncate(last.end);
    await file.sync();
    return { number, file, bytes: last.end };
  }

  #apply(content: SegmentContent, batch: Batch, segment: number): void {
    for (const frame of content.frames(batch)) {
      const handle = frame.handle as ChunkHandle;
      if (this.damaged.size > 0) this.damaged.delete(handle);
      if (frame.kind === frameKinds.removed) this.table.delete(handle);
      else if (frame.isSound) {
        const { info, slot } = readChunkSummary(handle, frame.payload());
        this.table.putRecord(info, { segment, offset: frame.offset, bytes: frame.bytes }, slot);
      } else {
        this.table.delete(handle);
        this.damaged.add(handle);
      }
    }
    this.committed = batch.committed;
  }

  #corrupt(path: string, why: string, cause?: CairnError): CairnError {
    return new CairnError(
      'DISK_CORRUPT',
      `the chunk metadata cannot be read: ${path}: ${why}; empty this chunkserver's directory, its replicas will be copied anew`,
      { cause },
    );
  }
}
