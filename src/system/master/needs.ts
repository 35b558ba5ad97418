/**
 * What chunks need: copies, those with one left first, then by how many they lack, of those the ones in use first (GFS §4.3); other servers
 * than those that are to be emptied; fewer copies. And what would merely be better elsewhere.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { ChunkServers } from './chunk-servers.ts';
import type { ChunkRecord } from './state/records.ts';
import { sharersOf } from './state/sharing.ts';
import type { Tables } from './state/tables.ts';

/** Chunks remembered, and as many lost ones; the scan finds the others again when these are done. */
const needsMax = 200_000;
/** Files looked at that share a chunk, for the one that wants the most copies. */
const sharersMax = 64;
/** Each lane has one of so many parts of what is looked at in one go, if it needs it; the first lanes have the rest. */
const laneShares = 16;

export type Need =
  | { readonly kind: 'none' | 'lost' }
  /** `live` of `goal` copies are on servers that are not dead. */
  | { readonly kind: 'short'; readonly live: number; readonly goal: number }
  /** There are enough, but not without servers that are being drained. */
  | { readonly kind: 'leaving' }
  /** These members are not needed. */
  | { readonly kind: 'surplus'; readonly members: readonly ServerId[] }
  /** A server is fuller than it should be. */
  | { readonly kind: 'uneven' };

/** Highest priority first. */
const lanes = ['one left', 'several lacking', 'one lacking', 'leaving', 'surplus', 'uneven'] as const;
type Lane = (typeof lanes)[number];
const shortLanes: readonly Lane[] = ['one left', 'several lacking', 'one lacking'];

/** What a chunk needs now. Members count until their server is dead. */
export function needOf(tables: Tables, servers: ChunkServers, handle: ChunkHandle): Need {
  const chunk = tables.chunk(handle);
  const goal = chunk === undefined ? undefined : goalOf(tables, handle, chunk);
  if (chunk === undefined || goal === undefined) return { kind: 'none' };
  const live = chunk.servers.filter((id) => isLive(servers, id));
  const staying = live.filter((id) => servers.get(id)?.isDraining === false);
  if (live.length === 0) return { kind: 'lost' };
  if (staying.length >= goal) return surplusOf(servers, chunk.servers, staying, goal);
  return live.length < goal ? { kind: 'short', live: live.length, goal } : { kind: 'leaving' };
}

/** How many copies a chunk should have: as many as the file with the most wants. Undefined if no file has it. */
export function goalOf(tables: Tables, handle: ChunkHandle, chunk: ChunkRecord): number | undefined {
  const own = tables.inode(chunk.inode)?.replication;
  if (chunk.refs === 1) return own;
  const others = sharersOf(tables, handle, sharersMax).map((inode) => tables.inode(inode)?.replication ?? 0);
  return Math.max(own ?? 0, ...others);
}

/** Members that are dead or being drained, and of the others as many as are too many: from racks with several, from the fullest. */
function surplusOf(
  servers: ChunkServers,
  members: readonly ServerId[],
  staying: readonly ServerId[],
  goal: number,
): Need {
  let kept = staying.filter((id) => servers.isHealthy(servers.get(id)!));
  if (kept.length < goal) return { kind: 'none' }; // somebody is silent: nobody is sent away now
  while (kept.length > goal) {
    const inRack = (id: ServerId) => kept.filter((other) => servers.get(other)!.rack === servers.get(id)!.rack).length;
    const worst = kept.reduce((a, b) => {
      const more = inRack(b) - inRack(a);
      return more > 0 || (more === 0 && servers.get(b)!.fill > servers.get(a)!.fill) ? b : a;
    });
    kept = kept.filter((id) => id !== worst);
  }
  const leaving = members.filter((id) => !kept.includes(id));
  return leaving.length === 0 ? { kind: 'none' } : { kind: 'surplus', members: leaving };
}

export function isLive(servers: ChunkServers, id: ServerId): boolean {
  const server = servers.get(id);
  return server !== undefined && server.state !== 'dead';
}

function laneOf(need: Need): Lane | undefined {
  switch (need.kind) {
    case 'short':
      if (need.live === 1) return 'one left';
      return need.goal - need.live > 1 ? 'several lacking' : 'one lacking';
    case 'leaving':
    case 'surplus':
    case 'uneven':
      return need.kind;
    default:
      return undefined;
  }
}

class LaneOfChunks {
  readonly hot = new Set<ChunkHandle>();
  readonly cold = new Set<ChunkHandle>();
}

export class Needs {
  readonly #lanes: ReadonlyMap<Lane, LaneOfChunks> = new Map(lanes.map((lane) => [lane, new LaneOfChunks()]));
  readonly #laneOf = new Map<ChunkHandle, Lane>();
  readonly #lost = new Set<ChunkHandle>();
  readonly #isHot: (handle: ChunkHandle) => boolean;
  readonly #max: number;

  constructor(isHot: (handle: ChunkHandle) => boolean = () => false, max = needsMax) {
    this.#isHot = isHot;
    this.#max = max;
  }

  /** Chunks with fewer copies than they should have. */
  get short(): number {
    return shortLanes.reduce((sum, lane) => sum + this.count(lane), 0);
  }
  get lost(): number {
    return this.#lost.size;
  }
  count(lane: Lane): number {
    const { hot, cold } = this.#lanes.get(lane)!;
    return hot.size + cold.size;
  }
  /** Chunks in all lanes. */
  get waiting(): number {
    return this.#laneOf.size;
  }

  /** Returns whether a chunk has been lost that was not before. */
  set(handle: ChunkHandle, need: Need): boolean {
    const lane = laneOf(need);
    if (this.#laneOf.get(handle) !== lane) this.#leave(handle);
    if (need.kind === 'lost') return this.#lose(handle);
    this.#lost.delete(handle);
    if (lane !== undefined && !this.#laneOf.has(handle) && this.#hasRoomIn(lane)) this.#enter(handle, lane);
    return false;
  }

  #lose(handle: ChunkHandle): boolean {
    if (this.#lost.has(handle) || this.#lost.size >= this.#max) return false;
    this.#lost.add(handle);
    return true;
  }

  /** When all is taken, by one of the last lane behind this one: it is forgotten. */
  #hasRoomIn(lane: Lane): boolean {
    if (this.#laneOf.size < this.#max) return true;
    const behind = lanes.slice(lanes.indexOf(lane) + 1);
    const last = behind.findLast((other) => this.count(other) > 0);
    if (last === undefined) return false;
    const { hot, cold } = this.#lanes.get(last)!;
    const [forgotten] = cold.size > 0 ? cold : hot;
    this.#leave(forgotten!);
    return true;
  }

  #enter(handle: ChunkHandle, lane: Lane): void {
    const { hot, cold } = this.#lanes.get(lane)!;
    (this.#isHot(handle) ? hot : cold).add(handle);
    this.#laneOf.set(handle, lane);
  }

  #leave(handle: ChunkHandle): void {
    const lane = this.#laneOf.get(handle);
    if (lane === undefined) return;
    this.#laneOf.delete(handle);
    const { hot, cold } = this.#lanes.get(lane)!;
    hot.delete(handle);
    cold.delete(handle);
  }

  /**
   * Up to `limit` chunks in the order of their need; they go to the back of their lane. What nobody can do anything about now may fill a
   * lane for good: so each lane behind it, the hot and the cold ones for themselves, has a share of what is looked at.
   */
  take(limit: number): ChunkHandle[] {
    const queues = [...this.#lanes.values()].flatMap(({ hot, cold }) => [hot, cold]);
    const share = Math.floor(limit / laneShares);
    let kept = queues.reduce((sum, { size }) => sum + Math.min(size, share), 0);
    const taken: ChunkHandle[] = [];
    for (const queue of queues) {
      kept -= Math.min(queue.size, share);
      const some = firstOf(queue, limit - kept - taken.length);
      for (const handle of some) {
        queue.delete(handle);
        queue.add(handle);
      }
      taken.push(...some);
    }
    return taken;
  }
}

function firstOf(queue: ReadonlySet<ChunkHandle>, count: number): ChunkHandle[] {
  const first: ChunkHandle[] = [];
  for (const handle of queue) {
    if (first.length >= count) break;
    first.push(handle);
  }
  return first;
}
