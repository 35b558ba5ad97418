/**
 * Open chunks that have left the table lately, as each master sees it that applies the log: a leader may fall after a file was cut and before the
 * primaries of what it has lost have heard of it. Who asks the next leader for the same cut waits for them there.
 */
import type { ChunkHandle } from '../../core/base/brand.ts';
import type { Clock } from '../../core/base/env.ts';
import type { ChunkRecord } from './state/records.ts';

/** Far longer than a client tries again, or a primary goes on without a word of a master. */
export const removedKeptMs = 60_000;
/** Beyond it the oldest are forgotten. */
export const removedKeptMax = 16_384;

interface Removed {
  readonly at: number;
  readonly handle: ChunkHandle;
  readonly chunk: ChunkRecord;
}

export class RemovedLately {
  readonly #clock: Clock;
  /** In the order of time; those before `#from` are forgotten. */
  #removed: Removed[] = [];
  #from = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(handle: ChunkHandle, chunk: ChunkRecord): void {
    if (chunk.sealed) return;
    this.#removed.push({ at: this.#clock.now(), handle, chunk });
    this.#forget();
  }

  /** Oldest first. */
  all(): readonly Removed[] {
    this.#forget();
    return this.#removed.slice(this.#from);
  }

  #forget(): void {
    const before = this.#clock.now() - removedKeptMs;
    const isOver = () => this.#removed.length - this.#from > removedKeptMax || this.#removed[this.#from]!.at < before;
    while (this.#from < this.#removed.length && isOver()) this.#from += 1;
    if (2 * this.#from < this.#removed.length) return;
    this.#removed = this.#removed.slice(this.#from);
    this.#from = 0;
  }
}
