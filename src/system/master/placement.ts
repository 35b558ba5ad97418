/**
 * Where new replicas go (GFS §4.2): on distinct servers, across racks, where there is room, and not all on the server that is emptiest, since
 * a new chunk draws traffic at once.
 */
import type { ServerId } from '../../core/base/brand.ts';
import type { Env } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { ChunkServer, ChunkServers } from './chunk-servers.ts';

/** With more servers than this, only a random sample of them is weighed. */
const weighedMax = 32;
/** Placements fade to half in this time. */
const recentHalfLifeMs = 2000;
/** What one recent placement weighs, as a fraction of a disk. */
const recentWeight = 0.002;
/** Scores that differ less are equal. */
const nearlyEqual = 0.01;
/** Of recent placements, which fade. */
const halfAPlacement = 0.5;
const otherRackFirst = 10;
/** Small files that are put together, and how long a moment is. More of them would wait for one server while the others have nothing to do. */
export const smallTogetherMax = 4;
const togetherMs = 5;

export interface PlacementNeed {
  readonly count: number;
  /** Others are passed over: they hold a replica already, or have no time. */
  readonly isFit: (server: ChunkServer) => boolean;
  /** Racks that have a replica already. */
  readonly racks: readonly string[];
  /** Bytes that must be free. */
  readonly bytes: number;
}

export class Placement {
  readonly #env: Env;
  readonly #servers: ChunkServers;
  /** Where the last small chunks were put. */
  #together: { readonly since: number; readonly count: number; readonly servers: ServerId[]; room: number } | undefined;

  constructor(env: Env, servers: ChunkServers) {
    this.#env = env;
    this.#servers = servers;
  }

  /** 0 … count servers, best first. Fewer than asked for if there are no more. */
  choose({ count, isFit, racks, bytes }: PlacementNeed): ServerId[] {
    const candidates = this.#candidates(isFit, bytes);
    const taken: ServerId[] = [];
    const used = new Set(racks);
    while (taken.length < count && candidates.length > 0) {
      const best = this.#best(candidates, used);
      const [server] = candidates.splice(best, 1);
      taken.push(server!.id);
      used.add(server!.rack);
    }
    return taken;
  }

  /** For a new chunk: at least `min` servers. @throws CairnError NO_SERVERS */
  chooseForNew(count: number, min: number): ServerId[] {
    const servers = this.choose({ count, isFit: () => true, racks: [], bytes: 1 });
    if (servers.length > 0 && servers.length < min)
      throw new CairnError(
        'NO_SERVERS',
        `${servers.length} chunkservers are up with free space, and ${min} are asked for; start more`,
      );
    if (servers.length === 0) throw new CairnError('NO_SERVERS', this.#whyNone());
    for (const id of servers) this.#noteRecent(id);
    return servers;
  }

  #whyNone(): string {
    const all = [...this.#servers.all()];
    if (all.length === 0) return 'no chunkserver has registered; start one';
    const down = all.filter((server) => !this.#servers.isHealthy(server)).length;
    const draining = all.filter((server) => this.#servers.isHealthy(server) && server.isDraining).length;
    const reasons = [
      ...(down > 0 ? [`${down} down: start them`] : []),
      ...(draining > 0 ? [`${draining} being drained: \`cairn drain ID --undo\``] : []),
      ...(down + draining < all.length ? [`${all.length - down - draining} full: free space, or empty the trash`] : []),
    ];
    return `no chunkserver takes new chunks; of ${all.length} are ${reasons.join(', ')}`;
  }

  /**
   * As `chooseForNew`, for a chunk that is written with one small message and then left alone: with others of the same moment it goes to the
   * same servers in the same order, whose messages, writes and flushes carry all of them. @throws CairnError NO_SERVERS
   */
  chooseForSmall(count: number, min: number): ServerId[] {
    const now = this.#env.clock.now();
    const last = this.#together;
    if (last !== undefined && last.room > 0 && last.count === count && now - last.since < togetherMs) {
      if (last.servers.length >= min && last.servers.every((id) => this.#takesNew(this.#servers.get(id)))) {
        last.room -= 1;
        for (const id of last.servers) this.#noteRecent(id);
        return last.servers;
      }
    }
    const servers = this.chooseForNew(count, min);
    this.#together = { since: now, count, servers, room: smallTogetherMax - 1 };
    return servers;
  }

  #takesNew(server: ChunkServer | undefined): server is ChunkServer {
    return server !== undefined && this.#servers.isHealthy(server) && !server.isDraining && server.freeBytes > 0;
  }

  #candidates(isFit: PlacementNeed['isFit'], bytes: number): ChunkServer[] {
    const { random } = this.#env;
    const fit: ChunkServer[] = [];
    let seen = 0;
    for (const server of this.#servers.all()) {
      if (!this.#servers.isHealthy(server) || server.isDraining || server.freeBytes < bytes || !isFit(server)) continue;
      seen += 1;
      if (fit.length < weighedMax) fit.push(server);
      else {
        const at = random.below(seen);
        if (at < weighedMax) fit[at] = server;
      }
    }
    return fit;
  }

  /** Of those that are about equally good the one that was chosen least of late; chance decides among equals. */
  #best(candidates: readonly ChunkServer[], racks: ReadonlySet<string>): number {
    const scores = candidates.map((server) => this.#score(server, racks));
    const bound = Math.min(...scores) + nearlyEqual;
    let best = -1;
    let leastRecent = Number.POSITIVE_INFINITY;
    let equals = 1;
    for (const [i, server] of candidates.entries()) {
      if (scores[i]! > bound) continue;
      const recent = this.#recent(server);
      if (recent < leastRecent - halfAPlacement) equals = 1;
      else if (recent > leastRecent + halfAPlacement || this.#env.random.below(++equals) > 0) continue;
      best = i;
      leastRecent = recent;
    }
    return best;
  }

  /** Lower is better. */
  #score(server: ChunkServer, racks: ReadonlySet<string>): number {
    return server.fill + this.#recent(server) * recentWeight + (racks.has(server.rack) ? otherRackFirst : 0);
  }

  #recent(server: ChunkServer): number {
    return server.recentChunks * 2 ** ((server.recentAt - this.#env.clock.now()) / recentHalfLifeMs);
  }

  #noteRecent(id: ServerId): void {
    const server = this.#servers.get(id)!;
    server.recentChunks = this.#recent(server) + 1;
    server.recentAt = this.#env.clock.now();
  }
}
