/**
 * The leases of this server. They live in memory only: a lease ends with the process, and a version that the replica holds without a
 * lease here is refused, since it may have been given up. So a grant is good for one lease.
 */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { inventoryPageMax, type LengthReport } from '../../core/protocol/master-calls.ts';
import type { Grant } from '../../core/protocol/types.ts';
import { Lease } from './lease.ts';
import type { LeaseWorld } from './lease-world.ts';

/** Leases that have ended and are remembered; clients have forgotten the grants of older ones. */
const endedMax = 100_000;

/** What a heartbeat tells of leases, and whom to tell that the master has it. */
export interface LeaseReports {
  readonly reports: readonly LengthReport[];
  acknowledged(): void;
}

export class Leases {
  readonly #world: LeaseWorld;
  readonly #leases = new Map<ChunkHandle, Lease>();
  /** Given up, and not yet known to the master. */
  readonly #released = new Map<ChunkHandle, LengthReport>();
  /** Under which version the last lease of a chunk ended, the oldest first: its replica, which tells, may have been removed since. */
  readonly #endedUnder = new Map<ChunkHandle, ChunkVersion>();
  /** No chunk from this handle on was made before this process ran: nobody had a lease of it here that we have forgotten. Unknown until a master has said. */
  #newFrom = Number.POSITIVE_INFINITY;
  /** Of chunks up to here it may have been forgotten that they were here. */
  #forgottenTo = 0;

  constructor(world: LeaseWorld) {
    this.#world = world;
    world.fences.onRaised((handle, version) => this.#overtaken(handle, version));
  }

  get size(): number {
    return this.#leases.size;
  }

  /** Bytes that were acknowledged here and that some replica does not hold yet. */
  get lagBytes(): number {
    let bytes = 0;
    for (const lease of this.#leases.values()) bytes += lease.lagBytes;
    return bytes;
  }

  of(handle: ChunkHandle): Lease | undefined {
    return this.#leases.get(handle);
  }

  /**
   * The lease that this grant is for: the one here, or a new one, which first recovers the chunk unless it begins with it.
   * @param isOfNow the master has just given the grant. One that a client brings may be older than this process: of a chunk that is not here it is
   * confirmed first, since the chunk may have been removed here before.
   * @throws CairnError NOT_PRIMARY, STALE_VERSION, DISK_CORRUPT, BUSY
   */
  under(grant: Grant, isOfNow = false): Lease {
    const { store, fences, self, limits, inventory } = this.#world;
    const { handle, version } = grant;
    if (grant.replicas[0]?.server !== self) {
      throw new CairnError('NOT_PRIMARY', `server ${self} is not the primary of chunk ${handle}; ask for a new grant`);
    }
    inventory.mustBeSound(handle);
    const lease = this.#leases.get(handle);
    if (lease?.version === version) return lease;
    const info = store.info(handle);
    const known = Math.max(lease?.version ?? 0, info?.version ?? 0, fences.of(handle));
    const isUsed = info?.version === version || this.hasEnded(handle, version);
    if (known > version || (isUsed && lease === undefined)) throw stale(handle, version, known);
    if (lease?.renewWith(grant) === true) return lease;
    if (this.#leases.size >= limits.leasesMax) {
      throw new CairnError('BUSY', `${limits.leasesMax} leases are open; try again later`);
    }
    if (info !== undefined) return this.#begin(grant, 'here');
    if (version === 1 && this.wasNeverHere(handle)) return this.#begin(grant, 'new');
    return this.#begin(grant, isOfNow ? 'here' : 'doubtful');
  }

  /** A master has said which handle is the next: what it said first counts. */
  heard(nextHandle: number): void {
    this.#newFrom = Math.min(this.#newFrom, nextHandle);
  }

  /** Of a chunk that is not here: none of it ever was, for it was made while this process ran, and nothing of it was removed. */
  wasNeverHere(handle: ChunkHandle): boolean {
    return handle >= this.#newFrom && handle > this.#forgottenTo && !this.#endedUnder.has(handle);
  }

  /** The replica is removed: no lease of this version, or an older one, begins here any more. */
  removed(handle: ChunkHandle, version: ChunkVersion): void {
    if (!this.hasEnded(handle, version)) this.#noteEnded(handle, version);
  }

  /** Whether its replica was removed, or a lease of it has ended, under this version or a later one. */
  hasEnded(handle: ChunkHandle, version: ChunkVersion): boolean {
    return (this.#endedUnder.get(handle) ?? 0) >= version;
  }

  /** Every lease but those in `except` ends: the server stops. */
  endAll(error: CairnError): void {
    for (const lease of [...this.#leases.values()]) lease.end(error);
  }

  /** Lengths that changed since the last report, and idle leases, which are given up hereby. */
  reports(): LeaseReports {
    const now = this.#world.env.clock.now();
    const reports: LengthReport[] = [...this.#released.values()].slice(0, inventoryPageMax);
    const told = [...reports];
    const grown: [Lease, LengthReport][] = [];
    for (const lease of this.#leases.values()) {
      if (reports.length >= inventoryPageMax) break;
      if (lease.state !== 'active') continue;
      const { handle, version, acknowledgedLength: length } = lease;
      if (lease.isQuiet && now - lease.lastUsedAt >= this.#world.limits.leaseIdleMs) {
        const report = { handle, version, length, release: true };
        this.#released.set(handle, report);
        reports.push(report);
        told.push(report);
        lease.release();
      } else if (lease.reportedLength !== length) {
        const report = { handle, version, length, release: false };
        reports.push(report);
        grown.push([lease, report]);
        lease.reportedLength = undefined; // whether it is logged is not known until the master has said so
      }
    }
    if (reports.length >= inventoryPageMax) for (const [lease] of grown) this.#goesLast(lease);
    return { reports, acknowledged: () => this.#acknowledged(told, grown) };
  }

  /** Others get their turn with the next report. */
  #goesLast(lease: Lease): void {
    this.#leases.delete(lease.handle);
    this.#leases.set(lease.handle, lease);
  }

  #acknowledged(told: readonly LengthReport[], grown: readonly [Lease, LengthReport][]): void {
    for (const report of told) {
      if (this.#released.get(report.handle) === report) this.#released.delete(report.handle);
    }
    // Under another version since, it is told once more: the master may have passed over what was of the old one.
    for (const [lease, { version, length }] of grown) if (lease.version === version) lease.reportedLength = length;
  }

  #begin(grant: Grant, what: 'new' | 'here' | 'doubtful'): Lease {
    const { store } = this.#world;
    const lease = new Lease(this.#world, grant, (ended) => this.#ended(ended));
    if (what === 'new') store.create(grant.handle, grant.version);
    this.#leases.set(grant.handle, lease);
    this.#released.delete(grant.handle);
    if (what === 'new') lease.beginEmpty();
    else lease.beginWithRecovery(what === 'doubtful');
    return lease;
  }

  #ended(lease: Lease): void {
    const { handle, version } = lease;
    if (this.#leases.get(handle) === lease) this.#leases.delete(handle);
    this.#noteEnded(handle, version);
  }

  #noteEnded(handle: ChunkHandle, version: ChunkVersion): void {
    this.#endedUnder.delete(handle);
    this.#endedUnder.set(handle, version);
    if (this.#endedUnder.size <= endedMax) return;
    for (const oldest of this.#endedUnder.keys()) {
      this.#endedUnder.delete(oldest);
      this.#forgottenTo = Math.max(this.#forgottenTo, oldest);
      return;
    }
  }

  #overtaken(handle: ChunkHandle, version: ChunkVersion): void {
    const lease = this.#leases.get(handle);
    if (lease === undefined || lease.version >= version) return;
    lease.end(stale(handle, lease.version, version));
  }
}

function stale(handle: ChunkHandle, asked: number, known: number): CairnError {
  return new CairnError(
    'STALE_VERSION',
    `chunk ${handle}: version ${asked} is not to be mutated here (it knows version ${known}); ask for a new grant`,
  );
}
