/**
 * A simulated machine: a disk, clocks, and at most one process at a time. A crash ends the process; a restart gives a new
 * `Env` on the same disk, on which the scenario starts the program again.
 */
import { assert } from '../../core/base/assert.ts';
import type { Crc32, Env, EventLevel } from '../../core/base/env.ts';
import { DriftingClock } from './clock.ts';
import { SimDisk } from './disk.ts';
import { DiskImage, type DiskSettings } from './disk-image.ts';
import { Incarnation, IncarnationClock, type TurnSettings } from './incarnation.ts';
import type { SimKernel } from './kernel.ts';
import type { Heal, SimNetwork } from './network.ts';
import { hashText, type SimRandom } from './random.ts';

export interface NodeOptions {
  /** How fast its monotonic clock runs; drawn from ±`driftUsualPpm` when not given. */
  readonly clockDriftPpm?: number;
  readonly disk?: Partial<DiskSettings>;
}

export interface CrashOptions {
  /** Power loss: what was not synced is lost in whole or in part, as the seed says. Otherwise a kill -9: the cache survives. */
  readonly loseUnsynced?: boolean;
  /** The machine is gone too: peers are not told, their connections hang until it is back or keep-alive ends them. */
  readonly silent?: boolean;
}

/** What a process said to its operators. */
export interface EmittedEvent {
  readonly atMs: number;
  readonly node: string;
  readonly level: EventLevel;
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface NodeContext {
  readonly kernel: SimKernel;
  readonly network: SimNetwork;
  /** The node's own stream. */
  readonly random: SimRandom;
  readonly turns: TurnSettings;
  readonly disk: DiskSettings;
  readonly crc32: Crc32;
  readonly onEvent: (event: EmittedEvent) => void;
}

/** What a quartz of a server may be off. */
const driftUsualPpm = 100;
/** Monotonic clocks begin anywhere below this. */
const clockOriginMaxUs = 1_000_000_000_000;
/** Incarnations of one node that the identities of events tell apart. */
const incarnationsMax = 4096;

interface Life {
  readonly incarnation: Incarnation;
  readonly disk: SimDisk;
  readonly env: Env;
}

export class SimNode {
  readonly name: string;
  readonly disk: DiskImage;
  readonly clock: DriftingClock;
  readonly clockDriftPpm: number;
  readonly #context: NodeContext;
  readonly #index: number;
  #life: Life | undefined;
  #incarnations = 0;
  #powerOn: Heal | undefined;

  constructor(context: NodeContext, index: number, name: string, options: NodeOptions) {
    const { kernel, random } = context;
    this.#context = context;
    this.#index = index;
    this.name = name;
    this.disk = new DiskImage(random.fork('disk'), { ...context.disk, ...options.disk });
    const draw = random.fork('clock');
    this.clock = new DriftingClock(() => kernel.nowUs, draw.below(clockOriginMaxUs));
    this.clockDriftPpm = options.clockDriftPpm ?? draw.between(-driftUsualPpm, driftUsualPpm);
    this.clock.setDrift(this.clockDriftPpm);
    this.#life = this.#begin();
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  /** Stopped by `pause`, or waiting for a stalled disk within a turn. */
  get isHeld(): boolean {
    return this.#life?.incarnation.isHeld === true;
  }

  /** Stopped by `pause`. */
  get isPaused(): boolean {
    return this.#life?.incarnation.isHeldFor('stopped') === true;
  }

  /** The world of the process that runs; the same until a crash. */
  get env(): Env {
    assert(this.#life !== undefined, 'a node that is down has no Env', { name: this.name });
    return this.#life.env;
  }

  /** The process ends here; nothing of it ever runs again. */
  crash(options: CrashOptions = {}): void {
    const life = this.#life;
    assert(life !== undefined, 'a node that is down cannot crash', { name: this.name });
    this.#life = undefined;
    life.incarnation.end();
    life.disk.abandon();
    if (options.loseUnsynced === true) this.disk.losePower();
    if (options.silent === true) this.#powerOn = this.#context.network.isolate(this.name);
    this.#context.network.abandon(life.incarnation);
  }

  /** A new process; the scenario starts its program on the Env. */
  restart(): Env {
    assert(this.#life === undefined, 'a node that is up is not restarted', { name: this.name });
    this.#powerOn?.();
    this.#powerOn = undefined;
    this.#life = this.#begin();
    return this.#life.env;
  }

  /** SIGSTOP: it does nothing until `resume`, while its timers become due and its input waits. */
  pause(): void {
    this.#mustBeUp().hold('stopped');
  }

  resume(): void {
    this.#mustBeUp().release('stopped');
  }

  #mustBeUp(): Incarnation {
    assert(this.#life !== undefined, 'a node that is down is neither paused nor resumed', { name: this.name });
    return this.#life.incarnation;
  }

  #begin(): Life {
    const { kernel, network, random, turns, crc32, onEvent } = this.#context;
    const number = this.#incarnations++;
    assert(number < incarnationsMax, 'a node restarts a bounded number of times', { name: this.name });
    const incarnation = new Incarnation(kernel, this.name, (this.#index + 1) * incarnationsMax + number);
    const disk = new SimDisk(kernel, this.disk, incarnation);
    const { name } = this;
    const stream = random.fork(`incarnation ${number}`);
    const env: Env = {
      clock: new IncarnationClock(kernel, incarnation, this.clock, stream.fork('timers'), turns),
      random: stream.fork('random'),
      disk,
      network: network.for(incarnation),
      events: {
        emit: (level, event, fields = {}) => {
          if (!incarnation.isAlive) return;
          kernel.hash.mix(hashText(event));
          onEvent({ atMs: kernel.now, node: name, level, name: event, fields });
        },
      },
      crc32,
    };
    return { incarnation, disk, env };
  }
}
