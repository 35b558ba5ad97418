/** Keeps a copy to its rate: who has moved some bytes waits until that much time has gone by. */
import type { Env } from '../../core/base/env.ts';

export class Pace {
  readonly #env: Env;
  readonly #bytesPerSecond: number;
  readonly #beganAt: number;
  #bytes = 0;

  /** @param bytesPerSecond 0: as fast as it goes. */
  constructor(env: Env, bytesPerSecond: number) {
    this.#env = env;
    this.#bytesPerSecond = bytesPerSecond;
    this.#beganAt = env.clock.now();
  }

  async moved(bytes: number): Promise<void> {
    if (this.#bytesPerSecond === 0) return;
    this.#bytes += bytes;
    const dueAt = this.#beganAt + (this.#bytes / this.#bytesPerSecond) * 1000;
    const waitMs = dueAt - this.#env.clock.now();
    if (waitMs > 0) await new Promise<void>((resolve) => this.#env.clock.after(waitMs, resolve));
  }
}
