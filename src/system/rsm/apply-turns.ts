/** When what is committed is applied: a slice at once or in the next turn, and the rest in the turns after. */
import type { Clock } from '../../core/base/env.ts';
import type { LogIndex } from '../../core/consensus/engine.ts';
import type { Applier } from './applier.ts';

export interface ApplyingHost {
  readonly clock: Clock;
  readonly applier: Applier;
  /** False once the replica has stopped. */
  readonly isRunning: boolean;
  appliedTo(index: LogIndex): void;
  failed(thrown: unknown): void;
}

export class ApplyTurns {
  readonly #host: ApplyingHost;
  #isDue = false;

  constructor(host: ApplyingHost) {
    this.#host = host;
  }

  /** Something is committed. Whoever waits for what this step writes waits for no state machine; what it may wait for is one step's at most. */
  committed(isWriting: boolean): void {
    if (!isWriting || this.#isDue) this.now();
    else this.#soon();
  }

  /** The next slice. @throws what the state machine throws */
  now(): void {
    const { applier } = this.#host;
    const before = applier.appliedIndex;
    const more = applier.applySlice();
    const index = applier.appliedIndex;
    if (index > before) this.#host.appliedTo(index);
    if (more) this.#soon();
  }

  /** From outside of a step: what is thrown stops the replica. */
  goOn(): void {
    if (!this.#host.isRunning) return;
    try {
      this.now();
    } catch (thrown) {
      this.#host.failed(thrown);
    }
  }

  #soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#host.clock.soon(() => {
      this.#isDue = false;
      this.goOn();
    });
  }
}
