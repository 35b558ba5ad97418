/** Time of the machine: the monotonic clock, Node's timers, and the turn's end. */
import { performance } from 'node:perf_hooks';
import type { Millis, WallMillis } from '../../core/base/brand.ts';
import type { Clock, Timer } from '../../core/base/env.ts';

/** The longest span that setTimeout takes; a longer one would fire at once. */
const timeoutMaxMs = 0x7fff_ffff;

export function nodeClock(): Clock {
  return {
    now: () => performance.now() as Millis,
    wallNow: () => Date.now() as WallMillis,
    after: (delayMs, fire) => new NodeTimer(delayMs, fire),
    soon: (run) => void setImmediate(run),
  };
}

/**
 * setTimeout counts whole milliseconds of the event loop's clock and so may fire up to one early by the monotonic one.
 * Leases hang on "not before", so a timer that is early arms itself again.
 */
class NodeTimer implements Timer {
  readonly #dueMs: number;
  readonly #fire: () => void;
  #timeout: NodeJS.Timeout;

  constructor(delayMs: number, fire: () => void) {
    this.#dueMs = performance.now() + Math.max(0, delayMs);
    this.#fire = fire;
    this.#timeout = this.#arm(delayMs);
  }

  #arm(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#elapsed(), Math.min(Math.ceil(delayMs), timeoutMaxMs));
  }

  #elapsed(): void {
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) this.#timeout = this.#arm(leftMs);
    else this.#fire();
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}
