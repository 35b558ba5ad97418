/**
 * Virtual time and the order of events. Everything that happens in a simulation is an event here; between two events
 * that run code of nodes or of the scenario all promise reactions are run to the end, so that the order of events, and
 * nothing else, decides what happens.
 *
 * How reactions are drained: ECMAScript alone cannot say when the queue of promise jobs is empty. Awaiting some number of
 * resolved promises is not sound, since the code under test may chain more. The host can: it runs all promise jobs before
 * its next task. So it gives us `drain`, a promise that a *task* resolves (in Node setImmediate, in a browser a
 * MessageChannel). It is sound because simulated code can wait for nothing but promises and events of this queue: the
 * layers have no other source of tasks, and the ban on globals watches that.
 */
import { assert } from '../../core/base/assert.ts';
import { type Millis, toMillis } from '../../core/base/brand.ts';
import { banGlobals, liftBan } from './banned-globals.ts';
import { EventHash } from './event-hash.ts';
import { EventQueue, type Timed } from './event-queue.ts';

/** `kernel` events move bytes and clocks and run no code of a node: nothing is drained after them. */
const eventKinds = ['kernel', 'scenario', 'timer', 'soon', 'disk', 'accept', 'deliver', 'drained', 'closed'] as const;
export type EventKind = (typeof eventKinds)[number];

const kindCodes = Object.fromEntries(eventKinds.map((kind, code) => [kind, code])) as Readonly<
  Record<EventKind, number>
>;

/** What the kernel must know of the incarnation that an event belongs to. */
export interface EventOwner {
  readonly name: string;
  /** For the hash: differs between nodes and between incarnations of one. */
  readonly identity: number;
  /** The events of a dead owner never happen. */
  readonly isAlive: boolean;
  /** The events of a held one (SIGSTOP, a stalled disk) are parked with it. */
  readonly isHeld: boolean;
  park(event: SimEvent): void;
}

export interface SimEvent extends Timed {
  atUs: number;
  sequence: number;
  readonly kind: EventKind;
  readonly owner: EventOwner | undefined;
  readonly run: () => void;
}

/** One line of a trace: compare two to find where runs part. */
export interface TraceLine {
  readonly atUs: number;
  readonly kind: EventKind;
  readonly owner: string;
  readonly hash: string;
}

export interface SimHost {
  /** Resolves by a task of the host, after all promise jobs; see the module's comment. */
  readonly drain: () => Promise<void>;
  /** The host's global object, to ban what lets the world in while events run. Without it nothing is banned. */
  readonly globals?: object;
  readonly trace?: (line: TraceLine) => void;
}

/** Tasks that are asked of the host at once: it looks at its sockets and clocks once for so many drains. */
const tasksAtOnce = 64;

/**
 * A host that drains with tasks of its own, each of which ends one drain. Tasks for which no drain waits do nothing.
 * @param nextTask runs something as a task of its own, soon, with all promise jobs run to the end between two of them:
 *   Node's setImmediate, taken before it is banned.
 */
export function taskHost(nextTask: (run: () => void) => unknown, globals: object): SimHost {
  const waiting: (() => void)[] = [];
  let tasks = 0;
  const task = () => {
    tasks -= 1;
    waiting.shift()?.();
  };
  const drain = () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (tasks >= waiting.length) return;
      for (let i = 0; i < tasksAtOnce; i++) nextTask(task);
      tasks += tasksAtOnce;
    });
  return { drain, globals };
}

/** Virtual time that a wait may take when nothing else was said: a simulated hour. */
const defaultLimitMs = 3_600_000;

export class SimKernel {
  readonly hash = new EventHash();
  readonly #host: SimHost;
  readonly #queue = new EventQueue<SimEvent>();
  #nowUs = 0;
  #sequence = 0;
  #fired = 0;
  #isRunning = false;

  constructor(host: SimHost) {
    this.#host = host;
  }

  /** Virtual time in whole microseconds since the beginning. */
  get nowUs(): number {
    return this.#nowUs;
  }

  get now(): Millis {
    return toMillis(this.#nowUs / 1000);
  }

  /** Events so far that ran code of a node or of the scenario. */
  get eventCount(): number {
    return this.#fired;
  }

  schedule(owner: EventOwner | undefined, atUs: number, kind: EventKind, run: () => void): SimEvent {
    const time = Math.max(this.#nowUs, Math.ceil(atUs));
    assert(Number.isSafeInteger(time), 'an event has a time', { atUs });
    const event = { atUs: time, sequence: this.#sequence++, kind, owner, run, isQueued: false, isCancelled: false };
    this.#queue.push(event);
    return event;
  }

  cancel(event: SimEvent): void {
    this.#queue.cancel(event);
  }

  /** Puts an event that was parked back: it happens now, after what is already due now. */
  unpark(event: SimEvent): void {
    if (event.isCancelled) return;
    event.atUs = this.#nowUs;
    event.sequence = this.#sequence++;
    this.#queue.push(event);
  }

  /** Handles one event and everything that it sets off. False when there was none. */
  async step(): Promise<boolean> {
    let fired = false;
    await this.#exclusively(async () => {
      fired = await this.#stepOnce(Number.POSITIVE_INFINITY);
    });
    return fired;
  }

  /** Runs for this span of virtual time. */
  async run(spanMs: number): Promise<void> {
    await this.runUntil(toMillis(this.#nowUs / 1000 + spanMs));
  }

  /**
   * Runs up to a point in virtual time, or until a condition holds; it is looked at first, and after each event.
   * @returns whether it came to that; false if `limitMs` of virtual time went by or nothing is left to happen.
   */
  async runUntil(until: Millis | (() => boolean), limitMs: number = defaultLimitMs): Promise<boolean> {
    let reached = false;
    await this.#exclusively(async () => {
      await this.#host.drain();
      if (typeof until === 'number') {
        await this.#runToTime(Math.round(until * 1000));
        reached = true;
      } else reached = await this.#runToCondition(until, this.#nowUs + Math.round(limitMs * 1000));
    });
    return reached;
  }

  /** Runs until `promise` has settled and gives its outcome; throws if it has not within `limitMs` of virtual time. */
  async settle<T>(promise: Promise<T>, limitMs: number = defaultLimitMs): Promise<T> {
    let isSettled = false;
    const done = () => {
      isSettled = true;
    };
    promise.then(done, done);
    const reached = await this.runUntil(() => isSettled, limitMs);
    if (!reached) throw new Error(`not settled by virtual time ${this.now} ms; ${this.#queue.size} events are waiting`);
    return promise;
  }

  async #runToTime(untilUs: number): Promise<void> {
    while (await this.#stepOnce(untilUs));
    this.#nowUs = Math.max(this.#nowUs, untilUs);
  }

  async #runToCondition(condition: () => boolean, limitUs: number): Promise<boolean> {
    while (!condition()) if (!(await this.#stepOnce(limitUs))) return false;
    return true;
  }

  async #stepOnce(untilUs: number): Promise<boolean> {
    if (!this.#fireNext(untilUs)) return false;
    await this.#host.drain();
    return true;
  }

  /** Handles kernel events up to and with one that runs foreign code. */
  #fireNext(untilUs: number): boolean {
    for (;;) {
      const event = this.#queue.popUntil(untilUs);
      if (event === undefined) return false;
      this.#nowUs = event.atUs;
      const { owner } = event;
      if (owner !== undefined && !owner.isAlive) continue;
      if (event.kind === 'kernel') {
        event.run();
      } else if (owner?.isHeld === true) {
        owner.park(event);
      } else {
        this.#fire(event);
        return true;
      }
    }
  }

  #fire(event: SimEvent): void {
    this.#fired += 1;
    this.hash.mixNumber(event.atUs);
    this.hash.mix(((event.owner?.identity ?? 0) << 4) | kindCodes[event.kind]);
    event.run();
    const { trace } = this.#host;
    if (trace !== undefined) {
      trace({ atUs: event.atUs, kind: event.kind, owner: event.owner?.name ?? '', hash: this.hash.value });
    }
  }

  async #exclusively(run: () => Promise<void>): Promise<void> {
    assert(!this.#isRunning, 'a simulation is driven by one caller at a time');
    this.#isRunning = true;
    const { globals } = this.#host;
    if (globals !== undefined) banGlobals(globals);
    try {
      await run();
    } finally {
      if (globals !== undefined) liftBan(globals);
      this.#isRunning = false;
    }
  }
}
