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
  /** So many times its end is to be reached in haste: once more than the pass under way if that has begun before it was asked for. */
  #endsInHaste = 0;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, look: (handle: ChunkHandle) => void) {
    this.#world = world;
    this.#look = look;
  }

  start(): void {
    this.#schedule();
  }

  /** Every chunk should be looked at soon. Goes on from where it is: however often it is asked for, the last ones get their turn. */
  hurry(): void {
    const isUnderWay = this.#endsInHaste > 0;
    this.#endsInHaste = this.#after === 0 ? 1 : 2;
    if (isUnderWay) return;
    this.#timer?.cancel();
    this.#schedule();
  }

  #schedule(): void {
    const pause = this.#endsInHaste > 0 ? hastePauseMs : this.#world.timing.scanPauseMs;
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
    if (isLast && this.#endsInHaste > 0) this.#endsInHaste -= 1;
    for (const handle of handles) this.#look(handle);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
