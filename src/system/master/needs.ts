/** Which chunks have too few replicas, by how many they have left: those with one go first (GFS §4.3). */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { ChunkServers } from './chunk-servers.ts';
import type { Tables } from './state/tables.ts';

/** Chunks remembered; the scan finds the others again when these are done. */
export const needsMax = 200_000;
const lanesMax = 4;

export type Need = { readonly kind: 'none' | 'lost' } | { readonly kind: 'short'; readonly live: number };

/** What a chunk needs now. Members count until their server is dead. */
export function needOf(tables: Tables, servers: ChunkServers, handle: ChunkHandle): Need {
  const chunk = tables.chunk(handle);
  const file = chunk === undefined ? undefined : tables.inode(chunk.inode);
  if (chunk === undefined || file === undefined) return { kind: 'none' };
  let live = 0;
  for (const id of chunk.servers) if (isLive(servers, id)) live += 1;
  if (live === 0) return { kind: 'lost' };
  return live < file.replication ? { kind: 'short', live } : { kind: 'none' };
}

export function isLive(servers: ChunkServers, id: Parameters<ChunkServers['get']>[0]): boolean {
  const server = servers.get(id);
  return server !== undefined && server.state !== 'dead';
}

export class Needs {
  readonly #lanes: readonly Set<ChunkHandle>[] = Array.from({ length: lanesMax }, () => new Set<ChunkHandle>());
  readonly #lost = new Set<ChunkHandle>();
  /** Some were not remembered: another scan will find them. */
  overflowed = false;

  get short(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.size, 0);
  }
  get lost(): number {
    return this.#lost.size;
  }

  /** Returns whether a chunk has been lost that was not before. */
  set(handle: ChunkHandle, need: Need): boolean {
    const lane = need.kind === 'short' ? this.#lanes[Math.min(need.live, lanesMax) - 1]! : undefined;
    for (const other of this.#lanes) if (other !== lane) other.delete(handle);
    const wasLost = need.kind === 'lost' ? this.#lost.has(handle) : this.#lost.delete(handle);
    const into = need.kind === 'lost' ? this.#lost : lane;
    if (into === undefined || into.has(handle)) return false;
    if (this.short + this.lost >= needsMax) this.overflowed = true;
    else into.add(handle);
    return need.kind === 'lost' && !wasLost;
  }

  /** Up to `limit` chunks in the order of their need; they go to the back of their lane. */
  take(limit: number): ChunkHandle[] {
    const taken: ChunkHandle[] = [];
    for (const lane of this.#lanes) {
      const some: ChunkHandle[] = [];
      for (const handle of lane) {
        if (taken.length + some.length >= limit) break;
        some.push(handle);
      }
      for (const handle of some) {
        lane.delete(handle);
        lane.add(handle);
      }
      taken.push(...some);
    }
    return taken;
  }
}
