/**
 * What this server tells the master of the chunks it holds, page by page, and what the answers say: which of them it may serve, which are
 * garbage. After a session that may have lapsed every chunk is in doubt, since the master may have taken this replica out of its
 * set meanwhile: it is served again when a page that names it was answered.
 */
import { type ChunkHandle, toChunkHandle } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { inventoryPageMax } from '../../core/protocol/master-calls.ts';
import type { ChunkInfo, ChunkStore } from '../storage/chunk-store.ts';

export interface Page {
  /** Handles from … to, both included; to < from: no page. */
  readonly from: number;
  readonly to: number;
  readonly held: readonly ChunkInfo[];
  /** Of which round of doubt it is. */
  readonly round: number;
}

const lastHandle = Number.MAX_SAFE_INTEGER;

export class Inventory {
  readonly #everyMs: number;
  #nextFrom = 1;
  #isUrgent = true;
  #lastAt = Number.NEGATIVE_INFINITY;
  #round = 0;
  /** Chunks up to here are out of doubt. */
  #confirmedTo = 0;
  /** Garbage, by the master's word: on its way out, and believed by nobody meanwhile. Until it is removed, or a page that names it is answered without that word. */
  readonly #condemned = new Set<ChunkHandle>();
  /** Until the replica is made anew or removed. */
  readonly #damaged = new Set<ChunkHandle>();
  readonly #unreported = new Set<ChunkHandle>();

  /** @param everyMs between two pages when nothing presses. */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Pages should follow each other without a pause. */
  get isUrgent(): boolean {
    return this.#isUrgent;
  }

  /** All pages once more, soon, and all damage: the master may know nothing of them. */
  beginRound(): void {
    this.#nextFrom = 1;
    this.#isUrgent = true;
    this.#reportDamageAgain();
  }

  doubtAll(): void {
    this.#round += 1;
    this.#confirmedTo = 0;
    this.beginRound();
  }

  /** @throws CairnError LEASE_EXPIRED */
  mustBeConfirmed(handle: ChunkHandle): void {
    if (handle <= this.#confirmedTo && !this.#condemned.has(handle)) return;
    throw new CairnError('LEASE_EXPIRED', `the master has not confirmed chunk ${handle} here yet; ask another replica`);
  }

  /** It is served no more, from now on. */
  condemn(handle: ChunkHandle): void {
    this.#condemned.add(handle);
  }

  /** Somebody counts on it again. */
  spare(handle: ChunkHandle): void {
    this.#condemned.delete(handle);
  }

  page(store: Pick<ChunkStore, 'list'>, now: number): Page {
    const round = this.#round;
    if (!this.#isUrgent && now - this.#lastAt < this.#everyMs) return { from: 1, to: 0, held: [], round };
    this.#lastAt = now;
    const from = this.#nextFrom;
    const held = store.list(from === 1 ? undefined : toChunkHandle(from - 1), inventoryPageMax);
    const to = held.length < inventoryPageMax ? lastHandle : held[held.length - 1]!.handle;
    return { from, to, held, round };
  }

  answered(page: Page): void {
    if (page.to < page.from || page.from !== this.#nextFrom) return;
    for (const { handle } of page.held) this.#condemned.delete(handle); // the same answer condemns again what is garbage still
    const isLast = page.to === lastHandle;
    this.#nextFrom = isLast ? 1 : page.to + 1;
    if (isLast) {
      this.#isUrgent = false;
      this.#reportDamageAgain(); // a replica that was being made when it was reported was no member yet, and nobody took note
    }
    if (page.round !== this.#round) this.beginRound();
    else if (page.from <= this.#confirmedTo + 1) this.#confirmedTo = Math.max(this.#confirmedTo, page.to);
  }

  // ---------------------------------------------------------------- damage

  #reportDamageAgain(): void {
    for (const handle of this.#damaged) this.#unreported.add(handle);
  }

  damagedPage(): readonly ChunkHandle[] {
    return [...this.#unreported].slice(0, inventoryPageMax);
  }

  damageReported(handles: readonly ChunkHandle[]): void {
    for (const handle of handles) this.#unreported.delete(handle);
  }

  isDamaged(handle: ChunkHandle): boolean {
    return this.#damaged.has(handle);
  }

  markDamaged(handle: ChunkHandle): void {
    if (this.#damaged.has(handle)) return;
    this.#damaged.add(handle);
    this.#unreported.add(handle);
  }

  removed(handle: ChunkHandle): void {
    this.#condemned.delete(handle);
    this.mended(handle);
  }

  /** The replica was made anew. That it was called garbage meanwhile may hold all the same: who ordered it may count on it no longer. */
  mended(handle: ChunkHandle): void {
    this.#damaged.delete(handle);
    this.#unreported.delete(handle);
  }

  /** @throws CairnError DISK_CORRUPT */
  mustBeSound(handle: ChunkHandle): void {
    if (this.#damaged.has(handle)) throw new CairnError('DISK_CORRUPT', `chunk ${handle} is damaged on this server`);
  }
}
