/** A sink for bytes that come one after another, with back-pressure: `write` resolves when more may come. */
import { toUtf8 } from '../../core/base/bytes.ts';
import type { AbortSignalLike } from './abort.ts';
import type { AppendQueue } from './append-queue.ts';
import { about, checkWindow, invalid } from './failures.ts';
import type { OpenFile } from './open-file.ts';
import { PacketWriter } from './packet-writer.ts';
import { checkLength } from './read-range.ts';

export interface WriteStreamOptions {
  /** Where the first byte goes; the beginning if not given. Means nothing when appending. */
  readonly start?: number | undefined;
  /** How many bytes will come, if that is known: room is made for them beforehand. `close` fails if fewer came. */
  readonly expectedBytes?: number | undefined;
  /** Bytes under way; also what the writer holds in memory. */
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

/** @throws CairnError INVALID_ARGUMENT: numbers of bytes that are none */
export function checkStream({ windowBytes, expectedBytes }: WriteStreamOptions): void {
  if (windowBytes !== undefined) checkWindow('windowBytes', windowBytes);
  if (expectedBytes !== undefined) checkLength(expectedBytes);
}

interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  stop(): void;
}

export class WriteStream {
  readonly path: string;
  readonly #sink: Sink;
  readonly #expectedBytes: number;
  #bytesWritten = 0;
  /** What was handed in before is taken, or has failed: bytes keep their order, also those of a caller who does not wait. */
  #taken: Promise<void> = Promise.resolve();

  private constructor(path: string, sink: Sink, expectedBytes = 0) {
    this.path = path;
    this.#sink = sink;
    this.#expectedBytes = expectedBytes;
  }

  static writing(path: string, file: OpenFile, options: WriteStreamOptions): WriteStream {
    const sink = new PacketWriter(file, { ...options, position: options.start ?? 0 });
    return new WriteStream(path, sink, options.expectedBytes);
  }

  static appending(path: string, appends: AppendQueue, { signal }: WriteStreamOptions): WriteStream {
    return new WriteStream(path, appends.sink(signal));
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
    const taken = this.#taken.then(() => this.#sink.write(bytes));
    this.#taken = taken.catch(() => undefined); // told here
    await this.#named(taken);
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
    await this.#named(this.#taken.then(() => this.#sink.flush()));
  }

  /** The last flush: without it nothing is promised of the bytes taken. @throws CairnError */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.#sink.stop();
    }
    if (this.#bytesWritten < this.#expectedBytes)
      throw about(
        this.path,
        invalid(`${this.#bytesWritten} of the ${this.#expectedBytes} bytes that were announced came; write it anew`),
      );
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
