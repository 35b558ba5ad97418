/** The answering side of a call table: one handler per call, plain or streaming. */
import { assert } from '../../core/base/assert.ts';
import type { AnyCodec } from '../../core/base/codec.ts';
import type { BodySink } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { CallSpec, CallTable, RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { collectBody, emptyBody } from './body.ts';
import { failureHead, responseHead } from './frames.ts';

export interface Reply<Response> {
  readonly response: Response;
  /** Must not change until it has left. */
  readonly body?: readonly Uint8Array[];
}

/** A packet, wherever in its blocks it begins: as whole blocks it is one more. */
export const plainBodyMaxBytes = packetMaxBytes + 64 * 1024;

/** Gets the request and its whole body (at most plainBodyMaxBytes), and answers, or throws. */
export type PlainHandler<Spec> = (
  request: RequestOf<Spec>,
  context: CallContext,
  body: Uint8Array,
) => Reply<ResponseOf<Spec>> | Promise<Reply<ResponseOf<Spec>>>;

/** Takes the body as it arrives; answers through `context.reply` or `context.fail`, once, whenever it likes. */
export interface StreamHandler<Spec> {
  begin(request: RequestOf<Spec>, bodyBytes: number, context: CallContext): BodySink | undefined;
}

export type Handlers<Table extends CallTable> = {
  readonly [K in keyof Table]?: PlainHandler<Table[K]> | StreamHandler<Table[K]>;
};

export interface Route {
  readonly spec: CallSpec<AnyCodec, AnyCodec>;
  begin(request: unknown, bodyBytes: number, context: CallContext): BodySink | undefined;
}
/** By tag. */
export type Routes = readonly (Route | undefined)[];

/** The connection a request came over (an RpcConnection): for asking back and for knowing a peer again. */
export interface Peer {
  readonly remote: string;
  readonly isClosed: boolean;
  /** More answers wait to leave than the connection likes; `drain` says when that is over. */
  readonly isOverfull: boolean;
  readonly queuedBytes: number;
  readonly givenBytes: number;
  drain(): Promise<void>;
  /** Takes no more frames from the peer until as many `unhold` have followed. */
  hold(): void;
  unhold(): void;
  /** Gives it a sign of life, if it has had none for a while. */
  tell(): void;
  close(reason: string): void;
}

/** One request being answered. */
export class CallContext {
  readonly peer: Peer;
  answerWith: AnyCodec | undefined;
  readonly #send: (head: Uint8Array | undefined, body: readonly Uint8Array[] | undefined) => void;
  readonly #id: number | undefined;
  #answered = false;

  constructor(
    peer: Peer,
    send: (head: Uint8Array | undefined, body: readonly Uint8Array[] | undefined) => void,
    id: number | undefined,
  ) {
    this.peer = peer;
    this.#send = send;
    this.#id = id;
  }

  reply(response: unknown, body?: readonly Uint8Array[]): void {
    if (this.#answered) return;
    let head: Uint8Array | undefined;
    try {
      head = this.#id === undefined ? undefined : responseHead(this.#id, this.answerWith!, response);
    } catch (thrown) {
      this.fail(toCairnError(thrown)); // else the peer would wait in vain, and its request count as one that is being served
      return;
    }
    this.#answered = true;
    this.#send(head, body);
  }

  fail(error: CairnError): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#send(this.#id === undefined ? undefined : failureHead(this.#id, error), undefined);
  }
}

export function routesOf<Table extends CallTable>(calls: Table, handlers: Handlers<Table>): Routes {
  const routes: (Route | undefined)[] = [];
  for (const [kind, spec] of Object.entries(calls)) {
    const handler = handlers[kind as keyof Table];
    if (handler === undefined) continue;
    assert(routes[spec.tag] === undefined, 'each call has a tag of its own', { kind, tag: spec.tag });
    routes[spec.tag] =
      typeof handler === 'function'
        ? { spec, begin: (request, bodyBytes, context) => plain(handler as AnyPlain, request, bodyBytes, context) }
        : { spec, begin: (request, bodyBytes, context) => (handler as AnyStream).begin(request, bodyBytes, context) };
  }
  return routes;
}

type AnyPlain = (request: unknown, context: CallContext, body: Uint8Array) => Reply<unknown> | Promise<Reply<unknown>>;
interface AnyStream {
  begin(request: unknown, bodyBytes: number, context: CallContext): BodySink | undefined;
}

function plain(handler: AnyPlain, request: unknown, bodyBytes: number, context: CallContext): BodySink | undefined {
  if (bodyBytes === 0) {
    run(handler, request, context, emptyBody);
    return undefined;
  }
  if (bodyBytes > plainBodyMaxBytes) {
    context.fail(new CairnError('TOO_LARGE', `a body of ${bodyBytes} bytes; at most ${plainBodyMaxBytes} are taken`));
    return undefined;
  }
  return collectBody(
    bodyBytes,
    (body) => run(handler, request, context, body),
    () => context.fail(new CairnError('ABORTED', 'the body broke off')),
  );
}

function run(handler: AnyPlain, request: unknown, context: CallContext, body: Uint8Array): void {
  try {
    const reply = handler(request, context, body);
    if (reply instanceof Promise) {
      reply.then(
        (later) => context.reply(later.response, later.body),
        (thrown) => context.fail(toCairnError(thrown)),
      );
    } else context.reply(reply.response, reply.body);
  } catch (thrown) {
    context.fail(toCairnError(thrown));
  }
}
