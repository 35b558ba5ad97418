/**
 * A file that all clients append records to and that any of them cuts shorter or makes longer meanwhile. A record and a cut that were under way
 * at the same time may have come in either order; everything else is known:
 *
 *     append acknowledged, then cut begun below its end      the record is gone
 *     cut answered, then append begun and acknowledged       the record is there, unless a later cut took it
 *     cut of unknown outcome                                 all that was acknowledged before and lies behind its end is there, or all is gone;
 *                                                            or what lies in later chunks than its end is gone, and only that: its client
 *                                                            stopped between the two steps of a cut
 */
import type { SimRandom } from '../../platform/sim/random.ts';
import { makeRecord, type SharedRecord } from './shared-log.ts';
import { mustEqualBytes, mustHold } from './violation.ts';

export interface Cut {
  readonly size: number;
  readonly begunAt: number;
  /** Undefined as long as it may still take effect. */
  endedAt: number | undefined;
}

/** One that was acknowledged. */
interface Landed extends SharedRecord {
  readonly offset: number;
  readonly endedAt: number;
}

interface Found {
  readonly at: number;
  /** Its beginning only: a cut went through it. */
  readonly isPart: boolean;
}

export class CutLog {
  readonly path: string;
  readonly chunkBytes: number;
  readonly #now: () => number;
  readonly #records = new Map<string, SharedRecord>();
  readonly #landed: Landed[] = [];
  readonly #cuts: Cut[] = [];

  /** @param now by one clock, for all clients; no two answers are of one moment */
  constructor(path: string, chunkBytes: number, now: () => number) {
    this.path = path;
    this.chunkBytes = chunkBytes;
    this.#now = now;
  }

  begin(client: number, number: number, payloadBytes: number): SharedRecord {
    const record = makeRecord(client, number, payloadBytes, this.#now());
    this.#records.set(record.id, record);
    return record;
  }

  acknowledged(record: SharedRecord, offset: number): void {
    record.offset = offset;
    record.endedAt = this.#now();
    const { endedAt } = record;
    this.#landed.push({ ...record, offset, endedAt });
  }

  beginCut(size: number): Cut {
    const cut = { size, begunAt: this.#now(), endedAt: undefined };
    this.#cuts.push(cut);
    return cut;
  }

  cutEnded(cut: Cut): void {
    cut.endedAt = this.#now();
  }

  /** Where to cut: whole chunks, where records begin or end, and anywhere. */
  drawSize(random: SimRandom): number {
    const whole = this.chunkBytes * random.between(0, 3);
    const late = this.#landed.slice(-20);
    const near = late.length === 0 ? undefined : random.pick(late);
    if (near === undefined || random.chance(0.4)) return random.pick([0, whole]);
    const end = near.offset + near.bytes.length;
    return random.pick([near.offset, end, end, random.between(near.offset, end), end + random.between(0, 1_000)]);
  }

  /** A record that must be there now. */
  pickSure(random: SimRandom): SharedRecord | undefined {
    const sure = this.#landed.slice(-20).filter((record) => this.isSure(record));
    return sure.length === 0 ? undefined : random.pick(sure);
  }

  /** No cut that may have come after it reaches it. */
  isSure({ offset, bytes, begunAt }: SharedRecord): boolean {
    return !this.#cuts.some((cut) => cut.size < offset! + bytes.length && mayFollow(cut, begunAt));
  }

  /** All of the file, while nothing is under way. @throws Violation */
  check(content: Uint8Array): void {
    const found = this.#recordsIn(content);
    for (const record of this.#landed) {
      const there = found.get(record.id);
      if (there === undefined || there.isPart) this.#mustBeCut(record, found);
      else this.#mayBeThere(record, there);
    }
  }

  #mayBeThere(record: Landed, { at }: Found): void {
    const { id, offset, bytes, endedAt } = record;
    mustHold(at === offset, () => `${this.path}: record ${id}, acknowledged at ${offset}, is at ${at}`);
    const cut = this.#cuts.find(
      (one) => one.endedAt !== undefined && one.begunAt > endedAt && one.size < at + bytes.length,
    );
    mustHold(cut === undefined, () => `${this.path}: record ${id} at ${at} is there, after a cut to ${cut?.size}`);
  }

  #mustBeCut(record: Landed, found: ReadonlyMap<string, Found>): void {
    const { id, offset, bytes, begunAt } = record;
    const explains = (cut: Cut) =>
      cut.size < offset + bytes.length && mayFollow(cut, begunAt) && this.#hasTakenAll(cut, offset, found);
    mustHold(
      this.#cuts.some(explains),
      () => `${this.path}: record ${id}, acknowledged at ${offset}, is not there, and no cut has taken it`,
    );
  }

  /** As it took what was at `taken`: what had been acknowledged before it and lies behind its end is gone. */
  #hasTakenAll({ size, begunAt, endedAt }: Cut, taken: number, found: ReadonlyMap<string, Found>): boolean {
    const nextChunk = Math.ceil(size / this.chunkBytes) * this.chunkBytes;
    const from = endedAt === undefined && taken >= nextChunk ? nextChunk : size;
    return this.#landed.every(
      (record) =>
        record.endedAt >= begunAt ||
        record.offset + record.bytes.length <= from ||
        found.get(record.id)?.isPart !== false,
    );
  }

  /** @throws Violation for anything that nobody appended */
  #recordsIn(content: Uint8Array): ReadonlyMap<string, Found> {
    const found = new Map<string, Found>();
    for (let at = 0; at < content.length; ) {
      if (content[at] === 0) {
        at = this.#skipZeros(content, at);
        continue;
      }
      const { record, end } = this.#recordAt(content, at);
      const isPart = end < at + record.bytes.length;
      const before = found.get(record.id);
      if (!isPart) {
        mustHold(
          before === undefined || before.isPart,
          () => `${this.path}: record ${record.id} is at ${before?.at} and again at ${at}`,
        );
        found.set(record.id, { at, isPart });
      } else if (before === undefined) found.set(record.id, { at, isPart });
      at = end;
    }
    return found;
  }

  #recordAt(content: Uint8Array, at: number): { readonly record: SharedRecord; readonly end: number } {
    const all = [...this.#records.values()];
    const begins = ({ bytes }: SharedRecord, length: number) => isAt(content, at, bytes, length);
    const whole = all.find((record) => begins(record, record.bytes.length));
    if (whole !== undefined) return { record: whole, end: at + whole.bytes.length };
    // Where it ends to be what the record is: a longer beginning than was left would have to be that by chance.
    for (const end of [...this.#sizes()].filter((size) => size > at).sort((a, b) => b - a)) {
      const part = all.find((record) => record.bytes.length > end - at && begins(record, end - at));
      if (part !== undefined) return { record: part, end };
    }
    mustHold(false, () => `${this.path}: no record begins at ${at}, and no cut one`);
  }

  /** Zeros go on to the end of the chunk or of the file, or to where a cut has made the file longer or shorter. */
  #skipZeros(content: Uint8Array, from: number): number {
    const end = Math.min(content.length, (Math.floor(from / this.chunkBytes) + 1) * this.chunkBytes);
    let at = from;
    while (at < end && content[at] === 0) at += 1;
    mustHold(at === end || this.#sizes().has(at), () => `${this.path}: zeros from ${from} on end at ${at}`);
    const isHole = at - from === this.chunkBytes;
    mustHold(
      !isHole || this.#mayBeHole(from),
      () => `${this.path}: the chunk at ${from} is a hole, and no cut made it`,
    );
    return at;
  }

  /** Appends leave none: the file was made longer than to there, and not cut before that again. */
  #mayBeHole(chunkStart: number): boolean {
    return this.#cuts.some(
      (made) => made.size > chunkStart && !this.#cuts.some((cut) => cut.size <= chunkStart && isBefore(made, cut)),
    );
  }

  #sizes(): ReadonlySet<number> {
    return new Set(this.#cuts.map(({ size }) => size));
  }

  /** @throws Violation */
  checkRecord(record: SharedRecord, bytes: Uint8Array): void {
    if (this.isSure(record))
      mustEqualBytes(bytes, record.bytes, `${this.path}: record ${record.id} at ${record.offset}`);
  }
}

function isBefore({ endedAt }: Cut, { begunAt, endedAt: isOver }: Cut): boolean {
  return endedAt !== undefined && isOver !== undefined && endedAt < begunAt;
}

/** It may have taken effect after something that began then. */
function mayFollow({ endedAt }: Cut, begunAt: number): boolean {
  return endedAt === undefined || endedAt >= begunAt;
}

function isAt(content: Uint8Array, at: number, bytes: Uint8Array, length: number): boolean {
  if (at + length > content.length) return false;
  for (let i = 0; i < length; i++) if (content[at + i] !== bytes[i]) return false;
  return true;
}
