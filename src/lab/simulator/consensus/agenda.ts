/**
 * Virtual time of a group, and what is still to happen in it: plain calls in the order of their time. Everything is synchronous, so
 * nothing has to be drained between two events: that is what makes a group run some hundred times faster than real time.
 */
import { EventHash } from '../../../platform/sim/event-hash.ts';
import { EventQueue, type Timed } from '../../../platform/sim/event-queue.ts';

/** What an event belongs to: goes into the hash, so that two runs are the same only if the same things happened to the same nodes. */
export interface Due extends Timed {
  readonly mark: number;
  readonly run: () => void;
}

export class Agenda {
  /** Of all that happened, in order. */
  readonly hash = new EventHash();
  readonly #queue = new EventQueue<Due>();
  #nowUs = 0;
  #made = 0;
  events = 0;

  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  /** @param mark who and what, as a number: see `Due` */
  after(delayMs: number, mark: number, run: () => void): Due {
    const atUs = this.#nowUs + Math.max(0, Math.ceil(delayMs * 1000));
    const due = { atUs, sequence: this.#made++, isQueued: false, isCancelled: false, mark, run };
    this.#queue.push(due);
    return due;
  }

  cancel(due: Due): void {
    this.#queue.cancel(due);
  }

  /** Runs what is due up to `untilMs`, or until `isOver` says so, which is asked after each event. */
  runUntil(untilMs: number, isOver?: () => boolean): void {
    const untilUs = Math.round(untilMs * 1000);
    for (let due = this.#queue.popUntil(untilUs); due !== undefined; due = this.#queue.popUntil(untilUs)) {
      this.#nowUs = due.atUs;
      this.events += 1;
      this.hash.mix(due.atUs | 0);
      this.hash.mix(due.mark);
      due.run();
      if (isOver?.() === true) return;
    }
    this.#nowUs = Math.max(this.#nowUs, untilUs);
  }
}
