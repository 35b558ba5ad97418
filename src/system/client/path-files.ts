/** Files by their paths, whole or as streams. Owns the append queues of a client: all who append to a file here share one. */
import { toUtf8 } from '../../core/base/bytes.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { abortable } from './abort.ts';
import { type Appended, AppendQueues } from './append-queues.ts';
import { atPath, streamAtPath } from './at-path.ts';
import type { ClientCore } from './core.ts';
import { invalid } from './failures.ts';
import { checkPosition, FileHandle, type OpenFlags } from './file-handle.ts';
import { readFileMaxBytes } from './limits.ts';
import type { OpenFile } from './open-file.ts';
import { type CallOptions, expectedOf, fileOf, type MakeOptions, makeFile, openAs, statFile } from './opening.ts';
import { PathLookups } from './path-lookups.ts';
import { checkLength, readInto } from './read-range.ts';
import { checkStream, WriteStream, type WriteStreamOptions } from './write-stream.ts';

export interface OpenOptions extends MakeOptions {
  readonly flags?: OpenFlags | undefined;
}
/** A part of a file. */
export interface PartOptions extends CallOptions {
  readonly start?: number | undefined;
  /** All there is if not given, or Infinity. */
  readonly length?: number | undefined;
}
/** Whole contents. */
export type FileData = string | Uint8Array | AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

export class PathFiles {
  readonly #core: ClientCore;
  readonly #appends: AppendQueues;
  readonly #lookups: PathLookups;

  constructor(core: ClientCore) {
    this.#core = core;
    this.#appends = new AppendQueues(core);
    this.#lookups = new PathLookups(core);
  }

  async open(path: string, flags: OpenFlags, options: MakeOptions): Promise<FileHandle> {
    const opened = await openAs(this.#core, path, flags, 'unknown', options);
    const { attributes, asOf } = opened;
    return new FileHandle(path, flags, fileOf(this.#core, opened), () => this.#appends.of(attributes, asOf).queue);
  }

  /** Does something with the file that is there, as it was looked up at `asOf`. */
  work<T>(path: string, work: (file: OpenFile, asOf: number) => Promise<T>): Promise<T> {
    return atPath(async () => {
      const opened = await statFile(this.#core, path);
      return work(fileOf(this.#core, opened), opened.asOf);
    });
  }

  /** What comes of the file that is there, piece by piece. */
  pieces<T>(path: string, { signal }: CallOptions, of: (file: OpenFile) => AsyncIterable<T>): AsyncGenerator<T> {
    const core = this.#core;
    return streamAtPath(async function* () {
      yield* of(fileOf(core, await abortable(signal, statFile(core, path))));
    });
  }

  /** @throws CairnError TOO_LARGE */
  read(path: string, options: PartOptions): Promise<Uint8Array> {
    const start = checkPosition(options.start ?? 0);
    const length = checkLength(options.length);
    return this.work(path, async (file, asOf) => {
      const bytes = Math.min(Math.max(0, (await file.size(asOf)) - start), length);
      if (bytes > readFileMaxBytes)
        throw new CairnError('TOO_LARGE', `${bytes} bytes are too many to hold at once; read it as a stream`);
      const memory = this.#core.allocate(bytes);
      const have = await readInto(file, start, memory, options.signal);
      return have === bytes ? memory : memory.subarray(0, have);
    });
  }

  async write(path: string, data: FileData, options: OpenOptions): Promise<void> {
    const whole = typeof data === 'string' ? toUtf8(data) : data;
    if (!(whole instanceof Uint8Array)) {
      const stream = await this.writeStream(path, options);
      await stream.take(whole); // which comes but once
      return;
    }
    const write = async () => {
      const stream = await this.writeStream(path, { ...options, expectedBytes: whole.length });
      await stream.take([whole]);
    };
    // What was to be made, and is gone again, is not made a second time.
    await (options.flags?.startsWith('wx') === true ? write() : atPath(write));
  }

  async writeStream(path: string, options: OpenOptions & WriteStreamOptions): Promise<WriteStream> {
    const { flags = 'w' } = options;
    if (flags === 'r') throw invalid(`a file opened with '${flags}' is not written to; use w, wx, r+ or a`);
    checkPosition(options.start ?? 0);
    checkStream(options);
    const expected = (options.start ?? 0) === 0 ? expectedOf(options.expectedBytes) : 'unknown';
    const opened = await openAs(this.#core, path, flags, expected, options);
    if (!flags.startsWith('a')) return WriteStream.writing(path, fileOf(this.#core, opened), options);
    const { attributes, asOf } = opened;
    return WriteStream.appending(path, this.#appends.of(attributes, asOf).queue, options);
  }

  /** Does something with the appends to the file that is there, or is made. */
  appending<T>(path: string, options: MakeOptions, work: (appended: Appended) => Promise<T>): Promise<T> {
    return atPath(async () => work(await this.#appendsTo(path, options)));
  }

  /** The file is looked up for each call, if together with others: it may be another one under this name now. */
  async #appendsTo(path: string, options: MakeOptions): Promise<Appended> {
    try {
      const { attributes, asOf } = await this.#lookups.find(path);
      return this.#appends.of(attributes, asOf);
    } catch (thrown) {
      if (toCairnError(thrown).code !== 'NOT_FOUND') throw thrown;
    }
    const made = await makeFile(this.#core, path, { create: 'ifMissing', truncate: false, expected: 'some' }, options);
    return this.#appends.of(made.attributes, made.asOf, made.grant);
  }
}
