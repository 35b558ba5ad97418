/**
 * The network between simulated nodes. Addresses belong to whoever listens on them; what gets through between two nodes is
 * decided by paths, which scenarios block, slow down and break here. All of it can be of one direction only.
 */
import type { Address } from '../../core/base/brand.ts';
import type { Connection, ConnectionHandler, Listener, Network } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { type Endpoint, type EndpointContext, LentBytes } from './endpoint.ts';
import type { Incarnation } from './incarnation.ts';
import type { SimKernel } from './kernel.ts';
import { type NetworkSettings, Path } from './path.ts';
import type { SimRandom } from './random.ts';
import { type Doorway, Wire } from './wire.ts';

/** Takes a fault back. Harmless when called again. */
export type Heal = () => void;

type PathFilter = (from: string, to: string) => boolean;

interface Block {
  readonly matches: PathFilter;
  readonly paths: Set<Path>;
}

export interface Shape {
  readonly extraLatencyMs?: number;
  readonly bytesPerMs?: number;
  /** Probability per segment that it is lost: it comes after a retransmission. */
  readonly lossRate?: number;
  /** Probability per segment that its connection breaks. */
  readonly resetRate?: number;
}

const firstEphemeralPort = 32_768;

type Accept = (connection: Connection) => ConnectionHandler;

export class SimNetwork {
  readonly #context: EndpointContext;
  readonly #random: SimRandom;
  readonly #paths = new Map<string, Path>();
  readonly #blocks = new Set<Block>();
  readonly #wires = new Set<Wire>();
  readonly #doors = new Map<Address, SimListener>();
  /** Which node was the last to listen on an address: where an attempt to connect goes. */
  readonly #homes = new Map<Address, string>();
  #nextPort = firstEphemeralPort;

  constructor(kernel: SimKernel, random: SimRandom, settings: NetworkSettings) {
    this.#context = { kernel, settings, lent: new LentBytes(settings.poisonDelivered) };
    this.#random = random;
  }

  /** Open connections, those being established included. */
  get connectionCount(): number {
    return this.#wires.size;
  }

  /** Attempts to connect since the beginning. */
  get attemptCount(): number {
    return this.#nextPort - firstEphemeralPort;
  }

  // -------------------------------------------------------------- faults

  /** Both directions between every node of `a` and every one of `b`; existing connections hang. */
  partition(a: readonly string[], b: readonly string[]): Heal {
    return this.#block((from, to) => (a.includes(from) && b.includes(to)) || (b.includes(from) && a.includes(to)));
  }

  /** One direction: what `from` sends to `to` disappears; the other way works, but nothing is acknowledged. */
  blackhole(from: readonly string[], to: readonly string[]): Heal {
    return this.#block((source, target) => from.includes(source) && to.includes(target));
  }

  /** The node is cut off from all others. */
  isolate(node: string): Heal {
    return this.#block((from, to) => (from === node) !== (to === node));
  }

  /** How the way from one node to another is. Healing takes back what was given here, whatever it was before. */
  shape(from: string, to: string, shape: Shape): Heal {
    const path = this.#path(from, to);
    setShape(path, shape);
    return () =>
      setShape(path, {
        ...(shape.extraLatencyMs === undefined ? {} : { extraLatencyMs: 0 }),
        ...(shape.bytesPerMs === undefined ? {} : { bytesPerMs: this.#context.settings.bytesPerMs }),
        ...(shape.lossRate === undefined ? {} : { lossRate: 0 }),
        ...(shape.resetRate === undefined ? {} : { resetRate: 0 }),
      });
  }

  /** Breaks all connections between two nodes; both ends hear of it. */
  reset(a: string, b: string): void {
    for (const wire of this.#wiresBetween(a, b)) wire.reset('ECONNRESET the connection was reset');
  }

  /** What is under way between two nodes waits this much longer. */
  stall(a: string, b: string, spanMs: number): void {
    for (const wire of this.#wiresBetween(a, b)) wire.stall(Math.round(spanMs * 1000));
  }

  /** Ends all partitions and all shapes of paths. */
  heal(): void {
    for (const block of [...this.#blocks]) this.#lift(block);
    for (const path of this.#paths.values()) path.healRates();
  }

  isBlocked(from: string, to: string): boolean {
    return this.#path(from, to).isBlocked;
  }

  // -------------------------------------------------------------- for nodes

  /** The network as one incarnation of a node's process uses it. */
  for(owner: Incarnation): Network {
    return {
      listen: (address, accept) => this.#listen(owner, address, accept),
      connect: (address, handler) => this.#connect(owner, address, handler),
    };
  }

  /** The process is dead: its listeners are gone and its connections end, for their peers with a reset. */
  abandon(owner: Incarnation): void {
    for (const [address, door] of this.#doors) if (door.owner === owner) this.#doors.delete(address);
    for (const wire of [...this.#wires]) {
      if (wire.client.owner === owner) wire.client.die();
      if (wire.server?.owner === owner) wire.server.die();
    }
  }

  #listen(owner: Incarnation, address: Address, accept: Accept): Promise<Listener> {
    if (!owner.isAlive) return new Promise(() => undefined);
    if (this.#doors.has(address)) {
      return Promise.reject(
        new CairnError('PORT_IN_USE', `${address} is in use; choose another port or stop its owner`),
      );
    }
    const door = new SimListener(this.#context.kernel, owner, address, accept, () => this.#doors.delete(address));
    this.#doors.set(address, door);
    this.#homes.set(address, owner.name);
    return Promise.resolve(door);
  }

  #connect(owner: Incarnation, address: Address, handler: ConnectionHandler): Connection {
    const target = this.#homes.get(address) ?? address.slice(0, address.lastIndexOf(':'));
    const ways = { there: this.#path(owner.name, target), back: this.#path(target, owner.name) };
    const client = { owner, address, name: `${owner.name}:${this.#nextPort++}` };
    const wire = new Wire(
      this.#context,
      this.#random,
      ways,
      client,
      () => this.#doors.get(address),
      (gone) => this.#wires.delete(gone),
    );
    if (owner.isAlive) {
      this.#wires.add(wire);
      wire.connect(handler);
    }
    return wire.client;
  }

  // -------------------------------------------------------------- paths

  #path(from: string, to: string): Path {
    const key = `${from} ${to}`;
    const known = this.#paths.get(key);
    if (known !== undefined) return known;
    const path = new Path(from, to, this.#context.settings, this.#random);
    this.#paths.set(key, path);
    for (const block of this.#blocks) this.#apply(block, path);
    return path;
  }

  #block(matches: PathFilter): Heal {
    const block: Block = { matches, paths: new Set() };
    this.#blocks.add(block);
    for (const path of this.#paths.values()) this.#apply(block, path);
    return () => this.#lift(block);
  }

  #apply(block: Block, path: Path): void {
    if (!block.matches(path.from, path.to)) return;
    block.paths.add(path);
    path.block();
  }

  #lift(block: Block): void {
    if (!this.#blocks.delete(block)) return;
    for (const path of block.paths) path.unblock();
  }

  #wiresBetween(a: string, b: string): Wire[] {
    return [...this.#wires].filter(
      ({ ways: { there } }) => (there.from === a && there.to === b) || (there.from === b && there.to === a),
    );
  }
}

function setShape(path: Path, shape: Shape): void {
  if (shape.extraLatencyMs !== undefined) path.extraLatencyUs = Math.round(shape.extraLatencyMs * 1000);
  if (shape.bytesPerMs !== undefined) path.bytesPerMs = shape.bytesPerMs;
  if (shape.lossRate !== undefined) path.lossRate = shape.lossRate;
  if (shape.resetRate !== undefined) path.resetRate = shape.resetRate;
}

class SimListener implements Listener, Doorway {
  readonly owner: Incarnation;
  readonly address: Address;
  readonly #kernel: SimKernel;
  readonly #accept: Accept;
  readonly #remove: () => void;
  #isClosed = false;

  constructor(kernel: SimKernel, owner: Incarnation, address: Address, accept: Accept, remove: () => void) {
    this.#kernel = kernel;
    this.owner = owner;
    this.address = address;
    this.#accept = accept;
    this.#remove = remove;
  }

  accept(server: Endpoint): void {
    this.#kernel.schedule(this.owner, this.#kernel.nowUs, 'accept', () => {
      if (server.isClosed) return;
      if (this.#isClosed) server.close('the listener has closed');
      else server.attach(this.#accept(server));
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.owner.isAlive) this.#remove();
  }
}
