/**
 * A bulk body that arrives: copied into a pooled buffer, summed, and passed on along the chain, piece by piece. One that does not go
 * on is given up by closing its connection.
 */
import type { BodySink, Crc32, Env, Timer } from '../../core/base/env.ts';
import type { Peer } from '../rpc/handlers.ts';
import { type ArrivedSums, BlockSums } from './block-sums.ts';
import type { PooledBytes } from './byte-pool.ts';
import type { Limits } from './limits.ts';
import type { Forward } from './pipeline.ts';

export interface Arrival {
  /** Where the bytes go, one holder of it this arrival; undefined: they are only passed on. */
  readonly data: PooledBytes | undefined;
  readonly forward: Forward | undefined;
  readonly source: Peer;
  whole(sums: ArrivedSums): void;
  aborted(): void;
}

const sweepMs = 1000;

export class Intake {
  readonly #env: Env;
  readonly #limits: Limits;
  /** When each last got a piece. */
  readonly #open = new Map<ArrivingBody, number>();
  #sweep: Timer | undefined;

  constructor(env: Env, limits: Limits) {
    this.#env = env;
    this.#limits = limits;
  }

  begin(arrival: Arrival): BodySink {
    const body = new ArrivingBody(arrival, this.#env.crc32, () => this.#open.delete(body));
    this.#open.set(body, this.#env.clock.now());
    this.#sweep ??= this.#env.clock.after(sweepMs, () => this.#closeStalled());
    return body;
  }

  close(): void {
    this.#sweep?.cancel();
    this.#open.clear();
  }

  #closeStalled(): void {
    this.#sweep = undefined;
    const now = this.#env.clock.now();
    for (const [body, since] of this.#open) {
      if (body.hasMoved()) this.#open.set(body, now);
      else if (now - since >= this.#limits.bodyStallMs) body.source.close('the body of a mutation does not go on');
    }
    if (this.#open.size > 0) this.#sweep = this.#env.clock.after(sweepMs, () => this.#closeStalled());
  }
}

class ArrivingBody implements BodySink {
  readonly source: Peer;
  readonly #arrival: Arrival;
  readonly #sums: BlockSums;
  readonly #done: () => void;
  #at = 0;
  #seenAt = 0;
  /** Bytes that are to be kept arrive where they are kept. */
  readonly space?: () => Uint8Array;

  constructor(arrival: Arrival, crc32: Crc32, done: () => void) {
    this.#arrival = arrival;
    this.source = arrival.source;
    this.#sums = new BlockSums(crc32);
    this.#done = done;
    const { data } = arrival;
    if (data !== undefined) this.space = () => data.bytes.subarray(this.#at);
  }

  hasMoved(): boolean {
    const moved = this.#at !== this.#seenAt;
    this.#seenAt = this.#at;
    return moved;
  }

  piece(bytes: Uint8Array): void {
    this.#arrival.forward?.piece(bytes);
    this.#sums.add(bytes);
    this.#at += bytes.length;
  }

  end(): void {
    this.#done();
    this.#arrival.forward?.end();
    this.#arrival.whole(this.#sums.finish());
  }

  aborted(): void {
    this.#done();
    this.#arrival.forward?.abort();
    this.#arrival.aborted();
  }
}
