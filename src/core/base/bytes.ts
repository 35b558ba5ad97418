/** Bytes without Node's Buffer: growing writer, bounded reader, UTF-8. Little-endian throughout. */
import { assert } from './assert.ts';
import { CairnError } from './errors.ts';

const initialBytes = 256;
const varintMaxBytes = 8;
/** What small results share; larger ones than a small part of it have memory of their own. */
const slabBytes = 16 * 1024;
const slabShareMaxBytes = slabBytes / 16;
const noSlab = new Uint8Array(0);

/** Grows as needed; `finish` hands out what was written. Reusable through `reset`. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;
  #slab: Uint8Array<ArrayBuffer> = noSlab;
  #slabTaken = 0;

  constructor(capacity = initialBytes) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  /** A view of what was written; valid until the next write or reset. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written, exactly as long. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /**
   * The same in memory that it shares with what this writer finishes so before and after: a small array of its own costs more to make and
   * to collect than to fill. For results that are kept for about as long as their neighbours: one of them keeps a whole slab.
   */
  finishAmongOthers(): Uint8Array {
    const length = this.#length;
    if (length > slabShareMaxBytes) return this.finish();
    if (this.#slabTaken + length > this.#slab.length) {
      this.#slab = new Uint8Array(slabBytes);
      this.#slabTaken = 0;
    }
    const from = this.#slabTaken;
    this.#slabTaken = from + length;
    this.#slab.set(this.view(), from);
    return this.#slab.subarray(from, from + length);
  }

  #room(more: number): number {
    const at = this.#length;
    const need = at + more;
    if (need > this.#bytes.length) this.#grow(need);
    this.#length = need;
    return at;
  }

  #grow(need: number): void {
    const bytes = new Uint8Array(Math.max(need, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  u8(n: number): void {
    const at = this.#room(1);
    this.#bytes[at] = n;
  }
  u16(n: number): void {
    const at = this.#room(2);
    this.#view.setUint16(at, n, true);
  }
  u32(n: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, n, true);
  }
  /** A safe integer ≥ 0 in 8 bytes. */
  u53(n: number): void {
    assert(Number.isSafeInteger(n) && n >= 0, 'a u53 is a safe integer ≥ 0', { n });
    const at = this.#room(8);
    this.#view.setUint32(at, n >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(n / 0x1_0000_0000), true);
  }
  /** A safe integer ≥ 0, 7 bits a byte, low first (LEB128): 1 … 8 bytes. */
  varint(n: number): void {
    if (!(Number.isSafeInteger(n) && n >= 0)) assert(false, 'a varint is a safe integer ≥ 0', { n });
    const from = this.#room(varintMaxBytes);
    const bytes = this.#bytes;
    let at = from;
    let rest = n;
    // Divisions of doubles only while they must be: a shift costs a fraction of one.
    for (; rest > 0x7fff_ffff; at++) {
      const next = Math.floor(rest / 0x80);
      bytes[at] = rest - next * 0x80 + 0x80;
      rest = next;
    }
    for (; rest >= 0x80; at++) {
      bytes[at] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at] = rest;
    this.#length = at + 1;
  }
  f64(n: number): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, n, true);
  }
  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }
  /** Length as varint, then the bytes. */
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }
  /** Length in bytes as varint, then UTF-8. Lone surrogates become U+FFFD. */
  text(text: string): void {
    const bytes = utf8Length(text);
    this.varint(bytes);
    const at = this.#room(bytes);
    writeUtf8(text, this.#bytes, at);
  }
  /** Overwrites four bytes written earlier. */
  patchU32(at: number, n: number): void {
    assert(at + 4 <= this.#length, 'a patch lies within what was written', { at });
    this.#view.setUint32(at, n, true);
  }
}

const doubleBytes = new Uint8Array(8);
const doubleView = new DataView(doubleBytes.buffer);

/** Reads what ByteWriter wrote; anything that does not fit is a CairnError PROTOCOL, never a crash or an over-read. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  // No DataView over the bytes: small arrays live inside the heap of the engine, until one is asked for their buffer.
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }
  get position(): number {
    return this.#at;
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#bytes.length - at) throw malformed('it ends too early');
    this.#at = at + bytes;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return this.#bytes[at]!;
  }
  u16(): number {
    const at = this.#take(2);
    return this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
  }
  u32(): number {
    return this.#word(this.#take(4));
  }
  #word(at: number): number {
    const bytes = this.#bytes;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }
  u53(): number {
    const at = this.#take(8);
    const high = this.#word(at + 4);
    if (high >= 0x20_0000) throw malformed('a number exceeds 2^53 - 1');
    return high * 0x1_0000_0000 + this.#word(at);
  }
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw malformed('a number exceeds 2^53 - 1');
  }
  f64(): number {
    const at = this.#take(8);
    for (let i = 0; i < 8; i++) doubleBytes[i] = this.#bytes[at + i]!;
    return doubleView.getFloat64(0, true);
  }
  /** A view, not a copy. */
  raw(bytes: number): Uint8Array {
    const at = this.#take(bytes);
    return this.#bytes.subarray(at, at + bytes);
  }
  /** A view, not a copy. */
  blob(): Uint8Array {
    return this.raw(this.varint());
  }
  text(): string {
    const bytes = this.varint();
    const at = this.#take(bytes);
    const text = readUtf8(this.#bytes, at, at + bytes);
    if (text === undefined) throw malformed('a text is not valid UTF-8');
    return text;
  }
  end(): void {
    if (this.remaining !== 0) throw malformed(`${this.remaining} bytes are left over`);
  }
}

function malformed(why: string): CairnError {
  return new CairnError('PROTOCOL', `a message is malformed: ${why}; check that both sides run the same version`);
}

/** How many bytes `text` takes in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  return bytes;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function writeUtf8(text: string, into: Uint8Array, start: number): number {
  let at = start;
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i);
    if (point < 0x80) {
      into[at++] = point;
      continue;
    }
    if (point >= 0xd800 && point < 0xe000) {
      const low = text.charCodeAt(i + 1);
      if (point < 0xdc00 && isLowSurrogate(low)) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else point = 0xfffd;
    }
    if (point < 0x800) into[at++] = 0xc0 | (point >> 6);
    else {
      if (point < 0x10000) into[at++] = 0xe0 | (point >> 12);
      else {
        into[at++] = 0xf0 | (point >> 18);
        into[at++] = 0x80 | ((point >> 12) & 0x3f);
      }
      into[at++] = 0x80 | ((point >> 6) & 0x3f);
    }
    into[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}

export function toUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  writeUtf8(text, bytes, 0);
  return bytes;
}

/** The text, or undefined when the bytes are not valid UTF-8 (overlong forms and surrogates are refused). */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  return readUtf8(bytes, 0, bytes.length);
}

const chunkUnits = 4096;

function readUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = '';
  let units: number[] = [];
  let i = start;
  while (i < end) {
    const lead = bytes[i]!;
    let point = lead;
    let more = 0;
    if (lead >= 0x80) {
      if (lead >= 0xc2 && lead < 0xe0) {
        more = 1;
        point = lead & 0x1f;
      } else if (lead >= 0xe0 && lead < 0xf0) {
        more = 2;
        point = lead & 0x0f;
      } else if (lead >= 0xf0 && lead < 0xf5) {
        more = 3;
        point = lead & 0x07;
      } else return undefined;
      if (i + more >= end) return undefined;
      for (let k = 1; k <= more; k++) {
        const next = bytes[i + k]!;
        if ((next & 0xc0) !== 0x80) return undefined;
        point = (point << 6) | (next & 0x3f);
      }
      if ((more === 2 && point < 0x800) || (more === 3 && (point < 0x10000 || point > 0x10ffff))) return undefined;
      if (point >= 0xd800 && point < 0xe000) return undefined;
    }
    i += more + 1;
    if (point >= 0x10000) units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
    else units.push(point);
    if (units.length >= chunkUnits) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
