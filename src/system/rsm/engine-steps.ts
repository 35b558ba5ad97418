/** Hands inputs to an engine, one step at a time, and ticks it when it wants that. Steps never nest: what comes meanwhile waits. */
import type { Millis } from '../../core/base/brand.ts';
import type { Clock, Timer } from '../../core/base/env.ts';
import type { Effects, Engine, Input } from '../../core/consensus/engine.ts';

export interface SteppingHost<Message, LogRecord> {
  readonly clock: Clock;
  carryOut(effects: Effects<Message, LogRecord>): void;
  /** After the last of the steps that followed one another. */
  stepped(): void;
  failed(thrown: unknown): void;
}

export class EngineSteps<Message, LogRecord> {
  readonly engine: Engine<Message, LogRecord>;
  readonly #host: SteppingHost<Message, LogRecord>;
  readonly #inputs: Input<Message>[] = [];
  #stepping = false;
  #timer: { readonly timer: Timer; readonly at: Millis } | undefined;
  #isStopped = false;

  constructor(engine: Engine<Message, LogRecord>, host: SteppingHost<Message, LogRecord>) {
    this.engine = engine;
    this.#host = host;
  }

  take(input: Input<Message>): void {
    if (this.#isStopped) return;
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift())
        this.#host.carryOut(this.engine.step(next));
      this.#armTimer();
      this.#host.stepped();
    } catch (thrown) {
      this.#host.failed(thrown);
    } finally {
      this.#stepping = false;
    }
  }

  #armTimer(): void {
    const { clock } = this.#host;
    const at = this.engine.nextTickAt;
    if (this.#timer !== undefined) {
      if (this.#timer.at <= at) return; // it fires early, and is armed again then
      this.#timer.timer.cancel();
    }
    const timer = clock.after(Math.max(0, at - clock.now()), () => {
      this.#timer = undefined;
      this.take({ kind: 'tick', now: clock.now() });
    });
    this.#timer = { timer, at };
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.timer.cancel();
  }
}
