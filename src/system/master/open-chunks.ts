/**
 * Chunks whose lease nobody uses: its primary was restarted or gave up before it could say so, or the client that asked for the lease is
 * gone. Their length is not known here and their replicas may differ in what was never acknowledged, so they are sealed. A
 * primary that is at work reports a growing length or, when it is idle, gives its lease back; one that only writes over what is
 * there reports nothing, and loses its lease here now and then, which costs it a new one.
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Timer } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { ChunkRecord } from './state/records.ts';

/** Open chunks watched at one time; others are when there is room again. */
export const watchedMax = 10_000;
/** Chunks being sealed at one time. */
const sealsMax = 8;
const looksPerSecond = 1000;

interface Watched {
  readonly version: number;
  readonly length: number;
  /** For so long nothing was heard of it. */
  since: number;
}

export class OpenChunks {
  readonly #world: LeaderWorld;
  readonly #seal: (handle: ChunkHandle) => Promise<void>;
  /** Those that were open when they were looked at: in the pass over all that goes on now, and in the one before if this one has not come to them. */
  #watched = new Map<ChunkHandle, Watched>();
  #watchedBefore = new Map<ChunkHandle, Watched>();
  readonly #sealing = new Set<ChunkHandle>();
  /** Of those that are watched: they could be sealed, and wait until others are. */
  readonly #due = new Set<ChunkHandle>();
  #after = 0;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, seal: (handle: ChunkHandle) => Promise<void>) {
    this.#world = world;
    this.#seal = seal;
  }

  start(): void {
    this.#timer = this.#world.env.clock.after(1000, () => {
      for (const handle of this.#next()) this.#look(handle);
      if (this.#after === 0) this.#endPass();
      this.start();
    });
  }

  /** The open chunks behind those that were looked at last; from the first again after the last. */
  #next(): ChunkHandle[] {
    const handles: ChunkHandle[] = [];
    for (const handle of this.#world.tables.openChunks(this.#after)) {
      handles.push(handle);
      if (handles.length === looksPerSecond) break;
    }
    this.#after = handles.length < looksPerSecond ? 0 : handles.at(-1)!;
    return handles;
  }

  /** What was not open any more in this pass is forgotten. */
  #endPass(): void {
    this.#watchedBefore = this.#watched;
    this.#watched = new Map();
  }

  get #hasRoom(): boolean {
    return this.#watched.size + this.#watchedBefore.size < watchedMax;
  }

  #look(handle: ChunkHandle): void {
    const { tables, env, timing } = this.#world;
    const chunk = tables.chunk(handle);
    const known = this.#watchedBefore.get(handle);
    this.#watchedBefore.delete(handle);
    if (chunk === undefined || chunk.sealed) return;
    const { version, length } = chunk;
    const now = env.clock.now();
    if (known === undefined || known.version !== version || known.length !== length) {
      if (this.#hasRoom) this.#watched.set(handle, { version, length, since: now });
      return;
    }
    this.#watched.set(handle, known);
    if (now - known.since < timing.openQuietMs || !this.#canBeSealed(handle, chunk)) return;
    this.#due.add(handle);
    this.#sealOn();
  }

  #sealOn(): void {
    for (const handle of this.#due) {
      if (this.#sealing.size >= sealsMax) return;
      this.#due.delete(handle);
      this.#sealIfStill(handle);
    }
  }

  /** It may have waited: somebody may use it again. */
  #sealIfStill(handle: ChunkHandle): void {
    const { tables, env } = this.#world;
    const chunk = tables.chunk(handle);
    const known = this.#watched.get(handle) ?? this.#watchedBefore.get(handle);
    if (chunk === undefined || known === undefined || chunk.sealed || !this.#canBeSealed(handle, chunk)) return;
    if (known.version !== chunk.version || known.length !== chunk.length) return;
    known.since = env.clock.now();
    void this.#sealOne(handle);
  }

  /** Members that are silent, but not yet dead, may come back: they would be left out of the set. */
  #canBeSealed(handle: ChunkHandle, { servers }: ChunkRecord): boolean {
    return !this.#sealing.has(handle) && servers.every((id) => this.#world.servers.hasSession(id));
  }

  async #sealOne(handle: ChunkHandle): Promise<void> {
    const { env } = this.#world;
    this.#sealing.add(handle);
    try {
      await this.#seal(handle);
      env.events.emit('info', 'open_chunk_sealed', { handle });
    } catch (thrown) {
      if (this.#world.isStopped) return;
      const { code, message } = toCairnError(thrown);
      env.events.emit('warn', 'open_chunk_not_sealed', { handle, code, why: message });
    } finally {
      this.#sealing.delete(handle);
    }
    this.#sealOn();
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
