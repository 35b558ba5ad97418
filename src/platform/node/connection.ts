/**
 * One TCP connection as a `Connection`: the parser on its way in, the send queue on its way out, and a life of
 * connecting → open → closed. Handlers are called from the socket's events only, never from within a call of theirs
 * to this object; `closed` comes once, after everything else.
 */
import type { OnReadOpts, Socket } from 'node:net';
import { assert } from '../../core/base/assert.ts';
import type { BodySink, Connection, ConnectionHandler, FrameWriter } from '../../core/base/env.ts';
import { FrameParser, type ParserOutput } from './frame-parser.ts';
import { type OpenFrame, SendQueue } from './send-queue.ts';
import { sharedBuffer, sharedStart } from './shared-buffer.ts';
import { bodyMaxBytes, headMaxBytes, preface } from './wire.ts';

export interface ConnectionLimits {
  /** Over this, `send` answers false. */
  readonly sendQueueMaxBytes: number;
  /** Over this, the connection is closed: its peer does not read and its user does not wait. */
  readonly sendQueueHardMaxBytes: number;
  /** How long a peer may take to accept the connection and to send its preface. */
  readonly prefaceTimeoutMs: number;
}

export const defaultLimits: ConnectionLimits = {
  sendQueueMaxBytes: 4 * 1024 * 1024,
  sendQueueHardMaxBytes: 256 * 1024 * 1024,
  prefaceTimeoutMs: 10_000,
};

/** With this much to write, the turn's end is not awaited. */
const flushNowBytes = 256 * 1024;
const keepAliveAfterMs = 30_000;

export class TcpConnection implements Connection, ParserOutput {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #parser: FrameParser;
  readonly #queue = new SendQueue();
  readonly #greet: (connection: TcpConnection) => ConnectionHandler;
  #handler: ConnectionHandler | undefined;
  #prefaceTimer: NodeJS.Timeout | undefined;
  #connected: boolean;
  #space: Uint8Array | undefined;
  #writingBytes = 0;
  #flushPlanned = false;
  #resumePlanned = false;
  /** A frame found no room; then, a piece of the frame whose turn it is. */
  #overfull = false;
  #pieceWaits = false;
  #closeReason: string | undefined;

  /**
   * @param open makes the socket, which reads by `onread`.
   * @param greet called when the peer's preface has come; what it returns gets the frames.
   * @param handler who hears of `closed` even before that, if anybody.
   */
  constructor(
    open: (onread: OnReadOpts) => Socket,
    remote: string,
    limits: ConnectionLimits,
    greet: (connection: TcpConnection) => ConnectionHandler,
    handler?: ConnectionHandler,
  ) {
    this.remote = remote;
    this.#limits = limits;
    this.#greet = greet;
    this.#handler = handler;
    this.#parser = new FrameParser(this);
    this.#socket = open({ buffer: () => this.#nextBuffer(), callback: (bytes) => this.#read(bytes) });
    this.#connected = !this.#socket.connecting;
    this.#listen();
    this.#queue.raw(preface);
    this.#planFlush();
  }

  get queuedBytes(): number {
    return this.#queue.bytes + this.#writingBytes;
  }

  /** Those of the queued bytes that wait for the network alone. */
  get #leavingBytes(): number {
    return this.#queue.readyBytes + this.#writingBytes;
  }

  send(head: Uint8Array, body: readonly Uint8Array[] = []): boolean {
    let bodyBytes = 0;
    for (const part of body) bodyBytes += part.length;
    checkLengths(head.length, bodyBytes);
    if (this.#closeReason !== undefined) return true;
    this.#queue.frame(head, body, bodyBytes);
    return this.#queued();
  }

  startFrame(head: Uint8Array, bodyBytes: number): FrameWriter {
    checkLengths(head.length, bodyBytes);
    if (this.#closeReason !== undefined) return writerToNobody;
    const frame = this.#queue.open(head, bodyBytes);
    this.#queued();
    return {
      piece: (bytes) => this.#piece(frame, bytes),
      end: () => this.#end(frame),
    };
  }

  pauseReading(): void {
    this.#resumePlanned = false;
    if (this.#parser.paused) return;
    this.#parser.pause();
    this.#socket.pause();
  }

  resumeReading(): void {
    if (!this.#parser.paused || this.#resumePlanned) return;
    this.#resumePlanned = true;
    setImmediate(() => {
      if (!this.#resumePlanned || this.#closeReason !== undefined) return;
      this.#resumePlanned = false;
      if (this.#parser.resume()) this.#socket.resume();
    });
  }

  close(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#parser.stop();
    this.#flush();
    this.#finish(reason);
  }

  // -------------------------------------------------------------- what the parser says

  preface(): void {
    clearTimeout(this.#prefaceTimer);
    this.#handler = this.#greet(this);
  }

  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined {
    return this.#handler!.frame(head, bodyBytes);
  }

  garbage(reason: string): void {
    this.#finish(reason);
  }

  // -------------------------------------------------------------- receiving

  /** What the socket reads into next: the space of a sink, or else the memory that all connections share. */
  #nextBuffer(): Uint8Array {
    this.#space = this.#parser.space();
    return this.#space ?? (this.#parser.isBehindBulk ? sharedStart : sharedBuffer);
  }

  #read(bytes: number): boolean {
    if (this.#space === undefined) this.#parser.take(sharedBuffer.subarray(0, bytes));
    else this.#parser.filled(bytes);
    return true;
  }

  // -------------------------------------------------------------- sending

  #piece(frame: OpenFrame, bytes: Uint8Array): boolean {
    if (this.#closeReason !== undefined) return true;
    this.#queue.piece(frame, bytes);
    if (frame.waiting !== undefined) return this.#queued();
    // The frame whose turn it is must not wait for those behind it, which wait for it.
    this.#queued();
    if (this.#closeReason !== undefined || this.#leavingBytes <= this.#limits.sendQueueMaxBytes) return true;
    this.#pieceWaits = true;
    return false;
  }

  #end(frame: OpenFrame): void {
    if (this.#closeReason !== undefined || frame.ended) return;
    if (frame.left > 0) {
      this.close(`a frame that was being sent ended ${frame.left} bytes short`);
      return;
    }
    this.#queue.end(frame);
    this.#queued();
  }

  /** Something was queued: sees that it leaves, and says whether there is room for more. */
  #queued(): boolean {
    if (this.#closeReason !== undefined) return true;
    if (this.#queue.readyBytes >= flushNowBytes) this.#flush();
    else this.#planFlush();
    const queuedBytes = this.queuedBytes;
    if (queuedBytes <= this.#limits.sendQueueMaxBytes) return true;
    if (queuedBytes > this.#limits.sendQueueHardMaxBytes) {
      this.#finish(`the peer does not read: ${queuedBytes} bytes were queued for it`);
      return true;
    }
    this.#overfull = true;
    return false;
  }

  #planFlush(): void {
    if (this.#flushPlanned || this.#writingBytes > 0 || this.#queue.readyBytes === 0) return;
    this.#flushPlanned = true;
    queueMicrotask(this.#afterMicrotasks);
  }

  /** A tick that is asked for from a microtask comes after all microtasks: what a turn sends leaves together. */
  readonly #afterMicrotasks = (): void => process.nextTick(this.#plannedFlush);

  readonly #plannedFlush = (): void => {
    this.#flushPlanned = false;
    this.#flush();
  };

  #flush(): void {
    if (!this.#connected || this.#writingBytes > 0 || this.#closeReason !== undefined) return;
    const readyBytes = this.#queue.readyBytes;
    if (readyBytes === 0) return;
    this.#writingBytes = readyBytes;
    const parts = this.#queue.take();
    const last = parts.length - 1;
    if (last > 0) this.#socket.cork();
    for (let n = 0; n < last; n++) this.#socket.write(parts[n]!);
    this.#socket.write(parts[last]!, this.#wrote);
    if (last > 0) this.#socket.uncork();
  }

  readonly #wrote = (error?: Error | null): void => {
    if (error || this.#closeReason !== undefined) return;
    this.#writingBytes = 0;
    this.#queue.reuseBlock();
    this.#flush();
    const { sendQueueMaxBytes } = this.#limits;
    const frameMayGoOn = this.#overfull && this.queuedBytes <= sendQueueMaxBytes;
    const pieceMayGoOn = this.#pieceWaits && this.#leavingBytes <= sendQueueMaxBytes;
    if (frameMayGoOn) this.#overfull = false;
    if (pieceMayGoOn) this.#pieceWaits = false;
    if (frameMayGoOn || pieceMayGoOn) this.#handler?.drained?.();
  };

  // -------------------------------------------------------------- the socket's life

  #listen(): void {
    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveAfterMs);
    socket.on('connect', () => {
      this.#connected = true;
      this.#flush();
    });
    socket.on('end', () => this.#finish('the peer closed the connection'));
    socket.on('error', (error) => this.#finish(reasonOf(error)));
    socket.on('close', () => this.#finish('the connection was closed'));
    this.#prefaceTimer = setTimeout(() => {
      const what = this.#connected ? 'no preface came' : 'no answer came';
      this.#finish(`ETIMEDOUT ${what} in ${this.#limits.prefaceTimeoutMs} ms`);
    }, this.#limits.prefaceTimeoutMs);
  }

  /** Ends the connection's life; the handlers hear of it in a turn of its own. */
  #finish(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    clearTimeout(this.#prefaceTimer);
    this.#parser.stop();
    this.#queue.clear();
    this.#writingBytes = 0;
    this.#socket.destroy();
    setImmediate(() => {
      this.#parser.abort();
      this.#handler?.closed(reason);
    });
  }
}

const writerToNobody: FrameWriter = { piece: () => true, end: () => undefined };

function checkLengths(headBytes: number, bodyBytes: number): void {
  assert(headBytes <= headMaxBytes, 'a head is within its bound', { headBytes });
  assert(bodyBytes <= bodyMaxBytes, 'a body is within its bound', { bodyBytes });
}

/** `CODE what happened`; an error of several attempts (one per address of a name) has its text in its parts. */
function reasonOf(error: Error): string {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'ERROR';
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const text = first instanceof Error ? first.message : String(first);
  return `${code} ${text}`;
}
