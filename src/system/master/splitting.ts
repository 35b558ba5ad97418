/**
 * A chunk that several files share is copied before one of them mutates it, by each of its servers for itself (GFS §3.4). The file gets the
 * copy; what stays for the others gets the next version, so that readers who have it as this file's notice.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import { toChunkHandle, toChunkIndex, toChunkVersion } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { dropReplica } from './drop-replica.ts';
import { chunkOf, type LeaderWorld, ofDisk, ordersTo, waitUntil } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import { doneResult, handlesResult } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';

/** Handles taken at a time. */
const handlesAtOnce = 64;
/** A copy that was made just now stays unknown to an inventory that was on its way. */
const settledMs = 5000;

/** 'unable': nor will it be, by its own word, with what it has. */
type Copied = 'copied' | 'unable' | 'failed';

/** One that is under way. */
interface Split {
  readonly handle: ChunkHandle;
  readonly into: ChunkHandle;
  /** As it was when it began. */
  readonly chunk: ChunkRecord;
  /** Members that have made the copy, and those that have thrown the chunk away instead. */
  readonly made: Set<ServerId>;
  readonly dropped: Set<ServerId>;
  /** How much those have that lack some of it. */
  readonly short: Map<ServerId, number>;
}

export class Splitting {
  readonly #world: LeaderWorld;
  readonly #making = new Set<ChunkHandle>();
  #next = 0;
  #end = 0;
  #taking: Promise<void> | undefined;

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** Whether copies under this handle are being made, or were just now: they are no garbage. */
  isMaking(handle: ChunkHandle): boolean {
    return this.#making.has(handle);
  }

  /**
   * @throws CairnError UNAVAILABLE when no server could make a copy, or one neither makes it nor leaves; STALE_HANDLE, STALE_VERSION when something
   * has changed meanwhile
   */
  async split(inode: InodeId, index: number, handle: ChunkHandle): Promise<void> {
    const { env, tables, timing } = this.#world;
    const chunk = chunkOf(tables, handle);
    const into = await this.#takeHandle();
    this.#making.add(into);
    try {
      const split: Split = { handle, into, chunk, made: new Set(), dropped: new Set(), short: new Map() };
      await this.#copyOnAll(split);
      // None is left out that may be serving: a reader may have the old chunk as this file's. While some are waited for others may come back.
      const until = env.clock.now() + timing.cloneMs;
      for (let id = this.#awaited(split); id !== undefined; id = this.#awaited(split)) {
        if (env.clock.now() >= until)
          throw new CairnError(
            'UNAVAILABLE',
            `server ${id} does not copy chunk ${handle} for its file; try again later`,
          );
        await this.#copyOrDrop(id, split);
      }
      await this.#commit(inode, index, split);
      env.events.emit('info', 'chunk_split', { handle, into, servers: [...split.made].join(',') });
    } finally {
      env.clock.after(settledMs, () => this.#making.delete(into));
    }
  }

  async #copyOnAll(split: Split): Promise<void> {
    const { chunk, handle, made, short } = split;
    await this.#copyOnEach(chunk.servers, split, chunk.length);
    // Of an empty chunk nothing can be missing. But who has it must have its next version as well: none but those give it to others.
    if (chunk.length === 0) for (const id of chunk.servers) made.add(id);
    // Where all have lost their power nobody has more than the longest of them.
    if (made.size === 0 && short.size === chunk.servers.length) {
      const most = Math.max(...short.values());
      const longest = chunk.servers.filter((id) => short.get(id) === most);
      await this.#copyOnEach(longest, split, most);
    }
    if (made.size === 0)
      throw new CairnError('UNAVAILABLE', `no server of chunk ${handle} could copy it for its file; try again later`);
  }

  async #copyOnEach(ids: readonly ServerId[], split: Split, length: number): Promise<void> {
    await Promise.all(
      ids.map(async (id) => {
        if ((await this.#copyOn(id, split, length)) === 'copied') split.made.add(id);
      }),
    );
    this.#world.checkLeading();
  }

  /** Serving still, or about to serve again. */
  #awaited({ chunk, made, dropped }: Split): ServerId | undefined {
    const { servers } = this.#world;
    const isAwaited = (id: ServerId) => servers.hasSession(id) || servers.mayBeComing(id);
    return chunk.servers.find((id) => !made.has(id) && !dropped.has(id) && isAwaited(id));
  }

  async #copyOn(id: ServerId, { handle, into, short, chunk: { version } }: Split, length: number): Promise<Copied> {
    const { servers, timing, env } = this.#world;
    const server = servers.get(id);
    if (server === undefined || !servers.hasSession(id)) return 'failed';
    try {
      const split = ordersTo(server).call('split', { handle, version, into, length }, { timeoutMs: timing.cloneMs });
      const { response } = await servers.whileServing([id], split);
      // Who has lost bytes of durability memory has the version of the others: in a set its bytes could become everybody's.
      if (response.length >= length) return 'copied';
      short.set(id, response.length);
      env.events.emit('warn', 'chunk_not_split', { handle, into, server: id, why: 'its replica is short' });
      return 'unable';
    } catch (thrown) {
      const { code, message: why } = toCairnError(thrown);
      if (code === 'CHUNK_MISSING' && length === 0) return 'copied';
      env.events.emit('warn', 'chunk_not_split', { handle, into, server: id, code, why });
      return ofDisk.has(code) ? 'unable' : 'failed';
    }
  }

  /**
   * Once more with a member that was asked in vain. Who was away only, as all are for a leader that has just begun, makes its copy now: to throw away
   * what it has would leave the chunk to fewer, and what those have may be damaged unnoticed. It may have made its copy before and died before it
   * could say so: then it has the next version, and makes the copy again. Who cannot throws away what it has, of this version or, if it is unable
   * for good, the next: nobody was granted that. @throws CairnError STALE_VERSION when the chunk was granted anew meanwhile: nobody throws that away
   */
  async #copyOrDrop(id: ServerId, split: Split): Promise<void> {
    const { servers, tables } = this.#world;
    const { handle, chunk, made, dropped } = split;
    const isStill = () => tables.chunk(handle)?.version === chunk.version; // else the next version may be one that was granted
    if (!isStill())
      throw new CairnError('STALE_VERSION', `chunk ${handle} was granted anew while it was copied; ask again`);
    const again = await this.#copyOn(id, split, chunk.length);
    const next = { ...chunk, version: toChunkVersion(chunk.version + 1) };
    if (again === 'copied') made.add(id);
    else if (!servers.hasSession(id)) await waitUntil(this.#world, servers.changed(id), servers.comingUntil(id));
    else if (await dropReplica(this.#world, id, handle, chunk)) dropped.add(id);
    else if (again === 'unable' && isStill() && (await dropReplica(this.#world, id, handle, next))) dropped.add(id);
    else await servers.changed(id);
    this.#world.checkLeading();
  }

  async #commit(inode: InodeId, index: number, { handle, into, chunk, made }: Split): Promise<void> {
    const { servers } = this.#world;
    this.#world.checkLeading();
    const kept = chunk.servers.filter((id) => made.has(id));
    const at = { inode, index: toChunkIndex(index), handle, version: chunk.version };
    const command = { kind: 'splitChunk', ...at, into, servers: kept, kept } as const;
    const leaving = chunk.servers.filter((id) => !made.has(id));
    valueOrThrow(await servers.excluding(leaving, () => this.#world.execute(command, doneResult)));
    if (leaving.length === 0) return;
    this.#world.noteShort(handle);
    this.#world.noteShort(into);
  }

  async #takeHandle(): Promise<ChunkHandle> {
    while (this.#next === this.#end) {
      this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
      await this.#taking;
    }
    return toChunkHandle(this.#next++);
  }

  async #take(): Promise<void> {
    const taken = valueOrThrow(await this.#world.execute({ kind: 'takeHandles', count: handlesAtOnce }, handlesResult));
    this.#next = taken.first;
    this.#end = taken.first + handlesAtOnce;
  }
}
