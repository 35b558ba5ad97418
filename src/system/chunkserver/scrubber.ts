/**
 * Looks at every block of this server when there is little else to do (GFS §5.2): what rots, is torn, lies in the wrong place or is taken
 * away is found before it is needed. What is found is served no longer, and reported; the master has it copied anew.
 *
 *     waiting ──▶ passing ──▶ waiting …      a pass goes over all chunks in the order of their handles, and on after a restart
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import { type chunkCalls, scrubFindingsMax } from '../../core/protocol/chunk-calls.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { Activity } from './activity.ts';
import type { Inventory } from './inventory.ts';
import type { Limits } from './limits.ts';
import { loadScrubPlace, type ScrubPlace, saveScrubPlace } from './scrub-place.ts';

export type ScrubStatus = ResponseOf<(typeof chunkCalls)['scrub']>;

export interface ScrubWorld {
  readonly env: Env;
  readonly limits: Limits;
  readonly store: ChunkStore;
  readonly inventory: Inventory;
  readonly activity: Activity;
  /** Of the file that remembers how far a pass has come. */
  readonly placePath: string;
}

const pageChunks = 256;
/** While others are at work a pass still goes on at this pace. */
const busyWaitMs = 1000;
const idleAfterMs = 50;
const saveEveryMs = 30_000;
/** What a timer can hold. */
const timerMaxMs = 2_000_000_000;

export class Scrubber {
  readonly #world: ScrubWorld;
  #place: ScrubPlace = { next: 1, startedAt: undefined, finishedAt: undefined };
  #timer: Timer | undefined;
  #pass: Promise<void> | undefined;
  /** Somebody waits for this pass: it does not give way. */
  #isHurried = false;
  #isStopped = false;
  #wake: (() => void) | undefined;
  #done = { chunks: 0, bytes: 0 };
  #damaged: { handle: ChunkHandle; blocks: number }[] = [];
  #savedAt = 0;

  constructor(world: ScrubWorld) {
    this.#world = world;
  }

  async start(): Promise<void> {
    const { env, limits, placePath } = this.#world;
    this.#place = (await loadScrubPlace(env, placePath)) ?? this.#place;
    if (!this.#isStopped) this.#plan(limits.scrubDelayMs);
  }

  /** Begins a pass over all chunks, or hurries the one under way. */
  now(): void {
    this.#isHurried = true;
    this.#wake?.();
    if (this.#pass === undefined && !this.#isStopped) this.#begin(1);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#wake?.();
    await this.#pass;
  }

  get status(): ScrubStatus {
    const { startedAt, finishedAt } = this.#place;
    return {
      isRunning: this.#pass !== undefined,
      startedAt,
      finishedAt,
      chunks: this.#done.chunks,
      chunksTotal: Math.max(this.#done.chunks, this.#world.store.chunkCount),
      bytes: this.#done.bytes,
      damaged: this.#damaged,
    };
  }

  /** When the next pass is due, or the rest of the one that a stop has interrupted. */
  #plan(leastMs: number): void {
    const { env, limits } = this.#world;
    const { next, finishedAt } = this.#place;
    const sinceMs = finishedAt === undefined ? limits.scrubEveryMs : env.clock.wallNow() - finishedAt;
    const dueMs = next > 1 ? 0 : Math.max(0, limits.scrubEveryMs - sinceMs);
    const waitMs = Math.min(timerMaxMs, Math.max(leastMs, Math.min(dueMs, limits.scrubEveryMs)));
    this.#timer = env.clock.after(waitMs, () => this.#begin(next));
  }

  #begin(from: number): void {
    this.#timer?.cancel();
    this.#done = { chunks: 0, bytes: 0 };
    this.#damaged = [];
    const startedAt = from > 1 ? this.#place.startedAt : this.#world.env.clock.wallNow();
    this.#place = { next: from, startedAt, finishedAt: this.#place.finishedAt };
    this.#pass = this.#goOver().finally(() => {
      this.#pass = undefined;
      this.#isHurried = false;
      if (!this.#isStopped) this.#plan(0);
    });
  }

  async #goOver(): Promise<void> {
    const { env, store } = this.#world;
    env.events.emit('info', 'chunkserver.scrubBegan', { chunks: store.chunkCount, from: this.#place.next });
    for (;;) {
      const page = store.list((this.#place.next - 1) as ChunkHandle, pageChunks);
      for (const { handle } of page) {
        if (this.#isStopped) return this.#save();
        await this.#lookAt(handle);
        this.#place = { ...this.#place, next: handle + 1 };
        if (env.clock.now() - this.#savedAt >= saveEveryMs) await this.#save();
      }
      if (page.length === 0) break;
    }
    this.#place = { next: 1, startedAt: this.#place.startedAt, finishedAt: env.clock.wallNow() };
    env.events.emit('info', 'chunkserver.scrubEnded', { ...this.#done, damaged: this.#damaged.length });
    await this.#save();
  }

  async #lookAt(handle: ChunkHandle): Promise<void> {
    const { store, inventory } = this.#world;
    if (inventory.isDamaged(handle)) return;
    try {
      const blocks = await store.verify(handle, (bytes) => this.#pace(bytes));
      if (blocks.length > 0) {
        inventory.markDamaged(handle); // the store tells of each block once, and may have done so before the replica was made anew
        this.#found(handle, blocks.length);
      }
    } catch (thrown) {
      const error = toCairnError(thrown);
      // Removed meanwhile, unless the store has said that it is lost.
      if (error.code === 'CHUNK_MISSING' && !inventory.isDamaged(handle)) return;
      this.#world.env.events.emit('error', 'chunkserver.scrubFailed', { handle, code: error.code });
      // Of a machine that has no files or memory left: that says nothing about the chunk, which waits for the next pass.
      if (error.code === 'BUSY') return;
      inventory.markDamaged(handle);
      this.#found(handle, 0);
    }
    this.#done.chunks += 1;
  }

  #found(handle: ChunkHandle, blocks: number): void {
    if (this.#damaged.length < scrubFindingsMax) this.#damaged.push({ handle, blocks });
  }

  /** Gives way to others, and keeps within the rate. */
  async #pace(bytes: number): Promise<void> {
    const { limits, activity } = this.#world;
    this.#done.bytes += bytes;
    if (this.#isStopped) return;
    const perSecond = this.#isHurried ? limits.scrubHurriedBytesPerSecond : limits.scrubBytesPerSecond;
    await this.#sleep((bytes / perSecond) * 1000);
    for (let waited = 0; waited < busyWaitMs && activity.idleMs < idleAfterMs; waited += idleAfterMs) {
      if (this.#isHurried || this.#isStopped) return;
      await this.#sleep(idleAfterMs);
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#world.env.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async #save(): Promise<void> {
    const { env, placePath } = this.#world;
    this.#savedAt = env.clock.now();
    try {
      await saveScrubPlace(env, placePath, this.#place);
    } catch (thrown) {
      // It is only forgotten how far the pass has come.
      const { code, message } = toCairnError(thrown);
      env.events.emit('warn', 'chunkserver.scrubPlaceNotSaved', { code, message });
    }
  }
}
