/**
 * The engine's records in the write-ahead log: codes them under their epoch, knows which segments still matter, and lets go of
 * the others. A log payload is `varint epoch | u8 engine | record`.
 */
import { ByteReader, ByteWriter } from '../../core/base/bytes.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { EngineKind, Epoch } from '../../core/consensus/engine.ts';
import type { LogPlace, OpenWriteAheadLog, WriteAheadLog } from '../storage/write-ahead-log.ts';

const engineTags = { raft: 1, paxos: 2 } as const;

export interface LogKeeperOptions<Message, LogRecord> {
  readonly env: Env;
  readonly openLog: OpenWriteAheadLog;
  readonly directory: string;
  readonly segmentBytes: number;
  readonly kind: EngineKind<Message, LogRecord>;
  readonly epoch: Epoch;
  /** The engine's baseline, once there is an engine. */
  baseline(): readonly LogRecord[];
}

export class LogKeeper<Message, LogRecord> {
  readonly #options: LogKeeperOptions<Message, LogRecord>;
  #log!: WriteAheadLog;
  /** Highest index of an entry record in each segment that is still there. */
  readonly #highest = new Map<number, number>();
  readonly #scratch = new ByteWriter(64 * 1024);

  private constructor(options: LogKeeperOptions<Message, LogRecord>) {
    this.#options = options;
  }

  /** Opens the log and returns the records that it holds, in order. @throws CairnError LOG_CORRUPT, WRONG_FORMAT */
  static async open<Message, LogRecord>(
    options: LogKeeperOptions<Message, LogRecord>,
  ): Promise<{ keeper: LogKeeper<Message, LogRecord>; records: LogRecord[] }> {
    const keeper = new LogKeeper(options);
    const records: LogRecord[] = [];
    keeper.#log = await options.openLog(options.env, {
      directory: options.directory,
      segmentBytes: options.segmentBytes,
      preamble: () => keeper.#encode(options.baseline()),
      replay: (payload, place) => {
        const record = keeper.#decode(payload);
        keeper.#note(record, place.segment);
        records.push(record);
      },
    });
    // The log keeps its options, and with them the list: what is in it must not outlive the start.
    return { keeper, records: records.splice(0) };
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  /** Resolves when the records are written, and with `sync` durable, together with all before them. */
  async append(records: readonly LogRecord[], sync: boolean): Promise<void> {
    const place = await this.#log.append(this.#encode(records), sync);
    for (const record of records) this.#note(record, place.segment);
  }

  /** Carries out what keeps the same disk busy; appends do not hold up the turn meanwhile. */
  besides<T>(work: () => Promise<T>): Promise<T> {
    return this.#log.besides(work);
  }

  /** Entries up to `index` are no longer needed here: starts a segment whose preamble says so, and drops what only holds such. */
  async compact(index: number): Promise<void> {
    if (![...this.#highest.values()].some((highest) => highest <= index)) return;
    const now = await this.#log.rotate();
    let keepFrom = now.segment;
    for (const [segment, highest] of this.#highest) {
      if (highest > index && segment < keepFrom) keepFrom = segment;
    }
    const release: LogPlace = { segment: keepFrom, offset: 0 };
    for (const segment of this.#highest.keys()) if (segment < keepFrom) this.#highest.delete(segment);
    await this.#log.release(release);
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #note(record: LogRecord, segment: number): void {
    const index = this.#options.kind.indexOfRecord(record) ?? 0;
    if (index >= (this.#highest.get(segment) ?? -1)) this.#highest.set(segment, index);
  }

  #encode(records: readonly LogRecord[]): Uint8Array[] {
    const { kind, epoch } = this.#options;
    return records.map((record) => {
      this.#scratch.reset();
      this.#scratch.varint(epoch);
      this.#scratch.u8(engineTags[kind.name]);
      this.#scratch.raw(kind.encodeRecord(record));
      return this.#scratch.finish();
    });
  }

  #decode(payload: Uint8Array): LogRecord {
    const { kind, epoch } = this.#options;
    const reader = new ByteReader(payload);
    const foundEpoch = reader.varint();
    const tag = reader.u8();
    if (foundEpoch !== epoch || tag !== engineTags[kind.name])
      throw new CairnError(
        'WRONG_FORMAT',
        `the log in ${this.#options.directory} was written by another engine (epoch ${foundEpoch}, engine ${tag}); start it with the engine it was made with`,
      );
    return kind.decodeRecord(reader.raw(reader.remaining));
  }
}
