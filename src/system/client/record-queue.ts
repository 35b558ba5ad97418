/**
 * Records that wait to be sent, in order, and the line of those for whose records there is no room yet. Bounded in number and in bytes;
 * whoever comes while somebody is in line goes behind him.
 *
 * Invariant: #bytes is what the records of #records hold; they are those that are queued.
 */
import { assert } from '../../core/base/assert.ts';
import type { CairnError } from '../../core/base/errors.ts';
import { type AbortSignalLike, throwIfAborted } from './abort.ts';
import { appendQueueBytesMax, appendQueueRecordsMax } from './limits.ts';

export interface PendingRecord {
  readonly bytes: Uint8Array;
  readonly queuedAt: number;
  /** It waits to be taken. */
  isQueued: boolean;
  readonly resolve: (position: number) => void;
  readonly reject: (error: CairnError) => void;
}

export interface Queued {
  readonly record: PendingRecord;
  readonly landed: Promise<number>;
}

export class RecordQueue {
  readonly #onPut: () => void;
  #records: PendingRecord[] = [];
  #bytes = 0;
  /** When they were withdrawn they had been taken. */
  readonly #unwanted = new WeakSet<PendingRecord>();
  /** The line: how many are in it, when the last of them is through, and how the first is told to look again. */
  #inLine = 0;
  #lastInLine: Promise<void> = Promise.resolve();
  #tellFirst: () => void = () => {};

  /** @param onPut called for each record that comes in. */
  constructor(onPut: () => void) {
    this.#onPut = onPut;
  }

  get length(): number {
    return this.#records.length;
  }
  /** When the first one came; there must be one. */
  get firstQueuedAt(): number {
    return this.#records[0]!.queuedAt;
  }
  get isIdle(): boolean {
    return this.#records.length === 0 && this.#inLine === 0;
  }

  /** For one of so many bytes, and nobody is in line. */
  hasRoom(bytes: number): boolean {
    return this.#inLine === 0 && !this.#isFull(bytes);
  }

  /**
   * With a signal its bytes are copied: whoever gives it up has his memory back, while what was taken is still sent, and sent again, beside the
   * records of others.
   */
  put(bytes: Uint8Array, queuedAt: number, signal: AbortSignalLike | undefined): Queued {
    let settle: Pick<PendingRecord, 'resolve' | 'reject'> | undefined;
    const landed = new Promise<number>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const own = signal === undefined ? bytes : new Uint8Array(bytes);
    const record = { bytes: own, queuedAt, isQueued: true, ...settle! };
    this.#records.push(record);
    this.#bytes += bytes.length;
    this.#onPut();
    return { record, landed };
  }

  /** Waits for room, behind those that wait already; only the first in line looks for it. @throws CairnError ABORTED */
  async lineUp(bytes: Uint8Array, queuedAt: number, signal: AbortSignalLike | undefined): Promise<Queued> {
    const before = this.#lastInLine;
    let leave = () => {};
    this.#lastInLine = new Promise((go) => {
      leave = go;
    });
    this.#inLine += 1;
    try {
      await before;
      while (this.#isFull(bytes.length)) await new Promise<void>((go) => (this.#tellFirst = go));
      throwIfAborted(signal);
      return this.put(bytes, queuedAt, signal);
    } finally {
      this.#inLine -= 1;
      leave();
    }
  }

  /** Whoever waited for it does so no more. What was taken goes its way, once. */
  withdraw(record: PendingRecord): void {
    if (record.isQueued) this.#left(this.#records.splice(this.#records.indexOf(record), 1));
    else this.#unwanted.add(record);
  }

  isWanted(record: PendingRecord): boolean {
    return !this.#unwanted.has(record);
  }

  /** The first ones, at least one: as many as fit, and came by that time. */
  take(recordsMax: number, bytesMax: number, queuedUpTo: number): readonly PendingRecord[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#records.length && count < recordsMax) {
      const record = this.#records[count]!;
      bytes += record.bytes.length;
      if (bytes > bytesMax || record.queuedAt > queuedUpTo) break;
      count += 1;
    }
    assert(count > 0, 'a record fits into a frame');
    return this.#left(this.#records.splice(0, count));
  }

  /** Those that came at that time or before. */
  takeQueuedUpTo(time: number): readonly PendingRecord[] {
    if (this.#records.length === 0 || this.#records[0]!.queuedAt > time) return [];
    const taken = this.#records.filter((record) => record.queuedAt <= time);
    this.#records = this.#records.filter((record) => record.queuedAt > time);
    return this.#left(taken);
  }

  takeAll(): readonly PendingRecord[] {
    const records = this.#records;
    this.#records = [];
    return this.#left(records);
  }

  /** To the front, room or not: they were in the queue before. */
  putBack(records: readonly PendingRecord[]): void {
    this.#records.unshift(...records);
    for (const record of records) {
      record.isQueued = true;
      this.#bytes += record.bytes.length;
    }
  }

  #isFull(bytes: number): boolean {
    if (this.#records.length === 0) return false;
    return this.#records.length >= appendQueueRecordsMax || this.#bytes + bytes > appendQueueBytesMax;
  }

  /** Records have left: there may be room. */
  #left(records: readonly PendingRecord[]): readonly PendingRecord[] {
    for (const record of records) {
      record.isQueued = false;
      this.#bytes -= record.bytes.length;
    }
    this.#tellFirst();
    return records;
  }
}
