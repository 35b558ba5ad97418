/**
 * The write-ahead log with group commit. Appends lay their records into the group that is open at once; a writer takes one
 * group after another: one write, one sync, and while that is under way the next group fills.
 *
 * The next group is not written while the sync of the one before is under way: its heads say what had been durable when it
 * was written, and that is what tells damage from a torn tail when the log is opened. (Nor would it help: the write
 * costs a few microseconds, the sync a hundred.) A flush that nobody asked for goes on beside the writes: it promises nothing.
 */
import { assert } from '../../../core/base/assert.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { makeDurableDirectory } from '../durable-directory.ts';
import { type LogOptions, type LogPlace, queuedMaxBytes, type WriteAheadLog } from '../write-ahead-log.ts';
import { FlushPace } from './flush-pace.ts';
import {
  firstRecordOffset,
  recordBytes,
  recordHeadBytes,
  recordMaxBytes,
  segmentHeaderBytes,
  segmentSeed,
} from './format.ts';
import { BufferPool, Group } from './group.ts';
import { type RecoveredLog, recover } from './recovery.ts';
import { SegmentFiles } from './segment-files.ts';
import { WriteBehind } from './write-behind.ts';

/** A group takes no further append once it holds so much. */
const groupFullBytes = 4 * 1024 * 1024;
/** Up to here a write into the page cache is cheaper than the way to the thread pool and back. */
const writeNowMaxBytes = 128 * 1024;
/** Offsets are 32 bits; leaves room for the largest append. */
const segmentMaxBytes = 2 ** 30;

/** @throws CairnError LOG_CORRUPT, WRONG_FORMAT, DISK_FULL, DISK_FAILED */
export async function openWriteAheadLog(env: Env, options: LogOptions): Promise<WriteAheadLog> {
  assert(options.segmentBytes > firstRecordOffset && options.segmentBytes <= segmentMaxBytes, 'segmentBytes is sane', {
    segmentBytes: options.segmentBytes,
  });
  await makeDurableDirectory(env.disk, options.directory);
  const recovered = (await recover(env, options)) ?? (await createLog(env, options));
  const { logId, tail, prepared } = recovered;
  const files = new SegmentFiles(env, options, logId);
  if (prepared !== undefined) files.adopt(prepared.segment, prepared.file);
  else files.prepare(tail.segment + 1);
  return new Log(env, options, files, recovered);
}

async function createLog(env: Env, options: LogOptions): Promise<RecoveredLog> {
  const logId = env.random.id53();
  const files = new SegmentFiles(env, options, logId);
  files.prepare(1);
  const file = await files.take(1);
  return {
    logId,
    sealed: [],
    tail: { segment: 1, file, endOffset: segmentHeaderBytes, opened: false },
    prepared: undefined,
  };
}

class Log implements WriteAheadLog {
  readonly #env: Env;
  readonly #options: LogOptions;
  readonly #files: SegmentFiles;
  readonly #logId: number;
  readonly #buffers = new BufferPool();

  // What has been laid out so far: where the next record goes.
  #segment: number;
  #offset: number;
  /** Where the records after the preamble begin; the segment has no link yet while this is 0. */
  #bodyStart: number;
  readonly #groups: Group[] = [];
  #queuedBytes = 0;

  // What has been written, always behind the former.
  #file: DiskFile;
  #writtenSegment: number;
  #writtenEnd: number;
  #durableEnd: number;
  #seed: number;
  readonly #pace: FlushPace;
  readonly #behind: WriteBehind;
  #wroteAnything = false;
  readonly #sealedEnds = new Map<number, number>();

  #released: Promise<void> = Promise.resolve();
  #writer: Promise<void> | undefined;
  #failure: CairnError | undefined;
  #closed = false;

  constructor(env: Env, options: LogOptions, files: SegmentFiles, recovered: RecoveredLog) {
    const { logId, sealed, tail } = recovered;
    this.#env = env;
    this.#options = options;
    this.#files = files;
    this.#logId = logId;
    this.#pace = new FlushPace(env.clock);
    this.#behind = new WriteBehind(options.writeBehindBytes);
    this.#segment = tail.segment;
    this.#offset = tail.endOffset;
    this.#bodyStart = tail.opened ? firstRecordOffset : 0;
    this.#file = tail.file;
    this.#writtenSegment = tail.segment;
    this.#writtenEnd = tail.endOffset;
    this.#durableEnd = tail.endOffset;
    this.#seed = segmentSeed(tail.segment, logId);
    for (const { segment, endOffset } of sealed) this.#sealedEnds.set(segment, endOffset);
  }

  get bytes(): number {
    let bytes = this.#writtenEnd - segmentHeaderBytes;
    for (const end of this.#sealedEnds.values()) bytes += end - segmentHeaderBytes;
    return bytes;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  append(payloads: readonly Uint8Array[], sync: boolean): Promise<LogPlace> {
    const refusal = this.#refusal(payloads);
    if (refusal !== undefined) return Promise.reject(refusal);
    const first = this.#lay(payloads);
    const group = this.#openGroup();
    if (sync) group.sync = true;
    return this.#settled(group, first);
  }

  rotate(): Promise<LogPlace> {
    if (this.#failure !== undefined) return Promise.reject(this.#poisoned());
    this.#startSegment();
    const group = this.#openGroup();
    group.sync = true;
    return this.#settled(group, { segment: this.#segment, offset: segmentHeaderBytes });
  }

  besides<T>(work: () => Promise<T>): Promise<T> {
    return this.#pace.besides(work);
  }

  release(place: LogPlace): Promise<void> {
    // One after another and, after a failure, none any more: a gap among the segments would look like a loss.
    this.#released = this.#released.then(() => this.#retireBefore(place.segment));
    return this.#released;
  }

  async #retireBefore(first: number): Promise<void> {
    for (const segment of this.#sealedEnds.keys()) {
      if (segment >= first) break;
      await this.#files.retire(segment);
      this.#sealedEnds.delete(segment);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writer;
    try {
      if (this.#failure === undefined && this.#wroteAnything) await this.#writeMark();
    } finally {
      await this.#files.close();
      await this.#released.catch(() => undefined); // who asked for it is told
      await this.#file.close();
    }
  }

  // ----------------------------------------------------------- laying out

  #refusal(payloads: readonly Uint8Array[]): CairnError | undefined {
    if (this.#failure !== undefined) return this.#poisoned();
    assert(!this.#closed, 'a closed log is not appended to');
    for (const { length } of payloads) {
      assert(length >= 1 && length <= recordMaxBytes, 'a payload has 1 … recordMaxBytes bytes', { length });
    }
    if (payloads.length > 0 && this.#queuedBytes > queuedMaxBytes) {
      return new CairnError(
        'BUSY',
        `${this.#queuedBytes} bytes wait for the log already; try again when they are written`,
      );
    }
    return undefined;
  }

  /** An append goes whole into one segment if it fits into any. Returns where its first record lies. */
  #lay(payloads: readonly Uint8Array[]): LogPlace {
    let left = 0;
    for (const payload of payloads) left += recordBytes(payload.length);
    if (left > 0) this.#makeRoom(left);
    const first: LogPlace = { segment: this.#segment, offset: this.#offset };
    for (const payload of payloads) {
      this.#makeRoom(recordBytes(payload.length));
      this.#add(this.#openGroup(), payload);
    }
    return first;
  }

  /** Starts a new segment if `bytes` more do not fit. A segment that holds nothing yet takes them anyway, and grows. */
  #makeRoom(bytes: number): void {
    if (this.#bodyStart === 0) this.#openSegment(0);
    if (this.#offset + bytes > this.#options.segmentBytes && this.#offset > this.#bodyStart) this.#startSegment();
  }

  #startSegment(): void {
    if (this.#bodyStart === 0) this.#openSegment(0);
    const previousEnd = this.#offset;
    this.#segment++;
    this.#offset = segmentHeaderBytes;
    this.#openSegment(previousEnd);
  }

  #openSegment(previousEnd: number): void {
    const preamble = this.#options.preamble();
    let preambleEnd = firstRecordOffset;
    for (const payload of preamble) {
      assert(payload.length > 0, 'a payload has 1 … recordMaxBytes bytes');
      preambleEnd += recordBytes(payload.length);
    }
    this.#bodyStart = preambleEnd;
    const group = new Group(this.#segment, this.#offset, true, this.#buffers.take());
    this.#groups.push(group);
    group.addLink(previousEnd, preambleEnd, this.#env.crc32);
    this.#advance(group.length);
    for (const payload of preamble) this.#add(group, payload);
  }

  #add(group: Group, payload: Uint8Array): void {
    const before = group.length;
    group.add(payload, this.#env.crc32);
    this.#advance(group.length - before);
  }

  #advance(bytes: number): void {
    this.#offset += bytes;
    this.#queuedBytes += bytes;
  }

  /** The last group if it still takes records, else a new one. */
  #openGroup(): Group {
    const last = this.#groups.at(-1);
    if (last !== undefined && last.length < groupFullBytes) return last;
    const group = new Group(this.#segment, this.#offset, false, this.#buffers.take());
    this.#groups.push(group);
    return group;
  }

  #settled(group: Group, place: LogPlace): Promise<LogPlace> {
    const promise = new Promise<LogPlace>((resolve, reject) => {
      group.waiters.push({ place, resolve, reject });
    });
    this.#writer ??= this.#writeAll();
    return promise;
  }

  // ----------------------------------------------------------- writing

  async #writeAll(): Promise<void> {
    // Appends of the same turn join the group; what the turn sends leaves before a flush holds it up.
    if (this.#flushesInTurn) await new Promise<void>((resolve) => this.#env.clock.soon(resolve));
    else await undefined;
    let group = this.#groups.shift();
    while (group !== undefined) {
      try {
        await this.#write(group);
      } catch (cause) {
        this.#fail(toCairnError(cause), group);
        break;
      }
      this.#queuedBytes -= group.length;
      this.#buffers.give(group.buffer);
      for (const { place, resolve } of group.waiters) resolve(place);
      group = this.#groups.shift();
    }
    this.#writer = undefined;
  }

  async #write(group: Group): Promise<void> {
    this.#behind.mustHaveSucceeded();
    if (group.segment !== this.#writtenSegment) await this.#turnTo(group.segment);
    assert(group.offset === this.#writtenEnd, 'groups follow one another', { offset: group.offset });
    if (group.length > 0) {
      group.stamp(this.#seed, group.opensSegment ? 0 : this.#durableEnd);
      const bytes = group.view();
      if (bytes.length <= writeNowMaxBytes) this.#file.writeNow(group.offset, [bytes]);
      else await this.#file.write(group.offset, [bytes]);
      this.#writtenEnd = group.end;
      this.#files.noteUsed(group.end / this.#options.segmentBytes);
      this.#wroteAnything = true;
    }
    if (group.sync) await this.#sync();
    else if (this.#behind.isDue(this.#writtenEnd - this.#durableEnd)) this.#flushBehind();
  }

  /** What nobody has asked to be durable: so that whoever asks next, and the end of the segment, wait for little. */
  #flushBehind(): void {
    const file = this.#file;
    const flushedTo = this.#writtenEnd;
    this.#behind.flush(
      () => file.sync(),
      () => {
        if (this.#file === file) this.#durableEnd = Math.max(this.#durableEnd, flushedTo);
      },
    );
  }

  get #flushesInTurn(): boolean {
    return this.#pace.isInTurn && this.#file.syncNow !== undefined;
  }

  async #sync(): Promise<void> {
    await this.#behind.quiet();
    if (this.#durableEnd === this.#writtenEnd) return;
    const file = this.#file;
    if (this.#flushesInTurn) this.#pace.inTurn(() => file.syncNow!());
    else await this.#pace.outOfTurn(() => file.sync());
    this.#durableEnd = this.#writtenEnd;
  }

  /** Nothing is written to a segment before the one before it is durable to its end. */
  async #turnTo(segment: number): Promise<void> {
    await this.#sync();
    const next = await this.#files.take(segment);
    const full = this.#file;
    this.#sealedEnds.set(this.#writtenSegment, this.#writtenEnd);
    this.#file = next;
    this.#writtenSegment = segment;
    this.#writtenEnd = segmentHeaderBytes;
    this.#durableEnd = segmentHeaderBytes;
    this.#seed = segmentSeed(segment, this.#logId);
    await full.close();
    this.#files.prepare(segment + 1);
  }

  /** Says that everything before is durable, so that later damage to the last flush is seen as such. */
  async #writeMark(): Promise<void> {
    await this.#sync();
    const mark = new Group(this.#writtenSegment, this.#writtenEnd, false, new Uint8Array(recordHeadBytes));
    mark.add(new Uint8Array(0), this.#env.crc32);
    mark.stamp(this.#seed, this.#durableEnd);
    await this.#file.write(mark.offset, [mark.view()]);
    await this.#file.sync();
  }

  #fail(failure: CairnError, group: Group): void {
    this.#failure = failure;
    const rejected = [group, ...this.#groups.splice(0)];
    this.#queuedBytes = 0;
    const cause = this.#poisoned();
    this.#env.events.emit('error', 'log_failed', {
      directory: this.#options.directory,
      code: failure.code,
      cause: failure.message,
    });
    for (const { waiters } of rejected) for (const { reject } of waiters) reject(cause);
  }

  #poisoned(): CairnError {
    const failure = this.#failure!;
    return new CairnError(
      failure.code,
      `the log in ${this.#options.directory} takes nothing more since a write failed (${failure.message}); ` +
        'free or replace the disk, then restart this process',
      { cause: failure },
    );
  }
}
