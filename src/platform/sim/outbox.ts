/**
 * Frames on their way into a pipe. Frames stay whole: while one is written piece by piece, later ones wait behind it.
 * Heads are copied at once; bodies stay with their owner until they leave, as `Connection.send` says.
 */
import { assert } from '../../core/base/assert.ts';
import { bodyRun, type Pipe } from './pipe.ts';

/** A frame whose body comes in pieces. While it is not its turn, `waiting` keeps what has come. */
export interface OpenFrame {
  left: number;
  isEnded: boolean;
  waiting: Run[] | undefined;
}

interface Run {
  readonly bytes: Uint8Array;
  readonly body: number;
}

export class Outbox {
  readonly #pipe: Pipe;
  #current: OpenFrame | undefined;
  #behind: OpenFrame[] = [];
  #behindBytes = 0;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  get queuedBytes(): number {
    return this.#pipe.queuedBytes + this.#behindBytes;
  }

  /** Those that wait for the network alone, not for a frame before them to end. */
  get leavingBytes(): number {
    return this.#pipe.queuedBytes;
  }

  frame(head: Uint8Array, body: readonly Uint8Array[], bodyBytes: number): void {
    const frame = this.open(head, bodyBytes);
    for (const part of body) this.piece(frame, part);
    this.end(frame);
  }

  open(head: Uint8Array, bodyBytes: number): OpenFrame {
    const frame: OpenFrame = { left: bodyBytes, isEnded: false, waiting: undefined };
    if (this.#current === undefined) this.#current = frame;
    else {
      frame.waiting = [];
      this.#behind.push(frame);
    }
    this.#put(frame, head.slice(), bodyBytes);
    return frame;
  }

  piece(frame: OpenFrame, bytes: Uint8Array): void {
    assert(!frame.isEnded, 'a frame that has ended takes no more');
    assert(bytes.length <= frame.left, 'the pieces are no longer than the frame', { over: bytes.length - frame.left });
    frame.left -= bytes.length;
    if (bytes.length > 0) this.#put(frame, bytes, bodyRun);
  }

  /** Ends a frame that has all its bytes, and lets those behind it go. */
  end(frame: OpenFrame): void {
    frame.isEnded = true;
    if (frame !== this.#current) return;
    this.#current = undefined;
    while (this.#current === undefined) {
      const next = this.#behind.shift();
      if (next === undefined) return;
      for (const { bytes, body } of next.waiting!) {
        this.#behindBytes -= bytes.length;
        this.#pipe.push(bytes, body);
      }
      next.waiting = undefined;
      if (!next.isEnded) this.#current = next;
    }
  }

  clear(): void {
    this.#current = undefined;
    this.#behind = [];
    this.#behindBytes = 0;
  }

  #put(frame: OpenFrame, bytes: Uint8Array, body: number): void {
    if (frame.waiting === undefined) {
      this.#pipe.push(bytes, body);
      return;
    }
    frame.waiting.push({ bytes, body });
    this.#behindBytes += bytes.length;
  }
}
