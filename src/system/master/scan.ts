/** Goes through the whole chunk table, a slice at a time: slowly for ever, fast once after something has happened. */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Timer } from '../../core/base/env.ts';
import type { LeaderWorld } from './leader-world.ts';

const sliceMax = 1000;
/** Between slices in haste: others get their turns. */
const hastePauseMs = 2;

export class Scan {
  readonly #world: LeaderWorld;
  readonly #look: (handle: ChunkHandle) => void;
  #after = 0;
  /** Until this pass is complete. */
  #inHaste = false;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, look: (handle: ChunkHandle) => void) {
    this.#world = world;
    this.#look = look;
  }

  start(): void {
    this.#schedule();
  }

  /** Every chunk should be looked at soon. */
  hurry(): void {
    this.#inHaste = true;
    this.#after = 0;
    this.#timer?.cancel();
    this.#schedule();
  }

  #schedule(): void {
    const pause = this.#inHaste ? hastePauseMs : this.#world.timing.scanPauseMs;
    this.#timer = this.#world.env.clock.after(pause, () => this.#slice());
  }

  #slice(): void {
    const handles: ChunkHandle[] = [];
    for (const [handle] of this.#world.tables.chunks(this.#after)) {
      handles.push(handle);
      if (handles.length === sliceMax) break;
    }
    const isLast = handles.length < sliceMax;
    this.#after = isLast ? 0 : handles.at(-1)!;
    if (isLast) this.#inHaste = false;
    for (const handle of handles) this.#look(handle);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
