/**
 * One chunk lease of this server: it is the primary of one version of a chunk. It orders the mutations, has every member of the set
 * carry them out in that order, and answers the client when all have.
 *
 *     renewing ──▶ active ──▶ closing ──▶ ended
 *        ▲           │
 *        └───────────┘   a secondary failed, or a newer grant came
 *
 * Renewing makes the members equal (recovery), after the master has excluded those that failed. It carries along what was ordered and not
 * yet acknowledged: all of that is written here, so that the members hold it afterwards too. A lease that cannot go on ends with an
 * error; what was not acknowledged fails with it, and the chunk waits for another grant.
 *
 * The lease owns its state and what waits to be ordered until it is active. Its parts own the rest: the set of the members, the order of
 * the mutations, and who holds each of them.
 */
import type { ChunkHandle, ChunkVersion, ServerId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { Grant } from '../../core/protocol/types.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { InSyncSet } from './in-sync-set.ts';
import type { LeaseWorld } from './lease-world.ts';
import type { Mutation, Placement } from './mutation.ts';
import { type Beginning, MutationOrder } from './mutation-order.ts';
import { replicate } from './replicate.ts';

type State = 'renewing' | 'active' | 'closing' | 'ended';

export class Lease {
  readonly handle: ChunkHandle;
  readonly #world: LeaseWorld;
  readonly #onEnded: (lease: Lease) => void;
  readonly #set: InSyncSet;
  readonly #acknowledgements: Acknowledgements;
  /** Of the mutations under the version that is active. */
  #order: MutationOrder;
  #state: State = 'renewing';
  /** It renews, and was closing: it is to be closed again. */
  #isClosing = false;
  /** Not ordered yet. */
  #waiting: Mutation[] = [];
  #whenReady: { readonly resolve: () => void; readonly reject: (error: CairnError) => void }[] = [];
  #endedBy: CairnError | undefined;
  /** Bodies on their way for it. */
  arriving = 0;
  lastUsedAt: number;
  reportedLength: number | undefined;

  constructor(world: LeaseWorld, grant: Grant, onEnded: (lease: Lease) => void) {
    this.#world = world;
    this.#onEnded = onEnded;
    this.handle = grant.handle;
    this.#set = new InSyncSet(world, grant, {
      isEnded: () => this.#state === 'ended',
      pending: () => this.#acknowledgements.pending,
      adopted: () => {
        this.reportedLength = undefined;
      },
    });
    this.#acknowledgements = new Acknowledgements(world.limits.asyncLagBytesMax, {
      mayAlone: () => world.session.isValid,
      acknowledged: () => this.#acknowledged(),
    });
    this.#order = this.#orderFrom({ info: undefined, window: [] });
    this.lastUsedAt = world.env.clock.now();
  }

  get version(): ChunkVersion {
    return this.#set.grant.version;
  }
  get state(): State {
    return this.#state;
  }
  get acknowledgedLength(): number {
    return this.#acknowledgements.lengthBytes;
  }
  /** Bytes that were acknowledged and that some member does not hold yet. */
  get lagBytes(): number {
    return this.#acknowledgements.lagBytes;
  }
  get isQuiet(): boolean {
    return this.#acknowledgements.pending === 0 && this.#waiting.length === 0 && this.arriving === 0;
  }

  /** For a chunk that was just made: there is nothing to make equal. */
  beginEmpty(): void {
    this.#activate();
  }

  /** For a version that is new to this replica. @param isDoubtful the grant may be older than this process */
  beginWithRecovery(isDoubtful: boolean): void {
    if (isDoubtful) this.#set.doubt();
    void this.#renew();
  }

  /**
   * The master has granted a newer version to this server: goes on under it.
   * @returns false if it has ended instead, and another lease is to begin: in mode gfs members that differ stay so, and what is under way may be
   * on some of them only
   */
  renewWith(grant: Grant): boolean {
    if (this.#set.grant.mode === 'gfs' && this.#state === 'active' && this.#acknowledgements.pending > 0) {
      const message = `chunk ${this.handle} has version ${grant.version} now; ask for its grant`;
      this.end(new CairnError('STALE_VERSION', message));
      return false;
    }
    if (this.#set.offer(grant) && this.#state === 'active') void this.#renew();
    return true;
  }

  /**
   * Takes a mutation whose bytes are here. Once it was refused while closing none is taken that comes later, or a client would find laid before
   * it what it has sent behind it.
   * @throws CairnError BUSY
   */
  take(mutation: Mutation): void {
    this.lastUsedAt = this.#world.env.clock.now();
    if (this.#state === 'active') this.#carryOut(mutation);
    else if (this.#state !== 'renewing' || this.#isClosing) mutation.fail(this.#refusal());
    else if (this.#waiting.length >= this.#world.limits.waitingPerLeaseMax) throw this.#tooManyWait();
    else this.#waiting.push(mutation);
  }

  /** Resolves when it is active. @throws CairnError why it has ended */
  ready(): Promise<void> {
    if (this.#state === 'active') return Promise.resolve();
    if (this.#state !== 'renewing') return Promise.reject(this.#refusal());
    return new Promise((resolve, reject) => this.#whenReady.push({ resolve, reject }));
  }

  /** Takes no mutation any more; resolves with the length when all that were ordered are settled. @throws CairnError why it failed */
  async close(): Promise<number> {
    await this.ready();
    if (this.#state === 'active') this.#state = 'closing';
    // What waited while the members were made equal is ordered behind what was settled then.
    while (this.#acknowledgements.pending > 0) await this.#acknowledgements.whenQuiet();
    if (this.#endedBy !== undefined) throw this.#endedBy;
    this.release();
    return this.acknowledgedLength;
  }

  /** Gives the lease up, when it is quiet: no mutation under this version succeeds any more. */
  release(): void {
    if (this.#state !== 'ended') this.#finish(undefined);
  }

  /** A newer version of the chunk has another primary, or this replica is going: nothing more succeeds. */
  end(error: CairnError): void {
    if (this.#state !== 'ended') this.#finish(error);
  }

  // ---------------------------------------------------------------- mutations

  #carryOut(mutation: Mutation): void {
    let placement: Placement | undefined;
    try {
      placement = this.#order.give(mutation);
    } catch (thrown) {
      mutation.fail(toCairnError(thrown));
      return;
    }
    if (placement === undefined && mutation.isSentOn) this.#acknowledgements.sentOn(mutation);
    if (placement === undefined && mutation.missing === 0) {
      mutation.succeed();
      return;
    }
    this.#acknowledgements.ordered(mutation);
    if (placement !== undefined) this.#replicate(mutation, placement);
  }

  #replicate(mutation: Mutation, placement: Placement): void {
    const { grant, links } = this.#set;
    const { version } = grant;
    replicate(this.#world, grant, links, mutation, placement, {
      written: (error) => this.#written(mutation, version, error),
      applied: (server, error) => this.#applied(mutation, version, server, error),
    });
  }

  #written(mutation: Mutation, version: ChunkVersion, error: CairnError | undefined): void {
    if (error === undefined) {
      const isCurrent = version === this.version && this.#state !== 'ended';
      if (this.#set.grant.mode === 'async' && isCurrent) this.#acknowledgements.writtenFirst(mutation);
      this.#arrived(mutation, version);
    } else this.end(new CairnError(error.code, error.message, { cause: error, hint: String(this.#world.self) }));
  }

  #applied(mutation: Mutation, version: ChunkVersion, server: ServerId, error: CairnError | undefined): void {
    if (error === undefined) this.#arrived(mutation, version);
    else if (version === this.version && this.#state !== 'ended') this.#memberFailed(server, error);
  }

  /** An acknowledgement under an older version means nothing any more: recovery has settled the mutation, or will. */
  #arrived(mutation: Mutation, version: ChunkVersion): void {
    if (version !== this.version || this.#state === 'ended') return;
    this.#acknowledgements.arrived(mutation);
  }

  #acknowledged(): void {
    this.lastUsedAt = this.#world.env.clock.now();
    this.#world.changed(this.handle);
  }

  // ---------------------------------------------------------------- renewing

  #memberFailed(server: ServerId, error: CairnError): void {
    if (error.code === 'STALE_VERSION') {
      this.end(error);
      return;
    }
    if (error.code === 'EXISTS') {
      this.#giveWay(error);
      return;
    }
    if (this.#set.grant.mode === 'gfs') {
      this.#failAsInPaper(server, error);
      return;
    }
    this.#set.memberFailed(server, error);
    if (this.#state === 'active' || this.#state === 'closing') void this.#renew();
  }

  /**
   * What was under way may be on some members and not on others, and stays so: the client tries again, at another place (GFS §3.1, §3.3).
   * The next grant finds out who is up.
   */
  #failAsInPaper(server: ServerId, cause: CairnError): void {
    const { env } = this.#world;
    env.events.emit('warn', 'chunkserver.mutationFailed', { handle: this.handle, server, code: cause.code });
    this.end(new CairnError('REPLICA_FAILED', `server ${server} failed: ${cause.message}`, { cause }));
  }

  /**
   * A secondary has carried out under this version what this server knows nothing of: it has lost the chunk, and began it anew. The others
   * have it; what is here must never be taken for it.
   */
  #giveWay(cause: CairnError): void {
    const { store, writer, env, self } = this.#world;
    const message = `chunk ${this.handle} was lost on this server; ask for a new grant`;
    env.events.emit('error', 'chunkserver.chunkLost', { handle: this.handle, version: this.version });
    this.end(new CairnError('CHUNK_MISSING', message, { cause, hint: String(self) }));
    writer
      .exclusive(this.handle, () => store.remove(this.handle))
      .catch((error: unknown) => env.events.emit('error', 'chunkserver.removeFailed', { handle: this.handle, error }));
  }

  async #renew(): Promise<void> {
    this.#isClosing = this.#state === 'closing';
    this.#state = 'renewing';
    try {
      await this.#set.makeEqual();
      if (this.#isEnded()) return;
      const { replicas, minReplicas } = this.#set.grant;
      if (replicas.length >= minReplicas) this.#acknowledgements.settleRecovered();
      else this.#refuseMutations(this.#tooFew());
      this.#activate();
      if (this.#isClosing && !this.#isEnded()) this.#state = 'closing';
    } catch (thrown) {
      this.end(toCairnError(thrown));
    }
  }

  #activate(): void {
    const { store } = this.#world;
    const info = store.info(this.handle);
    this.#state = 'active';
    this.#set.begin();
    this.#order = this.#orderFrom({ info, window: store.windowOf(this.handle) });
    this.#acknowledgements.begin(info);
    this.#world.changed(this.handle);
    for (const { resolve } of this.#whenReady.splice(0)) resolve();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const mutation of waiting) this.take(mutation);
  }

  #orderFrom(beginning: Beginning): MutationOrder {
    const { limits, env } = this.#world;
    return new MutationOrder(this.#set.grant, beginning, limits.windowWritersMax, env.crc32);
  }

  // ---------------------------------------------------------------- the end

  /** Asked anew after each await. */
  #isEnded(): boolean {
    return this.#state === 'ended';
  }

  #finish(error: CairnError | undefined): void {
    this.#state = 'ended';
    this.#endedBy = error;
    // A lease that is given up has nobody to refuse, and an error costs more to make than all the rest.
    const concerned = this.#acknowledgements.pending + this.#waiting.length + this.#whenReady.length;
    if (concerned > 0) this.#refuseAll(this.#refusal());
    this.#acknowledgements.end();
    this.#onEnded(this);
    this.#world.changed(this.handle);
  }

  #refuseAll(refusal: CairnError): void {
    this.#refuseMutations(refusal);
    for (const { reject } of this.#whenReady.splice(0)) reject(refusal);
  }

  #refuseMutations(refusal: CairnError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#acknowledgements.failAll(refusal);
    for (const mutation of waiting) mutation.fail(refusal);
  }

  #refusal(): CairnError {
    return (
      this.#endedBy ??
      new CairnError(
        'STALE_VERSION',
        `the lease of chunk ${this.handle}, version ${this.version}, was given up; ask for a new grant`,
      )
    );
  }

  /** Of a set that is only brought together: on it no mutation is as safe as its file asks for. */
  #tooFew(): CairnError {
    const { replicas, minReplicas } = this.#set.grant;
    const what = `chunk ${this.handle} has ${replicas.length} replicas by now, its file asks for ${minReplicas}`;
    return new CairnError('REPLICA_FAILED', `${what}; wait for copies, and ask for a new grant`);
  }

  #tooManyWait(): CairnError {
    return new CairnError('BUSY', `${this.#waiting.length} mutations wait for chunk ${this.handle}; try again later`);
  }
}
