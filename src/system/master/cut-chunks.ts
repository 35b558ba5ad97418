/**
 * Open chunks that a file has lost although it stays: it was cut, or emptied. Their primaries would go on taking mutations, which nobody would
 * ever see. So whoever cut the file hears of it only when each of them has thrown its replica away, or serves nothing any more.
 */
import type { ChunkHandle, InodeId } from '../../core/base/brand.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { Leases } from './leases.ts';
import { removedKeptMs } from './removed-lately.ts';
import { inlineChunksMax } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';

/** Files of which removed chunks are remembered; most are gone themselves, and nobody asks. */
const filesMax = 16_384;

type Removed = readonly [ChunkHandle, ChunkRecord];

export class CutChunks {
  readonly #world: LeaderWorld;
  readonly #leases: Pick<Leases, 'drop'>;
  /** By file, the oldest first. */
  readonly #removed = new Map<InodeId, Removed[]>();
  readonly #closing = new Map<InodeId, Set<Promise<void>>>();
  readonly #begunAt: number;

  constructor(world: LeaderWorld, leases: Pick<Leases, 'drop'>) {
    this.#world = world;
    this.#leases = leases;
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
    if (this.#removed.size <= filesMax) return;
    for (const oldest of this.#removed.keys()) {
      this.#removed.delete(oldest);
      return;
    }
  }

  /**
   * Resolves when nothing succeeds any more in a chunk that the file has lost.
   * @param chunksBefore how many it had: those of a long file are taken out of the table later. Under a new leader it may have been cut before that
   * was asked. @throws CairnError NOT_LEADER
   */
  async closed(inode: InodeId, chunksBefore: number): Promise<void> {
    const removed = this.#removed.get(inode) ?? [];
    this.#removed.delete(inode);
    if (chunksBefore > inlineChunksMax || this.#mayHaveBeenLong()) removed.push(...this.#detachedOf(inode));
    for (const [handle, chunk] of removed) this.#close(handle, chunk);
    await Promise.all(this.#closing.get(inode) ?? []);
  }

  /** It costs a look at all open chunks: only while what a leader before has begun may be asked for again, and something is detached. */
  #mayHaveBeenLong(): boolean {
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
    const done = this.#dropAtPrimary(handle, chunk).finally(() => {
      closing.delete(done);
      if (closing.size === 0) this.#closing.delete(chunk.inode);
    });
    closing.add(done);
  }

  /** Nothing succeeds in a chunk without its primary. */
  async #dropAtPrimary(handle: ChunkHandle, chunk: ChunkRecord): Promise<void> {
    const { servers } = this.#world;
    const primary = chunk.servers[0]!;
    while (servers.hasSession(primary)) {
      if (await this.#leases.drop(primary, handle, chunk)) return;
      await servers.changed(primary);
      this.#world.checkLeading();
    }
  }
}
