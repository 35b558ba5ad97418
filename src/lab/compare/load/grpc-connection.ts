/** One connection for unary gRPC calls, many at once. See http2-frames.ts for why it is laid by hand. */
import { connect, type Socket } from 'node:net';
import * as h2 from './http2-frames.ts';

/** After so many streams a new connection is due. */
const streamMax = 0x7fff_ff00;
const sweepMs = 20;

interface Call {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: number;
  message: Buffer | undefined;
}

export class GrpcConnection {
  readonly #socket: Socket;
  readonly #calls = new Map<number, Call>();
  readonly #waiting: Buffer[] = [];
  readonly #sweep: NodeJS.Timeout;
  #outgoing: Buffer[] = [];
  #nextStream = 1;
  /** What the peer takes before it says more. */
  #window = 65_535;
  #rest: Buffer = Buffer.alloc(0);
  #taken = 0;
  #closed: Error | undefined;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', (bytes) => this.#received(bytes));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('the peer closed the connection')));
    this.#socket.write(h2.preface());
    this.#sweep = setInterval(() => this.#expire(), sweepMs);
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** The answer's message. Rejects when the peer refuses, does not answer in time, or is gone. */
  call(headers: Uint8Array, message: Uint8Array, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      const stream = this.#nextStream;
      this.#nextStream += 2;
      this.#calls.set(stream, { resolve, reject, deadline: performance.now() + timeoutMs, message: undefined });
      this.#write(h2.call(stream, headers, message), 5 + message.length);
      if (this.#nextStream > streamMax) this.#end(new Error('out of streams'));
    });
  }

  close(): void {
    this.#end(new Error('closed by its owner'));
  }

  /** What is sent within one turn leaves as one piece. */
  #write(bytes: Buffer, charged: number): void {
    if (charged > 0 && (this.#waiting.length > 0 || charged > this.#window)) {
      this.#waiting.push(bytes);
      return;
    }
    this.#window -= charged;
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push(bytes);
  }

  #flush(): void {
    const bytes = this.#outgoing.length === 1 ? this.#outgoing[0]! : Buffer.concat(this.#outgoing);
    this.#outgoing = [];
    if (this.#closed === undefined) this.#socket.write(bytes);
  }

  /** Bytes of a waiting call that count against the window: its data frame's. */
  #release(): void {
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      const charged = next.readUIntBE(h2.frameHeadBytes + next.readUIntBE(0, 3), 3);
      if (charged > this.#window) return;
      this.#waiting.shift();
      this.#window -= charged;
      if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
      this.#outgoing.push(next);
    }
  }

  #received(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= h2.frameHeadBytes) {
      const length = all.readUIntBE(at, 3);
      const end = at + h2.frameHeadBytes + length;
      if (end > all.length) break;
      this.#frame(all[at + 3]!, all[at + 4]!, all.readUInt32BE(at + 5), all.subarray(at + h2.frameHeadBytes, end));
      at = end;
    }
    this.#rest = at === all.length ? Buffer.alloc(0) : Buffer.from(all.subarray(at));
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case h2.frameTypes.data:
        this.#data(stream, flags, payload);
        return;
      case h2.frameTypes.headers:
        if ((flags & h2.flagEndStream) !== 0) this.#finish(stream);
        return;
      case h2.frameTypes.settings:
        if ((flags & h2.flagAck) === 0)
          this.#write(h2.frame(h2.frameTypes.settings, h2.flagAck, 0, Buffer.alloc(0)), 0);
        return;
      case h2.frameTypes.ping:
        if ((flags & h2.flagAck) === 0) this.#write(h2.frame(h2.frameTypes.ping, h2.flagAck, 0, payload), 0);
        return;
      case h2.frameTypes.windowUpdate:
        if (stream !== 0) return;
        this.#window += payload.readUInt32BE(0);
        this.#release();
        return;
      case h2.frameTypes.reset:
        this.#fail(stream, new Error(`the peer reset the call (code ${payload.readUInt32BE(0)})`));
        return;
      case h2.frameTypes.goAway:
        this.#end(new Error('the peer goes away'));
        return;
      default:
    }
  }

  #data(stream: number, flags: number, payload: Buffer): void {
    this.#taken += payload.length;
    if (this.#taken > 0x1000_0000) {
      this.#write(h2.windowUpdate(this.#taken), 0);
      this.#taken = 0;
    }
    const call = this.#calls.get(stream);
    if (call === undefined) return; // it timed out
    call.message = call.message === undefined ? payload : Buffer.concat([call.message, payload]);
    if ((flags & h2.flagEndStream) !== 0) this.#finish(stream);
  }

  #finish(stream: number): void {
    const call = this.#calls.get(stream);
    if (call === undefined) return;
    this.#calls.delete(stream);
    // A refusal comes as trailers alone; an answer has its message before them.
    if (call.message === undefined) call.reject(new Error('the peer refused the call'));
    else call.resolve(call.message.subarray(5));
  }

  #fail(stream: number, error: Error): void {
    this.#calls.get(stream)?.reject(error);
    this.#calls.delete(stream);
  }

  #expire(): void {
    const now = performance.now();
    for (const [stream, { deadline }] of this.#calls) {
      if (deadline > now) continue;
      this.#write(h2.reset(stream), 0);
      this.#fail(stream, new Error('no answer in time'));
    }
  }

  #end(error: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    clearInterval(this.#sweep);
    this.#socket.destroy();
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}
