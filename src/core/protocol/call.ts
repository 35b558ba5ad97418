/**
 * Calls: one table per service says, for each call, its tag on the wire, the codec of its request and of its response. Requests
 * and responses may have a body (bulk bytes) beside their head.
 */
import type { AnyCodec, Codec, TypeOf } from '../base/codec.ts';

export interface CallSpec<Request extends AnyCodec, Response extends AnyCodec> {
  readonly tag: number;
  readonly request: Request;
  readonly response: Response;
}

export type CallTable = Readonly<Record<string, CallSpec<AnyCodec, AnyCodec>>>;
export type RequestOf<Spec> = Spec extends CallSpec<infer Request, AnyCodec> ? TypeOf<Request> : never;
export type ResponseOf<Spec> = Spec extends CallSpec<AnyCodec, infer Response> ? TypeOf<Response> : never;

export function call<Request, Response>(
  tag: number,
  request: Codec<Request>,
  response: Codec<Response>,
): CallSpec<Codec<Request>, Codec<Response>> {
  return { tag, request, response };
}
