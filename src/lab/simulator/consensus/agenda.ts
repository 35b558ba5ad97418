/**
 * Virtual time of a group, and what is still to happen in it: plain calls in the order of their time. Everything is synchronous, so
 * nothing has to be drained between two events: that is what makes a group run some hundred times faster than real time.
 */
import { EventHash } from '../../../platform/sim/event-hash.ts';
import { EventQueue, type Timed } from '../../../platform/sim/event-queue.ts';
import { hold } from './broken-rule.ts';

/** More than ever happens at one moment: who asks for more than that asks again and again for what is due already. */
const eventsAtOnceMax = 20_000;

/** What an event belongs to: goes into the hash, so that two runs are the same only if the same things happened to the same nodes. */
export interface Due extends Timed {
  readonly mark: number;
  readonly run: () => void;
}

export class Agenda {
  /** Of all that happened, in order; with it, what was committed. */
  readonly hash = new EventHash();
  readonly #queue = new EventQueue<Due>();
  #nowUs = 0;
  #made = 0;
  /** Events since time last went on. */
  #atOnce = 0;
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

  /**
   * Runs what is due up to `untilMs`, or until `isOver` says so, which is asked after each event.
   * @throws BrokenRule when time stands still
   */
  runUntil(untilMs: number, isOver?: () => boolean): void {
    const untilUs = Math.round(untilMs * 1000);
    for (let due = this.#queue.popUntil(untilUs); due !== undefined; due = this.#queue.popUntil(untilUs)) {
      this.#atOnce = due.atUs === this.#nowUs ? this.#atOnce + 1 : 0;
      hold(this.#atOnce < eventsAtOnceMax, 'progress', () => `time stands still at ${this.nowMs} ms`);
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
