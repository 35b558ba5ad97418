/**
 * Which chunks would be better elsewhere: a server that holds more than its share gives some to one that holds less, a new one above all. A
 * share is in proportion to the room that a server has, for chunks that it holds and chunks that it could still take.
 */
import type { ServerId } from '../../core/base/brand.ts';
import type { ChunkServer } from './chunk-servers.ts';
import type { LeaderWorld } from './leader-world.ts';
import type { ChunkRecord } from './state/records.ts';

/** A server may be over or under its share by so much of it. */
const toleranceShare = 0.1;
const recountMs = 500;

export interface Move {
  readonly from: ServerId;
  readonly to: ChunkServer;
}

export class Balance {
  readonly #world: LeaderWorld;
  #countedAt = Number.NEGATIVE_INFINITY;
  #givers: ReadonlySet<ServerId> = new Set();
  /** Those with the most room in their share first. */
  #takers: readonly ChunkServer[] = [];

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** For a sealed chunk that has all its copies; undefined if it is well where it is. */
  moveFor(chunk: ChunkRecord): Move | undefined {
    this.#count();
    if (this.#takers.length === 0 || !chunk.sealed || chunk.length === 0) return undefined;
    const from = chunk.servers.find((id) => this.#givers.has(id));
    if (from === undefined) return undefined;
    const to = this.#takers.find((server) => this.#fits(chunk, from, server));
    return to === undefined ? undefined : { from, to };
  }

  /** A move was begun: it counts from now on, until the servers say themselves what they hold. Else all would go to the same place meanwhile. */
  began(from: ServerId, to: ChunkServer, bytes: number): void {
    const giver = this.#world.servers.get(from);
    if (giver !== undefined) giver.usedBytes = Math.max(0, giver.usedBytes - bytes);
    to.usedBytes += bytes;
    this.#countedAt = Number.NEGATIVE_INFINITY;
  }

  /** It holds none, is in no rack that has one already (or the one that gives is), and would not be the fuller one then. */
  #fits(chunk: ChunkRecord, from: ServerId, server: ChunkServer): boolean {
    const { servers } = this.#world;
    const giver = servers.get(from)!;
    if (chunk.servers.includes(server.id) || server.freeBytes < chunk.length || !servers.isHealthy(server))
      return false;
    if (server.usedBytes + chunk.length > giver.usedBytes - chunk.length && server.fill >= giver.fill) return false;
    const racks = chunk.servers.filter((id) => id !== from).map((id) => servers.get(id)?.rack);
    return !racks.includes(server.rack) || racks.includes(giver.rack) || giver.rack === server.rack;
  }

  #count(): void {
    const { env, servers, timing } = this.#world;
    const now = env.clock.now();
    if (now - this.#countedAt < recountMs) return;
    this.#countedAt = now;
    const all = [...servers.all()].filter((server) => servers.isHealthy(server) && !server.isDraining);
    const used = all.reduce((sum, server) => sum + server.usedBytes, 0);
    const room = all.reduce((sum, server) => sum + roomOf(server), 0);
    const overBy = (server: ChunkServer) => {
      const share = room === 0 ? 0 : (used * roomOf(server)) / room;
      const tolerance = Math.max(timing.unevenBytes, share * toleranceShare);
      const difference = server.usedBytes - share;
      return Math.abs(difference) <= tolerance ? 0 : difference;
    };
    this.#givers = new Set(all.filter((server) => overBy(server) > 0).map(({ id }) => id));
    // Where one is over its share, whoever is under its own can take: not only those that are far under it.
    const isUneven = this.#givers.size > 0 || all.some((server) => overBy(server) < 0);
    if (isUneven && this.#givers.size === 0)
      this.#givers = new Set(all.filter((server) => isAbove(server, used, room)).map(({ id }) => id));
    this.#takers = isUneven ? all.filter((server) => !isAbove(server, used, room)).sort((a, b) => a.fill - b.fill) : [];
  }
}

function roomOf({ usedBytes, freeBytes }: ChunkServer): number {
  return usedBytes + freeBytes;
}

function isAbove(server: ChunkServer, used: number, room: number): boolean {
  return server.usedBytes > (room === 0 ? 0 : (used * roomOf(server)) / room);
}
