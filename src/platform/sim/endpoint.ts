/**
 * One end of a simulated connection: what a process holds as its `Connection`. It lives connecting → open → closed;
 * handlers are called from events of its own only, never from within a call of theirs; `closed` comes once, last.
 */
import { assert } from '../../core/base/assert.ts';
import { deliverPiece } from '../../core/base/body-sink.ts';
import type { BodySink, Connection, ConnectionHandler, FrameWriter } from '../../core/base/env.ts';
import { digestBytes } from './event-hash.ts';
import type { Incarnation } from './incarnation.ts';
import type { SimKernel } from './kernel.ts';
import { type OpenFrame, Outbox } from './outbox.ts';
import type { NetworkSettings } from './path.ts';
import { bodyRun, type Pipe, type Segment } from './pipe.ts';

/** The same bounds as on a real wire. */
export const headMaxBytes = 8 * 1024 * 1024;
export const bodyMaxBytes = 64 * 1024 * 1024;

const poison = 0xdb;

/** Received bytes during the call that hands them over: afterwards they are gone, so whoever keeps them must copy them. */
export class LentBytes {
  readonly #isPoisoned: boolean;
  #memory: ArrayBufferLike | undefined;

  /** @param isPoisoned overwrite them after the call, so that who kept them without a copy notices. */
  constructor(isPoisoned: boolean) {
    this.#isPoisoned = isPoisoned;
  }

  lend(bytes: Uint8Array): void {
    this.#memory = bytes.buffer;
  }

  takeBack(bytes: Uint8Array): void {
    this.#memory = undefined;
    if (this.#isPoisoned) bytes.fill(poison);
  }

  /** `bytes`, or a copy if they are lent: to pass them on within the call is allowed. */
  keep(bytes: Uint8Array): Uint8Array {
    return bytes.buffer === this.#memory ? bytes.slice() : bytes;
  }
}

export interface EndpointContext {
  readonly kernel: SimKernel;
  readonly settings: NetworkSettings;
  readonly lent: LentBytes;
}

export class Endpoint implements Connection {
  readonly remote: string;
  readonly owner: Incarnation;
  readonly outgoing: Pipe;
  readonly #context: EndpointContext;
  readonly #outbox: Outbox;
  readonly #consumed: (bytes: number) => void;
  readonly #ended: () => void;
  #handler: ConnectionHandler | undefined;
  #isClosed = false;
  /** A frame found no room; then, a piece of the frame whose turn it is. */
  #isOverfull = false;
  #pieceWaits = false;
  #isReading = true;
  #isDeliveryDue = false;
  #inbox: Segment[] = [];
  /** The place in the first segment of the inbox. */
  #run = 0;
  #byte = 0;
  #sink: BodySink | undefined;
  #bodyLeft = 0;

  /**
   * @param consumed called with the weight of each segment that the receiver has done with.
   * @param ended called when this end is closed.
   */
  constructor(
    context: EndpointContext,
    identity: { readonly owner: Incarnation; readonly remote: string },
    outgoing: Pipe,
    consumed: (bytes: number) => void,
    ended: () => void,
  ) {
    this.#context = context;
    this.owner = identity.owner;
    this.remote = identity.remote;
    this.outgoing = outgoing;
    this.#outbox = new Outbox(outgoing);
    this.#consumed = consumed;
    this.#ended = ended;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** From now on somebody hears what arrives. */
  attach(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#planDelivery();
  }

  // -------------------------------------------------------------- sending

  send(head: Uint8Array, body: readonly Uint8Array[] = []): boolean {
    let bodyBytes = 0;
    for (const part of body) bodyBytes += part.length;
    checkLengths(head.length, bodyBytes);
    if (!this.#maySend()) return true;
    const kept = body.map((part) => this.#context.lent.keep(part));
    this.#outbox.frame(head, kept, bodyBytes);
    return this.#queued();
  }

  startFrame(head: Uint8Array, bodyBytes: number): FrameWriter {
    checkLengths(head.length, bodyBytes);
    if (!this.#maySend()) return { piece: () => true, end: () => undefined };
    const frame = this.#outbox.open(head, bodyBytes);
    this.#queued();
    return {
      piece: (bytes) => this.#piece(frame, bytes),
      end: () => this.#end(frame),
    };
  }

  #maySend(): boolean {
    return !this.#isClosed && this.owner.isAlive;
  }

  #piece(frame: OpenFrame, bytes: Uint8Array): boolean {
    if (!this.#maySend()) return true;
    this.#outbox.piece(frame, this.#context.lent.keep(bytes));
    if (frame.waiting !== undefined) return this.#queued();
    // The frame whose turn it is must not wait for those behind it, which wait for it.
    this.#queued();
    if (this.#isClosed || this.#outbox.leavingBytes <= this.#context.settings.sendQueueMaxBytes) return true;
    this.#pieceWaits = true;
    return false;
  }

  #end(frame: OpenFrame): void {
    if (!this.#maySend() || frame.isEnded) return;
    if (frame.left > 0) this.close(`a frame that was being sent ended ${frame.left} bytes short`);
    else this.#outbox.end(frame);
  }

  #queued(): boolean {
    const { sendQueueMaxBytes, sendQueueHardMaxBytes } = this.#context.settings;
    const { queuedBytes } = this;
    if (queuedBytes <= sendQueueMaxBytes) return true;
    if (queuedBytes > sendQueueHardMaxBytes) {
      this.close(`the peer does not read: ${queuedBytes} bytes were queued for it`);
      return true;
    }
    this.#isOverfull = true;
    return false;
  }

  /** Bytes have left the queue. */
  departed(): void {
    const { sendQueueMaxBytes } = this.#context.settings;
    const frameMayGoOn = this.#isOverfull && this.queuedBytes <= sendQueueMaxBytes;
    const pieceMayGoOn = this.#pieceWaits && this.#outbox.leavingBytes <= sendQueueMaxBytes;
    if (frameMayGoOn) this.#isOverfull = false;
    if (pieceMayGoOn) this.#pieceWaits = false;
    if (!frameMayGoOn && !pieceMayGoOn) return;
    this.#schedule('drained', () => {
      if (!this.#isClosed) this.#handler?.drained?.();
    });
  }

  // -------------------------------------------------------------- receiving

  pauseReading(): void {
    this.#isReading = false;
  }

  resumeReading(): void {
    this.#isReading = true;
    this.#planDelivery();
  }

  /** A segment is at this machine. */
  arrived(segment: Segment): void {
    if (this.#isClosed) return;
    if (segment.kind === 'established') {
      this.outgoing.open();
      return;
    }
    this.#inbox.push(segment);
    this.#planDelivery();
  }

  #planDelivery(): void {
    if (this.#isDeliveryDue || !this.#canDeliver() || this.#handler === undefined) return;
    this.#isDeliveryDue = true;
    this.#schedule('deliver', () => {
      this.#isDeliveryDue = false;
      this.#deliver();
    });
  }

  #canDeliver(): boolean {
    return this.#isReading && !this.#isClosed && this.#inbox.length > 0;
  }

  #deliver(): void {
    while (this.#canDeliver()) {
      const segment = this.#inbox[0]!;
      if (segment.kind === 'data') {
        if (this.#run === 0) this.#context.kernel.hash.mix(digestBytes(segment.bytes));
        this.#deliverRuns(segment);
        if (this.#run < segment.runs.length) continue;
        this.#consumed(segment.weight);
      }
      this.#inbox.shift();
      this.#run = 0;
      this.#byte = 0;
      if (segment.kind === 'close') this.#finish(segment.reason);
    }
  }

  /** Delivers runs until the segment ends, reading is paused or the connection is closed. */
  #deliverRuns(segment: Segment & { kind: 'data' }): void {
    const { bytes, runs } = segment;
    while (this.#run < runs.length && this.#isReading && !this.#isClosed) {
      const length = runs[this.#run]!;
      const body = runs[this.#run + 1]!;
      const view = bytes.subarray(this.#byte, this.#byte + length);
      this.#context.lent.lend(view);
      this.#run += 2;
      this.#byte += length;
      if (body === bodyRun) {
        this.#bodyLeft -= length;
        if (this.#sink !== undefined) deliverPiece(this.#sink, view);
      } else {
        this.#bodyLeft = body;
        this.#sink = this.#handler!.frame(view, body);
      }
      this.#context.lent.takeBack(view);
      if (this.#bodyLeft === 0 && !this.#isClosed) {
        const sink = this.#sink;
        this.#sink = undefined;
        sink?.end();
      }
    }
  }

  // -------------------------------------------------------------- the end

  close(reason: string): void {
    if (this.#isClosed || !this.owner.isAlive) return;
    this.outgoing.flushBeforeClose();
    this.fail(reason, 0);
  }

  /** The connection is over for this end; its handler hears of it that much later, in a turn of its own. */
  fail(reason: string, inUs: number): void {
    if (this.#isClosed || !this.owner.isAlive) return;
    this.#shut();
    this.outgoing.shut('the peer closed the connection');
    this.#schedule('closed', () => this.#tellClosed(reason), inUs);
    this.#ended();
  }

  /** The process died: nobody is told here, the peer by its machine. */
  die(): void {
    if (this.#isClosed) return;
    this.#shut();
    this.outgoing.cut('ECONNRESET the peer is gone');
    this.#ended();
  }

  /** The peer has ended it, and everything that came before has been delivered. */
  #finish(reason: string): void {
    this.#shut();
    this.outgoing.shut('the peer closed the connection');
    this.#tellClosed(reason);
    this.#ended();
  }

  #shut(): void {
    this.#isClosed = true;
    this.#inbox = [];
    this.#outbox.clear();
  }

  #tellClosed(reason: string): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.aborted();
    this.#handler?.closed(reason);
  }

  #schedule(kind: 'deliver' | 'drained' | 'closed', run: () => void, inUs = 0): void {
    const { kernel } = this.#context;
    kernel.schedule(this.owner, kernel.nowUs + inUs, kind, run);
  }
}

function checkLengths(headBytes: number, bodyBytes: number): void {
  assert(headBytes <= headMaxBytes, 'a head is within its bound', { headBytes });
  assert(bodyBytes <= bodyMaxBytes, 'a body is within its bound', { bodyBytes });
}
