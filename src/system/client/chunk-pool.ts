/**
 * Connections to chunkservers: one each, opened when needed, closed when idle, never more than `connectionsMax`. Also what this
 * client has learnt of servers: a server that was lost, or gave wrong bytes, is tried last for a while.
 *
 * A stopped or cut-off server says nothing, and TCP takes minutes to notice. So a connection with calls under way on which nothing
 * came for some ticks is asked for a sign of life, and closed if none comes. Ticks are counted, not time: a client that was stopped
 * itself must not blame the servers.
 */
import type { Address, ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { RequestOf, ResponseOf } from '../../core/protocol/call.ts';
import { chunkCalls } from '../../core/protocol/chunk-calls.ts';
import { type Answer, type CallOptions, callTimeoutMs, RpcConnection } from '../rpc/rpc-connection.ts';
import { isClosed } from './failures.ts';
import {
  badReplicaMs,
  badReplicasMax,
  connectionIdleMs,
  connectionsMax,
  poolTickMs,
  silentTicksToClose,
  silentTicksToPing,
  stuckTicksToClose,
  suspectMs,
} from './limits.ts';

type ChunkCalls = typeof chunkCalls;
export type ClientCall = 'mutate' | 'read' | 'lengths' | 'awaitGrowth' | 'scrub' | 'image';

export interface ChunkCallOptions extends CallOptions {
  /** Called as the call is given to that connection; if it throws, nothing is sent. */
  readonly leaves?: ((connection: object) => void) | undefined;
}

interface Link {
  readonly address: Address;
  readonly rpc: RpcConnection<ChunkCalls>;
  inFlight: number;
  lastUsedAt: number;
  /** As `rpc.heard` was at the last tick, and how many ticks it has been so. */
  heard: number;
  stuckTicks: number;
  /** For how many ticks the server gave no sign of life at all. */
  silentTicks: number;
  /** On its way to the same server, to see whether it is there. */
  probe: RpcConnection<ChunkCalls> | undefined;
}

export class ChunkPool {
  readonly #env: Env;
  readonly #links = new Map<Address, Link>();
  readonly #suspects = new Map<Address, number>();
  readonly #badReplicas = new Map<string, number>();
  #waitingForRoom: (() => void)[] = [];
  #tick: Timer | undefined;
  #isClosed = false;

  constructor(env: Env) {
    this.#env = env;
  }

  get connectionCount(): number {
    return this.#links.size;
  }

  /** @throws CairnError what the server answered, or CONNECTION_LOST, TIMED_OUT: the server is suspect then; BUSY: nothing was sent */
  async call<K extends ClientCall>(
    address: Address,
    kind: K,
    request: RequestOf<ChunkCalls[K]>,
    options: ChunkCallOptions = {},
  ): Promise<Answer<ResponseOf<ChunkCalls[K]>>> {
    const known = this.#linkNow(address);
    const mustWait = known === undefined || (options.body !== undefined && known.rpc.isOverfull);
    const since = mustWait ? this.#env.clock.now() : 0;
    const link = mustWait ? await this.#linkWithRoom(address, kind, options, since) : known;
    options.leaves?.(link.rpc);
    link.inFlight += 1;
    try {
      const answer = await link.rpc.call(kind, request, mustWait ? this.#leftOf(options, since) : options);
      this.#heard(link);
      return answer;
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code === 'CONNECTION_LOST' || error.code === 'TIMED_OUT') this.#lost(address);
      else this.#heard(link);
      throw error;
    } finally {
      link.inFlight -= 1;
      link.lastUsedAt = this.#env.clock.now();
      if (link.inFlight === 0) this.#wakeOne();
    }
  }

  /** A connection, and room in its queue if there is a body. What is waited for here is taken off the time of the call. */
  async #linkWithRoom(address: Address, kind: ClientCall, options: CallOptions, since: number): Promise<Link> {
    for (;;) {
      const link = await this.#link(address, () => this.#leftOf(options, since).timeoutMs);
      if (options.body === undefined || !link.rpc.isOverfull) return link;
      if (await this.#within(this.#leftOf(options, since).timeoutMs, link.rpc.drain())) continue;
      // No word against the server: what is in the way is this client's own, and whether it is there at all is asked by itself.
      throw new CairnError('BUSY', `${kind} at ${address}: what was sent before is not taken yet; try again`);
    }
  }

  #leftOf(options: CallOptions, since: number) {
    const { timeoutMs = callTimeoutMs } = options;
    return { ...options, timeoutMs: Math.max(1, since + timeoutMs - this.#env.clock.now()) };
  }

  /** Whether it comes within that time. */
  #within(ms: number, event: Promise<void>): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#env.clock.after(ms, () => resolve(false));
      void event.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }

  isSuspect(address: Address): boolean {
    return (this.#suspects.get(address) ?? 0) > this.#env.clock.now();
  }

  /** The replica gave wrong bytes, or said that it has none. */
  reportBadReplica(handle: ChunkHandle, server: ServerId): void {
    const key = `${handle}:${server}`;
    this.#badReplicas.delete(key);
    this.#badReplicas.set(key, this.#env.clock.now() + badReplicaMs);
    dropOldest(this.#badReplicas, badReplicasMax);
  }

  isBadReplica(handle: ChunkHandle, server: ServerId): boolean {
    if (this.#badReplicas.size === 0) return false;
    return (this.#badReplicas.get(`${handle}:${server}`) ?? 0) > this.#env.clock.now();
  }

  close(): void {
    this.#isClosed = true;
    this.#tick?.cancel();
    this.#tick = undefined;
    for (const { rpc, probe } of this.#links.values()) {
      rpc.close('the client is closed');
      probe?.close('the client is closed');
    }
    this.#links.clear();
    for (const go of this.#waitingForRoom.splice(0)) go();
  }

  // ---------------------------------------------------------------- connections

  async #link(address: Address, leftMs: () => number): Promise<Link> {
    for (;;) {
      const link = this.#linkNow(address);
      if (link !== undefined) return link;
      if (!(await this.#roomWithin(leftMs())))
        throw new CairnError('BUSY', `all ${connectionsMax} connections to chunkservers are in use; try again later`);
    }
  }

  /** Undefined if there is room for no other connection. */
  #linkNow(address: Address): Link | undefined {
    if (this.#isClosed) throw isClosed('the client');
    const known = this.#links.get(address);
    if (known !== undefined) return known;
    return this.#links.size < connectionsMax || this.#closeLeastUsed() ? this.#open(address) : undefined;
  }

  async #roomWithin(ms: number): Promise<boolean> {
    let tell = () => {};
    const told = new Promise<void>((go) => {
      tell = go;
    });
    this.#waitingForRoom.push(tell);
    if (await this.#within(ms, told)) return true;
    this.#waitingForRoom = this.#waitingForRoom.filter((other) => other !== tell);
    return false;
  }

  #open(address: Address): Link {
    const rpc: RpcConnection<ChunkCalls> = RpcConnection.connect(this.#env, address, chunkCalls, undefined, () => {
      if (this.#links.get(address)?.rpc === rpc) this.#links.delete(address);
      this.#wakeOne();
    });
    const lastUsedAt = this.#env.clock.now();
    const link = { address, rpc, inFlight: 0, lastUsedAt, heard: 0, stuckTicks: 0, silentTicks: 0, probe: undefined };
    this.#links.set(address, link);
    this.#planTick();
    return link;
  }

  #closeLeastUsed(): boolean {
    let oldest: Link | undefined;
    for (const link of this.#links.values()) {
      if (link.inFlight === 0 && (oldest === undefined || link.lastUsedAt < oldest.lastUsedAt)) oldest = link;
    }
    if (oldest === undefined) return false;
    this.#drop(oldest, 'another server is needed more');
    return true;
  }

  #drop(link: Link, reason: string): void {
    this.#links.delete(link.address);
    link.rpc.close(reason);
    link.probe?.close(reason);
  }

  #wakeOne(): void {
    this.#waitingForRoom.shift()?.();
  }

  #heard(link: Link): void {
    if (this.#suspects.size > 0) this.#suspects.delete(link.address);
  }

  #lost(address: Address): void {
    this.#suspects.delete(address);
    this.#suspects.set(address, this.#env.clock.now() + suspectMs);
    dropOldest(this.#suspects, badReplicasMax);
  }

  // ---------------------------------------------------------------- looking after them

  #planTick(): void {
    if (this.#tick !== undefined || this.#links.size === 0) return;
    this.#tick = this.#env.clock.after(poolTickMs, () => {
      this.#tick = undefined;
      for (const link of [...this.#links.values()]) this.#lookAfter(link);
      this.#planTick();
    });
  }

  #lookAfter(link: Link): void {
    if (link.inFlight === 0) {
      link.stuckTicks = 0;
      link.silentTicks = 0;
      if (this.#env.clock.now() - link.lastUsedAt >= connectionIdleMs) this.#drop(link, 'it was idle');
      return;
    }
    const isStuck = link.rpc.heard === link.heard;
    link.stuckTicks = isStuck ? link.stuckTicks + 1 : 0;
    link.silentTicks = isStuck ? link.silentTicks + 1 : 0;
    link.heard = link.rpc.heard;
    if (link.silentTicks >= silentTicksToClose || link.stuckTicks >= stuckTicksToClose) {
      const { address, inFlight, silentTicks, stuckTicks } = link;
      this.#env.events.emit('warn', 'client.serverSilent', { address, inFlight, silentTicks, stuckTicks });
      this.#drop(link, 'it does not answer');
    } else if (link.silentTicks === silentTicksToPing) this.#ping(link);
  }

  /**
   * On the connection itself, and on another one: where a link is crowded the first may be stuck behind bytes of its own, for longer than a
   * server may be silent, while the server is well.
   */
  #ping(link: Link): void {
    this.#askForLife(link, link.rpc);
    if (link.probe !== undefined) return;
    const probe = RpcConnection.connect(this.#env, link.address, chunkCalls, undefined);
    link.probe = probe;
    void this.#askForLife(link, probe).then(() => {
      link.probe = undefined;
      probe.close('it was only asked whether the server is there');
    });
  }

  async #askForLife(link: Link, rpc: RpcConnection<ChunkCalls>): Promise<void> {
    try {
      await rpc.call('lengths', { handles: [] }, { timeoutMs: silentTicksToClose * poolTickMs });
    } catch (thrown) {
      // Any answer is a sign of life; the end of the connection is told to the calls on it.
      if (isLost(toCairnError(thrown))) return;
    }
    link.silentTicks = 0;
    this.#heard(link);
  }
}

function dropOldest(map: Map<unknown, unknown>, max: number): void {
  if (map.size <= max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

export function isLost(error: CairnError): boolean {
  return error.code === 'CONNECTION_LOST' || error.code === 'TIMED_OUT';
}
