/**
 * Which directories and chunk lists are still being laid out as copies of others, and how far. A copy (the target) has entries of its own up to
 * its cursor, and those beyond that are marked as decided; all others are as in its origin. Both sides are found: who changes an
 * entry of the origin gives it to its copies first.
 */
import type { Key } from '../../storage/ordered-store.ts';
import * as keys from './keys.ts';
import { type CopyLink, encodeCopyLink } from './records.ts';
import type { Tables } from './tables.ts';

const nothing = new Uint8Array(0);

export interface RawEntry {
  /** A name, or an index, as it stands in keys. */
  readonly at: Key;
  readonly bytes: Uint8Array;
}

/** Copies of this one that are not complete yet. */
export function copiesOf(tables: Tables, origin: number): number[] {
  const { from, to } = keys.copiesRange(origin);
  return Array.from(tables.store.scan(from, to), ([key]) => keys.copyOfKey(key));
}

/** One that is not complete; undefined if all are. */
export function firstCopy(tables: Tables): number | undefined {
  for (const [key] of tables.store.scan(keys.copyKey(tables.copiesFrom), keys.copyTable.to)) {
    tables.copiesFrom = keys.targetOfKey(key);
    return tables.copiesFrom;
  }
  return undefined;
}

export function beginCopy(tables: Tables, target: number, link: CopyLink): void {
  tables.copiesFrom = Math.min(tables.copiesFrom, target);
  putCopy(tables, target, link);
  tables.store.put(keys.copiesKey(link.origin, target), nothing);
  tables.counters.copies += 1;
}

export function putCopy(tables: Tables, target: number, link: CopyLink): void {
  tables.store.put(keys.copyKey(target), encodeCopyLink(link));
}

export function endCopy(tables: Tables, target: number, link: CopyLink): void {
  tables.store.delete(keys.copyKey(target));
  tables.store.delete(keys.copiesKey(link.origin, target));
  tables.counters.copies -= 1;
}

/** How many copies one behind the other lead to this one. */
export function copyDepth(tables: Tables, target: number): number {
  let depth = 0;
  for (let link = tables.copyOf(target); link !== undefined; link = tables.copyOf(link.origin)) depth += 1;
  return depth;
}

export function markDecided(tables: Tables, target: number, at: Key): void {
  tables.store.put(keys.decidedKey(target, at), nothing);
}

export function unmark(tables: Tables, target: number, at: Key): void {
  tables.store.delete(keys.decidedKey(target, at));
}

/** Up to `limit` marks of a target, ascending. Those up to its cursor are gone, unless it was put behind all of them at once. */
export function marksOf(tables: Tables, target: number, { cursor }: CopyLink, limit: number): Key[] {
  const { from, to } = keys.decidedRange(target, cursor === keys.afterAll ? '' : cursor);
  const marks: Key[] = [];
  for (const [key] of tables.store.scan(from, to)) {
    marks.push(keys.atOfKey(key));
    if (marks.length === limit) break;
  }
  return marks;
}

/** Up to `limit` entries behind `after` that stand in the tables. */
export function rawEntries(
  tables: Tables,
  kind: CopyLink['kind'],
  container: number,
  after: Key,
  limit: number,
): RawEntry[] {
  const { from, to } = keys.entryRange(kind, container, after);
  const entries: RawEntry[] = [];
  for (const [key, bytes] of tables.store.scan(from, to)) {
    entries.push({ at: keys.atOfKey(key), bytes });
    if (entries.length === limit) break;
  }
  return entries;
}
