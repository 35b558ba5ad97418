/**
 * Replicas that seem to be missing or short by one page of an inventory. Counts what the next page of the same handles says too: a page may have been
 * written down before the chunk was there, or sealed. What a page does not say any more is forgotten.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';

/** Of one server; more of them are found when these are settled. Those that are short everywhere, after a loss of power, stay: some minutes of small files. */
export const suspectedMax = 131_072;
/** Of one page: each leads to a change of its chunk, and others wait meanwhile. Of the next time that the page comes there are as many. */
export const confirmedMax = 500;

/** What was looked at: handles from … to, both included. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

class Suspected {
  readonly #byServer = new Map<ServerId, Set<ChunkHandle>>();

  has(server: ServerId, handle: ChunkHandle): boolean {
    return this.#byServer.get(server)?.has(handle) === true;
  }

  add(server: ServerId, handle: ChunkHandle): void {
    const handles = this.#byServer.get(server);
    if (handles === undefined) this.#byServer.set(server, new Set([handle]));
    else if (handles.size < suspectedMax) handles.add(handle);
  }

  delete(server: ServerId, handle: ChunkHandle): void {
    const handles = this.#byServer.get(server);
    handles?.delete(handle);
    if (handles?.size === 0) this.#byServer.delete(server);
  }

  /** Of the stretch these are all that are still suspected. */
  keepOnly(server: ServerId, { from, to }: Stretch, handles: readonly ChunkHandle[]): void {
    const suspected = this.#byServer.get(server);
    if (suspected === undefined) return;
    const still = new Set(handles);
    for (const handle of [...suspected])
      if (handle >= from && handle <= to && !still.has(handle)) this.delete(server, handle);
  }
}

export class MissingReplicas {
  readonly #suspected = new Suspected();

  /** @param missing all of the stretch that the server should have and has not. @returns some of those that it had not the last time either */
  confirmed(server: ServerId, stretch: Stretch, missing: readonly ChunkHandle[]): readonly ChunkHandle[] {
    this.#suspected.keepOnly(server, stretch, missing);
    const confirmed: ChunkHandle[] = [];
    for (const handle of missing) {
      if (!this.#suspected.has(server, handle)) this.#suspected.add(server, handle);
      else if (confirmed.length < confirmedMax) {
        this.#suspected.delete(server, handle);
        confirmed.push(handle);
      }
    }
    return confirmed;
  }
}

/** Which short replicas can be done without: where all are short (the whole cluster lost power), each is the best that is left. */
export class ShortReplicas {
  readonly #suspected = new Suspected();

  /**
   * @param short all of the stretch that are short on the server.
   * @param othersOf the members of a chunk that are up, but for this one. @returns some of those that were short the last time too, and that one of the
   * others has never been seen short of
   */
  confirmed(
    server: ServerId,
    stretch: Stretch,
    short: readonly ChunkHandle[],
    othersOf: (handle: ChunkHandle) => readonly ServerId[],
  ): readonly ChunkHandle[] {
    this.#suspected.keepOnly(server, stretch, short);
    const confirmed: ChunkHandle[] = [];
    for (const handle of short) {
      const isFirst = !this.#suspected.has(server, handle);
      this.#suspected.add(server, handle);
      if (isFirst || confirmed.length >= confirmedMax) continue;
      if (othersOf(handle).every((id) => this.#suspected.has(id, handle))) continue;
      this.#suspected.delete(server, handle);
      confirmed.push(handle);
    }
    return confirmed;
  }
}
