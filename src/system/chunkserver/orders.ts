/** What the leading master orders: copy, recover, release, drop; and what it asks. */
import type { ChunkHandle, ChunkVersion } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf } from '../../core/protocol/call.ts';
import type { serverOrders } from '../../core/protocol/master-calls.ts';
import type { Handlers } from '../rpc/handlers.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import { cloneChunk } from './cloning.ts';
import type { Fences } from './fences.ts';
import type { Inventory } from './inventory.ts';
import type { Leases } from './leases.ts';
import type { Limits } from './limits.ts';
import { Pace } from './pace.ts';
import type { ReplicaLinks } from './replica-link.ts';
import { splitReplica } from './splitting.ts';

type CloneOrder = RequestOf<(typeof serverOrders)['clone']>;

export interface OrdersWorld {
  readonly env: Env;
  readonly limits: Limits;
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly fences: Fences;
  readonly inventory: Inventory;
  readonly leases: Leases;
  readonly links: ReplicaLinks;
}

interface Held {
  readonly handle: ChunkHandle;
  readonly version: ChunkVersion;
}

interface Cloning {
  readonly version: ChunkVersion;
  readonly length: Promise<number>;
  /** The one behind it, for all who have ordered the same since it began. */
  again: Promise<number> | undefined;
}

export class Orders {
  readonly #world: OrdersWorld;
  readonly #cloning = new Map<ChunkHandle, Cloning>();

  constructor(world: OrdersWorld) {
    this.#world = world;
  }

  readonly handlers: Handlers<typeof serverOrders> = {
    clone: async (order) => ({ response: { length: await this.#clone(order) } }),
    split: async (order) => ({ response: { length: await splitReplica(this.#world, order) } }),
    recover: async ({ grant, seal }) => {
      const lease = this.#world.leases.under(grant, true);
      await lease.ready();
      return { response: { length: seal ? await lease.close() : lease.acknowledgedLength } };
    },
    release: async (held) => ({ response: { length: await this.#release(held) } }),
    holds: ({ handle }) => {
      const { inventory, store, leases } = this.#world;
      const info = store.info(handle);
      const isSound = (info !== undefined || leases.wasNeverHere(handle)) && !inventory.isDamaged(handle);
      return {
        response: { version: info?.version, length: info?.lengthBytes ?? 0, isSound, serial: info?.serial ?? 0 },
      };
    },
    drop: async ({ handles }) => {
      await Promise.all(handles.map((held) => this.drop(held)));
      return { response: {} };
    },
  };

  /**
   * Removes a replica: this server serves it no longer.
   * @throws CairnError STALE_VERSION when it has a newer version than was asked for (somebody counts on it again); BUSY while it is cloned
   */
  async drop({ handle, version }: Held): Promise<void> {
    const { store, writer, fences, inventory, leases } = this.#world;
    if (this.#cloning.has(handle)) throw new CairnError('BUSY', `chunk ${handle} is being copied to this server`);
    const gone = new CairnError('STALE_VERSION', `chunk ${handle} is removed from this server; ask for a new grant`);
    const lease = leases.of(handle);
    if (lease !== undefined && lease.version <= version) lease.end(gone);
    leases.removed(handle, version); // from now on: one that began while it is being removed would bring it back from the other members
    await writer.exclusive(handle, async () => {
      const info = store.info(handle);
      const known = Math.max(info?.version ?? 0, fences.of(handle), leases.of(handle)?.version ?? 0);
      if (known > version) throw new CairnError('STALE_VERSION', `chunk ${handle} has version ${known} here`);
      await store.remove(handle);
      writer.mended(handle);
      fences.reached(handle, undefined);
      inventory.removed(handle);
    });
  }

  /** The answer to a heartbeat says so; nobody waits for it. With this answer the server may serve again: none of these, not even until it is removed. */
  dropAll(garbage: readonly Held[]): void {
    const { inventory, env } = this.#world;
    for (const held of garbage) {
      const { handle } = held;
      inventory.condemn(handle);
      this.drop(held).catch((thrown: unknown) => {
        const { code, message } = toCairnError(thrown);
        if (code === 'STALE_VERSION') inventory.spare(handle);
        if (code === 'STALE_VERSION' || code === 'BUSY') return; // if it is garbage all the same, a later page will say so
        env.events.emit('error', 'chunkserver.dropFailed', { handle, code, message });
      });
    }
  }

  /**
   * One clone of a chunk at a time. Whoever orders it again has it looked at again behind the one under way, which may have seen its source for
   * the last time before that was sealed; but not for another version.
   */
  #clone(order: CloneOrder): Promise<number> {
    const { handle, version, from } = order;
    const underWay = this.#cloning.get(handle);
    if (underWay?.version === version) {
      const again = () => this.#clone(order);
      underWay.again ??= underWay.length.then(again, again);
      return underWay.again;
    }
    if (underWay !== undefined)
      throw new CairnError(
        'BUSY',
        `chunk ${handle} is being copied here in version ${underWay.version}; try again later`,
      );
    const { limits, leases, links } = this.#world;
    if (this.#cloning.size >= limits.clonesMax) {
      throw new CairnError('BUSY', `${limits.clonesMax} chunks are being cloned here; try again later`);
    }
    if (leases.of(handle) !== undefined) {
      throw new CairnError('STALE_VERSION', `this server is the primary of chunk ${handle}; it takes no copy`);
    }
    const pace = new Pace(this.#world.env, order.bytesPerSecond);
    const length = cloneChunk(this.#world, handle, version, links.to(from), pace).finally(() =>
      this.#cloning.delete(handle),
    );
    this.#cloning.set(handle, { version, length, again: undefined });
    return length;
  }

  /**
   * Ends the lease of this version: no mutation under it succeeds afterwards, and all members hold what was acknowledged and nothing else.
   * Without that lease (it was never used, or given up, or the process was restarted) this server cannot promise so much.
   * @throws CairnError NOT_PRIMARY: have the chunk recovered under another version
   */
  async #release({ handle, version }: Held): Promise<number> {
    const lease = this.#world.leases.of(handle);
    if (lease?.version === version) return lease.close();
    throw new CairnError('NOT_PRIMARY', `there is no lease of chunk ${handle}, version ${version}, here; recover it`);
  }
}
