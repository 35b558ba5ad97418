/** The call `apply`: takes in the bytes that come with orders, in pooled memory, and hands them to the secondary. */
import type { BodySink } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes, smallMutationMaxBytes } from '../../core/protocol/types.ts';
import { collectBody, emptyBody } from '../rpc/body.ts';
import type { CallContext, StreamHandler } from '../rpc/handlers.ts';
import type { Activity } from './activity.ts';
import type { BytePool, SmallBytePool } from './byte-pool.ts';
import type { Secondary } from './secondary.ts';

type ApplySpec = (typeof chunkCalls)['apply'];

export class ApplyHandler implements StreamHandler<ApplySpec> {
  readonly #secondary: Secondary;
  readonly #pool: BytePool;
  readonly #smallPool: SmallBytePool;
  readonly #activity: Activity;

  constructor(secondary: Secondary, pool: BytePool, smallPool: SmallBytePool, activity: Activity) {
    this.#secondary = secondary;
    this.#pool = pool;
    this.#smallPool = smallPool;
    this.#activity = activity;
  }

  begin(request: RequestOf<ApplySpec>, bodyBytes: number, context: CallContext): BodySink | undefined {
    this.#activity.note();
    if (bodyBytes > packetMaxBytes) throw new CairnError('TOO_LARGE', `orders with ${bodyBytes} bytes`);
    if (bodyBytes === 0) {
      this.#apply(request, emptyBody, context, () => {});
      return undefined;
    }
    const pool = bodyBytes > smallMutationMaxBytes ? this.#pool : this.#smallPool;
    const pooled = pool.take(bodyBytes);
    const release = () => pooled?.release();
    return collectBody(
      bodyBytes,
      (body) => this.#apply(request, body, context, release),
      () => {
        release();
        context.fail(new CairnError('ABORTED', 'the body broke off'));
      },
      pooled?.bytes,
    );
  }

  #apply(request: RequestOf<ApplySpec>, body: Uint8Array, context: CallContext, release: () => void): void {
    this.#secondary.apply(request, body).then(
      ({ response }) => {
        release();
        context.reply(response);
      },
      (thrown: unknown) => {
        release();
        context.fail(toCairnError(thrown));
      },
    );
  }
}
