/** The call `push`: bytes of a mutation on their way down the chain. Kept until their order comes, and passed on meanwhile. */
import type { BodySink } from '../../core/base/env.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import type { CallContext, StreamHandler } from '../rpc/handlers.ts';
import type { BytePool, FreshBytes, PooledBytes } from './byte-pool.ts';
import type { Intake } from './intake.ts';
import type { Pipeline } from './pipeline.ts';
import type { Staging } from './staging.ts';

type PushSpec = (typeof chunkCalls)['push'];

export interface PushWorld {
  readonly pool: BytePool;
  /** For when the pool has none left: a member that is well must not be left behind for that. */
  readonly fresh: FreshBytes;
  readonly intake: Intake;
  readonly pipeline: Pipeline;
  readonly staging: Staging;
}

export class PushHandler implements StreamHandler<PushSpec> {
  readonly #world: PushWorld;

  constructor(world: PushWorld) {
    this.#world = world;
  }

  begin({ dataId, crc, chain }: RequestOf<PushSpec>, bodyBytes: number, context: CallContext): BodySink | undefined {
    const { intake, pipeline, staging } = this.#world;
    context.reply({}); // a notice: nobody waits for it
    if (bodyBytes < 1 || bodyBytes > packetMaxBytes) return undefined;
    // Without memory here the members behind get it all the same; this one is left behind when its order comes.
    const data = this.#memoryFor(bodyBytes);
    return intake.begin({
      data,
      forward: pipeline.forward(context.peer, chain, { dataId, crc, bodyBytes, data }),
      source: context.peer,
      whole: ({ whole, blocks }) => {
        if (data !== undefined && whole === crc) staging.put(dataId, { data, blockChecksums: blocks });
        else data?.release();
      },
      aborted: () => data?.release(),
    });
  }

  #memoryFor(bytes: number): PooledBytes | undefined {
    const { pool, fresh, staging } = this.#world;
    for (;;) {
      const data = pool.take(bytes) ?? fresh.take(bytes);
      if (data !== undefined || !staging.releaseOldest()) return data;
    }
  }
}
