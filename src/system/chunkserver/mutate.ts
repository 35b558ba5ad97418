/**
 * The call `mutate`: takes a client's mutation in, and hands it to its lease when its bytes are whole and right. Small bodies are kept as
 * they come, and go to the secondaries with the order; large ones flow down the chain meanwhile.
 */
import type { BodySink, Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { packetMaxBytes, smallMutationMaxBytes } from '../../core/protocol/types.ts';
import { collectBody, emptyBody } from '../rpc/body.ts';
import type { CallContext, Peer, StreamHandler } from '../rpc/handlers.ts';
import { chunkBytesMax, forgottenWriter } from '../storage/chunk-store.ts';
import type { Activity } from './activity.ts';
import type { BytePool, PooledBytes, SmallBytePool } from './byte-pool.ts';
import type { Intake } from './intake.ts';
import type { Lease } from './lease.ts';
import type { Leases } from './leases.ts';
import type { Limits } from './limits.ts';
import { Mutation, type Pushed } from './mutation.ts';
import type { Pipeline } from './pipeline.ts';
import { RefusedAppends } from './refused-appends.ts';
import type { Session } from './session.ts';

type MutateSpec = (typeof chunkCalls)['mutate'];
type MutateRequest = RequestOf<MutateSpec>;
type AppendKind = Extract<MutateRequest['kind'], { kind: 'append' }>;

/** GFS §3.3: a record takes at most a quarter of a chunk, to keep padding small. */
const recordShareOfChunk = 4;

export interface MutateWorld {
  readonly env: Env;
  readonly limits: Limits;
  readonly session: Session;
  readonly leases: Leases;
  readonly pool: BytePool;
  readonly smallPool: SmallBytePool;
  readonly intake: Intake;
  readonly pipeline: Pipeline;
  readonly activity: Activity;
}

/** A body that is here. */
interface Taken {
  readonly body: Uint8Array;
  readonly sum: number;
  readonly blockChecksums: readonly number[] | undefined;
  readonly pushed: Pushed | undefined;
  readonly pooled: PooledBytes | undefined;
}

const smallBody = { blockChecksums: undefined, pushed: undefined };

interface PeerUse {
  bytes: number;
  isHeld: boolean;
}

export class MutateHandler implements StreamHandler<MutateSpec> {
  readonly #world: MutateWorld;
  readonly #peers = new Map<Peer, PeerUse>();
  readonly #refused: RefusedAppends;
  #bytes = 0;

  constructor(world: MutateWorld) {
    this.#world = world;
    this.#refused = new RefusedAppends(world.env.clock);
  }

  /** Of mutations that are not answered yet. */
  get bytes(): number {
    return this.#bytes;
  }

  begin(request: MutateRequest, bodyBytes: number, context: CallContext): BodySink | undefined {
    const { grant, kind } = request;
    this.#refused.mustBeNext(grant.handle, kind);
    try {
      return this.#begin(request, bodyBytes, context);
    } catch (thrown) {
      this.#refused.note(grant.handle, kind, toCairnError(thrown));
      throw thrown;
    }
  }

  #begin(request: MutateRequest, bodyBytes: number, context: CallContext): BodySink | undefined {
    const { session, leases, limits } = this.#world;
    session.mustBeValid();
    this.#world.activity.note();
    checkShape(request, bodyBytes);
    if (this.#bytes + bodyBytes > limits.mutationBytesMax) {
      throw new CairnError('BUSY', `${this.#bytes} bytes of mutations are under way here; try again later`);
    }
    mustBeEnough(request);
    const lease = leases.under(request.grant);
    const isBulk = bodyBytes > smallMutationMaxBytes;
    const pooled = isBulk ? this.#world.pool.take(bodyBytes) : undefined;
    if (isBulk && pooled === undefined) {
      throw new CairnError('BUSY', 'all buffers for bulk mutations are in use here; try again later');
    }
    lease.arriving += 1;
    this.#bytes += bodyBytes;
    if (bodyBytes === 0) {
      this.#whole(request, { ...smallBody, body: emptyBody, sum: 0, pooled: undefined }, context, lease);
      return undefined;
    }
    if (pooled === undefined) return this.#beginSmall(request, bodyBytes, context, lease);
    return this.#beginBulk(request, bodyBytes, context, lease, pooled);
  }

  peerClosed(peer: Peer): void {
    this.#peers.delete(peer);
  }

  #beginSmall(request: MutateRequest, bodyBytes: number, context: CallContext, lease: Lease): BodySink {
    const { crc32 } = this.#world.env;
    const pooled = this.#world.smallPool.take(bodyBytes);
    return collectBody(
      bodyBytes,
      (body) => this.#whole(request, { ...smallBody, body, sum: crc32(body), pooled }, context, lease),
      () => {
        this.#brokeOff(bodyBytes, context, lease);
        pooled?.release();
      },
      pooled?.bytes,
    );
  }

  #beginBulk(
    request: MutateRequest,
    bodyBytes: number,
    context: CallContext,
    lease: Lease,
    pooled: PooledBytes,
  ): BodySink {
    const { env, intake, pipeline, limits } = this.#world;
    const { grant, crc } = request;
    const dataId = env.random.id53();
    return intake.begin({
      data: pooled,
      forward: pipeline.forward(context.peer, grant.replicas.slice(1), {
        dataId,
        crc,
        bodyBytes,
        data: pooled,
      }),
      source: context.peer,
      whole: ({ whole: sum, blocks: blockChecksums }) => {
        const pushed = { dataId, version: grant.version, until: env.clock.now() + limits.pushedMaxMs };
        this.#whole(request, { body: pooled.bytes, sum, blockChecksums, pushed, pooled }, context, lease);
      },
      aborted: () => {
        this.#brokeOff(bodyBytes, context, lease);
        pooled.release();
      },
    });
  }

  #whole(
    request: MutateRequest,
    { body, sum, blockChecksums, pushed, pooled }: Taken,
    context: CallContext,
    lease: Lease,
  ): void {
    lease.arriving -= 1;
    this.#charge(context.peer, body.length);
    const { kind, chunkBytes, crc, grant } = request;
    const settled = () => this.#discharge(context.peer, body.length);
    const mutation = new Mutation({ kind, chunkBytes, body, crc, blockChecksums, pushed, context, pooled, settled });
    try {
      if (sum !== crc) {
        const message = `a mutation of chunk ${grant.handle} arrived damaged; send it again`;
        throw new CairnError('CHECKSUM_MISMATCH', message);
      }
      // The lease may have ended while the bytes came, and a newer grant may have begun another one.
      this.#world.leases.under(grant).take(mutation);
    } catch (thrown) {
      const error = toCairnError(thrown);
      this.#refused.note(grant.handle, kind, error);
      mutation.fail(error);
    }
  }

  #brokeOff(bodyBytes: number, context: CallContext, lease: Lease): void {
    lease.arriving -= 1;
    this.#bytes -= bodyBytes;
    context.fail(new CairnError('ABORTED', 'the body broke off'));
  }

  /** Counts what is here whole: a peer is held between two bodies, never within one. */
  #charge(peer: Peer, bytes: number): void {
    let use = this.#peers.get(peer);
    if (use === undefined) {
      use = { bytes: 0, isHeld: false };
      this.#peers.set(peer, use);
    }
    use.bytes += bytes;
    if (use.isHeld || use.bytes < this.#world.limits.mutationBytesPerPeerMax) return;
    use.isHeld = true;
    peer.hold();
  }

  #discharge(peer: Peer, bytes: number): void {
    this.#bytes -= bytes;
    const use = this.#peers.get(peer);
    if (use === undefined) return;
    use.bytes -= bytes;
    if (!use.isHeld || use.bytes >= this.#world.limits.mutationBytesPerPeerMax) return;
    use.isHeld = false;
    peer.unhold();
  }
}

/** A grant that only serves to bring a chunk back together. @throws CairnError UNAVAILABLE */
function mustBeEnough({ grant: { handle, replicas, minReplicas } }: MutateRequest): void {
  if (replicas.length >= minReplicas) return;
  const what = `chunk ${handle} has ${replicas.length} replicas, its file asks for ${minReplicas}`;
  throw new CairnError('UNAVAILABLE', `${what}; wait for copies, and ask for a new grant`);
}

/** @throws CairnError INVALID_ARGUMENT, TOO_LARGE, RECORD_TOO_LARGE */
function checkShape({ kind, chunkBytes }: MutateRequest, bodyBytes: number): void {
  const isResize = kind.kind === 'resize';
  if (isResize !== (bodyBytes === 0)) {
    throw new CairnError('INVALID_ARGUMENT', `a ${kind.kind} has ${isResize ? 'no bytes' : 'at least one byte'}`);
  }
  if (kind.kind !== 'write' && kind.writer === forgottenWriter) {
    throw new CairnError('INVALID_ARGUMENT', `${forgottenWriter} is no writer; their numbers begin behind it`);
  }
  if (bodyBytes > packetMaxBytes) {
    throw new CairnError('TOO_LARGE', `a mutation of ${bodyBytes} bytes; at most ${packetMaxBytes} are taken`);
  }
  if (chunkBytes < 1 || chunkBytes > chunkBytesMax) {
    throw new CairnError('INVALID_ARGUMENT', `a chunk of ${chunkBytes} bytes; it has 1 … ${chunkBytesMax}`);
  }
  if (kind.kind === 'append') checkRecords(kind, chunkBytes, bodyBytes);
  else {
    const end = kind.kind === 'resize' ? kind.lengthBytes : kind.offset + bodyBytes;
    if (end <= chunkBytes) return;
    throw new CairnError('INVALID_ARGUMENT', `a ${kind.kind} up to ${end} is not within ${chunkBytes} bytes`);
  }
}

function checkRecords({ firstSequence, lengths }: AppendKind, chunkBytes: number, bodyBytes: number): void {
  if (!Number.isSafeInteger(firstSequence + lengths.length)) {
    throw new CairnError('INVALID_ARGUMENT', `sequences from ${firstSequence} on are no numbers any more`);
  }
  const recordMaxBytes = Math.floor(chunkBytes / recordShareOfChunk);
  let sum = 0;
  for (const length of lengths) {
    if (length < 1) throw new CairnError('INVALID_ARGUMENT', 'a record has at least one byte');
    if (length > recordMaxBytes) {
      throw new CairnError('RECORD_TOO_LARGE', `a record of ${length} bytes; at most ${recordMaxBytes} fit this file`);
    }
    sum += length;
  }
  if (sum !== bodyBytes) {
    throw new CairnError('INVALID_ARGUMENT', `records of ${sum} bytes in a body of ${bodyBytes}`);
  }
}
