/**
 * Turns the bytes of one connection into a preface and frames. It owns nothing but its place in the stream: heads and
 * pieces are views of the bytes it is given, except a head that arrives in parts, which is put together here, and a body
 * whose sink has space of its own, which the bytes are read into (`space`, `filled`) or copied to.
 *
 * Invariant: what has been given is either delivered, in order and once, or held because of a pause.
 */
import { assert } from '../../core/base/assert.ts';
import { deliverPiece } from '../../core/base/body-sink.ts';
import type { BodySink } from '../../core/base/env.ts';
import {
  bodyMaxBytes,
  frameLengthsBytes,
  getU32,
  headMaxBytes,
  preface,
  prefaceBytes,
  prefaceVersionAt,
  wireVersion,
} from './wire.ts';

export interface ParserOutput {
  /** The peer has shown that it speaks our wire version. */
  preface(): void;
  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined;
  /** The bytes are not Cairn's; nothing more will be delivered. */
  garbage(reason: string): void;
}

/** A split head grows from this as its bytes arrive, so that a length alone cannot make us allocate. */
const splitHeadFirstBytes = 64 * 1024;

/** With less of a body to come it is read along with the frames behind it, and copied: one system call fewer. */
const spaceMinBytes = 32 * 1024;

const nothing = new Uint8Array(0);

export class FrameParser {
  readonly #output: ParserOutput;
  #prefaceHave = 0;
  readonly #lengths = new Uint8Array(frameLengthsBytes);
  #lengthsHave = 0;
  #headBytes = 0;
  #bodyBytes = 0;
  #splitHead: Uint8Array = nothing;
  #splitHeadHave = 0;
  #bodyLeft = 0;
  #sink: BodySink | undefined;
  #space: Uint8Array = nothing;
  #isBehindBulk = false;
  #held: Uint8Array[] = [];
  #paused = false;
  #stopped = false;
  #delivering = false;

  constructor(output: ParserOutput) {
    this.#output = output;
  }

  /** Delivers what `bytes` completes. They may change afterwards: what a pause holds back is copied. */
  take(bytes: Uint8Array): void {
    if (this.#stopped) return;
    if (this.#paused || this.#held.length > 0) {
      this.#held.push(new Uint8Array(bytes));
      return;
    }
    this.#delivering = true;
    this.#deliver(bytes);
    this.#delivering = false;
  }

  /** Where the next bytes of the stream are to be read to, if a sink wants them; `filled` then says how many there were. */
  space(): Uint8Array | undefined {
    const sink = this.#sink;
    if (this.#bodyLeft < spaceMinBytes || sink?.space === undefined || this.#paused || this.#stopped) return undefined;
    const space = sink.space();
    assert(space.length > 0, 'a sink has space for what is still to come');
    this.#space = space.length > this.#bodyLeft ? space.subarray(0, this.#bodyLeft) : space;
    return this.#space;
  }

  /** The last body was read to its sink's space, and nothing has come since. */
  get isBehindBulk(): boolean {
    return this.#isBehindBulk;
  }

  /** `bytes` more of the body are in the space that was given last. */
  filled(bytes: number): void {
    if (this.#stopped) return;
    this.#bodyLeft -= bytes;
    this.#sink!.piece(this.#space.subarray(0, bytes));
    this.#isBehindBulk = this.#bodyLeft === 0;
    if (this.#bodyLeft === 0) this.#finish();
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
  }

  /** Delivers what was held; returns true when all of it is gone and no new pause has begun. */
  resume(): boolean {
    this.#paused = false;
    if (this.#delivering) return true;
    this.#delivering = true;
    while (!this.#paused && !this.#stopped) {
      const next = this.#held.shift();
      if (next === undefined) break;
      this.#deliver(next);
    }
    this.#delivering = false;
    return !this.#paused;
  }

  /** Nothing is delivered any more; a body that was under way is told so. */
  abort(): void {
    this.#stopped = true;
    this.#held = [];
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.aborted();
  }

  /** Stops delivery at once, from within a delivery too; `abort` may follow. */
  stop(): void {
    this.#stopped = true;
  }

  #deliver(bytes: Uint8Array): void {
    let at = 0;
    if (this.#prefaceHave < prefaceBytes) at = this.#takePreface(bytes);
    while (at < bytes.length && !this.#stopped) {
      if (this.#paused) {
        this.#held.unshift(new Uint8Array(bytes.subarray(at)));
        return;
      }
      at = this.#bodyLeft > 0 ? this.#takeBody(bytes, at) : this.#takeStart(bytes, at);
    }
  }

  #takePreface(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && this.#prefaceHave < prefaceBytes) {
      const got = bytes[at++]!;
      if (got !== preface[this.#prefaceHave]) {
        this.#refuse(
          this.#prefaceHave === prefaceVersionAt
            ? `PROTOCOL the peer speaks wire version ${got}, this side ${wireVersion}`
            : 'PROTOCOL the peer does not speak the wire protocol of Cairn',
        );
        return at;
      }
      this.#prefaceHave++;
    }
    if (this.#prefaceHave === prefaceBytes) this.#output.preface();
    return at;
  }

  /** Takes the lengths and the head, whole or a part of them; returns where the rest begins. */
  #takeStart(bytes: Uint8Array, from: number): number {
    let at = from;
    if (this.#lengthsHave === 0 && bytes.length - at >= frameLengthsBytes) {
      this.#headBytes = getU32(bytes, at);
      this.#bodyBytes = getU32(bytes, at + 4);
      at += frameLengthsBytes;
    } else if (this.#lengthsHave < frameLengthsBytes) {
      while (at < bytes.length && this.#lengthsHave < frameLengthsBytes) {
        this.#lengths[this.#lengthsHave++] = bytes[at++]!;
      }
      if (this.#lengthsHave < frameLengthsBytes) return at;
      this.#headBytes = getU32(this.#lengths, 0);
      this.#bodyBytes = getU32(this.#lengths, 4);
    }
    this.#lengthsHave = frameLengthsBytes;
    if (this.#headBytes > headMaxBytes || this.#bodyBytes > bodyMaxBytes) {
      this.#refuse(`PROTOCOL a frame of ${this.#headBytes} + ${this.#bodyBytes} bytes is over the bound`);
      return at;
    }
    return this.#takeHead(bytes, at);
  }

  #takeHead(bytes: Uint8Array, at: number): number {
    const missing = this.#headBytes - this.#splitHeadHave;
    if (this.#splitHeadHave === 0 && bytes.length - at >= missing) {
      this.#begin(bytes.subarray(at, at + missing));
      return at + missing;
    }
    const take = Math.min(missing, bytes.length - at);
    this.#growSplitHead(this.#splitHeadHave + take);
    this.#splitHead.set(bytes.subarray(at, at + take), this.#splitHeadHave);
    this.#splitHeadHave += take;
    if (this.#splitHeadHave === this.#headBytes) {
      const head = this.#splitHead.subarray(0, this.#headBytes);
      this.#splitHead = nothing;
      this.#splitHeadHave = 0;
      this.#begin(head);
    }
    return at + take;
  }

  #growSplitHead(neededBytes: number): void {
    if (this.#splitHead.length >= neededBytes) return;
    const wanted = Math.max(neededBytes, splitHeadFirstBytes, 2 * this.#splitHead.length);
    const grown = new Uint8Array(Math.min(wanted, this.#headBytes));
    grown.set(this.#splitHead.subarray(0, this.#splitHeadHave));
    this.#splitHead = grown;
  }

  /** The head is whole: hands it over and makes ready for the body, or for the next frame. */
  #begin(head: Uint8Array): void {
    this.#lengthsHave = 0;
    this.#isBehindBulk = false;
    this.#bodyLeft = this.#bodyBytes;
    this.#sink = this.#output.frame(head, this.#bodyBytes);
    if (this.#bodyLeft === 0) this.#finish();
  }

  #takeBody(bytes: Uint8Array, at: number): number {
    const take = Math.min(this.#bodyLeft, bytes.length - at);
    this.#bodyLeft -= take;
    if (this.#sink !== undefined) deliverPiece(this.#sink, bytes.subarray(at, at + take));
    if (this.#bodyLeft === 0) this.#finish();
    return at + take;
  }

  #finish(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    if (!this.#stopped) sink?.end();
    else sink?.aborted();
  }

  #refuse(reason: string): void {
    this.#stopped = true;
    this.#output.garbage(reason);
  }
}
