/** Compares a page of what a server holds with the table: what it should not hold is garbage, what it should and does not is missing. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { ChunkServer } from './chunk-servers.ts';
import type { Held } from './garbage.ts';
import type { ChunkRecord } from './state/records.ts';
import type { Tables } from './state/tables.ts';
import { isWhole } from './whole-replicas.ts';

/** Records of the table looked at for one page; what lies beyond is looked at in the next pass. */
const recordsPerPageMax = 32_768;

export interface InventoryPage {
  readonly from: number;
  readonly to: number;
  /** Ascending by handle. */
  readonly held: readonly Held[];
}

export interface Compared {
  readonly garbage: readonly Held[];
  readonly missing: readonly ChunkHandle[];
  /** Of sealed chunks, shorter than those, or of an earlier version. */
  readonly short: readonly ChunkHandle[];
}

type IsCloning = (handle: ChunkHandle, server: ChunkServer) => boolean;

/**
 * Both lists are ascending, so each is gone through once.
 * @param isCloning whether a copy to that server is under way, or was finished just now.
 */
export function compareInventory(
  tables: Tables,
  server: ChunkServer,
  page: InventoryPage,
  isCloning: IsCloning,
): Compared {
  const garbage: Held[] = [];
  const missing: ChunkHandle[] = [];
  const short: ChunkHandle[] = [];
  let next = 0;
  let looked = 0;
  const garbageBelow = (handle: number) => {
    for (; next < page.held.length && page.held[next]!.handle < handle; next++) judge(page.held[next]!, undefined);
  };
  const judge = (held: Held, chunk: ChunkRecord | undefined) => {
    if (held.handle >= tables.counters.nextHandle) return; // not of this table: hands off
    if (chunk?.servers.includes(server.id) !== true && !isCloning(held.handle, server)) garbage.push(held);
  };
  for (const [handle, chunk] of tables.chunks(Math.max(0, page.from - 1), page.to)) {
    if (++looked > recordsPerPageMax) break;
    garbageBelow(handle);
    const held = page.held[next];
    if (held?.handle === handle) {
      judge(held, chunk);
      if (isShort(chunk, server, held) && !isCloning(handle, server)) short.push(handle);
      next++;
    } else if (isMissing(chunk, server) && !isCloning(handle, server)) missing.push(handle);
  }
  if (looked <= recordsPerPageMax) garbageBelow(Number.POSITIVE_INFINITY);
  else for (const held of page.held.slice(next)) judge(held, tables.chunk(held.handle));
  return { garbage, missing, short };
}

/**
 * Of a sealed chunk every replica has all, under its version, but for one whose machine lost power after the last mutation, of bytes of durability
 * memory: its primary had nothing more to order, and so could not see that it does not follow. And but for one whose directory was put back to
 * what it was some time ago.
 */
function isShort(chunk: ChunkRecord, server: ChunkServer, held: Held): boolean {
  return chunk.sealed && chunk.servers.includes(server.id) && !isWhole(chunk, held);
}

/** A chunk that nothing was written to yet, as far as is known, need not be there. */
function isMissing(chunk: ChunkRecord, server: ChunkServer): boolean {
  return chunk.length > 0 && chunk.servers.includes(server.id);
}

/** Chunks with replicas that were seen short at one time. */
const shortChunksMax = 50_000;

/** Which short replicas can be done without: where all are short (the whole cluster lost power), each is the best that is left. */
export class ShortReplicas {
  readonly #seen = new Map<ChunkHandle, Set<ServerId>>();

  /**
   * Counts the second time: the page may have been written down before the chunk was sealed.
   * @param others the members that are up, but for this one. @returns whether one of them has never been seen short
   */
  note(handle: ChunkHandle, server: ServerId, others: readonly ServerId[]): boolean {
    const seen = this.#seen.get(handle) ?? new Set();
    const isFirst = !seen.has(server);
    if (this.#seen.size < shortChunksMax) this.#seen.set(handle, seen.add(server));
    if (isFirst || others.every((id) => seen.has(id))) return false;
    seen.delete(server);
    if (seen.size === 0) this.#seen.delete(handle);
    return true;
  }
}
