/**
 * Finds the records in bytes that come one after another. What is none is passed over: padding, fragments of records whose append
 * failed, records that came twice, and whatever else was written to the file.
 *
 * A fragment is passed over byte by byte, not by the length that its head claims: behind a file that was cut shorter the next record
 * follows at once. So a record that was torn and that itself holds a whole record as its payload shows that one.
 *
 * Invariant: #held is the beginning of what may be a record, shorter than it, and begins with the magic as far as it goes.
 */
import type { Crc32 } from '../../core/base/env.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { type RecordHead, readRecordHead, recordHeadBytes, recordMagic } from './record-format.ts';
import { SeenRecords } from './seen-records.ts';

export interface ReadRecord {
  /** Valid as long as the bytes that were given. */
  readonly data: Uint8Array;
  /** In the file, of the record's head. */
  readonly position: number;
  /** Where the record ends: to go on from. */
  readonly end: number;
  readonly writer: number;
  readonly sequence: number;
}

/** Bytes that were passed over, by what they are. */
export interface Skipped {
  padding: number;
  /** Of no whole record. */
  fragments: number;
  /** Whole records that had come before. */
  duplicates: number;
}

const none = new Uint8Array(0);

export class RecordScanner {
  readonly skipped: Skipped = { padding: 0, fragments: 0, duplicates: 0 };
  readonly #crc32: Crc32;
  readonly #seen = new SeenRecords();
  #held: Uint8Array = none;
  /** Where what is held is gathered once more has come: it lies at the beginning. */
  #room: Uint8Array = none;
  /** Of the first byte held, or else of the next to come. */
  #position: number;

  constructor(crc32: Crc32, position: number) {
    this.#crc32 = crc32;
    this.#position = position;
  }

  /** Up to where all is told: a scanner that begins here tells what comes next. */
  get position(): number {
    return this.#position;
  }
  /** Of the next byte to come. */
  get readTo(): number {
    return this.#position + this.#held.length;
  }

  /** The whole records that end in `bytes`, which follow what was given before. */
  push(bytes: Uint8Array): readonly ReadRecord[] {
    const found: ReadRecord[] = [];
    let rest = bytes;
    while (this.#held.length > 0 && rest.length > 0) {
      const wanted = this.#wantedBytes();
      const taken = rest.subarray(0, wanted - this.#held.length);
      rest = rest.subarray(taken.length);
      const joined = this.#join(taken, wanted);
      if (joined.length < wanted && wanted > recordHeadBytes) this.#held = joined;
      else this.#scan(this.#release(joined), found);
    }
    if (rest.length > 0) this.#scan(rest, found);
    return found;
  }

  /** No more will come: what is held is no record, but may hide some that follow it. @returns those. */
  end(): readonly ReadRecord[] {
    const found: ReadRecord[] = [];
    while (this.#held.length > 0) {
      const fragment = this.#release(this.#held);
      this.#pass(fragment, 0, 1);
      this.#scan(fragment.subarray(1), found);
    }
    return found;
  }

  /** How long what is held must be to tell more of it. */
  #wantedBytes(): number {
    if (this.#held.length < recordHeadBytes) return recordHeadBytes;
    return recordHeadBytes + this.#headAt(this.#held, 0)!.payloadBytes;
  }

  /** What is held, and what comes behind it. */
  #join(more: Uint8Array, wanted: number): Uint8Array {
    const { length } = this.#held;
    if (this.#room.length === 0) {
      this.#room = new Uint8Array(wanted);
      this.#room.set(this.#held);
    }
    this.#room.set(more, length);
    return this.#room.subarray(0, length + more.length);
  }

  /** Nothing is held any more. */
  #release(bytes: Uint8Array): Uint8Array {
    this.#held = none;
    this.#room = none;
    return bytes;
  }

  #scan(bytes: Uint8Array, found: ReadRecord[]): void {
    let at = 0;
    while (at < bytes.length) {
      const start = this.#nextMagic(bytes, at);
      this.#pass(bytes, at, start);
      if (start === bytes.length) return;
      at = start;
      const isCut = bytes.length - at < recordHeadBytes;
      const head = isCut ? undefined : this.#headAt(bytes, at);
      const end = at + recordHeadBytes + (head?.payloadBytes ?? 0);
      if (end > bytes.length) {
        this.#held = bytes.slice(at);
        return;
      }
      const isTaken = head !== undefined && this.#take(head, bytes.subarray(at, end), found);
      if (!isTaken) this.#pass(bytes, at, at + 1);
      at = isTaken ? end : at + 1;
    }
  }

  /** Where the magic, or as much of it as there is, comes next. */
  #nextMagic(bytes: Uint8Array, from: number): number {
    for (let at = bytes.indexOf(recordMagic[0], from); at >= 0; at = bytes.indexOf(recordMagic[0], at + 1)) {
      if (recordMagic.every((byte, n) => at + n >= bytes.length || bytes[at + n] === byte)) return at;
    }
    return bytes.length;
  }

  #headAt(bytes: Uint8Array, at: number): RecordHead | undefined {
    const head = readRecordHead(bytes, at, this.#crc32);
    return head !== undefined && head.payloadBytes <= packetMaxBytes - recordHeadBytes ? head : undefined;
  }

  /** @param whole as many bytes as the head claims. @returns whether they are a record. */
  #take({ writer, sequence, payloadCrc }: RecordHead, whole: Uint8Array, found: ReadRecord[]): boolean {
    const data = whole.subarray(recordHeadBytes);
    if (this.#crc32(data) !== payloadCrc) return false;
    const position = this.#position;
    this.#position += whole.length;
    if (this.#seen.add(writer, sequence)) {
      found.push({ data, position, end: this.#position, writer, sequence });
    } else this.skipped.duplicates += whole.length;
    return true;
  }

  #pass(bytes: Uint8Array, from: number, to: number): void {
    let zeros = 0;
    for (let at = from; at < to; at++) if (bytes[at] === 0) zeros += 1;
    this.skipped.padding += zeros;
    this.skipped.fragments += to - from - zeros;
    this.#position += to - from;
  }
}
