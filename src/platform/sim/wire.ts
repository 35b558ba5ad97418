/**
 * A connection between two processes: the attempt to establish it, its two pipes, its two ends, and the keep-alive that
 * ends it at both when nothing comes through for too long.
 */
import type { ConnectionHandler } from '../../core/base/env.ts';
import { Endpoint, type EndpointContext } from './endpoint.ts';
import type { Incarnation } from './incarnation.ts';
import type { SimEvent } from './kernel.ts';
import type { Path } from './path.ts';
import { Pipe, type PipeEnds } from './pipe.ts';
import type { SimRandom } from './random.ts';

/** The two ends notice a dead connection within this of each other. */
const keepAliveSpreadUs = 1_000_000;

/** Who listens, if anybody: takes the attempt of a client in. */
export interface Doorway {
  readonly owner: Incarnation;
  accept(server: Endpoint): void;
}

export interface WireWays {
  /** From the client to the server, and back. */
  readonly there: Path;
  readonly back: Path;
}

export class Wire {
  readonly ways: WireWays;
  readonly client: Endpoint;
  readonly #context: EndpointContext;
  readonly #random: SimRandom;
  readonly #clientName: string;
  readonly #gone: (wire: Wire) => void;
  readonly #findDoor: () => Doorway | undefined;
  readonly #startedUs: number;
  readonly #clientPipe: Pipe;
  #server: { readonly endpoint: Endpoint; readonly pipe: Pipe } | undefined;
  #keepAlive: SimEvent | undefined;

  constructor(
    context: EndpointContext,
    random: SimRandom,
    ways: WireWays,
    client: { readonly owner: Incarnation; readonly address: string; readonly name: string },
    findDoor: () => Doorway | undefined,
    gone: (wire: Wire) => void,
  ) {
    this.#context = context;
    this.#random = random;
    this.ways = ways;
    this.#clientName = client.name;
    this.#findDoor = findDoor;
    this.#gone = gone;
    this.#startedUs = context.kernel.nowUs;
    this.#clientPipe = this.#makePipe(
      ways.there,
      ways.back,
      () => this.#server?.endpoint,
      () => this.client,
    );
    this.client = new Endpoint(
      context,
      { owner: client.owner, remote: client.address },
      this.#clientPipe,
      (bytes) => this.#server?.pipe.credit(bytes),
      () => this.#endClosed(),
    );
  }

  get server(): Endpoint | undefined {
    return this.#server?.endpoint;
  }

  /** Tries to reach the server, and again until the time-out. */
  connect(handler: ConnectionHandler): void {
    this.client.attach(handler);
    const { kernel } = this.#context;
    kernel.schedule(undefined, kernel.nowUs + this.ways.there.latencyUs(), 'kernel', () => this.#knock());
  }

  /** What is under way in either direction waits this long. */
  stall(spanUs: number): void {
    this.#clientPipe.stallFor(spanUs);
    this.#server?.pipe.stallFor(spanUs);
  }

  /** Both ends lose the connection. */
  reset(reason: string): void {
    this.client.fail(reason, 0);
    this.server?.fail(reason, 0);
  }

  #knock(): void {
    if (this.client.isClosed) return;
    const { kernel, settings } = this.#context;
    if (kernel.nowUs - this.#startedUs >= settings.connectTimeoutMs * 1000) {
      this.client.fail(`ETIMEDOUT no answer came in ${settings.connectTimeoutMs} ms`, 0);
    } else if (this.ways.there.isBlocked || this.ways.back.isBlocked) {
      kernel.schedule(undefined, kernel.nowUs + settings.connectRetryMs * 1000, 'kernel', () => this.#knock());
    } else {
      this.#enter(this.#findDoor());
    }
  }

  #enter(door: Doorway | undefined): void {
    if (door === undefined) {
      this.client.fail(`ECONNREFUSED ${this.client.remote} refused the connection`, this.ways.back.latencyUs());
      return;
    }
    const pipe = this.#makePipe(
      this.ways.back,
      this.ways.there,
      () => this.client,
      () => this.server,
    );
    const endpoint = new Endpoint(
      this.#context,
      { owner: door.owner, remote: this.#clientName },
      pipe,
      (bytes) => this.#clientPipe.credit(bytes),
      () => this.#endClosed(),
    );
    this.#server = { endpoint, pipe };
    pipe.establish();
    door.accept(endpoint);
  }

  #makePipe(there: Path, back: Path, receiver: () => Endpoint | undefined, sender: () => Endpoint | undefined): Pipe {
    const { kernel, settings } = this.#context;
    const ends: PipeEnds = {
      arrived: (segment) => receiver()?.arrived(segment),
      departed: () => sender()?.departed(),
      broken: () => this.reset('ECONNRESET the connection was reset'),
      blocked: () => this.#watch(),
      freed: () => this.#freed(there),
    };
    return new Pipe(kernel, this.#random, settings, { there, back }, ends);
  }

  #freed(path: Path): void {
    if (path === this.ways.there) this.#server?.pipe.backFreed();
    if (path === this.ways.back) this.#clientPipe.backFreed();
    if (this.#isBlocked() || this.#keepAlive === undefined) return;
    this.#context.kernel.cancel(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  #isBlocked(): boolean {
    return this.ways.there.isBlocked || this.ways.back.isBlocked;
  }

  #watch(): void {
    if (this.#keepAlive !== undefined) return;
    const { kernel, settings } = this.#context;
    this.#keepAlive = kernel.schedule(undefined, kernel.nowUs + settings.keepAliveMs * 1000, 'kernel', () => {
      const reason = `ETIMEDOUT nothing came through for ${settings.keepAliveMs} ms`;
      this.client.fail(reason, this.#random.below(keepAliveSpreadUs));
      this.server?.fail(reason, this.#random.below(keepAliveSpreadUs));
    });
  }

  #endClosed(): void {
    if (!this.client.isClosed || this.server?.isClosed === false) return;
    this.#clientPipe.discard();
    this.#server?.pipe.discard();
    if (this.#keepAlive !== undefined) this.#context.kernel.cancel(this.#keepAlive);
    this.#gone(this);
  }
}
