/**
 * The metadata of all chunks as of the last checkpoint: a log of segments on disk, a table in memory. The log is the sidecar of
 * all chunk files at once: one file per chunk would double the files and cost a creation per small chunk.
 *
 * Each checkpoint appends one batch and syncs it. The oldest segment is cleaned first: what still counts in it is written
 * again with the next batch, so a mark of removal can be dropped when its segment goes, since nothing older is left.
 * Invariant: a row with a place has its record there, whole, under a `committed` frame.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { ByteWriter } from '../../../core/base/bytes.ts';
import { type DiskFile, diskBlockBytes, type Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import type { ChunkTable, RecordPlace } from './chunk-table.ts';
import {
  type ChunkRecord,
  type Committed,
  frameHeaderBytes,
  frameKinds,
  readChunkPayload,
  readFrameHeader,
  writeCommitted,
  writeFrame,
  writeSegmentHeader,
  writeUnsoundFrame,
} from './metadata-frame.ts';
import type { RecordBatch } from './record-batch.ts';
import { Slices } from './slices.ts';

export interface Segment {
  readonly number: number;
  readonly file: DiskFile;
  bytes: number;
}

/** A record that is written again as it is. */
interface Moved {
  readonly handle: ChunkHandle;
  /** The segment that it was in. */
  readonly from: number;
  readonly to: RecordPlace;
  readonly isSound: boolean;
}

/** Segments that one checkpoint cleans at most. */
const cleanedPerCheckpoint = 2;
/** Records that are laid out, and rows of the table that are changed, in one turn. */
const rowsPerTurn = 64;
/** Of a long record so many bytes take as long as a row. */
const bytesPerRow = 1024;

export class MetadataStore {
  readonly table: ChunkTable;
  /** Told of each chunk whose record was found damaged when it was to be written again. */
  onDamage: (handle: ChunkHandle) => void = () => {};
  readonly #env: Env;
  readonly #directory: string;
  readonly #segmentBytes: number;
  /** Ascending by number. */
  readonly #segments: Segment[];
  #liveBytes: number;

  constructor(env: Env, directory: string, segmentBytes: number, table: ChunkTable, segments: Segment[]) {
    this.#env = env;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    this.table = table;
    this.#segments = segments;
    this.#liveBytes = 0;
    for (const handle of table.handles()) this.#liveBytes += table.place(handle as ChunkHandle)?.bytes ?? 0;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** @throws CairnError DISK_CORRUPT when the record cannot be believed, or not be read, any more. */
  read(handle: ChunkHandle): ChunkRecord | undefined {
    const place = this.table.place(handle);
    if (place === undefined) return undefined;
    const segment = this.#segments.find((one) => one.number === place.segment);
    assert(segment !== undefined, 'a row points into a segment that is there', { segment: place.segment });
    const bytes = new Uint8Array(place.bytes);
    const damaged = (cause?: CairnError): CairnError =>
      new CairnError(
        'DISK_CORRUPT',
        `the metadata of chunk ${handle} in ${segment.file.path} at ${place.offset} is damaged; copy the chunk from another replica`,
        { cause },
      );
    try {
      segment.file.readNow(place.offset, bytes);
    } catch (thrown) {
      const error = toCairnError(thrown);
      throw error.code === 'DISK_FAILED' ? damaged(error) : error;
    }
    if (!this.#isSound(handle, bytes)) throw damaged();
    return readChunkPayload(handle, bytes.subarray(frameHeaderBytes));
  }

  #isSound(handle: ChunkHandle, frame: Uint8Array): boolean {
    const { crc32 } = this.#env;
    const header = readFrameHeader(frame, 0, crc32);
    return header?.handle === handle && header.payloadChecksum === crc32(frame.subarray(frameHeaderBytes));
  }

  /**
   * Makes these states and removals true together with the journal from `journal` on, durably. Chunks that have been removed
   * since they were captured stay away: the journal says so. @returns how to drop the segments that this made superfluous, once it has been released.
   */
  async commit(
    batch: RecordBatch,
    removed: readonly ChunkHandle[],
    journal: LogPlace,
    change: number,
  ): Promise<() => Promise<void>> {
    const cleaned = this.#segmentsToClean();
    const isNew = this.#needsNewSegment(cleaned.length);
    const number = isNew ? (this.#segments.at(-1)?.number ?? 0) + 1 : this.#segments.at(-1)!.number;
    const base = isNew ? 0 : this.#segments.at(-1)!.bytes;
    const oldestSegment = this.#segments[cleaned.length]?.number ?? number;
    const head = new ByteWriter(64 * 1024);
    if (isNew) writeSegmentHeader(head, number, this.#env.crc32);
    const moved = await this.#copyLive(head, cleaned, base, number);
    await this.#markRemoved(head, removed);
    const end = new ByteWriter();
    this.#writeCommitted(end, { journal, oldestSegment, change });
    const parts = [head.view(), batch.view(), end.view()];
    const segment = await this.#write(parts, number, base, isNew);
    for (const { length } of parts) segment.bytes += length;
    await this.#follow(moved);
    await this.#settle(batch, number, base + head.length);
    return () => this.#dropFirst(cleaned.length);
  }

  delete(handle: ChunkHandle): void {
    this.#liveBytes -= this.table.place(handle)?.bytes ?? 0;
    this.table.delete(handle);
  }

  async close(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => segment.file.close()));
  }

  #segmentsToClean(): readonly Segment[] {
    const slack = 2 * this.#liveBytes + 2 * this.#segmentBytes;
    const most = Math.min(cleanedPerCheckpoint, this.#segments.length - 1);
    let total = this.bytes;
    let count = 0;
    while (count < most && total > slack) total -= this.#segments[count++]!.bytes;
    return this.#segments.slice(0, count);
  }

  #needsNewSegment(cleaned: number): boolean {
    const last = this.#segments.at(-1);
    return last === undefined || last.bytes >= this.#segmentBytes || cleaned >= this.#segments.length;
  }

  /** The records are found by their rows, not by those before them: what is damaged costs itself only. */
  async #copyLive(
    w: ByteWriter,
    segments: readonly Segment[],
    base: number,
    number: number,
  ): Promise<readonly Moved[]> {
    const moved: Moved[] = [];
    const slices = new Slices(this.#env.clock, rowsPerTurn);
    for (const segment of segments) {
      const from = segment.number;
      const content = await contentOf(segment);
      for (const handle of this.table.handlesIn(from)) {
        const place = this.table.place(handle);
        if (place?.segment !== from) continue; // it has been removed meanwhile
        const { offset, bytes } = place;
        const frame = content.subarray(offset, offset + bytes);
        const to = { segment: number, offset: base + w.length, bytes };
        moved.push({ handle, from, to, isSound: this.#isSound(handle, frame) });
        this.#copy(w, handle, frame);
        const pause = slices.done(1 + Math.floor(bytes / bytesPerRow));
        if (pause !== undefined) await pause;
      }
    }
    return moved;
  }

  /** Whether the payload is sound its checksum tells then as before. */
  #copy(w: ByteWriter, handle: ChunkHandle, frame: Uint8Array): void {
    const { crc32 } = this.#env;
    const header = readFrameHeader(frame, 0, crc32);
    const isItsOwn = header?.handle === handle && header.payloadBytes === frame.length - frameHeaderBytes;
    if (isItsOwn && header.kind === frameKinds.chunk) w.raw(frame);
    else writeUnsoundFrame(w, handle, frame.length, crc32);
  }

  async #markRemoved(w: ByteWriter, removed: readonly ChunkHandle[]): Promise<void> {
    const slices = new Slices(this.#env.clock, rowsPerTurn);
    for (const handle of removed) {
      writeFrame(w, frameKinds.removed, handle, this.#env.crc32, () => {});
      const pause = slices.done(1);
      if (pause !== undefined) await pause;
    }
  }

  /** The rows of what was written again point there, save those that went away meanwhile, perhaps to come back as others. Damage is told of. */
  async #follow(moved: readonly Moved[]): Promise<void> {
    const slices = new Slices(this.#env.clock, rowsPerTurn);
    for (const { handle, from, to, isSound } of moved) {
      if (this.table.place(handle)?.segment === from) {
        this.table.move(handle, to);
        if (!isSound) this.onDamage(handle);
      }
      const pause = slices.done(1);
      if (pause !== undefined) await pause;
    }
  }

  #writeCommitted(w: ByteWriter, committed: Committed): void {
    writeFrame(w, frameKinds.committed, 0, this.#env.crc32, () => writeCommitted(w, committed));
  }

  async #write(parts: readonly Uint8Array[], number: number, base: number, isNew: boolean): Promise<Segment> {
    if (!isNew) {
      const segment = this.#segments.at(-1)!;
      // What a checkpoint that failed has left must not stay behind the next batch.
      if (segment.file.size() > base) await segment.file.truncate(base);
      await segment.file.write(base, parts);
      await segment.file.sync();
      return segment;
    }
    const file = await this.#env.disk.open(segmentPath(this.#directory, number), 'create');
    try {
      // A segment of this number may be left over from a checkpoint that failed.
      await file.truncate(0);
      await file.write(0, parts);
      await file.sync();
      await this.#env.disk.syncDirectory(this.#directory);
    } catch (thrown) {
      await file.close();
      // A sync of names that failed may succeed the next time without this one. If it cannot be removed either, the first failure says more.
      await this.#env.disk.remove(segmentPath(this.#directory, number)).catch((error: unknown) => {
        const { code, message } = toCairnError(error);
        this.#env.events.emit('warn', 'chunk-segment-not-removed', { segment: number, code, message });
      });
      throw thrown;
    }
    const segment = { number, file, bytes: 0 };
    this.#segments.push(segment);
    return segment;
  }

  /** The rows point at their records from here on. @param base of the batch, within the segment */
  async #settle({ records }: RecordBatch, segment: number, base: number): Promise<void> {
    const slices = new Slices(this.#env.clock, rowsPerTurn);
    for (const { state, slot, offset, bytes } of records) {
      if (!state.isRemoved) {
        const place = { segment, offset: base + offset, bytes };
        this.#liveBytes += bytes - this.table.putRecord(state, place, slot);
      }
      const pause = slices.done(1);
      if (pause !== undefined) await pause;
    }
  }

  async #dropFirst(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const segment = this.#segments.shift()!;
      await segment.file.close();
      await this.#env.disk.remove(segment.file.path);
    }
  }
}

/** What the segment holds, with zeros for the blocks that the disk does not give any more: those cost the records in them, and no checkpoint. */
async function contentOf({ file, bytes }: Segment): Promise<Uint8Array> {
  const content = new Uint8Array(bytes);
  try {
    await file.read(0, content);
    return content;
  } catch (thrown) {
    mustBeOfTheDisk(thrown);
  }
  for (let at = 0; at < bytes; at += diskBlockBytes) {
    const block = content.subarray(at, at + diskBlockBytes);
    try {
      await file.read(at, block);
    } catch (thrown) {
      mustBeOfTheDisk(thrown);
      block.fill(0);
    }
  }
  return content;
}

/** What else fails a read says nothing about what is there. */
function mustBeOfTheDisk(thrown: unknown): void {
  const error = toCairnError(thrown);
  if (error.code !== 'DISK_FAILED') throw error;
}

export function segmentPath(directory: string, number: number): string {
  return `${directory}/${number.toString(16).padStart(16, '0')}`;
}
