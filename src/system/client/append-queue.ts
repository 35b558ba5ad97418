/**
 * Record appends to one file (GFS §3.3), each exactly once. Records that wait together leave in one frame; at most two frames are under
 * way, in order, so that the next one gathers meanwhile.
 *
 * Exactly once: a record's first frame goes to one chunk, and it moves on to the next chunk only after that chunk has *answered* that it
 * did not take it. While the outcome is unknown (an answer was lost, a primary died) the same frame is repeated to the same chunk, which
 * knows the writer and its sequences, or to the copy of that chunk that the file has got instead after a file snapshot. So a record is
 * never in two chunks, and never twice in one. A chunk that has forgotten the writer meanwhile says so: UNKNOWN_OUTCOME.
 *
 * Owner of: the records in #queue and #frames. A record is in exactly one of these until its promise is settled.
 */
import { type ChunkVersion, toChunkIndex } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { recordsPerMutationMax, windowPerWriterMax } from '../../core/protocol/chunk-calls.ts';
import type { IfMissing } from '../../core/protocol/master-calls.ts';
import { type Attributes, type Grant, packetMaxBytes } from '../../core/protocol/types.ts';
import { type AbortSignalLike, abortable, throwIfAborted } from './abort.ts';
import { AppendSink } from './append-sink.ts';
import type { Attempts } from './attempts.ts';
import { makeIfMissing } from './chunk-grants.ts';
import { attemptsOf } from './core.ts';
import { invalid, isDoubtful } from './failures.ts';
import { appendFramesMax } from './limits.ts';
import { isForgotten, isPassing, laterGrant, lower, mutateOnce, type Payload, sentBefore } from './mutate.ts';
import type { OpenFile } from './open-file.ts';
import { encodeRecord, recordHeadBytes } from './record-format.ts';
import { type PendingRecord, RecordQueue } from './record-queue.ts';

/** So that all frames under way fit into the window that a chunk keeps of this writer. */
const recordsPerFrameMax = Math.min(recordsPerMutationMax, Math.floor(windowPerWriterMax / appendFramesMax));
const refuseIfMissing: IfMissing = { kind: 'refuse' };
/** A record with less time left than this is not sent any more: its outcome would likely be unknown. */
const sendableMs = 500;

type Outcome =
  | { readonly kind: 'answered'; readonly offsets: readonly number[] }
  | { readonly kind: 'failed'; readonly error: CairnError; readonly grant: Grant };
type Fate =
  | { readonly kind: 'answered'; readonly offsets: readonly number[] }
  /** The file has no chunk there any more (somebody cut it), and nothing of what that may have taken. */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'lost'; readonly error: CairnError };

interface Frame {
  readonly records: readonly PendingRecord[];
  readonly payload: Payload;
  readonly attempts: Attempts;
  readonly way: Way;
  /** Of the first attempt. Never rejects. */
  readonly outcome: Promise<Outcome>;
}

/** Over which connection the first attempt has left, if it has. */
interface Way {
  connection: object | undefined;
}

export class AppendQueue {
  readonly #file: OpenFile;
  /** Its own, so that its sequences begin at 1 and have no gaps. */
  readonly #writer: number;
  #sequence = 1;
  /** Of self-identifying records: they keep theirs when a frame is sent anew. */
  #recordSequence = 1;
  readonly #queue = new RecordQueue(() => this.#plan());
  #frames: Frame[] = [];
  #isRunning = false;
  #isRecovering = false;
  #isPlanned = false;
  /** The chunk that frames go to, and under which grant; undefined until the file's end was looked up. */
  #at: { readonly index: number; readonly grant: Grant } | undefined;
  /** When it was learnt that this is the last chunk. */
  #enteredAt = 0;
  /** While recovering: the lowest version under which a frame was sent of which nothing is known. */
  #doubtSince: ChunkVersion | undefined;
  /** It is the last chunk no longer: nothing more is sent there. */
  #mustFindEnd = false;

  /** @param grant of the first chunk, if the file was made just now. */
  constructor(file: OpenFile, grant?: Grant) {
    this.#file = file;
    this.#writer = file.core.env.random.id53();
    if (grant !== undefined) this.#at = { index: 0, grant };
  }

  get isIdle(): boolean {
    return !this.#isRunning && this.#queue.isIdle;
  }

  /** The file was looked up, at `asOf`: if it has another last chunk by now, the next frame goes there. */
  note({ tail }: Attributes, asOf: number): void {
    if (this.#at === undefined || asOf < this.#enteredAt) return;
    // Without a tail the last chunk is sealed, and the grant here is void.
    if (tail?.handle !== this.#at.grant.handle) this.#mustFindEnd = true;
  }

  /**
   * Appends one record, atomically and exactly once. The bytes must not change until it has resolved.
   * @returns where it begins in the file.
   * @throws CairnError RECORD_TOO_LARGE; TIMED_OUT, UNKNOWN_OUTCOME (it may be there); UNAVAILABLE (it is not)
   */
  async append(bytes: Uint8Array, signal?: AbortSignalLike): Promise<number> {
    checkRecord(bytes, this.#file.chunkBytes);
    throwIfAborted(signal);
    const queuedAt = this.#file.core.env.clock.now();
    const queued = this.#queue.hasRoom(bytes.length)
      ? this.#queue.put(bytes, queuedAt, signal)
      : await this.#queue.lineUp(bytes, queuedAt, signal);
    if (signal === undefined) return queued.landed;
    try {
      return await abortable(signal, queued.landed);
    } finally {
      this.#queue.withdraw(queued.record);
    }
  }

  /** The same with a head, so that `records` finds it. @returns where the head begins in the file. */
  appendRecord(payload: Uint8Array, signal?: AbortSignalLike): Promise<number> {
    const max = recordMaxBytes(this.#file.chunkBytes) - recordHeadBytes;
    if (payload.length > max) return Promise.reject(tooLarge(payload.length, max));
    const { crc32 } = this.#file.core.env;
    return this.append(encodeRecord(this.#writer, this.#recordSequence++, payload, crc32), signal);
  }

  /** In records, as many as it takes: others' may lie between them. */
  async appendAll(bytes: Uint8Array, signal?: AbortSignalLike): Promise<void> {
    const sink = this.sink(signal);
    try {
      await sink.write(bytes);
    } finally {
      await sink.flush();
    }
  }

  /** For bytes that come one after another. */
  sink(signal?: AbortSignalLike): AppendSink {
    const { core, chunkBytes } = this.#file;
    const append = (record: Uint8Array) => this.append(record, signal);
    return new AppendSink(append, { recordMax: recordMaxBytes(chunkBytes), now: () => core.env.clock.now(), signal });
  }

  // ---------------------------------------------------------------- frames

  /** Records of one turn leave together. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#file.core.env.clock.soon(() => {
      this.#isPlanned = false;
      if (!this.#isRunning) void this.#run();
      else if (!this.#isRecovering) this.#fill();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#queue.length > 0 || this.#frames.length > 0) {
        if (this.#frames.length === 0 && !this.#isAtEnd()) await this.#recovering(() => this.#findEnd());
        this.#fill();
        await this.#settleFirst();
      }
    } finally {
      this.#isRunning = false;
    }
  }

  #fill(): void {
    if (this.#at === undefined || this.#mustFindEnd) return;
    this.#expireQueued();
    while (this.#frames.length < appendFramesMax && this.#queue.length > 0) this.#frames.push(this.#nextFrame());
  }

  /** Those that have waited too long were certainly not sent. */
  #expireQueued(): void {
    const { core } = this.#file;
    const oldest = core.env.clock.now() - core.settings.deadlineMs + Math.min(sendableMs, core.settings.deadlineMs / 2);
    const message = 'the record waited too long behind others and was not sent; try again';
    for (const record of this.#queue.takeQueuedUpTo(oldest)) record.reject(new CairnError('UNAVAILABLE', message));
  }

  #nextFrame(): Frame {
    const { core } = this.#file;
    // A frame has the time of its first record: one that is old takes no young ones with it.
    const isOld = core.env.clock.now() - this.#queue.firstQueuedAt > core.settings.deadlineMs / 2;
    const queuedUpTo = isOld ? this.#queue.firstQueuedAt + sendableMs : Number.POSITIVE_INFINITY;
    const records = this.#queue.take(recordsPerFrameMax, packetMaxBytes, queuedUpTo);
    const { crc32 } = core.env;
    const parts = records.map((record) => record.bytes);
    const kind = {
      kind: 'append' as const,
      writer: this.#writer,
      since: undefined,
      firstSequence: this.#sequence,
      lengths: parts.map((part) => part.length),
    };
    this.#sequence += records.length;
    let crc = 0;
    for (const part of parts) crc = crc32(part, crc);
    const payload = { kind, parts, crc };
    const attempts = attemptsOf(core, records[0]!.queuedAt);
    const way: Way = { connection: undefined };
    const outcome = this.#attempt(payload, attempts, behind(this.#frames.at(-1)?.way, way));
    return { records, payload, attempts, way, outcome };
  }

  async #attempt(payload: Payload, attempts: Attempts, leaves?: (connection: object) => void): Promise<Outcome> {
    const { core } = this.#file;
    const { index, grant } = this.#at!;
    try {
      const { offsets } = await mutateOnce(core, this.#file, index, grant, payload, attempts.leftMs, leaves);
      if (offsets.length <= payload.parts.length) return { kind: 'answered', offsets };
      throw new CairnError('PROTOCOL', `${offsets.length} places for ${payload.parts.length} records were answered`);
    } catch (thrown) {
      return { kind: 'failed', error: toCairnError(thrown), grant };
    }
  }

  async #settleFirst(): Promise<void> {
    const first = this.#frames[0];
    if (first === undefined) return;
    const outcome = await first.outcome;
    if (outcome.kind === 'answered' && outcome.offsets.length === first.records.length) {
      this.#frames.shift();
      this.#landed(first.records, outcome.offsets);
    } else await this.#recovering(() => this.#recover());
  }

  #landed(records: readonly PendingRecord[], offsets: readonly number[]): void {
    const start = this.#at!.index * this.#file.chunkBytes;
    offsets.forEach((offset, n) => {
      records[n]!.resolve(start + offset);
    });
  }

  // ---------------------------------------------------------------- when a chunk is full, or does not answer

  async #recovering(work: () => Promise<void>): Promise<void> {
    this.#isRecovering = true;
    await work();
    this.#isRecovering = false;
  }

  /** Lets all that is under way come to its end, then settles frame by frame, in order; what was not taken goes to the next chunk. */
  async #recover(): Promise<void> {
    const frames = this.#frames;
    await Promise.all(frames.map((frame) => frame.outcome));
    this.#frames = [];
    const { index } = this.#at!;
    const isWanted = (record: PendingRecord) => this.#queue.isWanted(record);
    const notTaken: PendingRecord[] = [];
    let isReplaced = false;
    this.#doubtSince = undefined;
    for (const frame of frames) this.#noteDoubt(await frame.outcome);
    for (const frame of frames) {
      const fate = await this.#fateOf(frame);
      if (fate.kind === 'lost') for (const record of frame.records) record.reject(fate.error);
      if (fate.kind === 'replaced') isReplaced = true;
      if (fate.kind === 'answered') this.#landed(frame.records, fate.offsets);
      if (fate.kind !== 'lost')
        notTaken.push(...frame.records.slice(fate.kind === 'answered' ? fate.offsets.length : 0).filter(isWanted));
    }
    this.#queue.putBack(notTaken);
    if (isReplaced || this.#mustFindEnd) this.#at = undefined;
    else if (notTaken.length > 0) await this.#enter(index + 1, { kind: 'makeBehind', last: this.#at!.grant.handle });
  }

  /** Repeats a frame to the chunk that it was sent to until that has answered, or nobody waits for any of its records. */
  async #fateOf({ records, payload, attempts, outcome: first }: Frame): Promise<Fate> {
    const { index } = this.#at!;
    let outcome = await first;
    for (let tries = 1; outcome.kind === 'failed'; tries++) {
      const { error } = outcome;
      if (isForgotten(error)) return { kind: 'lost', error };
      // Nobody has this chunk any more, nor will: it took nothing, and the file goes on behind it.
      if (error.code === 'DATA_LOST') return { kind: 'answered', offsets: [] };
      try {
        attempts.failed('the append', error, true);
      } catch (thrown) {
        return { kind: 'lost', error: toCairnError(thrown) };
      }
      if (tries > 1 || isPassing(error)) await attempts.pause();
      if (!records.some((record) => this.#queue.isWanted(record))) return { kind: 'lost', error };
      try {
        const { core } = this.#file;
        const grant = await laterGrant(
          core,
          this.#file,
          index,
          outcome.grant,
          payload,
          error,
          attempts,
          refuseIfMissing,
        );
        this.#at = { index, grant };
      } catch (thrown) {
        const error = toCairnError(thrown);
        if (error.code === 'CHUNK_CUT') return { kind: 'replaced' };
        return { kind: 'lost', error: attempts.giveUp('the append', error) };
      }
      outcome = await this.#attempt(sentBefore(payload, this.#doubtSince), attempts);
      this.#noteDoubt(outcome);
    }
    return outcome;
  }

  /**
   * A later frame of which nothing is known puts an earlier one in doubt too: it may come back to a chunk that has forgotten the later one,
   * which then must not pass for one that is new.
   */
  #noteDoubt(outcome: Outcome): void {
    if (outcome.kind === 'failed' && isDoubtful(outcome.error))
      this.#doubtSince = lower(this.#doubtSince, outcome.grant.version);
  }

  // ---------------------------------------------------------------- where the file ends

  /** Whether the last chunk that is known was appended to a moment ago. */
  #isAtEnd(): boolean {
    if (this.#at === undefined || this.#mustFindEnd) return false;
    const grant = this.#file.grants.warm(this.#at.index);
    if (grant?.handle !== this.#at.grant.handle) return false;
    this.#at = { index: this.#at.index, grant };
    return true;
  }

  async #findEnd(): Promise<void> {
    this.#expireQueued(); // others may cut the file again and again
    this.#at = undefined;
    this.#file.grants.forgetAll(); // the file may have been emptied, and its chunks be others
    const request = { inode: this.#file.inode, first: toChunkIndex(0), count: 1 };
    try {
      const { attributes } = await this.#file.core.masters.read('locate', request);
      const last = Math.max(0, attributes.chunkCount - 1);
      await this.#enter(last, last === 0 ? makeIfMissing : refuseIfMissing);
    } catch (thrown) {
      this.#failQueued(toCairnError(thrown));
    }
  }

  /** Where the file was cut meanwhile its end is looked up anew. */
  async #enter(index: number, ifMissing: IfMissing): Promise<void> {
    this.#at = undefined;
    this.#mustFindEnd = false;
    this.#enteredAt = this.#file.core.env.clock.now();
    try {
      const grant = await this.#file.grants.get(index, this.#file.core.settings.deadlineMs, ifMissing);
      this.#at = { index, grant };
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code !== 'CHUNK_CUT') this.#failQueued(error);
    }
  }

  /** There is no chunk that they could go to. */
  #failQueued(error: CairnError): void {
    for (const record of this.#queue.takeAll()) record.reject(error);
  }
}

/**
 * A frame leaves over the connection that the one before has left over, behind it, or not at all: the one before may never have arrived, and would be
 * laid behind this one when it is repeated.
 */
function behind(before: Way | undefined, way: Way): (connection: object) => void {
  return (connection) => {
    if (before !== undefined && before.connection !== connection)
      throw new CairnError(
        'BUSY',
        'what was appended before has not left yet, or the connection that it has left over was lost',
      );
    way.connection = connection;
  };
}

/** @throws CairnError */
function checkRecord(bytes: Uint8Array, chunkBytes: number): void {
  const max = recordMaxBytes(chunkBytes);
  if (bytes.length === 0) throw invalid('a record has at least one byte; give it some');
  if (bytes.length <= max) return;
  throw tooLarge(bytes.length, max);
}

function tooLarge(bytes: number, max: number): CairnError {
  return new CairnError(
    'RECORD_TOO_LARGE',
    `a record of ${bytes} bytes; at most ${max} fit (a quarter of a chunk, and a packet): split it, or use appendFile`,
  );
}

/** A quarter of a chunk, so that padding wastes little (GFS §3.3), and what one mutation can carry. */
function recordMaxBytes(chunkBytes: number): number {
  return Math.min(packetMaxBytes, Math.floor(chunkBytes / 4));
}
