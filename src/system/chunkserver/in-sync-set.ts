/**
 * The in-sync set of one lease: the grant that the lease is under, the links to the secondaries, and who of them has failed. It is made
 * equal before the first mutation under a version (recovery), after the master has excluded those that failed. The version only
 * rises, and no set is equal while a member of it is known to have failed or a newer grant is there.
 */
import { assert } from '../../core/base/assert.ts';
import type { ChunkVersion, ServerId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { Grant } from '../../core/protocol/types.ts';
import type { LeaseWorld } from './lease-world.ts';
import { type Recovered, recoverReplicas } from './recovery.ts';
import type { ReplicaLink } from './replica-link.ts';

/** Time-outs of one moment come to light within so long: each connection looks for its own now and then. */
const sameMomentMs = 100;
/** Renewals in a row, each without a member that failed in the one before. */
const renewalsMax = 16;

/** The lease, as its set sees it. */
export interface SetHolder {
  /** Asked anew after each await. */
  readonly isEnded: () => boolean;
  /** Mutations that were ordered and are not settled. */
  readonly pending: () => number;
  /** Goes on under another grant from now on. */
  readonly adopted: () => void;
}

export class InSyncSet {
  readonly #world: LeaseWorld;
  readonly #holder: SetHolder;
  #grant: Grant;
  #newerGrant: Grant | undefined;
  #links: readonly ReplicaLink[] = [];
  readonly #failed = new Map<ServerId, CairnError>();
  /** Those of them that did not say in time that they have a mutation. */
  readonly #silent = new Set<ServerId>();
  /** Versions under which members were, or may have been, made equal to this server since what is pending was ordered. */
  readonly #begun = new Set<ChunkVersion>();
  #isDoubtful = false;

  constructor(world: LeaseWorld, grant: Grant, holder: SetHolder) {
    this.#world = world;
    this.#grant = grant;
    this.#holder = holder;
  }

  get grant(): Grant {
    return this.#grant;
  }
  /** To the secondaries. */
  get links(): readonly ReplicaLink[] {
    return this.#links;
  }

  /** @returns whether the grant is newer than all that are known; then the set is to be made equal under it */
  offer(grant: Grant): boolean {
    if (grant.version <= (this.#newerGrant ?? this.#grant).version) return false;
    this.#newerGrant = grant;
    return true;
  }

  /** The grant may be one of before: nothing begins until the master has given another. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  /** The set is to be made equal without this member. */
  memberFailed(server: ServerId, error: CairnError): void {
    this.#failed.set(server, error);
    if (error.code === 'TIMED_OUT') this.#silent.add(server);
  }

  /** The members are equal: mutations may be ordered. */
  begin(): void {
    this.#begun.clear();
    this.#links = this.#linksOf(this.#grant);
  }

  /**
   * Returns when all members are equal, or the lease has ended.
   * @throws CairnError REPLICA_FAILED when members fail one after another or cannot be excluded, NOT_PRIMARY, and what recovery throws
   */
  async makeEqual(): Promise<void> {
    const { isEnded } = this.#holder;
    for (let n = 0; n < renewalsMax && !isEnded(); n++) {
      if (this.#silent.size > 0) await this.#othersOfThisMoment();
      if (isEnded()) return;
      if (this.#isDoubtful) this.#adopt(await this.#confirmed());
      else if (this.#newerGrant !== undefined) this.#adopt(this.#newerGrant);
      else if (this.#failed.size > 0) this.#adopt(await this.#exclude());
      if (isEnded()) return;
      const { failed, wasBehind } = await this.#recover();
      for (const [server, error] of failed) this.#failed.set(server, error);
      this.#mustHaveLed(wasBehind);
      if (this.#failed.size === 0 && this.#newerGrant === undefined) return;
    }
    if (isEnded()) return;
    throw new CairnError(
      'REPLICA_FAILED',
      `chunk ${this.#grant.handle}: its members fail one after another; ask for a new grant`,
    );
  }

  #recover(): Promise<Recovered> {
    const { handle, version, knownLength: length, durability, mode } = this.#grant;
    this.#links = this.#linksOf(this.#grant);
    this.#begun.add(version);
    const isDurable = durability === 'disk';
    // In mode gfs nothing is pending here: it was ordered under another one, and is acknowledged once all are equal.
    const isReconciled = mode !== 'gfs' || !isDurable || this.#holder.pending() > 0;
    const expected = { length, isDurable, isReconciled };
    return recoverReplicas(this.#world, handle, version, this.#links, expected);
  }

  /**
   * Who has ordered under a version is ahead of all others in it, so what was ordered here is in what they have now; but for a member
   * that was made equal to this one under a later version, before another one failed.
   */
  #mustHaveLed(wasBehind: ChunkVersion | undefined): void {
    const isOwn = wasBehind === undefined || this.#begun.has(wasBehind);
    const { handle } = this.#grant;
    assert(isOwn || this.#holder.pending() === 0, 'a primary that has ordered is not behind', { handle });
  }

  #adopt(grant: Grant): void {
    this.#grant = grant;
    this.#newerGrant = undefined;
    this.#failed.clear();
    this.#silent.clear();
    this.#holder.adopted();
  }

  #linksOf(grant: Grant): readonly ReplicaLink[] {
    return grant.replicas.slice(1).map((replica) => this.#world.links.to(replica));
  }

  /** While the master was asked another may have come that it has given since. */
  #laterOf(grant: Grant): Grant {
    return this.#newerGrant !== undefined && this.#newerGrant.version > grant.version ? this.#newerGrant : grant;
  }

  async #confirmed(): Promise<Grant> {
    const { handle } = this.#grant;
    const { version } = this.#newerGrant ?? this.#grant;
    try {
      const grant = await this.#world.exclude({ server: this.#world.self, handle, version, failed: [] });
      this.#isDoubtful = false;
      return this.#laterOf(grant);
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code !== 'STALE_HANDLE' && error.code !== 'NOT_PRIMARY') throw error;
      const message = `chunk ${handle} is not on this server, and is not to be (${error.message}); ask for a new grant`;
      throw new CairnError('STALE_VERSION', message, { cause: error });
    }
  }

  /** One that is silent is mostly not alone; and none of their calls must be under way any more that could fail, with its connection, in recovery. */
  #othersOfThisMoment(): Promise<void> {
    return new Promise((resolve) => this.#world.env.clock.after(sameMomentMs, resolve));
  }

  /**
   * Who is silent may wait for bytes that one before it in the chain did not pass on: of those only the first of the chain is left out. How it
   * is with the others recovery finds out.
   */
  #toBlame(): readonly ServerId[] {
    const first = this.#grant.replicas.find(({ server }) => this.#silent.has(server));
    return [...this.#failed.keys()].filter((server) => server === first?.server || !this.#silent.has(server));
  }

  async #exclude(): Promise<Grant> {
    const { env, self } = this.#world;
    const { handle, version } = this.#grant;
    const failed = this.#toBlame();
    const reasons = [...this.#failed].map(([server, error]) => `${server}: ${error.code} ${error.message}`);
    env.events.emit('warn', 'chunkserver.replicaFailed', { handle, version, reasons });
    let grant: Grant;
    try {
      grant = this.#laterOf(await this.#world.exclude({ server: self, handle, version, failed }));
    } catch (cause) {
      throw new CairnError(
        'REPLICA_FAILED',
        `chunk ${handle}: ${reasons.join('; ')}; the master did not exclude it: ${toCairnError(cause).message}`,
        { cause, hint: failed.join(',') },
      );
    }
    if (grant.replicas[0]?.server !== self) {
      throw new CairnError('NOT_PRIMARY', `chunk ${handle} has another primary now; ask for a new grant`);
    }
    return grant;
  }
}
