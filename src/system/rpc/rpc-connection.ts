/**
 * Calls over one connection, both ways: either side may ask, either may answer. Owns the requests under way on that connection;
 * when it closes, each of them fails with CONNECTION_LOST (the outcome is unknown).
 */
import { assert } from '../../core/base/assert.ts';
import type { Address } from '../../core/base/brand.ts';
import { ByteReader } from '../../core/base/bytes.ts';
import type { BodySink, Connection, ConnectionHandler, Env, FrameWriter, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { CallTable, RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { collectBody, emptyBody } from './body.ts';
import { frameKinds, readFailure, requestHead, signOfLife } from './frames.ts';
import { CallContext, type Handlers, type Peer, type Routes, routesOf } from './handlers.ts';

/** Requests of ours that may wait for an answer on one connection. */
export const pendingMax = 65_536;
/** Requests of the peer that may be under way here; beyond it we stop reading. */
export const servingMax = 4096;
/** Deadlines are checked this often: a time-out may come that much late. */
const sweepMs = 50;
export const callTimeoutMs = 5000;
/** While a body comes in, its sender is told this often that it does. */
export const tellMs = 300;
/** Shorter bodies come at once, but where a link is so crowded that nothing does. */
const toldAboveBytes = 16 * 1024;
/** An answer of which at least so much came within the time of its call may take as long again: a slow link, not one who drips. */
export const slowestBytes = 16 * 1024;

export interface CallOptions {
  readonly body?: readonly Uint8Array[];
  readonly timeoutMs?: number;
  /** Takes the body of the response; without it the body is collected and returned. */
  readonly sink?: (bodyBytes: number) => BodySink;
}

export interface Answer<Response> {
  readonly response: Response;
  readonly body: Uint8Array;
}

interface Pending {
  readonly what: string;
  readonly codec: { read(reader: ByteReader): unknown };
  readonly timeoutMs: number;
  /** Put off while the body of the answer comes in. */
  deadline: number;
  readonly sink: ((bodyBytes: number) => BodySink) | undefined;
  /** Set once the body of the answer is on its way: who is told if the connection closes first. */
  body: BodySink | undefined;
  /** Bytes of it that came since the deadline was set. */
  movedBytes: number;
  readonly resolve: (answer: Answer<unknown>) => void;
  readonly reject: (error: CairnError) => void;
}

export class RpcConnection<Out extends CallTable> implements ConnectionHandler, Peer {
  readonly #env: Env;
  readonly #out: Out;
  readonly #routes: Routes;
  readonly #onClosed: (reason: string) => void;
  #connection!: Connection;
  #closedBecause: string | undefined;
  #nextId = 1;
  #sweep: Timer | undefined;
  #serving = 0;
  #stalled = false;
  #holds = 0;
  #isPaused = false;
  #isOverfull = false;
  #givenBytes = 0;
  #heard = 0;
  #toldAt = 0;
  #waitingForDrain: (() => void)[] = [];
  readonly #pending = new Map<number, Pending>();

  private constructor(env: Env, out: Out, routes: Routes, onClosed: (reason: string) => void) {
    this.#env = env;
    this.#out = out;
    this.#routes = routes;
    this.#onClosed = onClosed;
  }

  /** Opens a connection. Its calls go by `out`; what the peer may ask is in `handlers`. */
  static connect<Out extends CallTable, In extends CallTable>(
    env: Env,
    address: Address,
    out: Out,
    incoming: { readonly calls: In; readonly handlers: Handlers<In> } | undefined,
    onClosed: (reason: string) => void = () => {},
  ): RpcConnection<Out> {
    const routes = incoming === undefined ? [] : routesOf(incoming.calls, incoming.handlers);
    const rpc = new RpcConnection(env, out, routes, onClosed);
    rpc.#connection = env.network.connect(address, rpc);
    return rpc;
  }

  /** For a listener's accept: serves `routes` (made once with routesOf) and may ask by `out`. */
  static accept<Out extends CallTable>(
    env: Env,
    connection: Connection,
    out: Out,
    routes: Routes,
    onClosed: (reason: string) => void = () => {},
  ): RpcConnection<Out> {
    const rpc = new RpcConnection(env, out, routes, onClosed);
    rpc.#connection = connection;
    return rpc;
  }

  get remote(): string {
    return this.#connection.remote;
  }
  get isClosed(): boolean {
    return this.#closedBecause !== undefined;
  }
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }
  /** Bytes of bodies that were ever given to be sent. What was given when it stood at n has left when givenBytes - queuedBytes ≥ n. */
  get givenBytes(): number {
    return this.#givenBytes;
  }

  /** Counts what comes from the peer: as long as it grows, the peer is there, however long an answer takes. */
  get heard(): number {
    return this.#heard;
  }

  /**
   * Asks, and waits for the answer. @throws CairnError what the peer answered, TIMED_OUT, CONNECTION_LOST, BUSY
   */
  call<K extends keyof Out & string>(
    kind: K,
    request: RequestOf<Out[K]>,
    options: CallOptions = {},
  ): Promise<Answer<ResponseOf<Out[K]>>> {
    const spec = this.#out[kind]!;
    return new Promise((resolve, reject) => {
      if (this.#closedBecause !== undefined) {
        reject(connectionLost(kind, this.remote, this.#closedBecause));
        return;
      }
      if (this.#pending.size >= pendingMax) {
        reject(new CairnError('BUSY', `${pendingMax} calls wait for ${this.remote}; try again later`));
        return;
      }
      const id = this.#takeId();
      const head = requestHead(frameKinds.request, id, spec.tag, spec.request, request);
      const { timeoutMs = callTimeoutMs } = options;
      this.#pending.set(id, {
        what: kind,
        codec: spec.response,
        timeoutMs,
        deadline: this.#env.clock.now() + timeoutMs,
        sink: options.sink,
        body: undefined,
        movedBytes: 0,
        resolve: resolve as (answer: Answer<unknown>) => void,
        reject,
      });
      this.#sweep ??= this.#env.clock.after(sweepMs, () => this.#expire());
      this.#send(head, options.body);
    });
  }

  /** Tells, and expects no answer. */
  notify<K extends keyof Out & string>(kind: K, request: RequestOf<Out[K]>, body?: readonly Uint8Array[]): void {
    if (this.#closedBecause !== undefined) return;
    const spec = this.#out[kind]!;
    this.#send(requestHead(frameKinds.notice, 0, spec.tag, spec.request, request), body);
  }

  /**
   * Head of a request whose body the caller will write itself, piece by piece (cut-through forwarding). A piece that returns
   * false asks the caller to wait for `drain`.
   */
  beginNotice<K extends keyof Out & string>(kind: K, request: RequestOf<Out[K]>, bodyBytes: number): FrameWriter {
    const spec = this.#out[kind]!;
    const head = requestHead(frameKinds.notice, 0, spec.tag, spec.request, request);
    const writer = this.#connection.startFrame(head, bodyBytes);
    return {
      piece: (bytes) => {
        this.#givenBytes += bytes.length;
        const hasRoom = writer.piece(bytes);
        if (!hasRoom) this.#isOverfull = true;
        return hasRoom;
      },
      end: () => writer.end(),
    };
  }

  /** Whether the send queue is over the connection's bound: `drain` waits for room. */
  get isOverfull(): boolean {
    return this.#isOverfull && this.#closedBecause === undefined;
  }

  /** Resolves when the send queue is below the connection's bound: at once if it is, or if the connection is closed. */
  drain(): Promise<void> {
    if (!this.isOverfull) return Promise.resolve();
    return new Promise((resolve) => this.#waitingForDrain.push(resolve));
  }

  /** Stops taking frames from the peer until as many `unhold` have followed: whoever cannot keep up with it asks for that. */
  hold(): void {
    this.#holds += 1;
    this.#readOrPause();
  }

  unhold(): void {
    assert(this.#holds > 0, 'a hold is given back once');
    this.#holds -= 1;
    this.#readOrPause();
  }

  close(reason: string): void {
    if (this.#closedBecause === undefined) this.#connection.close(reason);
  }

  // ---------------------------------------------------------------- ConnectionHandler

  frame(head: Uint8Array, bodyBytes: number): BodySink | undefined {
    this.#heard += 1;
    const reader = new ByteReader(head);
    try {
      const kind = reader.u8();
      const id = reader.u32();
      if (kind === frameKinds.request || kind === frameKinds.notice)
        return this.#serve(kind === frameKinds.request ? id : undefined, reader, bodyBytes);
      if (kind === frameKinds.response || kind === frameKinds.failure)
        return this.#answered(kind, id, reader, bodyBytes);
      throw new CairnError('PROTOCOL', `a frame has the unknown kind ${kind}`);
    } catch (thrown) {
      this.close(toCairnError(thrown).message);
      return undefined;
    }
  }

  drained(): void {
    this.#isOverfull = false;
    for (const go of this.#waitingForDrain.splice(0)) go();
    this.#stalled = false;
    this.#readOrPause();
  }

  closed(reason: string): void {
    this.#closedBecause = reason;
    this.#sweep?.cancel();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of pending) {
      call.body?.aborted();
      call.reject(connectionLost(call.what, this.remote, reason));
    }
    for (const go of this.#waitingForDrain.splice(0)) go();
    this.#onClosed(reason);
  }

  // ---------------------------------------------------------------- answering

  #serve(id: number | undefined, reader: ByteReader, bodyBytes: number): BodySink | undefined {
    const tag = reader.u8();
    const route = this.#routes[tag];
    const context = this.#context(id);
    if (route === undefined) {
      context.fail(new CairnError('PROTOCOL', `call ${tag} is not offered here; ask another kind of node`));
      return undefined;
    }
    try {
      const request = route.spec.request.read(reader);
      reader.end();
      context.answerWith = route.spec.response;
      const sink = route.begin(request, bodyBytes, context);
      return sink === undefined || bodyBytes <= toldAboveBytes ? sink : this.#telling(sink);
    } catch (thrown) {
      context.fail(toCairnError(thrown));
      return undefined;
    }
  }

  /**
   * The same sink; while bytes come, the peer hears of it. On a slow link the answer, and whatever the peer asks behind these bytes,
   * takes long, and it must be able to tell that from a server that is gone.
   */
  #telling(sink: BodySink): BodySink {
    return {
      ...(sink.space === undefined ? {} : { space: () => sink.space!() }),
      piece: (bytes) => {
        this.tell();
        sink.piece(bytes);
      },
      end: () => sink.end(),
      aborted: () => sink.aborted(),
    };
  }

  tell(): void {
    const now = this.#env.clock.now();
    if (now - this.#toldAt < tellMs || this.#closedBecause !== undefined) return;
    this.#toldAt = now;
    this.#send(signOfLife(), undefined);
  }

  #context(id: number | undefined): CallContext {
    this.#serving += 1;
    this.#readOrPause();
    return new CallContext(this, (head, body) => this.#answer(head, body), id);
  }

  #answer(head: Uint8Array | undefined, body: readonly Uint8Array[] | undefined): void {
    this.#serving -= 1;
    if (this.#closedBecause !== undefined) return;
    // The peer takes its answers too slowly: take no more questions until it has caught up.
    if (head !== undefined && !this.#send(head, body)) this.#stalled = true;
    this.#readOrPause();
  }

  #readOrPause(): void {
    const shouldPause = this.#stalled || this.#holds > 0 || this.#serving >= servingMax;
    if (shouldPause === this.#isPaused || this.#closedBecause !== undefined) return;
    this.#isPaused = shouldPause;
    if (shouldPause) this.#connection.pauseReading();
    else this.#connection.resumeReading();
  }

  #send(head: Uint8Array, body: readonly Uint8Array[] | undefined): boolean {
    if (body !== undefined) for (const part of body) this.#givenBytes += part.length;
    const hasRoom = this.#connection.send(head, body);
    if (!hasRoom) this.#isOverfull = true;
    return hasRoom;
  }

  // ---------------------------------------------------------------- asking

  #takeId(): number {
    do {
      this.#nextId = this.#nextId === 0xffff_ffff ? 1 : this.#nextId + 1;
    } while (this.#pending.has(this.#nextId));
    return this.#nextId;
  }

  #answered(kind: number, id: number, reader: ByteReader, bodyBytes: number): BodySink | undefined {
    const call = this.#pending.get(id);
    if (call === undefined) return undefined; // a sign of life, or an answer that comes too late: it timed out here
    if (kind === frameKinds.failure) {
      const error = readFailure(reader); // what cannot be read closes the connection, and that fails the call
      this.#pending.delete(id);
      call.reject(error);
      return undefined;
    }
    const response = call.codec.read(reader);
    reader.end();
    if (bodyBytes === 0) {
      this.#pending.delete(id);
      call.resolve({ response, body: emptyBody });
      return undefined;
    }
    if (call.body !== undefined) throw new CairnError('PROTOCOL', `${call.what} was answered twice`);
    const settle = (body: Uint8Array) => {
      this.#pending.delete(id);
      call.resolve({ response, body });
    };
    call.body = call.sink === undefined ? collectBody(bodyBytes, settle, () => {}) : call.sink(bodyBytes);
    return this.#answerBody(id, call, call.sink === undefined ? undefined : () => settle(emptyBody));
  }

  /**
   * The body of an answer, written straight into the memory of whoever asked. A call ends while its body is under way only together
   * with the connection (see `#expire`), so that nothing is written to that memory afterwards.
   */
  #answerBody(id: number, call: Pending, whole: (() => void) | undefined): BodySink {
    const body = call.body!;
    return {
      ...(body.space === undefined ? {} : { space: () => body.space!() }),
      piece: (bytes) => {
        this.#heard += 1;
        call.movedBytes += bytes.length;
        if (this.#pending.get(id) === call) body.piece(bytes);
      },
      end: () => {
        if (this.#pending.get(id) !== call) return;
        body.end();
        whole?.();
      },
      aborted: () => {}, // `closed` follows and tells
    };
  }

  #expire(): void {
    this.#sweep = undefined;
    const now = this.#env.clock.now();
    for (const [id, call] of this.#pending) {
      if (call.deadline > now) continue;
      if (call.movedBytes >= slowestBytes) {
        call.movedBytes = 0;
        call.deadline = now + call.timeoutMs;
        continue;
      }
      if (call.body !== undefined) {
        this.close(`the answer to ${call.what} stopped half-way`);
        return;
      }
      this.#pending.delete(id);
      call.reject(new CairnError('TIMED_OUT', `${call.what} at ${this.remote} was not answered in time; try again`));
    }
    if (this.#pending.size > 0) this.#sweep = this.#env.clock.after(sweepMs, () => this.#expire());
  }
}

export function connectionLost(what: string, remote: string, reason: string): CairnError {
  return new CairnError('CONNECTION_LOST', `${what}: the connection to ${remote} was lost (${reason})`);
}
