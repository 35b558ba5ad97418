/** Order among the changes of one chunk: whoever comes waits for those who came before, over all chunks it touches. */
import type { ChunkState } from './chunk-state.ts';

export class Turn {
  readonly #states: readonly ChunkState[];
  readonly #before: readonly Promise<void>[];
  readonly #passed: Promise<void>;
  #pass: () => void = () => {};
  #isOver = false;

  /** Queues behind the present holders; the order of the constructor calls is the order of the turns, so none can wait in a circle. */
  constructor(states: readonly ChunkState[]) {
    this.#states = states;
    this.#passed = new Promise((resolve) => {
      this.#pass = resolve;
    });
    const before: Promise<void>[] = [];
    for (const state of states) {
      state.pins++;
      if (state.tail !== undefined) before.push(state.tail);
      state.tail = this.#passed;
    }
    this.#before = before;
  }

  get mustWait(): boolean {
    return this.#before.length > 0;
  }

  async wait(): Promise<void> {
    await Promise.all(this.#before);
  }

  /** Lets the next one in. */
  pass(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const state of this.#states) if (state.tail === this.#passed) state.tail = undefined;
    this.#pass();
  }

  /** The states may leave memory again. */
  unpin(): void {
    for (const state of this.#states) state.pins--;
  }
}

/** Waits for it, whatever becomes of it. */
export async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.then(
    () => {},
    () => {},
  );
}
