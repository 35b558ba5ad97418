/** Compares a page of what a server holds with the table: what it should not hold is garbage, what it should and does not is missing. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { ChunkServer } from './chunk-servers.ts';
import type { Held } from './garbage.ts';
import type { Tables } from './state/tables.ts';

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
}

/** @param isCloning whether a copy to that server is under way, or was finished just now. */
export function compareInventory(
  tables: Tables,
  server: ChunkServer,
  page: InventoryPage,
  isCloning: (handle: ChunkHandle, server: ChunkServer) => boolean,
): Compared {
  const listed = new Set<number>();
  const garbage: Held[] = [];
  for (const held of page.held) {
    listed.add(held.handle);
    if (held.handle >= tables.counters.nextHandle) continue; // not of this table: hands off
    const chunk = tables.chunk(held.handle);
    if (chunk?.servers.includes(server.id) === true || isCloning(held.handle, server)) continue;
    garbage.push(held);
  }
  const missing: ChunkHandle[] = [];
  let looked = 0;
  for (const [handle, chunk] of tables.chunks(Math.max(0, page.from - 1), page.to)) {
    if (++looked > recordsPerPageMax) break;
    // A chunk that nothing was written to yet, as far as is known, need not be there.
    if (chunk.length === 0 || listed.has(handle) || !chunk.servers.includes(server.id)) continue;
    if (!isCloning(handle, server)) missing.push(handle);
  }
  return { garbage, missing };
}
