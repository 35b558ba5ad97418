/**
 * Open chunks that a file has lost although it stays: it was cut, or emptied. Their primaries would go on taking mutations, which nobody would
 * ever see. So whoever cut the file hears of it only when each of them has thrown its replica away, or serves nothing any more; and so has each other
 * member: one may have been the primary before, and its clients have that grant still where the next was never begun.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import { dropReplica } from './drop-replica.ts';
import type { LeaderWorld } from './leader-world.ts';
import { removedKeptMs } from './removed-lately.ts';
import type { ChunkRecord } from './state/records.ts';

/** Files that have lost chunks, remembered; most are gone themselves, and nobody asks. */
const filesMax = 16_384;

type Removed = readonly [ChunkHandle, ChunkRecord];

export class CutChunks {
  readonly #world: LeaderWorld;
  /** By file, the oldest first. */
  readonly #removed = new Map<InodeId, Removed[]>();
  /** Those that have lost chunks which leave the table later. */
  readonly #cutOff = new Set<InodeId>();
  readonly #closing = new Map<InodeId, Set<Promise<void>>>();
  readonly #begunAt: number;

  constructor(world: LeaderWorld) {
    this.#world = world;
    this.#begunAt = world.env.clock.now();
  }

  /** A chunk has left the table. */
  removed(handle: ChunkHandle, chunk: ChunkRecord): void {
    if (chunk.sealed) return;
    const ofFile = this.#removed.get(chunk.inode);
    if (ofFile !== undefined) {
      ofFile.push([handle, chunk]);
      return;
    }
    this.#removed.set(chunk.inode, [[handle, chunk]]);
    keepUpTo(filesMax, this.#removed);
  }

  /** A file has lost chunks that are in the table still. */
  cutOff(inode: InodeId): void {
    this.#cutOff.add(inode);
    keepUpTo(filesMax, this.#cutOff);
  }

  /** Resolves when nothing succeeds any more in a chunk that the file has lost. @throws CairnError NOT_LEADER */
  async closed(inode: InodeId): Promise<void> {
    const removed = this.#removed.get(inode) ?? [];
    this.#removed.delete(inode);
    if (this.#cutOff.delete(inode) || this.#mayHaveBeenCutOff())
      for (const one of this.#detachedOf(inode)) removed.push(one);
    for (const [handle, chunk] of removed) this.#close(handle, chunk);
    await Promise.all(this.#closing.get(inode) ?? []);
  }

  /** It costs a look at all open chunks: only while what a leader before has begun may be asked for again, and something is detached. */
  #mayHaveBeenCutOff(): boolean {
    const { env, tables } = this.#world;
    return env.clock.now() - this.#begunAt < removedKeptMs && tables.firstDetached() !== undefined;
  }

  #detachedOf(inode: InodeId): readonly Removed[] {
    const { tables } = this.#world;
    const found: Removed[] = [];
    for (const handle of tables.openChunks()) {
      const chunk = tables.chunk(handle);
      if (chunk?.inode === inode && !tables.isInFile(handle, chunk)) found.push([handle, chunk]);
    }
    return found;
  }

  #close(handle: ChunkHandle, chunk: ChunkRecord): void {
    const closing = this.#closing.get(chunk.inode) ?? new Set();
    this.#closing.set(chunk.inode, closing);
    const done = this.#dropAtAll(handle, chunk).finally(() => {
      closing.delete(done);
      if (closing.size === 0) this.#closing.delete(chunk.inode);
    });
    closing.add(done);
  }

  /** That one has no session is certain only from who has led all the while. */
  async #dropAtAll(handle: ChunkHandle, chunk: ChunkRecord): Promise<void> {
    await Promise.all(chunk.servers.map((id) => this.#dropAt(id, handle, chunk)));
    await this.#world.barrier();
  }

  async #dropAt(id: ServerId, handle: ChunkHandle, chunk: ChunkRecord): Promise<void> {
    const { servers } = this.#world;
    while (servers.hasSession(id)) {
      if (await dropReplica(this.#world, id, handle, chunk)) return;
      await servers.changed(id);
      this.#world.checkLeading();
    }
  }
}

/** The oldest goes when there is one too many. */
function keepUpTo<Key>(
  max: number,
  kept: { readonly size: number; keys(): Iterable<Key>; delete(key: Key): boolean },
): void {
  if (kept.size <= max) return;
  for (const oldest of kept.keys()) {
    kept.delete(oldest);
    return;
  }
}
