/** One copy of a chunk from server to server, and its way into the set. An open chunk is copied while clients go on, then sealed and completed. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError, type ErrorCode, toCairnError } from '../../core/base/errors.ts';
import { replicasMax } from '../../core/protocol/types.ts';
import type { ChunkServer } from './chunk-servers.ts';
import { FailedCopies } from './failed-copies.ts';
import type { Holds } from './holds.ts';
import { addressOf, chunkOf, type LeaderWorld, ordersTo } from './leader-world.ts';
import { goalOf, isLive } from './needs.ts';
import type { ReplicaSets } from './replica-sets.ts';
import type { Sealing } from './sealing.ts';
import type { ChunkRecord } from './state/records.ts';
import type { Throttle } from './throttle.ts';

/** Copies that one server gives or takes at a time. */
export const clonesPerServerMax = 4;
/** While a chunk gets no grant, its last differences must be copied in this time. */
const finishMs = 3000;
const notBegun: ReadonlySet<ErrorCode> = new Set(['CHUNK_MISSING', 'STALE_VERSION']);

export interface Copy {
  readonly handle: ChunkHandle;
  readonly target: ChunkServer;
  /** The member in whose place it comes; undefined for a copy more. */
  readonly replaces: ServerId | undefined;
}

export class CopyWork {
  readonly #world: LeaderWorld;
  readonly #holds: Holds;
  readonly #sealing: Sealing;
  readonly #sets: ReplicaSets;
  readonly #throttle: Throttle;
  readonly failed = new FailedCopies();

  constructor(world: LeaderWorld, holds: Holds, sealing: Sealing, sets: ReplicaSets, throttle: Throttle) {
    this.#world = world;
    this.#holds = holds;
    this.#sealing = sealing;
    this.#sets = sets;
    this.#throttle = throttle;
  }

  /** Members that can give the chunk away now; of an open one the primary, if it is up. */
  sourcesOf(chunk: ChunkRecord): readonly ChunkServer[] {
    const { servers } = this.#world;
    const fit = chunk.servers.flatMap((id) => {
      const server = servers.get(id);
      return server !== undefined && servers.isHealthy(server) && this.isFree(server) ? [server] : [];
    });
    return !chunk.sealed && fit[0]?.id === chunk.servers[0] ? fit.slice(0, 1) : fit;
  }

  /** The one of them with the least to do, but rather one that has not failed to give it to the target. */
  sourceFor(handle: ChunkHandle, chunk: ChunkRecord, target: ChunkServer): ChunkServer | undefined {
    const sources = this.sourcesOf(chunk);
    const untried = sources.filter(({ id }) => !this.failed.has(handle, id, target.id));
    return leastBusy(untried.length > 0 ? untried : sources);
  }

  isFree(server: ChunkServer): boolean {
    return server.clones < clonesPerServerMax && this.#throttle.isOpenFor(server.id);
  }

  /** @throws CairnError why it was not made */
  async make(copy: Copy): Promise<void> {
    const { tables, timing } = this.#world;
    const { handle, target } = copy;
    target.clones += 1;
    let release = () => {};
    try {
      if (chunkOf(tables, handle).sealed) {
        await this.#copySealed(copy, timing.cloneMs);
        return;
      }
      await this.#copyOpen(handle, target);
      release = this.#holds.hold(handle);
      await this.#sealing.seal(handle);
      await this.#copySealed(copy, finishMs);
    } finally {
      release();
      target.clones -= 1;
    }
  }

  /** From the primary, if it is up, whatever was charged for it. What changes meanwhile is copied again, block by block, at the end. */
  async #copyOpen(handle: ChunkHandle, target: ChunkServer): Promise<void> {
    const { tables, servers, timing } = this.#world;
    const chunk = chunkOf(tables, handle);
    const primary = servers.get(chunk.servers[0]!);
    if (primary === undefined || !servers.isHealthy(primary)) return;
    try {
      await this.#clone(handle, chunk, primary, target, timing.cloneMs);
    } catch (thrown) {
      // Nothing was written to it yet, or its primary has not begun under this version, and is not to.
      if (!notBegun.has(toCairnError(thrown).code)) throw thrown;
    }
  }

  async #copySealed(copy: Copy, timeoutMs: number): Promise<void> {
    const { handle, target } = copy;
    const chunk = chunkOf(this.#world.tables, handle);
    const source = this.#anySourceFor(copy, chunk);
    if (!chunk.sealed || source === undefined)
      throw new CairnError('BUSY', `chunk ${handle} is in use again; its copy waits`);
    try {
      await this.#clone(handle, chunk, source, target, timeoutMs);
    } catch (thrown) {
      if (chunk.length > 0 || toCairnError(thrown).code !== 'CHUNK_MISSING') throw thrown; // nothing was written to it yet
    }
    const leaving = this.#leavingFor(chunkOf(this.#world.tables, handle), copy); // others may have left meanwhile
    // In two steps, so that those who serve it still, or soon again, leave one that others have all of: see replica-sets.ts.
    const later = leaving.filter((id) => isLive(this.#world.servers, id) && chunk.servers.length < replicasMax);
    const atOnce = leaving.filter((id) => !later.includes(id));
    await this.#sets.add(handle, chunk.version, target.id, atOnce);
    if (later.length > 0) await this.#sets.exclude(handle, chunk.version, later);
  }

  /** What was begun goes on, whatever was charged for it. */
  #anySourceFor({ handle, target }: Copy, chunk: ChunkRecord): ChunkServer | undefined {
    const { servers } = this.#world;
    const healthy = chunk.servers.map((id) => servers.get(id)).filter((server) => server !== undefined);
    return this.sourceFor(handle, chunk, target) ?? healthy.find((server) => servers.isHealthy(server));
  }

  /** Dead members, and those that the copy makes dispensable: as many as the chunk should have must stay. */
  #leavingFor(chunk: ChunkRecord, { handle, target, replaces }: Copy): readonly ServerId[] {
    const { servers, tables } = this.#world;
    const live = chunk.servers.filter((id) => isLive(servers, id));
    const dead = chunk.servers.filter((id) => !live.includes(id));
    const isToGo = (id: ServerId) =>
      replaces === undefined ? servers.get(id)?.isDraining === true && id !== target.id : id === replaces;
    const going = live.filter(isToGo);
    const staying = live.length - going.length + 1;
    return staying >= (goalOf(tables, handle, chunk) ?? 1) ? [...dead, ...going] : dead;
  }

  async #clone(
    handle: ChunkHandle,
    { version, length }: ChunkRecord,
    source: ChunkServer,
    target: ChunkServer,
    timeoutMs: number,
  ): Promise<void> {
    const from = { server: source.id, address: addressOf(this.#world.tables, source.id) };
    const bytesPerSecond = this.#throttle.copyBytesPerSecond;
    const paceMs = bytesPerSecond === 0 ? 0 : (length / bytesPerSecond) * 1000;
    source.clones += 1;
    try {
      const order = { handle, version, from, bytesPerSecond };
      const cloned = ordersTo(target).call('clone', order, { timeoutMs: timeoutMs + 2 * paceMs });
      await this.#world.servers.whileServing([target.id, source.id], cloned);
      this.failed.forget(handle);
    } catch (thrown) {
      this.failed.note(handle, source.id, target.id);
      throw thrown;
    } finally {
      source.clones -= 1;
    }
    this.#world.checkLeading();
  }
}

function leastBusy(servers: readonly ChunkServer[]): ChunkServer | undefined {
  return servers.reduce<ChunkServer | undefined>(
    (best, server) => (best === undefined || server.clones < best.clones ? server : best),
    undefined,
  );
}
