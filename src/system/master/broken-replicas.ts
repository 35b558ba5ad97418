/**
 * Replicas that their servers have lost or found damaged, by their own word, or that were seen to be short: the others go on without them, once
 * another has said that it has all of the chunk. Until then the word is kept, and looked into again and again: what is left of a damaged
 * replica may be the best that there is.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { LeaderWorld } from './leader-world.ts';
import { isLive } from './needs.ts';
import type { ReplicaSets } from './replica-sets.ts';
import type { Sealing } from './sealing.ts';
import { isHeldWhole } from './whole-replicas.ts';

/** Words kept of replicas that are still members. */
const wordsMax = 100_000;
/** Looked into at one time. */
const looksMax = 32;
/** Once in so long some are looked into again. */
const againMs = 1000;
const againMax = 256;
/** Noted in one turn. */
const notedMax = 500;

export type WhyGone = 'damaged' | 'missing' | 'short';

interface Word {
  readonly handle: ChunkHandle;
  readonly server: ServerId;
  readonly why: WhyGone;
  /** That it could not be acted upon. */
  isTold: boolean;
}

export class BrokenReplicas {
  readonly #world: LeaderWorld;
  readonly #sealing: Sealing;
  readonly #sets: ReplicaSets;
  /** Told of each chunk about which something has changed. */
  readonly #note: (handle: ChunkHandle) => void;
  /** By chunk and server. */
  readonly #words = new Map<string, Word>();
  /** To be looked into, first come first served. */
  readonly #queue = new Set<Word>();
  /** Chunks that are just losing a replica. */
  readonly #excluding = new Set<ChunkHandle>();
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, sealing: Sealing, sets: ReplicaSets, note: (handle: ChunkHandle) => void) {
    this.#world = world;
    this.#sealing = sealing;
    this.#sets = sets;
    this.#note = note;
  }

  /** No member that is up has a good replica. */
  isLost(handle: ChunkHandle): boolean {
    if (this.#words.size === 0) return false;
    const { tables, servers } = this.#world;
    const members = tables.chunk(handle)?.servers ?? [];
    const broken = members.filter((id) => this.#words.has(keyOf(handle, id)));
    return broken.length > 0 && members.every((id) => broken.includes(id) || !isLive(servers, id));
  }

  /** What the server has said of its replicas may be over: it says it again if it is not. */
  serverCame(id: ServerId): void {
    const over = [...this.#words.values()].filter(({ server }) => server === id);
    for (const word of over) this.#drop(word);
    this.#noteFrom(over, 0);
  }

  #noteFrom(over: readonly Word[], from: number): void {
    if (this.#world.isStopped) return;
    const to = from + notedMax;
    for (const { handle } of over.slice(from, to)) this.#note(handle);
    if (to < over.length) this.#world.env.clock.soon(() => this.#noteFrom(over, to));
  }

  gone(handle: ChunkHandle, server: ServerId, why: WhyGone): void {
    const { env, tables } = this.#world;
    const members = tables.chunk(handle)?.servers ?? [];
    if (!members.includes(server) || this.#words.has(keyOf(handle, server)) || this.#words.size >= wordsMax) return;
    const word = { handle, server, why, isTold: false };
    this.#words.set(keyOf(handle, server), word);
    env.events.emit('warn', 'replica_gone', { handle, server, why, left: members.length - 1 });
    const advice = 'restore this file from elsewhere';
    if (members.length === 1) env.events.emit('error', 'last_replica_gone', { handle, server, why, advice });
    this.#note(handle);
    this.#queue.add(word);
    this.#lookOn();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #forget(word: Word): void {
    this.#drop(word);
    this.#note(word.handle);
  }

  #drop(word: Word): void {
    this.#words.delete(keyOf(word.handle, word.server));
    this.#queue.delete(word);
  }

  // ---------------------------------------------------------------- looking into them

  #lookOn(): void {
    for (const word of this.#queue) {
      if (this.#excluding.size >= looksMax) break;
      this.#queue.delete(word);
      void this.#lookInto(word);
    }
    if (this.#words.size > 0) this.#timer ??= this.#world.env.clock.after(againMs, () => this.#lookAgain());
  }

  #lookAgain(): void {
    this.#timer = undefined;
    if (this.#world.isStopped) return;
    for (const [key, word] of [...this.#words].slice(0, againMax)) {
      this.#words.delete(key);
      this.#words.set(key, word); // behind the others
      this.#queue.add(word);
    }
    this.#lookOn();
  }

  async #lookInto(word: Word): Promise<void> {
    const { handle } = word;
    if (this.#excluding.has(handle)) return; // it comes again
    this.#excluding.add(handle);
    try {
      if (!(await this.#isOver(word))) await this.#leaveOut(word);
      this.#forget(word);
    } catch (thrown) {
      this.#notLeftOut(word, toCairnError(thrown));
    } finally {
      this.#excluding.delete(handle);
    }
    if (!this.#world.isStopped) this.#lookOn();
  }

  /** The replica is good after all; or it is short, and no other has all of the chunk: where all have lost their power it may be the best that is left. */
  async #isOver({ handle, server, why, isTold }: Word): Promise<boolean> {
    if (why === 'damaged' && !isTold) return false;
    if (await isHeldWhole(this.#world, handle, server)) return true;
    if (why !== 'short') return false;
    const others = this.#world.tables.chunk(handle)?.servers.filter((id) => id !== server) ?? [];
    const whole = await Promise.all(others.map((id) => isHeldWhole(this.#world, handle, id)));
    return !whole.includes(true);
  }

  #notLeftOut(word: Word, { code, message: why }: CairnError): void {
    if (this.#world.isStopped || word.isTold) return;
    word.isTold = true;
    const { handle, server } = word;
    this.#world.env.events.emit('warn', 'replica_not_excluded', { handle, server, code, why });
  }

  /** Readers may look for the chunk there: it serves it no longer when nothing is mutated without it. */
  async #leaveOut({ handle, server }: Word): Promise<void> {
    const { tables } = this.#world;
    if (tables.chunk(handle)?.servers.every((id) => id === server) === true)
      throw new CairnError('UNAVAILABLE', `chunk ${handle} has no other server`); // so it is not sealed in vain either
    if (tables.chunk(handle)?.sealed === false) await this.#sealing.sealWithout(handle, [server]);
    const chunk = tables.chunk(handle);
    if (chunk?.servers.includes(server) !== true) return;
    await this.#sets.exclude(handle, chunk.version, [server]);
  }
}

function keyOf(handle: ChunkHandle, server: ServerId): string {
  return `${handle}/${server}`;
}
