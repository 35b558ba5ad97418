/**
 * Bytes that are appended as records, one after another and in order. As many wait for their acknowledgement as keep the frames under way full, and
 * fewer on a slow link: each has its whole time when it is queued, however much there is to come.
 */
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import { isClosed } from './failures.ts';
import { appendFramesMax, sinkRecordsMax } from './limits.ts';
import { Window } from './window.ts';

/** The limit of the window is in these: small enough for a slow link to be done with one in time. */
const unitBytes = packetMaxBytes / 4;
/** What the frames under way hold, and as much again that gathers meanwhile, so that the next ones are full. */
const unitsMax = (2 * appendFramesMax * packetMaxBytes) / unitBytes;

export interface AppendSinkOptions {
  /** What is longer becomes several records. */
  readonly recordMax: number;
  /** Ms. */
  readonly now: () => number;
  readonly signal?: AbortSignalLike | undefined;
}

export class AppendSink {
  readonly #append: (record: Uint8Array) => Promise<unknown>;
  readonly #options: AppendSinkOptions;
  readonly #window = new Window(unitsMax);
  #recordsUnderWay = 0;
  #bytesUnderWay = 0;
  #failure: { readonly error: unknown } | undefined;
  #isStopped = false;
  #waiting: (() => void)[] = [];

  /** @param append appends one record; resolves when it is acknowledged. */
  constructor(append: (record: Uint8Array) => Promise<unknown>, options: AppendSinkOptions) {
    this.#append = append;
    this.#options = options;
  }

  /** Resolves when all of it is on its way. @throws what an earlier record was not appended for */
  async write(bytes: Uint8Array): Promise<void> {
    const { recordMax } = this.#options;
    for (let at = 0; at < bytes.length; at += recordMax) {
      while (this.#isFull && this.#failure === undefined) await this.#change();
      this.#mustBeGood();
      void this.#begin(bytes.subarray(at, at + recordMax));
    }
    this.#mustBeGood();
  }

  /** Resolves when all that is on its way is acknowledged. @throws what a record was not appended for */
  async flush(): Promise<void> {
    while (this.#recordsUnderWay > 0) await this.#change();
    throwIfAborted(this.#options.signal);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Appends nothing that is not on its way already. */
  stop(): void {
    this.#isStopped = true;
    if (this.#recordsUnderWay > 0) this.#failure ??= { error: isClosed('the writer') };
    this.#wake();
  }

  get #isFull(): boolean {
    return this.#recordsUnderWay >= sinkRecordsMax || this.#bytesUnderWay >= this.#window.limit * unitBytes;
  }

  async #begin(record: Uint8Array): Promise<void> {
    const { now } = this.#options;
    const leftAt = now();
    this.#recordsUnderWay += 1;
    this.#bytesUnderWay += record.length;
    try {
      await this.#append(record);
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#recordsUnderWay -= 1;
    this.#bytesUnderWay -= record.length;
    this.#window.judge(leftAt, now());
    this.#wake();
  }

  #mustBeGood(): void {
    throwIfAborted(this.#options.signal);
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#isStopped) throw isClosed('the writer');
  }

  #change(): Promise<void> {
    return new Promise((go) => this.#waiting.push(go));
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}
