/**
 * A file that all clients append records to, and what they know of it. A record says who it is of: `#client:number:bytes\n`, then its
 * payload; so what is in the file can be told apart without asking anybody.
 */
import { toUtf8 } from '../../core/base/bytes.ts';
import type { Mode } from '../../core/protocol/types.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import type { Operation } from '../regions/history.ts';
import { payload } from './payload.ts';
import { mustEqualBytes, mustHold } from './violation.ts';

export interface SharedRecord {
  readonly id: string;
  readonly bytes: Uint8Array;
  /** Where it begins, once it was acknowledged. */
  offset: number | undefined;
  readonly begunAt: number;
  endedAt: number | undefined;
}

export function makeRecord(client: number, number: number, payloadBytes: number, begunAt: number): SharedRecord {
  const id = `${client}:${number}`;
  const head = toUtf8(`#${id}:${payloadBytes}\n`);
  const bytes = new Uint8Array(head.length + payloadBytes);
  bytes.set(head);
  bytes.set(payload(number * 64 + client, payloadBytes), head.length);
  return { id, bytes, offset: undefined, begunAt, endedAt: undefined };
}

interface CopyBounds {
  readonly acknowledgedBefore: number;
  readonly begunBefore: number;
}

const hash = 0x23;
const newline = 0x0a;
const headMaxBytes = 64;

export interface SharedLogOptions {
  readonly path: string;
  readonly chunkBytes: number;
  readonly mode: Mode;
  /** By one clock, for all clients. */
  readonly now: () => number;
}

export class SharedLog {
  readonly path: string;
  readonly chunkBytes: number;
  readonly mode: Mode;
  readonly #now: () => number;
  /** Every record that a client ever began to append, by id. */
  readonly #records = new Map<string, SharedRecord>();
  readonly #acknowledged: SharedRecord[] = [];
  /** Of them, those that nothing can have taken away, whatever the mode. */
  readonly #staying: SharedRecord[] = [];

  constructor({ path, chunkBytes, mode, now }: SharedLogOptions) {
    this.path = path;
    this.chunkBytes = chunkBytes;
    this.mode = mode;
    this.#now = now;
  }

  /** Every append that a client ever began, for the checker of regions. */
  get operations(): readonly Operation[] {
    return [...this.#records.values()].map(({ id, bytes, offset, begunAt, endedAt }) => ({
      ...{ id, kind: 'append' as const, bytes, position: offset, begunAt, endedAt },
      outcome: offset === undefined ? ('unknown' as const) : ('acknowledged' as const),
    }));
  }

  get begunCount(): number {
    return this.#records.size;
  }
  get acknowledgedCount(): number {
    return this.#acknowledged.length;
  }

  /** A new record, which from now on may be in the file. */
  begin(client: number, number: number, payloadBytes: number): SharedRecord {
    const record = makeRecord(client, number, payloadBytes, this.#now());
    mustHold(!this.#records.has(record.id), () => `record ${record.id} is new`);
    this.#records.set(record.id, record);
    return record;
  }

  acknowledged(record: SharedRecord, offset: number): void {
    const inChunk = offset % this.chunkBytes;
    mustHold(
      inChunk + record.bytes.length <= this.chunkBytes,
      () => `record ${record.id} at ${offset} spans two chunks`,
    );
    record.offset = offset;
    record.endedAt = this.#now();
    this.#acknowledged.push(record);
  }

  /** It was acknowledged when there were no faults any more. */
  stays(record: SharedRecord): void {
    this.#staying.push(record);
  }

  /** One that was acknowledged, if there is any: a late one mostly. */
  pick(random: SimRandom): SharedRecord | undefined {
    const { length } = this.#acknowledged;
    if (length === 0) return undefined;
    return random.chance(0.5)
      ? random.pick(this.#acknowledged)
      : this.#acknowledged[random.between(Math.max(0, length - 5), length - 1)];
  }

  /**
   * The whole file: every acknowledged record where it was said to be, no record twice, none in part, nothing else but padding. In mode gfs there may
   * be anything between the records; in mode async what was acknowledged may be gone, if only what was so last: that is told from the bytes of all replicas.
   * @throws Violation
   */
  check(content: Uint8Array): void {
    if (this.mode === 'gfs') {
      for (const { id, bytes, offset } of this.#acknowledged)
        mustEqualBytes(content.subarray(offset, offset! + bytes.length), bytes, `${this.path}: record ${id}`);
      return;
    }
    const found = this.#recordsIn(content, this.path);
    const isStaying = this.mode === 'async' ? this.#staying : this.#acknowledged;
    this.#mustHave(found, this.path, isStaying);
    if (this.mode === 'async') this.#mustBeNowhereElse(found);
  }

  #mustBeNowhereElse(found: ReadonlyMap<string, number>): void {
    for (const { id, offset } of this.#acknowledged) {
      const where = found.get(id) ?? offset;
      mustHold(where === offset, () => `${this.path}: record ${id}, acknowledged at ${offset}, is at ${where}`);
    }
  }

  /** A snapshot of it. @throws Violation */
  checkCopy(content: Uint8Array, path: string, { acknowledgedBefore, begunBefore }: CopyBounds): void {
    const found = this.#recordsIn(content, path);
    this.#mustHave(found, path, this.#acknowledged.slice(0, acknowledgedBefore));
    for (const { id } of [...this.#records.values()].slice(begunBefore))
      mustHold(!found.has(id), () => `${path}: record ${id} is there, which was begun after the snapshot was taken`);
    for (const { id, offset } of this.#acknowledged) {
      const where = found.get(id) ?? offset;
      mustHold(where === offset, () => `${path}: record ${id} is at ${where}, its source has it at ${offset}`);
    }
  }

  #mustHave(found: ReadonlyMap<string, number>, path: string, records: readonly SharedRecord[]): void {
    for (const { id, offset } of records) {
      const where = found.get(id);
      mustHold(
        where === offset,
        () => `${path}: record ${id}, acknowledged at ${offset}, is at ${where ?? 'no place'}`,
      );
    }
  }

  /** Where each record begins. */
  #recordsIn(content: Uint8Array, path: string): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    let at = 0;
    while (at < content.length) {
      if (content[at] === 0) at = this.#skipPadding(content, at);
      else {
        const record = this.#recordAt(content, at);
        const before = found.get(record.id);
        mustHold(before === undefined, () => `${path}: record ${record.id} is at ${before} and again at ${at}`);
        found.set(record.id, at);
        at += record.bytes.length;
      }
    }
    return found;
  }

  /** Zeros go on to the end of the chunk, or of the file. */
  #skipPadding(content: Uint8Array, from: number): number {
    const end = Math.min(content.length, (Math.floor(from / this.chunkBytes) + 1) * this.chunkBytes);
    let at = from;
    while (at < end && content[at] === 0) at += 1;
    mustHold(at === end, () => `${this.path}: after padding from ${from} on there is something at ${at}`);
    return end;
  }

  #recordAt(content: Uint8Array, at: number): SharedRecord {
    const end = content.indexOf(newline, at);
    const isHead = content[at] === hash && end > at && end - at <= headMaxBytes;
    mustHold(isHead, () => `${this.path}: no record begins at ${at}`);
    const [client, number] = String.fromCharCode(...content.subarray(at + 1, end)).split(':');
    const record = this.#records.get(`${client}:${number}`);
    mustHold(record !== undefined, () => `${this.path}: record ${client}:${number} at ${at} was never appended`);
    mustEqualBytes(
      content.subarray(at, at + record.bytes.length),
      record.bytes,
      `${this.path}: record ${record.id} at ${at}`,
    );
    return record;
  }
}
