/** Compares a page of what a server holds with the table: what it should not hold is garbage, what it should and does not is missing. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { ChunkServer } from './chunk-servers.ts';
import type { Held } from './garbage.ts';
import type { ChunkRecord } from './state/records.ts';
import type { Tables } from './state/tables.ts';
import { isWhole } from './whole-replicas.ts';

/** Records of the table looked at for one page; the next time that the page comes the look goes on from there. */
export const recordsPerPageMax = 32_768;

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
  /** What should be there was looked for up to here. */
  readonly lookedTo: number;
}

type IsCloning = (handle: ChunkHandle, server: ChunkServer) => boolean;

/**
 * Both lists are ascending, so each is gone through once.
 * @param isCloning whether a copy to that server is under way, or was finished just now.
 * @param lookFrom what should be there is looked for from this handle on. All that is there is compared.
 */
export function compareInventory(
  tables: Tables,
  server: ChunkServer,
  page: InventoryPage,
  isCloning: IsCloning,
  lookFrom = page.from,
): Compared {
  const garbage: Held[] = [];
  const missing: ChunkHandle[] = [];
  const short: ChunkHandle[] = [];
  let next = 0;
  let looked = 0;
  let lookedTo = page.to;
  const judge = (held: Held, chunk: ChunkRecord | undefined) => {
    if (held.handle >= tables.counters.nextHandle) return; // not of this table: hands off
    if (isCloning(held.handle, server)) return;
    if (chunk?.servers.includes(server.id) !== true) garbage.push(held);
    else if (isShort(chunk, held)) short.push(held.handle);
  };
  const judgeBelow = (handle: number, chunkOf: (handle: ChunkHandle) => ChunkRecord | undefined) => {
    for (; next < page.held.length && page.held[next]!.handle < handle; next++)
      judge(page.held[next]!, chunkOf(page.held[next]!.handle));
  };
  judgeBelow(lookFrom, (handle) => tables.chunk(handle));
  for (const [handle, chunk] of tables.chunks(Math.max(0, lookFrom - 1), page.to)) {
    if (++looked > recordsPerPageMax) {
      lookedTo = handle - 1;
      break;
    }
    judgeBelow(handle, notInTable);
    const held = page.held[next];
    if (held?.handle === handle) {
      judge(held, chunk);
      next++;
    } else if (isMissing(chunk, server) && !isCloning(handle, server)) missing.push(handle);
  }
  judgeBelow(Number.POSITIVE_INFINITY, lookedTo === page.to ? notInTable : (handle) => tables.chunk(handle));
  return { garbage, missing, short, lookedTo };
}

function notInTable(): undefined {
  return undefined;
}

/**
 * Of a sealed chunk every replica has all, under its version, but for one whose machine lost power after the last mutation, of bytes of durability
 * memory: its primary had nothing more to order, and so could not see that it does not follow. And but for one whose directory was put back to
 * what it was some time ago.
 */
function isShort(chunk: ChunkRecord, held: Held): boolean {
  return chunk.sealed && !isWhole(chunk, held);
}

/** A chunk that nothing was written to yet, as far as is known, need not be there. */
function isMissing(chunk: ChunkRecord, server: ChunkServer): boolean {
  return chunk.length > 0 && chunk.servers.includes(server.id);
}
