/** One mutation on its way through the primary: what the client sent, the place it got, and who holds it. */
import { assert } from '../../core/base/assert.ts';
import type { CairnError } from '../../core/base/errors.ts';
import type { MutationKind, WindowRun } from '../../core/protocol/chunk-calls.ts';
import type { CallContext } from '../rpc/handlers.ts';
import type { PooledBytes } from './byte-pool.ts';

/** What was sent down the chain, and for which members. */
export interface Pushed {
  readonly dataId: number;
  /** The version of the grant whose chain it went along. */
  readonly version: number;
  /** An order after that must not count on it. */
  readonly until: number;
}

/** A mutation's place in the chunk, from the primary. */
export interface Placement {
  readonly offset: number;
  readonly bytes: number;
  /** The bytes: the whole body, or stretches of it. */
  readonly parts: readonly Uint8Array[];
  readonly crc: number;
  /** Where the bytes begin in the body; undefined when they are not one stretch of it. */
  readonly bodyAt: number | undefined;
  /** Of the chunk, afterwards. */
  readonly lengthBytes: number;
  readonly window: readonly WindowRun[];
  /** It may make the chunk shorter. */
  readonly isCut: boolean;
}

export interface MutationRequest {
  readonly kind: MutationKind;
  readonly chunkBytes: number;
  readonly body: Uint8Array;
  readonly crc: number;
  readonly pushed: Pushed | undefined;
  readonly context: CallContext;
  /** Of the body's blocks, from its first byte on, where they are known. */
  readonly blockChecksums: readonly number[] | undefined;
  /** The memory of `body`, when it is pooled; the mutation is one of its holders until it is settled. */
  readonly pooled: PooledBytes | undefined;
  /** Called once, with the answer. */
  readonly settled: () => void;
}

export class Mutation {
  readonly request: MutationRequest;
  serial = 0;
  /** Of the lease when the order was given. */
  version = 0;
  placement: Placement | undefined;
  /** The answer: where each record landed. */
  offsets: readonly number[] = [];
  lengthAfter = 0;
  /** Replicas, and mutations with records of ours, that are still to come. */
  missing = 0;
  /** The client has its answer. */
  isSettled = false;
  /** Answered, and not yet held by every member. */
  lagging = false;
  /** Mutations that repeat records of this one, and so share its fate. */
  followers: Mutation[] = [];

  constructor(request: MutationRequest) {
    this.request = request;
  }

  /** Whether it is an append whose client goes on in the next chunk, with what did not fit. */
  get isSentOn(): boolean {
    const { kind } = this.request;
    return kind.kind === 'append' && this.offsets.length < kind.lengths.length;
  }

  /** Whether this makes it whole. */
  arrived(): boolean {
    assert(this.missing > 0, 'nobody acknowledges a mutation twice', { missing: this.missing });
    this.missing -= 1;
    return this.missing === 0;
  }

  succeed(): void {
    this.isSettled = true;
    this.request.context.reply({ offsets: this.offsets, lengthBytes: this.lengthAfter });
    this.#settled();
  }

  fail(error: CairnError): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.request.context.fail(error);
    this.#settled();
    for (const follower of this.followers.splice(0)) follower.fail(error);
  }

  #settled(): void {
    this.request.settled();
    this.request.pooled?.release();
  }
}
