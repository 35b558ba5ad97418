/** Replicas that their servers have lost or found damaged, by their own word: the others go on without them. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import type { Sealing } from './sealing.ts';
import { doneResult } from './state/commands.ts';

const goneMax = 100_000;

export class BrokenReplicas {
  readonly #world: LeaderWorld;
  readonly #sealing: Sealing;
  /** Told of each chunk about which something has changed. */
  readonly #note: (handle: ChunkHandle) => void;
  /** Chunks that are just losing a replica. */
  readonly #excluding = new Set<ChunkHandle>();
  /** Chunks of which the only member has said that it has no good replica; until it starts anew. */
  readonly #lost = new Map<ChunkHandle, ServerId>();

  constructor(world: LeaderWorld, sealing: Sealing, note: (handle: ChunkHandle) => void) {
    this.#world = world;
    this.#sealing = sealing;
    this.#note = note;
  }

  /** The only member has no good replica. */
  isLost(handle: ChunkHandle): boolean {
    const only = this.#lost.get(handle);
    if (only === undefined) return false;
    const servers = this.#world.tables.chunk(handle)?.servers ?? [];
    if (servers.length === 1 && servers[0] === only) return true;
    this.#lost.delete(handle);
    return false;
  }

  /** What the server has said of its replicas may be over. */
  serverCame(id: ServerId): void {
    for (const [handle, server] of this.#lost) {
      if (server !== id) continue;
      this.#lost.delete(handle);
      this.#note(handle);
    }
  }

  async gone(handle: ChunkHandle, server: ServerId, why: 'damaged' | 'missing'): Promise<void> {
    const { env, tables } = this.#world;
    const chunk = tables.chunk(handle);
    if (chunk === undefined || !chunk.servers.includes(server) || this.#excluding.has(handle)) return;
    env.events.emit('warn', 'replica_gone', { handle, server, why, left: chunk.servers.length - 1 });
    if (chunk.servers.length === 1) {
      const isNew = !this.#lost.has(handle);
      if (isNew && this.#lost.size < goneMax) this.#lost.set(handle, server);
      const advice = 'restore this file from elsewhere';
      if (isNew) env.events.emit('error', 'last_replica_gone', { handle, server, why, advice });
    } else await this.#exclude(handle, server);
    this.#note(handle);
  }

  async #exclude(handle: ChunkHandle, server: ServerId): Promise<void> {
    const { env, tables, departures } = this.#world;
    this.#excluding.add(handle);
    try {
      if (tables.chunk(handle)?.sealed === false) await this.#sealing.sealWithout(handle, [server]);
      const chunk = tables.chunk(handle);
      if (chunk?.servers.includes(server) !== true) return;
      const command = { kind: 'exclude', handle, version: chunk.version, servers: [server] } as const;
      valueOrThrow(await this.#world.execute(command, doneResult));
      departures.note(handle, [server], []);
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (this.#world.isStopped) return;
      env.events.emit('warn', 'replica_not_excluded', { handle, server, code: error.code, why: error.message });
    } finally {
      this.#excluding.delete(handle);
    }
  }
}
