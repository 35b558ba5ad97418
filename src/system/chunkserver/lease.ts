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
 */

import { assert, unreachable } from '../../core/base/assert.ts';
import type { ChunkHandle, ChunkVersion, ServerId } from '../../core/base/brand.ts';
import { toMutationSerial } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { type MutationKind, refusedCodes } from '../../core/protocol/chunk-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { ChunkMutation, WindowEntry } from '../storage/chunk-store.ts';
import { AppendWindow } from './append-window.ts';
import type { LeaseWorld } from './lease-world.ts';
import type { Mutation, Placement } from './mutation.ts';
import { placeAppend, placeResize, placeWrite } from './placing.ts';
import { recoverReplicas } from './recovery.ts';
import type { ReplicaLink } from './replica-link.ts';
import { entriesOf } from './window-runs.ts';

type State = 'renewing' | 'active' | 'closing' | 'ended';

/** Renewals in a row, each without a member that failed in the one before. */
const renewalsMax = 16;

export class Lease {
  readonly handle: ChunkHandle;
  readonly #world: LeaseWorld;
  readonly #onEnded: (lease: Lease) => void;
  #grant: Grant;
  #state: State = 'renewing';
  #links: readonly ReplicaLink[] = [];
  #serial = 0;
  /** With all that was ordered. */
  #orderedLength = 0;
  #acknowledgedLength = 0;
  /** The highest that was acknowledged. */
  #settledSerial = 0;
  /** Mode async: acknowledged here, not yet held by every member. */
  #lagBytes = 0;
  /** Mode async: written here, and not acknowledged because the others lag too far behind. */
  #held: Mutation[] = [];
  #window: AppendWindow<Mutation>;
  /** Ordered, not settled. */
  readonly #pending = new Set<Mutation>();
  /** Not ordered yet. */
  #waiting: Mutation[] = [];
  readonly #failed = new Map<ServerId, CairnError>();
  /** Versions under which members were, or may have been, made equal to this server since what is pending was ordered. */
  readonly #begun = new Set<ChunkVersion>();
  #newerGrant: Grant | undefined;
  #whenQuiet: (() => void)[] = [];
  #whenReady: { readonly resolve: () => void; readonly reject: (error: CairnError) => void }[] = [];
  #endedBy: CairnError | undefined;
  /** Bodies on their way for it. */
  arriving = 0;
  lastUsedAt: number;
  reportedLength: number | undefined;

  constructor(world: LeaseWorld, grant: Grant, onEnded: (lease: Lease) => void) {
    this.#world = world;
    this.#grant = grant;
    this.#onEnded = onEnded;
    this.handle = grant.handle;
    this.#window = this.#windowOf([]);
    this.lastUsedAt = world.env.clock.now();
  }

  get version(): ChunkVersion {
    return this.#grant.version;
  }
  get state(): State {
    return this.#state;
  }
  get acknowledgedLength(): number {
    return this.#acknowledgedLength;
  }
  /** Bytes that were acknowledged and that some member does not hold yet. */
  get lagBytes(): number {
    return this.#lagBytes;
  }
  get isQuiet(): boolean {
    return this.#pending.size === 0 && this.#waiting.length === 0 && this.arriving === 0;
  }

  /** For a chunk that was just made: there is nothing to make equal. */
  beginEmpty(): void {
    this.#activate();
  }

  /** For a version that is new to this replica. */
  beginWithRecovery(): void {
    void this.#renew();
  }

  /** The master has granted a newer version to this server: goes on under it. */
  renewWith(grant: Grant): void {
    if (grant.version <= (this.#newerGrant ?? this.#grant).version) return;
    this.#newerGrant = grant;
    if (this.#state === 'active') void this.#renew();
  }

  /** Takes a mutation whose bytes are here. */
  take(mutation: Mutation): void {
    this.lastUsedAt = this.#world.env.clock.now();
    if (this.#state === 'active') this.#order(mutation);
    else if (this.#state !== 'renewing') mutation.fail(this.#refusal());
    else if (this.#waiting.length >= this.#world.limits.waitingPerLeaseMax) mutation.fail(this.#tooManyWait());
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
    if (this.#pending.size > 0) await new Promise<void>((resolve) => this.#whenQuiet.push(resolve));
    if (this.#endedBy !== undefined) throw this.#endedBy;
    this.release();
    return this.#acknowledgedLength;
  }

  /** Gives the lease up, when it is quiet: no mutation under this version succeeds any more. */
  release(): void {
    if (this.#state !== 'ended') this.#finish(undefined);
  }

  /** A newer version of the chunk has another primary, or this replica is going: nothing more succeeds. */
  end(error: CairnError): void {
    if (this.#state !== 'ended') this.#finish(error);
  }

  // ---------------------------------------------------------------- ordering

  #order(mutation: Mutation): void {
    let placement: Placement | undefined;
    const { kind } = mutation.request;
    try {
      placement = this.#place(mutation, kind);
    } catch (thrown) {
      mutation.fail(toCairnError(thrown));
      return;
    }
    if (placement === undefined && mutation.missing === 0) {
      mutation.succeed();
      return;
    }
    this.#pending.add(mutation);
    if (placement !== undefined) this.#send(mutation, placement);
  }

  /** Undefined when nothing is to be written. @throws CairnError */
  #place(mutation: Mutation, kind: MutationKind): Placement | undefined {
    switch (kind.kind) {
      case 'write':
        return placeWrite(mutation, kind.offset, this.#orderedLength);
      case 'append':
        return this.#placeAppend(mutation, kind);
      case 'resize':
        return placeResize(mutation, kind, this.#orderedLength, this.#window);
      default:
        return unreachable(kind);
    }
  }

  /** In mode gfs nobody remembers what was appended: what is repeated lands again (GFS §3.3). */
  #placeAppend(mutation: Mutation, kind: Extract<MutationKind, { kind: 'append' }>): Placement | undefined {
    const { crc32 } = this.#world.env;
    if (this.#grant.mode !== 'gfs') return placeAppend(mutation, kind, this.#orderedLength, this.#window, crc32);
    const placement = placeAppend(mutation, kind, this.#orderedLength, this.#windowOf([]), crc32);
    return placement === undefined ? undefined : { ...placement, window: [] };
  }

  #send(mutation: Mutation, placement: Placement): void {
    const { version } = this.#grant;
    this.#serial += 1;
    this.#orderedLength = placement.lengthBytes;
    mutation.serial = this.#serial;
    mutation.version = version;
    mutation.placement = placement;
    mutation.missing += 1 + this.#links.length;
    const { pushed, pooled } = mutation.request;
    const order = this.#localOrder(mutation, placement);
    pooled?.retain();
    this.#world.writer.write({
      mutation: order,
      bytes: placement.bytes,
      isCut: placement.isCut,
      written: (error) => {
        pooled?.release();
        this.#written(mutation, version, error);
      },
    });
    const isPushed = pushed !== undefined && pushed.version === version && placement.bodyAt !== undefined;
    const write = {
      order: {
        ...order,
        bytes: placement.bytes,
        crc: placement.crc,
        window: placement.window,
        isCut: placement.isCut,
      },
      parts: placement.parts,
      pushed: isPushed && placement.bytes > 0 ? { dataId: pushed.dataId, at: placement.bodyAt } : undefined,
      applied: (server: ServerId, error: CairnError | undefined) => {
        pooled?.release();
        this.#applied(mutation, version, server, error);
      },
    };
    for (const link of this.#links) {
      pooled?.retain();
      link.apply(write);
    }
  }

  #localOrder(mutation: Mutation, placement: Placement): ChunkMutation {
    const { body, blockChecksums } = mutation.request;
    return {
      handle: this.handle,
      version: this.#grant.version,
      serial: toMutationSerial(mutation.serial),
      offset: placement.offset,
      parts: placement.parts,
      blockChecksums: placement.parts[0] === body ? blockChecksums : undefined,
      lengthBytes: placement.lengthBytes,
      window: entriesOf(placement.window),
      sync: this.#grant.durability === 'disk',
    };
  }

  // ---------------------------------------------------------------- acknowledgements

  #written(mutation: Mutation, version: ChunkVersion, error: CairnError | undefined): void {
    if (error === undefined) {
      if (this.#grant.mode === 'async' && version === this.version) this.#writtenFirst(mutation);
      this.#arrived(mutation, version);
    } else this.end(new CairnError(error.code, error.message, { cause: error, hint: String(this.#world.self) }));
  }

  #applied(mutation: Mutation, version: ChunkVersion, server: ServerId, error: CairnError | undefined): void {
    if (error === undefined) this.#arrived(mutation, version);
    else if (version === this.version && this.#state !== 'ended') this.#memberFailed(server, error);
  }

  /** An acknowledgement under an older version means nothing any more: recovery has settled the mutation, or will. */
  #arrived(mutation: Mutation, version: ChunkVersion): void {
    if (version !== this.version || !this.#pending.has(mutation) || this.#state === 'ended') return;
    if (mutation.arrived()) this.#settle(mutation);
  }

  /** Mode async: held here, which is enough unless the others lag too far behind. */
  #writtenFirst(mutation: Mutation): void {
    if (mutation.isSettled || this.#state === 'ended' || mutation.missing === 1) return;
    this.#held.push(mutation);
    this.#acknowledgeHeld();
  }

  #acknowledgeHeld(): void {
    while (this.#held.length > 0 && this.#lagBytes < this.#world.limits.asyncLagBytesMax) {
      const mutation = this.#held.shift()!;
      if (mutation.isSettled) continue;
      this.#lagBytes += mutation.placement?.bytes ?? 0;
      mutation.lagging = true;
      this.#acknowledge(mutation);
    }
  }

  /** Every member holds it. */
  #settle(mutation: Mutation): void {
    this.#pending.delete(mutation);
    if (mutation.lagging) {
      mutation.lagging = false;
      this.#lagBytes -= mutation.placement?.bytes ?? 0;
    }
    this.#acknowledge(mutation);
    if (this.#held.length > 0) this.#acknowledgeHeld();
    if (this.#pending.size === 0) for (const go of this.#whenQuiet.splice(0)) go();
  }

  #acknowledge(mutation: Mutation): void {
    if (mutation.isSettled) return;
    // Who holds it holds all that was ordered before it.
    if (mutation.placement !== undefined && mutation.serial > this.#settledSerial) {
      this.#settledSerial = mutation.serial;
      this.#acknowledgedLength = mutation.placement.lengthBytes;
    }
    this.lastUsedAt = this.#world.env.clock.now();
    mutation.succeed();
    this.#world.changed(this.handle);
    for (const follower of mutation.followers.splice(0)) {
      if (!follower.isSettled && follower.arrived()) this.#settle(follower);
    }
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
    if (this.#grant.mode === 'gfs') {
      this.#failAsInPaper(server, error);
      return;
    }
    this.#failed.set(server, error);
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
    const isClosing = this.#state === 'closing';
    this.#state = 'renewing';
    try {
      await this.#renewUntilEqual();
      if (this.#isEnded()) return;
      this.#settleRecovered();
      this.#activate();
      if (isClosing && !this.#isEnded()) this.#state = 'closing';
    } catch (thrown) {
      this.end(toCairnError(thrown));
    }
  }

  async #renewUntilEqual(): Promise<void> {
    for (let n = 0; n < renewalsMax && !this.#isEnded(); n++) {
      if (this.#newerGrant !== undefined) this.#adopt(this.#newerGrant);
      else if (this.#failed.size > 0) this.#adopt(await this.#exclude());
      if (this.#isEnded()) return;
      this.#links = this.#linksOf(this.#grant);
      this.#begun.add(this.version);
      const { knownLength: length, durability } = this.#grant;
      const expected = { length, isDurable: durability === 'disk', isReconciled: this.#grant.mode !== 'gfs' };
      const { failed, wasBehind } = await recoverReplicas(
        this.#world,
        this.handle,
        this.version,
        this.#links,
        expected,
      );
      for (const [server, error] of failed) this.#failed.set(server, error);
      // Who has ordered under a version is ahead of all others in it, so what was ordered here is in what they have now; but for a member
      // that was made equal to this one under a later version, before another one failed.
      const isOwn = wasBehind === undefined || this.#begun.has(wasBehind);
      assert(isOwn || this.#pending.size === 0, 'a primary that has ordered is not behind', { handle: this.handle });
      if (this.#failed.size === 0 && this.#newerGrant === undefined) return;
    }
    if (this.#isEnded()) return;
    throw new CairnError(
      'REPLICA_FAILED',
      `chunk ${this.handle}: its members fail one after another; ask for a new grant`,
    );
  }

  #adopt(grant: Grant): void {
    this.#grant = grant;
    this.#newerGrant = undefined;
    this.#failed.clear();
    this.reportedLength = undefined;
  }

  #linksOf(grant: Grant): readonly ReplicaLink[] {
    return grant.replicas.slice(1).map((replica) => this.#world.links.to(replica));
  }

  async #exclude(): Promise<Grant> {
    const failed = [...this.#failed.keys()];
    const reasons = [...this.#failed].map(([server, error]) => `${server}: ${error.code} ${error.message}`);
    const { env, self } = this.#world;
    env.events.emit('warn', 'chunkserver.replicaFailed', { handle: this.handle, version: this.version, reasons });
    let grant: Grant;
    try {
      grant = await this.#world.exclude({ server: self, handle: this.handle, version: this.version, failed });
    } catch (cause) {
      throw new CairnError(
        'REPLICA_FAILED',
        `chunk ${this.handle}: ${reasons.join('; ')}; the master did not exclude it: ${toCairnError(cause).message}`,
        { cause, hint: failed.join(',') },
      );
    }
    if (this.#newerGrant !== undefined && this.#newerGrant.version > grant.version) return this.#newerGrant;
    if (grant.replicas[0]?.server !== self) {
      throw new CairnError('NOT_PRIMARY', `chunk ${this.handle} has another primary now; ask for a new grant`);
    }
    return grant;
  }

  /** What was ordered before is written here, and so every member of the new version holds it. */
  #settleRecovered(): void {
    const recovered = [...this.#pending].sort((a, b) => a.serial - b.serial);
    for (const mutation of recovered) {
      if (mutation.placement !== undefined) this.#settle(mutation);
    }
  }

  #activate(): void {
    const { store } = this.#world;
    const info = store.info(this.handle);
    this.#state = 'active';
    this.#begun.clear();
    this.#links = this.#linksOf(this.#grant);
    this.#serial = info?.serial ?? 0;
    this.#settledSerial = this.#serial;
    this.#orderedLength = info?.lengthBytes ?? 0;
    this.#acknowledgedLength = this.#orderedLength;
    this.#window = this.#windowOf(store.windowOf(this.handle));
    this.#world.changed(this.handle);
    for (const { resolve } of this.#whenReady.splice(0)) resolve();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const mutation of waiting) this.take(mutation);
  }

  #windowOf(entries: readonly WindowEntry[]): AppendWindow<Mutation> {
    return new AppendWindow<Mutation>(this.version, entries, this.#world.limits.windowWritersMax);
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
    if (this.#pending.size + this.#waiting.length + this.#whenReady.length > 0) this.#refuseAll(this.#refusal());
    this.#held = [];
    this.#lagBytes = 0;
    for (const go of this.#whenQuiet.splice(0)) go();
    this.#onEnded(this);
    this.#world.changed(this.handle);
  }

  #refuseAll(refusal: CairnError): void {
    const ordered = [...this.#pending];
    const waiting = this.#waiting;
    this.#pending.clear();
    this.#waiting = [];
    for (const mutation of ordered) mutation.fail(afterOrder(refusal));
    for (const mutation of waiting) mutation.fail(refusal);
    for (const { reject } of this.#whenReady.splice(0)) reject(refusal);
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

  #tooManyWait(): CairnError {
    return new CairnError('BUSY', `${this.#waiting.length} mutations wait for chunk ${this.handle}; try again later`);
  }
}

/** Codes by which clients know that nothing was done are not for what was ordered: members may hold it. */
function afterOrder(refusal: CairnError): CairnError {
  if (!refusedCodes.has(refusal.code)) return refusal;
  return new CairnError('REPLICA_FAILED', refusal.message, { cause: refusal, hint: refusal.hint });
}
