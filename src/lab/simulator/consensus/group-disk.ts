/**
 * The log of one node on a simulated disk, with the promises of the write-ahead log and no bytes: records in segments, written one batch
 * after another, batches that wait synced together. A crash keeps a prefix of what was not synced (a torn record counts as not written);
 * damage is found when the log is read. Owns what is durable and what is not.
 *
 * The real write-ahead log runs on a simulated disk with bytes in the whole-cluster scenario and in its own tests.
 */
import { CairnError } from '../../../core/base/errors.ts';
import type { IoId } from '../../../core/consensus/engine.ts';

export interface DiskHost<R> {
  /** Runs later, while the node is in its present life. */
  after(delayMs: number, run: () => void): void;
  /** How long the next write takes; undefined: it fails (EIO). */
  nextWriteMs(): number | undefined;
  /** These records have reached the disk for good, in this order. */
  recordsDurable(records: readonly R[]): void;
  /** This write and all before it are done: what waits for it may go on. */
  persisted(io: IoId): void;
  /** The records that a new segment begins with. */
  baseline(): readonly R[];
  failed(why: string): void;
}

type Write<R> =
  | { readonly kind: 'records'; readonly io: IoId; readonly records: readonly R[]; readonly sync: boolean }
  | { readonly kind: 'rotate'; readonly upTo: number };

interface Stored<R> {
  readonly record: R;
  damage: string | undefined;
}

interface Segment<R> {
  readonly stored: Stored<R>[];
  /** The highest index of an entry in it. */
  highest: number;
}

export class GroupDisk<R> {
  readonly #indexOf: (record: R) => number | undefined;
  #segments: Segment<R>[] = [{ stored: [], highest: 0 }];
  /** Written, and not synced yet. */
  #volatile: R[] = [];
  #waiting: Write<R>[] = [];
  #underWay = 0;
  #host: DiskHost<R> | undefined;

  constructor(indexOf: (record: R) => number | undefined) {
    this.#indexOf = indexOf;
  }

  /** A new life begins: what is read, in order. @throws CairnError LOG_CORRUPT when a record is damaged */
  open(host: DiskHost<R>): R[] {
    this.#host = host;
    const records: R[] = [];
    for (const { stored } of this.#segments) {
      for (const { record, damage } of stored) {
        if (damage !== undefined) throw new CairnError('LOG_CORRUPT', `a record in the middle of the log: ${damage}`);
        records.push(record);
      }
    }
    return records;
  }

  append(io: IoId, records: readonly R[], sync: boolean): void {
    this.#waiting.push({ kind: 'records', io, records, sync });
    this.#writeOn();
  }

  /** Begins a segment, and lets go of those that hold entries up to `upTo` only. */
  compact(upTo: number): void {
    if (!this.#segments.some(({ highest }) => highest <= upTo)) return;
    this.#waiting.push({ kind: 'rotate', upTo });
    this.#writeOn();
  }

  /** @param keep which part of what was not synced survives: 0 nothing, 1 all of it */
  crash(keep: number): void {
    const records = this.#waiting.flatMap((write) => (write.kind === 'records' ? write.records : []));
    const unsynced = [...this.#volatile, ...records];
    const host = this.#host;
    this.#store(unsynced.slice(0, Math.floor(keep * (unsynced.length + 1))), host);
    this.#volatile = [];
    this.#waiting = [];
    this.#underWay = 0;
    this.#host = undefined;
  }

  /** Damages a record that others follow; false if there is none. @param at 0 … 1, from the first to the last of them */
  damage(at: number, how: string): boolean {
    const all = this.#segments.flatMap(({ stored }) => stored);
    const victim = all[Math.floor(at * (all.length - 1))];
    if (victim === undefined || all.length < 2) return false;
    victim.damage = how;
    return true;
  }

  get size(): number {
    return this.#segments.reduce((sum, { stored }) => sum + stored.length, 0);
  }

  #writeOn(): void {
    const host = this.#host;
    if (host === undefined || this.#underWay > 0 || this.#waiting.length === 0) return;
    this.#underWay = this.#waiting.length;
    const takesMs = host.nextWriteMs();
    host.after(takesMs ?? 0, () => {
      if (takesMs === undefined) host.failed('EIO while writing the log');
      else this.#written(host);
    });
  }

  #written(host: DiskHost<R>): void {
    const done = this.#waiting.splice(0, this.#underWay);
    this.#underWay = 0;
    let io: IoId | undefined;
    let isSynced = false;
    for (const write of done) {
      if (write.kind === 'rotate') {
        this.#sync(host);
        this.#rotate(write.upTo, host);
        continue;
      }
      io = write.io;
      isSynced ||= write.sync;
      for (const record of write.records) this.#volatile.push(record);
    }
    if (isSynced) this.#sync(host);
    if (io !== undefined) host.persisted(io);
    this.#writeOn();
  }

  #sync(host: DiskHost<R>): void {
    const records = this.#volatile;
    this.#volatile = [];
    this.#store(records, host);
  }

  #store(records: readonly R[], host: DiskHost<R> | undefined): void {
    const last = this.#segments.at(-1)!;
    for (const record of records) {
      last.stored.push({ record, damage: undefined });
      last.highest = Math.max(last.highest, this.#indexOf(record) ?? 0);
    }
    if (records.length > 0) host?.recordsDurable(records);
  }

  #rotate(upTo: number, host: DiskHost<R>): void {
    this.#segments.push({ stored: [], highest: 0 });
    this.#store(host.baseline(), host);
    const last = this.#segments.at(-1);
    this.#segments = this.#segments.filter((segment) => segment === last || segment.highest > upTo);
  }
}
