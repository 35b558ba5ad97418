/**
 * The bytes of one connection that are to be written, gathered so that a turn costs one system call: small pieces are
 * copied one behind another into a block, large ones go by reference between the blocks.
 *
 * Frames stay whole: while a frame is written piece by piece, later ones wait behind it.
 */
import { assert } from '../../core/base/assert.ts';
import { isShared } from './shared-buffer.ts';
import { frameLengthsBytes, putU32 } from './wire.ts';

/** Pieces shorter than this are copied: below it, a part of its own costs the kernel and Node more than the copy. */
const copyBelowBytes = 8 * 1024;
const blockBytes = 64 * 1024;

/** A frame whose body comes in pieces. While it is not its turn, `waiting` keeps what has come. */
export interface OpenFrame {
  left: number;
  ended: boolean;
  waiting: Uint8Array[] | undefined;
}

export class SendQueue {
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #block: Uint8Array = new Uint8Array(0);
  #blockFrom = 0;
  #blockTo = 0;
  #current: OpenFrame | undefined;
  #behind: OpenFrame[] = [];
  #behindBytes = 0;

  /** Bytes that wait here. */
  get bytes(): number {
    return this.#partsBytes + this.#behindBytes;
  }

  /** Bytes that could be taken now. */
  get readyBytes(): number {
    return this.#partsBytes;
  }

  raw(bytes: Uint8Array): void {
    this.#put(bytes, true);
  }

  frame(head: Uint8Array, body: readonly Uint8Array[], bodyBytes: number): void {
    if (this.#current === undefined) {
      this.#putStart(head, bodyBytes);
      for (const part of body) this.#put(part, false);
      return;
    }
    const frame: OpenFrame = { left: 0, ended: true, waiting: [startOf(head, bodyBytes), ...body.map(lasting)] };
    this.#behind.push(frame);
    this.#behindBytes += frameLengthsBytes + head.length + bodyBytes;
  }

  open(head: Uint8Array, bodyBytes: number): OpenFrame {
    if (this.#current === undefined) {
      this.#putStart(head, bodyBytes);
      this.#current = { left: bodyBytes, ended: false, waiting: undefined };
      return this.#current;
    }
    const frame: OpenFrame = { left: bodyBytes, ended: false, waiting: [startOf(head, bodyBytes)] };
    this.#behind.push(frame);
    this.#behindBytes += frameLengthsBytes + head.length;
    return frame;
  }

  piece(frame: OpenFrame, bytes: Uint8Array): void {
    assert(!frame.ended, 'a frame that has ended takes no more');
    assert(bytes.length <= frame.left, 'the pieces are no longer than the frame', { over: bytes.length - frame.left });
    frame.left -= bytes.length;
    if (frame.waiting === undefined) {
      this.#put(bytes, false);
    } else {
      frame.waiting.push(lasting(bytes));
      this.#behindBytes += bytes.length;
    }
  }

  /** Ends a frame that has all its bytes, and lets those behind it go. */
  end(frame: OpenFrame): void {
    frame.ended = true;
    if (frame !== this.#current) return;
    this.#current = undefined;
    while (this.#current === undefined) {
      const next = this.#behind.shift();
      if (next === undefined) return;
      for (const part of next.waiting!) {
        this.#behindBytes -= part.length;
        this.#put(part, false);
      }
      next.waiting = undefined;
      if (!next.ended) this.#current = next;
    }
  }

  /** What is to be written now, in order. It stays unchanged until `reuseBlock`. */
  take(): Uint8Array[] {
    this.#closeSegment();
    const parts = this.#parts;
    this.#parts = [];
    this.#partsBytes = 0;
    return parts;
  }

  /** All that was taken has left: the block may be filled from its start again. */
  reuseBlock(): void {
    if (this.#partsBytes === 0) {
      this.#blockFrom = 0;
      this.#blockTo = 0;
    }
  }

  clear(): void {
    this.#parts = [];
    this.#partsBytes = 0;
    this.#behind = [];
    this.#behindBytes = 0;
    this.#current = undefined;
    this.#block = new Uint8Array(0);
    this.#blockFrom = 0;
    this.#blockTo = 0;
  }

  #putStart(head: Uint8Array, bodyBytes: number): void {
    this.#room(frameLengthsBytes);
    putU32(this.#block, this.#blockTo, head.length);
    putU32(this.#block, this.#blockTo + 4, bodyBytes);
    this.#blockTo += frameLengthsBytes;
    this.#partsBytes += frameLengthsBytes;
    this.#put(head, true);
  }

  #put(bytes: Uint8Array, copy: boolean): void {
    const length = bytes.length;
    if (length === 0) return;
    this.#partsBytes += length;
    if (length < copyBelowBytes) {
      this.#room(length);
      this.#block.set(bytes, this.#blockTo);
      this.#blockTo += length;
      return;
    }
    this.#closeSegment();
    this.#parts.push(copy || isShared(bytes) ? new Uint8Array(bytes) : bytes);
  }

  #room(neededBytes: number): void {
    if (this.#block.length - this.#blockTo >= neededBytes) return;
    this.#closeSegment();
    this.#block = Buffer.allocUnsafeSlow(blockBytes);
    this.#blockFrom = 0;
    this.#blockTo = 0;
  }

  #closeSegment(): void {
    if (this.#blockTo === this.#blockFrom) return;
    this.#parts.push(this.#block.subarray(this.#blockFrom, this.#blockTo));
    this.#blockFrom = this.#blockTo;
  }
}

/** `bytes` as they may be kept until they leave. */
function lasting(bytes: Uint8Array): Uint8Array {
  return isShared(bytes) ? new Uint8Array(bytes) : bytes;
}

function startOf(head: Uint8Array, bodyBytes: number): Uint8Array {
  const start = new Uint8Array(frameLengthsBytes + head.length);
  putU32(start, 0, head.length);
  putU32(start, 4, bodyBytes);
  start.set(head, frameLengthsBytes);
  return start;
}
