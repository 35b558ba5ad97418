/**
 * Cut-through: bytes go on to the next server of the chain while they arrive (GFS §3.2). Each body has a connection to its next hop for itself
 * while it arrives, so that a slow source holds up nobody else; a slow next hop holds up its source. One that takes nothing at
 * all any more is given up, and for a while the bytes go past it: they are for those behind it too, and its source has others to serve.
 *
 * A frame that was begun is always completed: if its source breaks off, zeros follow, the receiver's checksum fails, and the
 * connection is good for the next one.
 */
import type { Address } from '../../core/base/brand.ts';
import type { Env, FrameWriter, Timer } from '../../core/base/env.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import type { Replica } from '../../core/protocol/types.ts';
import type { Peer } from '../rpc/handlers.ts';
import { RpcConnection } from '../rpc/rpc-connection.ts';
import type { PooledBytes } from './byte-pool.ts';
import type { Departures } from './departures.ts';
import type { Limits } from './limits.ts';
import { StallWatch } from './stall-watch.ts';

interface Outgoing {
  readonly address: Address;
  readonly rpc: RpcConnection<typeof chunkCalls>;
  idleSince: number;
}

export interface Forwarding {
  readonly dataId: number;
  readonly crc: number;
  readonly bodyBytes: number;
  readonly data: PooledBytes | undefined;
}

/** One body on its way to the next hop. */
export interface Forward {
  piece(bytes: Uint8Array): void;
  end(): void;
  /** The source broke off. */
  abort(): void;
}

const zeros = new Uint8Array(64 * 1024);
const sweepMs = 1000;
/** Connections that wait for another body. */
const idleMax = 256;

export class Pipeline {
  readonly #env: Env;
  readonly #limits: Limits;
  readonly #inUse = new Set<Outgoing>();
  readonly #departures: Departures;
  /** The longest idle first. */
  #idle: Outgoing[] = [];
  /** Servers that took nothing any more, and until when the bytes go past them. */
  readonly #passedBy = new Map<Address, number>();
  #sweep: Timer | undefined;

  constructor(env: Env, limits: Limits, departures: Departures) {
    this.#env = env;
    this.#limits = limits;
    this.#departures = departures;
  }

  /**
   * @param chain the hops that are left: the first gets the bytes, the others are named to it.
   * @param data the memory that the pieces lie in, held until they have left; undefined: the pieces are valid in the call only.
   */
  forward(source: Peer, chain: readonly Replica[], { dataId, crc, bodyBytes, data }: Forwarding): Forward | undefined {
    const hops = this.#passedBy.size === 0 ? chain : chain.filter(({ address }) => !this.#isPassedBy(address));
    const next = hops[0];
    if (next === undefined) return undefined;
    const outgoing = this.#takeIdle(next.address) ?? this.#connect(next.address);
    this.#inUse.add(outgoing);
    const { rpc } = outgoing;
    const writer = rpc.beginNotice('push', { dataId, crc, chain: hops.slice(1) }, bodyBytes);
    // Who stands right before the one that has stalled gives up first: those before it only wait for it.
    const patienceMs = this.#limits.hopStallMs * hops.length;
    const on = { moved: () => source.tell(), stalled: () => this.#passBy(next.address, rpc) };
    const watch = () => new StallWatch(this.#env, rpc, patienceMs, on);
    data?.retain();
    return new ChainForward(source, rpc, writer, bodyBytes, watch, () => {
      if (data !== undefined) this.#departures.after(rpc, () => data.release());
      this.#giveBack(outgoing);
    });
  }

  close(reason: string): void {
    this.#sweep?.cancel();
    for (const { rpc } of this.#idle.splice(0)) rpc.close(reason);
    for (const { rpc } of this.#inUse) rpc.close(reason);
    this.#inUse.clear();
  }

  #passBy(address: Address, rpc: RpcConnection<typeof chunkCalls>): void {
    const { clock, events } = this.#env;
    events.emit('warn', 'chunkserver.hopStalled', { address, queuedBytes: rpc.queuedBytes });
    this.#passedBy.set(address, clock.now() + this.#limits.hopStallMs);
    rpc.close('it takes nothing of what is passed on to it');
  }

  #isPassedBy(address: Address): boolean {
    const until = this.#passedBy.get(address) ?? 0;
    if (until > this.#env.clock.now()) return true;
    this.#passedBy.delete(address);
    return false;
  }

  /** It was given a whole body: the next one may follow, whatever its source. */
  #giveBack(outgoing: Outgoing): void {
    this.#inUse.delete(outgoing);
    if (outgoing.rpc.isClosed) return;
    outgoing.idleSince = this.#env.clock.now();
    this.#idle.push(outgoing);
    if (this.#idle.length > idleMax) this.#closeOneTooMany();
    this.#planSweep();
  }

  /** Never one with bytes that have not left yet. */
  #closeOneTooMany(): void {
    const at = this.#idle.findIndex(({ rpc }) => rpc.queuedBytes === 0);
    if (at >= 0) this.#idle.splice(at, 1)[0]!.rpc.close('too many idle connections');
  }

  /** The one used last: those that are too many for what is under way grow old. */
  #takeIdle(address: Address): Outgoing | undefined {
    const at = this.#idle.findLastIndex((one) => one.address === address && !one.rpc.isClosed);
    return at < 0 ? undefined : this.#idle.splice(at, 1)[0];
  }

  #connect(address: Address): Outgoing {
    const rpc = RpcConnection.connect(this.#env, address, chunkCalls, undefined);
    return { address, rpc, idleSince: 0 };
  }

  #planSweep(): void {
    if (this.#idle.length > 0) this.#sweep ??= this.#env.clock.after(sweepMs, () => this.#closeIdle());
  }

  #closeIdle(): void {
    this.#sweep = undefined;
    const now = this.#env.clock.now();
    const { pushIdleMs, stagedMaxMs } = this.#limits;
    this.#idle = this.#idle.filter(({ rpc, idleSince }) => {
      if (rpc.isClosed) return false;
      // Nobody waits any more for what has not left by then, and its memory is for others.
      if (now - idleSince < (rpc.queuedBytes > 0 ? stagedMaxMs : pushIdleMs)) return true;
      rpc.close('idle');
      return false;
    });
    this.#planSweep();
  }
}

class ChainForward implements Forward {
  readonly #source: Peer;
  readonly #rpc: RpcConnection<typeof chunkCalls>;
  readonly #writer: FrameWriter;
  readonly #watch: () => Timer;
  #left: number;
  readonly #given: () => void;
  #isHolding = false;

  /**
   * @param watch begins to look whether the next hop takes anything, while the source waits for it.
   * @param given is called once, when the connection has been given all bytes.
   */
  constructor(
    source: Peer,
    rpc: RpcConnection<typeof chunkCalls>,
    writer: FrameWriter,
    bodyBytes: number,
    watch: () => Timer,
    given: () => void,
  ) {
    this.#source = source;
    this.#rpc = rpc;
    this.#writer = writer;
    this.#left = bodyBytes;
    this.#watch = watch;
    this.#given = given;
  }

  piece(bytes: Uint8Array): void {
    this.#left -= bytes.length;
    if (this.#writer.piece(bytes) || this.#isHolding) return;
    this.#isHolding = true;
    this.#source.hold();
    const watch = this.#watch();
    void this.#rpc.drain().then(() => {
      watch.cancel();
      this.#isHolding = false;
      this.#source.unhold();
    });
  }

  end(): void {
    this.#writer.end();
    this.#given();
  }

  abort(): void {
    while (this.#left > 0) {
      const some = zeros.subarray(0, Math.min(zeros.length, this.#left));
      this.#left -= some.length;
      this.#writer.piece(some);
    }
    this.end();
  }
}
