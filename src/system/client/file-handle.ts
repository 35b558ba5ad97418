/** An open file in the manner of node:fs/promises: reads and writes at positions, or one after another, and appends. */
import { CairnError } from '../../core/base/errors.ts';
import { type AbortSignalLike, abortable } from './abort.ts';
import type { AppendQueue } from './append-queue.ts';
import { about, invalid, isClosed } from './failures.ts';
import { type FollowedPiece, followFile } from './follow.ts';
import type { OpenFile } from './open-file.ts';
import { PacketWriter } from './packet-writer.ts';
import { type ReadStreamOptions, readAbortably, readStream } from './read-range.ts';
import { type ReadRecord, type RecordsOptions, recordsOf } from './records.ts';
import type { Stats } from './stats.ts';
import { truncateFile } from './truncate.ts';
import { checkStream, WriteStream, type WriteStreamOptions } from './write-stream.ts';

/** As in node:fs: `r` read; `r+` read and write; `w` make or empty, and write; `wx` make, which must not exist; `a` make if missing, and append. */
export type OpenFlags = 'r' | 'r+' | 'w' | 'w+' | 'wx' | 'wx+' | 'a' | 'a+';

export function mayRead(flags: OpenFlags): boolean {
  return flags === 'r' || flags.endsWith('+');
}
export function mayWrite(flags: OpenFlags): boolean {
  return flags !== 'r';
}

/** A part of the caller's memory, and where in the file. Without `position`: where the last call without it ended. */
export interface Span {
  /** In the memory given; 0 if not given. */
  readonly offset?: number | undefined;
  /** The rest of the memory if not given. */
  readonly length?: number | undefined;
  readonly position?: number | null | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

export class FileHandle {
  readonly path: string;
  readonly flags: OpenFlags;
  readonly #file: OpenFile;
  readonly #appends: () => AppendQueue;
  #position = 0;
  /** Of those without a position. */
  #lastRead: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** @param appends the queue of this file's appends. */
  constructor(path: string, flags: OpenFlags, file: OpenFile, appends: () => AppendQueue) {
    this.path = path;
    this.flags = flags;
    this.#file = file;
    this.#appends = appends;
  }

  /**
   * Fills the memory, or a part of it, straight from the network; it must be left alone meanwhile. With a signal it is filled at the end.
   * @returns bytesRead: fewer than asked for only at the end of the file.
   */
  read<Memory extends Uint8Array>(memory: Memory, span: Span = {}): Promise<{ bytesRead: number; buffer: Memory }> {
    return this.#guarded(mayRead, 'reading', span.signal, async () => {
      const { position, signal } = span;
      const into = part(memory, span);
      const bytesRead = await (typeof position === 'number'
        ? this.#readAt(checkPosition(position), into, signal)
        : this.#readOn(into, signal));
      return { bytesRead, buffer: memory };
    });
  }

  async #readAt(position: number, into: Uint8Array, signal: AbortSignalLike | undefined): Promise<number> {
    return into.length === 0 ? 0 : readAbortably(this.#file, position, into, signal);
  }

  /** Where it begins is known when the one before has ended. */
  #readOn(into: Uint8Array, signal: AbortSignalLike | undefined): Promise<number> {
    const read = this.#lastRead.then(async () => {
      const position = this.#position;
      const bytesRead = await this.#readAt(position, into, signal);
      this.#position = position + bytesRead;
      return bytesRead;
    });
    this.#lastRead = read.catch(() => undefined); // told its caller
    return read;
  }

  /**
   * Writes at a position; opened for appending, as `append`. The memory must not change until it has resolved.
   * Concurrent writes to the same bytes end in one of the possible orders.
   */
  write<Memory extends Uint8Array>(memory: Memory, span: Span = {}): Promise<{ bytesWritten: number; buffer: Memory }> {
    return this.#guarded(mayWrite, 'writing', span.signal, async () => {
      const bytes = part(memory, span);
      if (this.flags.startsWith('a')) await this.#append(bytes, span.signal);
      else await this.#writeAt(bytes, span);
      return { bytesWritten: bytes.length, buffer: memory };
    });
  }

  async #writeAt(bytes: Uint8Array, span: Span): Promise<void> {
    const position = checkPosition(span.position ?? this.#position);
    if (typeof span.position !== 'number') this.#position = position + bytes.length;
    const writer = new PacketWriter(this.#file, { position, expectedBytes: bytes.length, signal: span.signal });
    try {
      await writer.write(bytes);
    } finally {
      await writer.end();
    }
  }

  /**
   * One record at the end of the file: atomic, exactly once, whoever else appends.
   * @returns where it begins. @throws CairnError RECORD_TOO_LARGE
   */
  recordAppend(record: Uint8Array, options: { readonly signal?: AbortSignalLike | undefined } = {}): Promise<number> {
    return this.#guarded(mayWrite, 'writing', options.signal, () => this.#appends().append(record, options.signal));
  }

  /**
   * The same with a head of 32 bytes that says what it is, so that `records` finds it among whatever else is in the file.
   * @returns where it begins, its head first. @throws CairnError RECORD_TOO_LARGE
   */
  appendRecord(payload: Uint8Array, options: { readonly signal?: AbortSignalLike | undefined } = {}): Promise<number> {
    return this.#guarded(mayWrite, 'writing', options.signal, () =>
      this.#appends().appendRecord(payload, options.signal),
    );
  }

  /** At the end of the file, in several records if it is larger than one: others' may lie between them. */
  append(bytes: Uint8Array, options: { readonly signal?: AbortSignalLike | undefined } = {}): Promise<void> {
    return this.#guarded(mayWrite, 'writing', options.signal, () => this.#append(bytes, options.signal));
  }

  #append(bytes: Uint8Array, signal: AbortSignalLike | undefined): Promise<void> {
    return this.#appends().appendAll(bytes, signal);
  }

  /** @see CairnClient.truncate */
  truncate(size = 0): Promise<void> {
    return this.#guarded(mayWrite, 'writing', undefined, () => truncateFile(this.#file, checkPosition(size)));
  }

  stat(): Promise<Stats> {
    return this.#guarded(undefined, '', undefined, () => this.#file.stat());
  }

  /** What the file has now, in pieces. @see ReadStreamOptions */
  async *readStream(options: ReadStreamOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    try {
      this.#check(mayRead, 'reading');
      checkPosition(options.start ?? 0);
      yield* readStream(this.#file, options);
    } catch (thrown) {
      throw about(this.path, thrown);
    }
  }

  /** What `appendRecord` has put into the file, in order, each once. @see RecordsOptions */
  async *records(options: RecordsOptions = {}): AsyncGenerator<ReadRecord, void, void> {
    try {
      this.#check(mayRead, 'reading');
      if (typeof options.from === 'number') checkPosition(options.from);
      yield* recordsOf(this.#file, options);
    } catch (thrown) {
      throw about(this.path, thrown);
    }
  }

  /** What the file has from `start` on, and what comes, until the caller has enough. @see followFile */
  async *follow(
    options: { readonly start?: number | undefined; readonly signal?: AbortSignalLike | undefined } = {},
  ): AsyncGenerator<FollowedPiece, void, void> {
    try {
      this.#check(mayRead, 'reading');
      yield* followFile(this.#file, checkPosition(options.start ?? 0), options.signal);
    } catch (thrown) {
      throw about(this.path, thrown);
    }
  }

  /** A sink with back-pressure; closing it does not close the handle. */
  writeStream(options: WriteStreamOptions = {}): WriteStream {
    this.#check(mayWrite, 'writing');
    checkStream(options);
    if (this.flags.startsWith('a')) return WriteStream.appending(this.path, this.#appends(), options);
    const start = checkPosition(options.start ?? this.#position);
    return WriteStream.writing(this.path, this.#file, { ...options, start });
  }

  /** What is under way goes on. */
  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #check(may: ((flags: OpenFlags) => boolean) | undefined, what: string): void {
    if (this.#isClosed) throw about(this.path, isClosed('the file'));
    if (may === undefined || may(this.flags)) return;
    throw new CairnError(
      'INVALID_ARGUMENT',
      `${this.path}: opened with '${this.flags}', which is not for ${what}; open it with other flags`,
    );
  }

  async #guarded<T>(
    may: ((flags: OpenFlags) => boolean) | undefined,
    what: string,
    signal: AbortSignalLike | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      this.#check(may, what);
      return await abortable(signal, work());
    } catch (thrown) {
      throw about(this.path, thrown);
    }
  }
}

function part<Memory extends Uint8Array>(
  memory: Memory,
  { offset = 0, length = memory.length - offset }: Span,
): Uint8Array {
  const isWithin = Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0;
  if (!isWithin || offset + length > memory.length) {
    throw invalid(
      `offset ${offset} and length ${length} do not lie within ${memory.length} bytes; give a part of them`,
    );
  }
  return offset === 0 && length === memory.length ? memory : memory.subarray(offset, offset + length);
}

export function checkPosition(position: number): number {
  if (Number.isSafeInteger(position) && position >= 0) return position;
  throw invalid(`position ${position} is not in a file; give an integer from 0 to 2^53 − 1`);
}
