/**
 * A deterministic world: nodes, their disks and clocks, and the network between them, all from one seed. The same seed and
 * the same scenario give the same events in the same order, and so the same `hash`.
 *
 *     const world = new SimWorld({ seed: 7, host });        // host: how to drain promise jobs; see kernel.ts
 *     const a = world.node('a');
 *     startProgram(a.env);
 *     await world.run(1_000);                               // a second of virtual time
 *     a.crash({ loseUnsynced: true });
 *     startProgram(a.restart());
 *     await world.runUntil(() => isReady());
 */
import type { Millis } from '../../core/base/brand.ts';
import { crc32 } from '../../core/base/crc32.ts';
import type { Crc32, Timer } from '../../core/base/env.ts';
import { type DiskSettings, defaultDisk } from './disk-image.ts';
import { defaultTurns, type TurnSettings } from './incarnation.ts';
import { type SimHost, SimKernel } from './kernel.ts';
import { SimNetwork } from './network.ts';
import { type EmittedEvent, type NodeOptions, SimNode } from './node.ts';
import { defaultNetwork, type NetworkSettings } from './path.ts';
import { SimRandom } from './random.ts';

export interface SimWorldOptions {
  readonly seed: number | string;
  readonly host: SimHost;
  readonly turns?: Partial<TurnSettings>;
  readonly network?: Partial<NetworkSettings>;
  readonly disk?: Partial<DiskSettings>;
  /** A faster one than ours, if the host has it. */
  readonly crc32?: Crc32;
  /** Hears what the processes emit. */
  readonly onEvent?: (event: EmittedEvent) => void;
}

export class SimWorld {
  readonly seed: number | string;
  /** For scenarios: fork it by label. */
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly #kernel: SimKernel;
  readonly #options: SimWorldOptions;
  readonly #nodes = new Map<string, SimNode>();

  constructor(options: SimWorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.random = SimRandom.fromSeed(options.seed);
    this.#kernel = new SimKernel(options.host);
    const settings = { ...defaultNetwork, ...options.network };
    this.network = new SimNetwork(this.#kernel, this.random.fork('network'), settings);
  }

  /** Virtual time since the beginning. */
  get now(): Millis {
    return this.#kernel.now;
  }

  /** Of all events so far, in their order: time, node, kind, bytes. */
  get hash(): string {
    return this.#kernel.hash.value;
  }

  get eventCount(): number {
    return this.#kernel.eventCount;
  }

  /** All nodes, in the order in which they were made. */
  get nodes(): readonly SimNode[] {
    return [...this.#nodes.values()];
  }

  /** The node of this name. It is made, with these options, when it is first asked for. */
  node(name: string, options: NodeOptions = {}): SimNode {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const context = {
      kernel: this.#kernel,
      network: this.network,
      random: this.random.fork(`node ${name}`),
      turns: { ...defaultTurns, ...this.#options.turns },
      disk: { ...defaultDisk, ...this.#options.disk },
      crc32: this.#options.crc32 ?? crc32,
      onEvent: this.#options.onEvent ?? (() => undefined),
    };
    const node = new SimNode(context, this.#nodes.size, name, options);
    this.#nodes.set(name, node);
    return node;
  }

  /** Has something done at a point in virtual time, whatever happens to the nodes. */
  after(delayMs: number, run: () => void): Timer {
    const event = this.#kernel.schedule(undefined, this.#kernel.nowUs + delayMs * 1000, 'scenario', run);
    return { cancel: () => this.#kernel.cancel(event) };
  }

  /** @see SimKernel.step */
  step(): Promise<boolean> {
    return this.#kernel.step();
  }

  /** @see SimKernel.run */
  run(spanMs: number): Promise<void> {
    return this.#kernel.run(spanMs);
  }

  /** @see SimKernel.runUntil */
  runUntil(until: Millis | (() => boolean), limitMs?: number): Promise<boolean> {
    return this.#kernel.runUntil(until, limitMs);
  }

  /** @see SimKernel.settle */
  settle<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.#kernel.settle(promise, limitMs);
  }
}
