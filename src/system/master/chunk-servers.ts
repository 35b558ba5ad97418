/**
 * Chunkservers as the leader sees them: soft state, made anew by each leader. Owns their sessions: a server may serve until its session
 * lapses, so whoever wants to leave it out of a set waits for that. Healthy → suspect (the session has lapsed) → dead.
 */
import type { Address, ServerId } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { ServerStatus, serverOrders } from '../../core/protocol/master-calls.ts';
import type { RpcConnection } from '../rpc/rpc-connection.ts';
import { clockDriftMax, type MasterTiming } from './options.ts';
import { stoppedLeading } from './refusal.ts';
import type { ServerRecord } from './state/records.ts';

/** Who is not answered tries the other masters, of which one may be as silent, before it comes, or comes again: that takes most of two sessions. */
const toComeSessions = 2;

export type ServerConnection = RpcConnection<typeof serverOrders>;

/** One server. What it is changes in ChunkServers only. */
export class ChunkServer {
  readonly id: ServerId;
  address: Address;
  rack: string;
  pid = 0;
  incarnation: number | undefined;
  /** The connection it registered on, for orders. */
  rpc: ServerConnection | undefined;
  /** Undefined until this leader has had a heartbeat of it. */
  heardAt: number | undefined;
  /** When the last of its heartbeats arrived that was answered while that was of use. */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** It serves until then at the latest, by our clock. */
  aliveUntil: number;
  state: 'healthy' | 'suspect' | 'dead' = 'healthy';
  /** How many sessions it had under this leader, with the one that was assumed. */
  sessions = 0;
  /** Changes that leave it out of sets, on their way into the log: meanwhile it gets no session. */
  exclusions = 0;
  /** Nothing new is put there, and what it has is to be elsewhere. */
  isDraining: boolean;
  chunks = 0;
  usedBytes = 0;
  totalBytes = 0;
  freeBytes = 0;
  lagBytes = 0;
  /** Chunks placed there lately, fading; see placement.ts. */
  recentChunks = 0;
  recentAt = 0;
  /** Clones it gives or takes at present. */
  clones = 0;

  constructor(id: ServerId, record: ServerRecord, aliveUntil: number) {
    this.id = id;
    this.address = record.address;
    this.rack = record.rack;
    this.isDraining = record.draining;
    this.aliveUntil = aliveUntil;
  }

  /** Of the room that it has for chunks, how much is taken: 0 … 1. */
  get fill(): number {
    const room = this.usedBytes + this.freeBytes;
    return room === 0 ? 1 : this.usedBytes / room;
  }
}

export interface ServerEvents {
  /** From then on it serves nothing, until it is heard of again. */
  lapsed(server: ChunkServer): void;
  died(server: ChunkServer): void;
  /** A session has begun after one had lapsed, or for the first time. */
  came(server: ChunkServer): void;
}

export class ChunkServers {
  readonly #env: Env;
  readonly #timing: MasterTiming;
  readonly #events: ServerEvents;
  readonly #servers = new Map<ServerId, ChunkServer>();
  readonly #timers = new Map<ServerId, Timer>();
  readonly #waiting = new Map<ServerId, (() => void)[]>();
  /** Orders under way, by the server that they need: how to give them up. */
  readonly #ordered = new Map<ServerId, Set<() => void>>();
  readonly #electedAt: number;
  /** Of this leader, for as long as it leads. */
  readonly leader: number;
  #stopped = false;

  constructor(env: Env, timing: MasterTiming, events: ServerEvents) {
    this.#env = env;
    this.#timing = timing;
    this.#events = events;
    this.#electedAt = env.clock.now();
    this.leader = env.random.id53();
  }

  /** A server that the log knows: it may hold a session from the leader before, so it is given one from the election on. */
  assume(id: ServerId, record: ServerRecord): void {
    const server = new ChunkServer(id, record, this.#electedAt + this.#sessionMs);
    server.sessions = 1;
    this.#servers.set(id, server);
    this.#watch(server);
  }

  /** A server that has just been put into the log: nobody has given it a session. */
  add(id: ServerId, record: ServerRecord): ChunkServer {
    const server = new ChunkServer(id, record, 0);
    server.state = 'suspect';
    server.aliveUntil = this.#env.clock.now();
    this.#servers.set(id, server);
    this.#watch(server);
    return server;
  }

  get(id: ServerId): ChunkServer | undefined {
    return this.#servers.get(id);
  }
  all(): Iterable<ChunkServer> {
    return this.#servers.values();
  }
  get size(): number {
    return this.#servers.size;
  }
  /** With a margin for its clock. */
  get #sessionMs(): number {
    return this.#timing.sessionMs * (1 + clockDriftMax);
  }

  /** It may be serving. */
  hasSession(id: ServerId): boolean {
    const server = this.#servers.get(id);
    return server !== undefined && this.#env.clock.now() < server.aliveUntil;
  }

  /** It serves, as far as can be known: this leader has heard of it lately. */
  isHealthy(server: ChunkServer): boolean {
    return server.heardAt !== undefined && server.state === 'healthy' && this.#env.clock.now() < server.aliveUntil;
  }

  /** Nothing says that it is up: its connection is gone, or it has not been heard of when it should have been. */
  isOverdue(id: ServerId): boolean {
    const server = this.#servers.get(id);
    if (server?.heardAt === undefined || server.rpc === undefined || server.rpc.isClosed) return true;
    return this.#env.clock.now() - server.heardAt > 1.6 * this.#timing.heartbeatMs;
  }

  /**
   * It has no session, but only because this leader has not heard of it yet, or could not answer it in time when it was heard. It may be on its way, so it
   * is not to be left out.
   */
  mayBeComing(id: ServerId): boolean {
    return this.#env.clock.now() < this.comingUntil(id);
  }

  /** Until then it may be coming, unless it has come. */
  comingUntil(id: ServerId): number {
    const server = this.#servers.get(id);
    if (server === undefined || this.hasSession(id)) return Number.NEGATIVE_INFINITY;
    const { heardAt = this.#electedAt, answeredAt } = server;
    return heardAt > answeredAt ? heardAt + toComeSessions * this.#sessionMs : Number.NEGATIVE_INFINITY;
  }

  /** A heartbeat arrived. The server is up, whether this leader can answer it or not: that nothing can be logged just now makes nobody dead. */
  heard(server: ChunkServer, receivedAt: number): void {
    server.heardAt = Math.max(server.heardAt ?? 0, receivedAt);
  }

  /**
   * A heartbeat that arrived at `receivedAt` is about to be answered. Returns whether it may be answered with a session.
   */
  renew(server: ChunkServer, receivedAt: number): boolean {
    this.heard(server, receivedAt);
    const isOfUse = server.rpc?.isClosed !== true && this.#env.clock.now() < receivedAt + this.#sessionMs;
    if (isOfUse) server.answeredAt = Math.max(server.answeredAt, receivedAt);
    const isGiven = server.exclusions === 0;
    if (isGiven) {
      if (!this.hasSession(server.id)) server.sessions += 1;
      server.aliveUntil = Math.max(server.aliveUntil, receivedAt + this.#sessionMs);
      if (server.state !== 'healthy' || !this.#timers.has(server.id)) this.#revive(server);
    }
    this.#wake(server.id);
    return isGiven;
  }

  #revive(server: ChunkServer): void {
    const was = server.state;
    server.state = 'healthy';
    this.#watch(server);
    if (was !== 'healthy') this.#events.came(server);
  }

  /**
   * Carries out a change that leaves out servers whose sessions have lapsed. They get none before it is in the log: a server whose session
   * begins anew has its inventory compared before it serves, and must be compared with what is true by then.
   */
  async excluding<T>(lapsed: readonly ServerId[], exclude: () => Promise<T>): Promise<T> {
    const servers = lapsed.map((id) => this.#servers.get(id)).filter((server) => server !== undefined);
    for (const server of servers) server.exclusions += 1;
    try {
      return await exclude();
    } finally {
      for (const server of servers) server.exclusions -= 1;
    }
  }

  /** Resolves at its next heartbeat, when its session lapses, when it counts as dead, and when this leader stops. */
  changed(id: ServerId): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(id);
      if (this.#stopped) resolve();
      else if (waiting === undefined) this.#waiting.set(id, [resolve]);
      else waiting.push(resolve);
    });
  }

  /**
   * What comes of an order that may take long, as long as all that it needs have their sessions: one that is stopped, or cut off, keeps its
   * connection and does not answer. What it was told may still be done.
   * @throws CairnError UNAVAILABLE when a session has lapsed, NOT_LEADER when this leader has stopped
   */
  async whileServing<T>(ids: readonly ServerId[], order: Promise<T>): Promise<T> {
    let giveUp = () => {};
    const lapsed = new Promise<void>((resolve) => (giveUp = resolve));
    for (const id of ids) this.#orderedOf(id).add(giveUp);
    try {
      if (!this.#stopped && ids.every((id) => this.hasSession(id))) {
        const outcome = await Promise.race([order.then((value) => ({ value })), lapsed]);
        if (outcome !== undefined) return outcome.value;
      }
    } finally {
      for (const id of ids) this.#orderedOf(id).delete(giveUp);
    }
    order.catch(() => undefined); // nobody waits for it
    if (this.#stopped) throw stoppedLeading();
    const which = ids.length === 1 ? `chunkserver ${ids[0]}` : `one of the chunkservers ${ids.join(', ')}`;
    throw new CairnError('UNAVAILABLE', `${which} was not heard of for a session while it was to do something`);
  }

  #orderedOf(id: ServerId): Set<() => void> {
    const ordered = this.#ordered.get(id) ?? new Set();
    this.#ordered.set(id, ordered);
    return ordered;
  }

  #giveUpOrders(id: ServerId): void {
    for (const giveUp of this.#ordered.get(id) ?? []) giveUp();
  }

  #wake(id: ServerId): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    for (const go of waiting) go();
  }

  /** Fires when the session lapses, then when the server counts as dead. */
  #watch(server: ChunkServer): void {
    this.#timers.get(server.id)?.cancel();
    const now = this.#env.clock.now();
    const deadAt = (server.heardAt ?? this.#electedAt) + this.#timing.deadAfterMs;
    const at = server.state === 'healthy' ? server.aliveUntil : deadAt;
    this.#timers.set(
      server.id,
      this.#env.clock.after(Math.max(0, at - now), () => this.#due(server)),
    );
  }

  #due(server: ChunkServer): void {
    const now = this.#env.clock.now();
    if (server.state === 'healthy') {
      if (now >= server.aliveUntil) {
        server.state = 'suspect';
        this.#events.lapsed(server);
        this.#giveUpOrders(server.id);
        this.#wake(server.id);
      }
      this.#watch(server);
      return;
    }
    if (now < (server.heardAt ?? this.#electedAt) + this.#timing.deadAfterMs) {
      this.#watch(server);
      return;
    }
    this.#timers.delete(server.id);
    server.state = 'dead';
    this.#wake(server.id); // whoever waits for it still would do so for as long as it stays away
    this.#events.died(server);
  }

  /** @param chunksOn how many chunks have a server in their set. */
  status(chunksOn: (id: ServerId) => number): ServerStatus[] {
    const now = this.#env.clock.now();
    return [...this.#servers.values()]
      .sort((a, b) => a.id - b.id)
      .map((server) => {
        const { id, pid, address, rack, chunks, usedBytes, totalBytes, freeBytes, lagBytes, heardAt } = server;
        const needed = chunksOn(id);
        const silentMs = heardAt === undefined ? undefined : now - heardAt;
        const figures = { pid, chunks, needed, usedBytes, totalBytes, freeBytes, lagBytes, silentMs };
        return { id, address, rack, ...figures, state: shownState(server, needed) };
      });
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const id of [...this.#waiting.keys()]) this.#wake(id);
    for (const id of this.#ordered.keys()) this.#giveUpOrders(id);
  }
}

function shownState({ state, heardAt, isDraining }: ChunkServer, needed: number): ServerStatus['state'] {
  if (isDraining && needed === 0) return 'drained';
  if (state !== 'healthy') return state;
  if (heardAt === undefined) return 'suspect';
  return isDraining ? 'draining' : 'healthy';
}
