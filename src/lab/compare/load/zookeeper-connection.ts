/** One session with one ZooKeeper server, many requests under way at once. Answers come in the order of the requests. */
import { connect, type Socket } from 'node:net';
import * as jute from './jute.ts';

/** Servers grant what lies within their own bounds. */
const sessionTimeoutMs = 10_000;
const pingEveryMs = sessionTimeoutMs / 4;
const sweepMs = 20;
const xidMax = 0x7fff_fff0;

interface Request {
  readonly resolve: (frame: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: number;
  isOver: boolean;
}

/** The server has answered, and refuses: with one of its error codes. */
export class ZooKeeperError extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`ZooKeeper refuses (code ${code})`);
    this.code = code;
  }
}

export class ZooKeeperConnection {
  readonly #socket: Socket;
  /** Those that were sent, the oldest first; those that are not answered in time stay until their answer comes. */
  readonly #sent: Request[] = [];
  readonly #timers: readonly NodeJS.Timeout[];
  #firstSent = 0;
  #held: { readonly frame: Buffer; readonly request: Request }[] | undefined = [];
  #outgoing: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #nextXid = 1;
  #closed: Error | undefined;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', (bytes) => this.#received(bytes));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('the peer closed the connection')));
    this.#socket.write(jute.connectFrame(sessionTimeoutMs));
    this.#timers = [
      setInterval(() => this.#expire(), sweepMs),
      setInterval(() => this.#write(jute.pingFrame()), pingEveryMs),
    ];
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * @param frameOf the request's frame, by its number
   * @returns the answer's frame
   * @throws ZooKeeperError when the server refuses; Error when it does not answer in time, or is gone
   */
  ask(frameOf: (xid: number) => Buffer, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      const xid = this.#nextXid;
      this.#nextXid = xid === xidMax ? 1 : xid + 1;
      const request = { resolve, reject, deadline: performance.now() + timeoutMs, isOver: false };
      const frame = frameOf(xid);
      if (this.#held === undefined) this.#send(frame, request);
      else this.#held.push({ frame, request }); // there is no session yet
    });
  }

  close(): void {
    this.#end(new Error('closed by its owner'));
  }

  #send(frame: Buffer, request: Request): void {
    this.#sent.push(request);
    this.#write(frame);
  }

  /** What is sent within one turn leaves as one piece. */
  #write(frame: Buffer): void {
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push(frame);
  }

  #flush(): void {
    const bytes = this.#outgoing.length === 1 ? this.#outgoing[0]! : Buffer.concat(this.#outgoing);
    this.#outgoing = [];
    if (this.#closed === undefined) this.#socket.write(bytes);
  }

  #received(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (all.length - at >= jute.headBytes) {
      const end = at + jute.headBytes + all.readInt32BE(at);
      if (end > all.length) break;
      this.#frame(all.subarray(at + jute.headBytes, end));
      at = end;
    }
    this.#rest = at === all.length ? Buffer.alloc(0) : Buffer.from(all.subarray(at));
  }

  #frame(frame: Buffer): void {
    if (this.#held !== undefined) {
      this.#begin(frame);
      return;
    }
    if (frame.readInt32BE(0) === jute.pingXid) return;
    const request = this.#sent[this.#firstSent++];
    if (request === undefined) {
      this.#end(new Error('an answer to nothing'));
      return;
    }
    this.#forgetOld();
    if (request.isOver) return;
    request.isOver = true;
    const code = frame.readInt32BE(jute.replyHeadBytes - 4);
    if (code === jute.errors.ok) request.resolve(frame);
    else request.reject(new ZooKeeperError(code));
  }

  #begin(frame: Buffer): void {
    if (jute.grantedTimeoutMs(frame) <= 0) {
      this.#end(new Error('the session was refused'));
      return;
    }
    const held = this.#held!;
    this.#held = undefined;
    for (const { frame, request } of held) if (!request.isOver) this.#send(frame, request);
  }

  #forgetOld(): void {
    if (this.#firstSent < 1024) return;
    this.#sent.splice(0, this.#firstSent);
    this.#firstSent = 0;
  }

  #expire(): void {
    const now = performance.now();
    for (const request of this.#waiting()) {
      if (request.isOver || request.deadline > now) continue;
      request.isOver = true;
      request.reject(new Error('no answer in time'));
    }
  }

  #waiting(): Request[] {
    return [...this.#sent.slice(this.#firstSent), ...(this.#held ?? []).map(({ request }) => request)];
  }

  #end(error: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    for (const timer of this.#timers) clearInterval(timer);
    this.#socket.destroy();
    for (const request of this.#waiting()) if (!request.isOver) request.reject(error);
    this.#sent.length = 0;
    this.#firstSent = 0;
  }
}
