/** A sink for bytes that come one after another, with back-pressure: `write` resolves when more may come. */
import { toUtf8 } from '../../core/base/bytes.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import { type AppendQueue, recordMaxBytes } from './append-queue.ts';
import { about, isClosed } from './failures.ts';
import type { OpenFile } from './open-file.ts';
import { PacketWriter } from './packet-writer.ts';

export interface WriteStreamOptions {
  /** Where the first byte goes; the beginning if not given. Means nothing when appending. */
  readonly start?: number | undefined;
  /** How many bytes will come, if that is known. */
  readonly expectedBytes?: number | undefined;
  /** Bytes under way; also what the writer holds in memory. */
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  stop(): void;
}

export class WriteStream {
  readonly path: string;
  readonly #sink: Sink;
  #bytesWritten = 0;

  private constructor(path: string, sink: Sink) {
    this.path = path;
    this.#sink = sink;
  }

  static writing(path: string, file: OpenFile, options: WriteStreamOptions): WriteStream {
    return new WriteStream(path, new PacketWriter(file, { ...options, position: options.start ?? 0 }));
  }

  static appending(path: string, file: OpenFile, appends: AppendQueue, options: WriteStreamOptions): WriteStream {
    return new WriteStream(path, new AppendSink(appends, recordMaxBytes(file.chunkBytes), options.signal));
  }

  /** Bytes taken so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * Takes the bytes; resolves when more may come. They must not change until `flush` or `close` has resolved.
   * @throws CairnError why earlier bytes were not written
   */
  async write(bytes: Uint8Array): Promise<void> {
    this.#bytesWritten += bytes.length;
    await this.#named(this.#sink.write(bytes));
  }

  /** Writes all that comes, and closes; if that fails, on either side, nothing more is written. @throws what `pieces` throws, CairnError */
  async take(pieces: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>): Promise<void> {
    try {
      for await (const piece of pieces) await this.write(typeof piece === 'string' ? toUtf8(piece) : piece);
      await this.close();
    } finally {
      this.abort();
    }
  }

  /** Resolves when all bytes taken so far are acknowledged. @throws CairnError */
  async flush(): Promise<void> {
    await this.#named(this.#sink.flush());
  }

  /** The last flush: without it nothing is promised of the bytes taken. @throws CairnError */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.#sink.stop();
    }
  }

  /** Writes nothing more; what is under way may still be written. */
  abort(): void {
    this.#sink.stop();
  }

  async #named(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (thrown) {
      throw about(this.path, thrown);
    }
  }
}

/** Appends what gathers as records of at most `recordMax` bytes, one after another. */
class AppendSink implements Sink {
  readonly #appends: AppendQueue;
  readonly #recordMax: number;
  readonly #signal: AbortSignalLike | undefined;
  readonly #underWay = new Set<Promise<unknown>>();
  #bytesUnderWay = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(appends: AppendQueue, recordMax: number, signal: AbortSignalLike | undefined) {
    this.#appends = appends;
    this.#recordMax = recordMax;
    this.#signal = signal;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#recordMax) {
      while (this.#bytesUnderWay > packetMaxBytes && this.#failure === undefined) await Promise.race(this.#underWay);
      this.#check();
      this.#begin(bytes.subarray(at, at + this.#recordMax));
    }
    this.#check();
  }

  #begin(record: Uint8Array): void {
    this.#bytesUnderWay += record.length;
    const landed = this.#appends
      .append(record, this.#signal)
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#bytesUnderWay -= record.length;
        this.#underWay.delete(landed);
      });
    this.#underWay.add(landed);
  }

  async flush(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#check();
  }

  stop(): void {
    this.#failure ??= { error: isClosed('the writer') };
  }

  #check(): void {
    throwIfAborted(this.#signal);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
