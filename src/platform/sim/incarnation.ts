/**
 * One life of a process on a node: from its start to its crash. Everything it waits for belongs to it as events; when it
 * ends none of them ever happens, its promises never settle, and what its code may still call does nothing.
 */
import { assert } from '../../core/base/assert.ts';
import type { Clock, Timer } from '../../core/base/env.ts';
import type { DriftingClock } from './clock.ts';
import type { EventOwner, SimEvent, SimKernel } from './kernel.ts';
import type { SimRandom } from './random.ts';

/** Thrown by the calls of a dead incarnation that cannot wait for ever: code that still runs after its crash stops here. */
export class DeadIncarnationError extends Error {
  override readonly name = 'DeadIncarnationError';
}

/** Why a process does not run: somebody stopped it (SIGSTOP), or it waits in the kernel for a stalled disk. */
export type HoldReason = 'stopped' | 'disk';

export class Incarnation implements EventOwner {
  readonly name: string;
  readonly identity: number;
  readonly #kernel: SimKernel;
  readonly #holds = new Set<HoldReason>();
  #parked: SimEvent[] = [];
  #isAlive = true;

  constructor(kernel: SimKernel, name: string, identity: number) {
    this.#kernel = kernel;
    this.name = name;
    this.identity = identity;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isHeld(): boolean {
    return this.#holds.size > 0;
  }

  isHeldFor(reason: HoldReason): boolean {
    return this.#holds.has(reason);
  }

  park(event: SimEvent): void {
    this.#parked.push(event);
  }

  hold(reason: HoldReason): void {
    this.#holds.add(reason);
  }

  release(reason: HoldReason): void {
    this.#holds.delete(reason);
    if (this.isHeld || !this.#isAlive) return;
    const parked = this.#parked;
    this.#parked = [];
    for (const event of parked) this.#kernel.unpark(event);
  }

  end(): void {
    assert(this.#isAlive, 'a process dies once', { name: this.name });
    this.#isAlive = false;
    this.#parked = [];
  }

  /** For calls that answer at once. @throws DeadIncarnationError */
  mustLive(): void {
    if (!this.#isAlive) throw new DeadIncarnationError(`${this.name} is dead and asks for something`);
  }
}

export interface TurnSettings {
  /** The longest time from an input to the end of its turn, where `soon` runs. */
  readonly turnMaxUs: number;
  /** The most that a timer is late. */
  readonly timerLatenessMaxMs: number;
}

export const defaultTurns: TurnSettings = { turnMaxUs: 50, timerLatenessMaxMs: 1 };

/** The node's clock as one incarnation sees it, with the timers that die with it. */
export class IncarnationClock implements Clock {
  readonly #kernel: SimKernel;
  readonly #owner: Incarnation;
  readonly #clock: DriftingClock;
  readonly #random: SimRandom;
  readonly #settings: TurnSettings;
  #turnEndUs = -1;

  constructor(kernel: SimKernel, owner: Incarnation, clock: DriftingClock, random: SimRandom, settings: TurnSettings) {
    this.#kernel = kernel;
    this.#owner = owner;
    this.#clock = clock;
    this.#random = random;
    this.#settings = settings;
  }

  now() {
    return this.#clock.now();
  }

  wallNow() {
    return this.#clock.wallNow();
  }

  after(delayMs: number, fire: () => void): Timer {
    const dueUs = this.#clock.nowUs() + Math.max(0, delayMs) * 1000;
    const latenessUs = this.#random.below(Math.round(this.#settings.timerLatenessMaxMs * 1000) + 1);
    let event: SimEvent;
    const arm = (lateUs: number) => {
      event = this.#kernel.schedule(this.#owner, this.#clock.worldTimeOf(dueUs) + lateUs, 'timer', elapsed);
    };
    // The clock may have been slowed since the timer was set: "not before" is by this clock.
    const elapsed = () => {
      if (this.#clock.nowUs() < dueUs) arm(1);
      else fire();
    };
    arm(latenessUs);
    return { cancel: () => this.#kernel.cancel(event) };
  }

  soon(run: () => void): void {
    const { nowUs } = this.#kernel;
    if (this.#turnEndUs <= nowUs) this.#turnEndUs = nowUs + this.#random.below(this.#settings.turnMaxUs + 1);
    this.#kernel.schedule(this.#owner, this.#turnEndUs, 'soon', run);
  }
}
