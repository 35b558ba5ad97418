/**
 * The store's journal over the write-ahead log: batches of records, the epochs that a checkpoint waits for, and the end of all
 * mutations once the log has failed.
 */
import { ByteReader, ByteWriter } from '../../../core/base/bytes.ts';
import type { Env } from '../../../core/base/env.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { openWriteAheadLog } from '../wal/open-write-ahead-log.ts';
import type { LogPlace, WriteAheadLog } from '../write-ahead-log.ts';
import { type JournalRecord, readJournalRecord, writeJournalRecord } from './journal-record.ts';

/** Records are gathered in payloads of about this size. */
const payloadBytes = 256 * 1024;
const sparePayloadsMax = 16;
/** More than this waiting for the log, and batches wait; well below what the log refuses. */
const queuedSoftMaxBytes = 16 * 1024 * 1024;

export class Journal {
  readonly #env: Env;
  readonly #log: WriteAheadLog;
  readonly #spares: ByteWriter[] = [];
  #failure: CairnError | undefined;
  /** Given to the log since the last checkpoint began. */
  bytesSinceCheckpoint = 0;
  /** Written to chunk files since then, and not journalled: to be verified after a crash. */
  bulkBytesSinceCheckpoint = 0;
  /** Told once, when mutations have ended for good. */
  onFailure: (cause: CairnError) => void = () => {};
  #epoch: Epoch = newEpoch();
  #change = 0;

  constructor(env: Env, log: WriteAheadLog) {
    this.#env = env;
    this.#log = log;
  }

  /** The number of the last batch. */
  get change(): number {
    return this.#change;
  }

  /** Numbers go on behind all that were given before. */
  continueAfter(change: number): void {
    this.#change = Math.max(this.#change, change);
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** @throws CairnError what ended the mutations of this store. */
  mustTake(): void {
    if (this.#failure !== undefined) throw this.#again(this.#failure);
  }

  /** Ends all mutations: the disk, or our knowledge of it, cannot be trusted to take more. */
  fail(cause: CairnError): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause;
    this.#env.events.emit('error', 'chunk-store-failed', { code: cause.code, message: cause.message });
    this.onFailure(cause);
  }

  /**
   * Gives one batch to the log, as soon as that has room: what it refuses would end all changes. Whoever appends calls the returned `done`
   * when what follows from it is done, so that a checkpoint can wait.
   */
  async append(records: readonly JournalRecord[], sync: boolean): Promise<Appended> {
    // Asked anew by each who has waited: those before may have taken the room.
    while (this.#log.queuedBytes > queuedSoftMaxBytes) await this.#log.append([], false);
    this.mustTake();
    const change = ++this.#change;
    const written = this.#write(this.#encode(records, change), sync);
    const epoch = this.#epoch;
    epoch.underWay++;
    const done = (): void => {
      if (--epoch.underWay === 0) epoch.whenIdle?.();
    };
    return { change, written, done };
  }

  /**
   * Begins a checkpoint: a place that lies, durably, behind everything whose effects are done when this resolves.
   */
  async begin(): Promise<LogPlace> {
    this.mustTake();
    try {
      const place = await this.#log.rotate();
      const before = this.#epoch;
      this.#epoch = newEpoch();
      this.bytesSinceCheckpoint = 0;
      this.bulkBytesSinceCheckpoint = 0;
      if (before.underWay > 0) {
        await new Promise<void>((resolve) => {
          before.whenIdle = resolve;
        });
      }
      return place;
    } catch (thrown) {
      this.fail(toCairnError(thrown));
      throw thrown;
    }
  }

  async release(place: LogPlace): Promise<void> {
    await this.#log.release(place);
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #encode(records: readonly JournalRecord[], change: number): ByteWriter[] {
    const writers: ByteWriter[] = [];
    let writer: ByteWriter | undefined;
    for (const record of records) {
      if (writer === undefined || writer.length >= payloadBytes) {
        writer = this.#spares.pop() ?? new ByteWriter(payloadBytes / 2);
        writer.reset();
        writers.push(writer);
      }
      writeJournalRecord(writer, record, change);
    }
    return writers;
  }

  async #write(writers: readonly ByteWriter[], sync: boolean): Promise<void> {
    const payloads = writers.map((writer) => writer.view());
    for (const payload of payloads) this.bytesSinceCheckpoint += payload.length;
    const appended = this.#log.append(payloads, sync);
    // The log has copied the payloads.
    for (const writer of writers) if (this.#spares.length < sparePayloadsMax) this.#spares.push(writer);
    try {
      await appended;
    } catch (thrown) {
      const error = toCairnError(thrown);
      this.fail(error);
      throw error;
    }
  }

  #again(failure: CairnError): CairnError {
    return new CairnError(failure.code, `this chunkserver takes no more changes: ${failure.message}`, {
      cause: failure,
    });
  }
}

export interface Appended {
  /** The number of the batch. */
  readonly change: number;
  readonly written: Promise<void>;
  readonly done: () => void;
}

interface Epoch {
  underWay: number;
  whenIdle: (() => void) | undefined;
}

function newEpoch(): Epoch {
  return { underWay: 0, whenIdle: undefined };
}

function encodeRecord(record: JournalRecord): Uint8Array {
  const writer = new ByteWriter(16);
  writeJournalRecord(writer, record, 0);
  return writer.finish();
}

export interface OpenedJournal {
  readonly journal: Journal;
  readonly replayed: readonly Replayed[];
}

export interface Replayed {
  readonly place: LogPlace;
  readonly payload: Uint8Array;
}

/** @param sparesMax segments that a checkpoint releases at once. */
export async function openJournal(
  env: Env,
  directory: string,
  segmentBytes: number,
  sparesMax: number,
): Promise<OpenedJournal> {
  const replayed: Replayed[] = [];
  let ordinal = 0;
  const log = await openWriteAheadLog(env, {
    directory,
    segmentBytes,
    sparesMax,
    preamble: () => [encodeRecord({ kind: 'segmentStarted', ordinal: ++ordinal })],
    replay: (payload, place) => {
      const { record } = readJournalRecord(new ByteReader(payload));
      if (record.kind === 'segmentStarted') ordinal = Math.max(ordinal, record.ordinal);
      replayed.push({ place, payload });
    },
  });
  // The log keeps its options, and with them the list: what is in it must not outlive the start.
  return { journal: new Journal(env, log), replayed: replayed.splice(0) };
}
