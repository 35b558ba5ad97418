/**
 * Re-replication (GFS §4.3): brings chunks with too few replicas back to their goal. Found by events and by a slow scan of the table; copied
 * by the servers themselves, a bounded number at a time. A copy joins the set only if the chunk is sealed and has not changed since.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import type { Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { ChunkServer } from './chunk-servers.ts';
import { addressOf, grantOf, type LeaderWorld } from './leader-world.ts';
import type { Leases } from './leases.ts';
import { isLive, type Need, Needs, needOf } from './needs.ts';
import { valueOrThrow } from './refusal.ts';
import { doneResult, type Granted } from './state/commands.ts';
import type { ChunkRecord, Inode } from './state/records.ts';

export const clonesMax = 16;
export const clonesPerServerMax = 4;
/** Chunks looked at in one go for something to do. */
const candidatesMax = 64;
/** A copy that failed is tried again after this. */
const coolMs = 1000;
const goneMax = 100_000;
const coolingMax = 10_000;
/** A finished copy stays unknown to an inventory that was on its way: see inventory.ts. */
const settledMs = 5000;
const pumpMs = 500;
/** While a chunk gets no grant, its last differences must be copied in this time. */
const finishMs = 3000;
const orderMs = 3000;

export class Replication {
  readonly #world: LeaderWorld;
  readonly #leases: Leases;
  readonly needs = new Needs();
  /** Copies under way, and those that ended lately, with their targets. */
  readonly #targets = new Map<ChunkHandle, ServerId>();
  readonly #cooling = new Map<ChunkHandle, Timer>();
  /** Chunks that are just losing a broken replica. */
  readonly #excluding = new Set<ChunkHandle>();
  #running = 0;
  /** Chunks of which the only member has said that it has no good replica; until it starts anew. */
  readonly #gone = new Map<ChunkHandle, ServerId>();
  #pumpIsDue = false;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, leases: Leases) {
    this.#world = world;
    this.#leases = leases;
  }

  /** Something about this chunk has changed: sees what it needs. */
  note(handle: ChunkHandle): void {
    const need = this.#needOf(handle);
    if (this.needs.set(handle, need))
      this.#world.env.events.emit('error', 'chunk_lost', {
        handle,
        servers: this.#world.tables.chunk(handle)?.servers.join(','),
        advice: 'start one of these servers again; until then this part of the file cannot be read',
      });
    if (need.kind === 'short') this.pump();
  }

  /** What the server has said of its replicas may be over. */
  serverCame(id: ServerId): void {
    for (const [handle, server] of this.#gone) {
      if (server !== id) continue;
      this.#gone.delete(handle);
      this.note(handle);
    }
  }

  #needOf(handle: ChunkHandle): Need {
    const { tables, servers } = this.#world;
    const only = this.#gone.get(handle);
    if (only !== undefined) {
      const chunk = tables.chunk(handle);
      if (chunk?.servers.length === 1 && chunk.servers[0] === only) return { kind: 'lost' };
      this.#gone.delete(handle);
    }
    return needOf(tables, servers, handle);
  }

  isCloning(handle: ChunkHandle, server: ChunkServer): boolean {
    return this.#targets.get(handle) === server.id;
  }

  /** Looks for copies to start, once in a turn, and again after a while if some chunks must wait. */
  pump(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#world.env.clock.soon(() => {
      this.#pumpIsDue = false;
      if (!this.#world.isStopped) this.#pump();
    });
  }

  #pump(): void {
    for (const handle of this.needs.take(candidatesMax)) {
      if (this.#running >= clonesMax) break;
      if (!this.#targets.has(handle) && !this.#cooling.has(handle)) this.#consider(handle);
    }
    if (this.needs.short === 0 || this.#timer !== undefined) return;
    this.#timer = this.#world.env.clock.after(pumpMs, () => {
      this.#timer = undefined;
      this.pump();
    });
  }

  #consider(handle: ChunkHandle): void {
    const { tables, servers, placement, departures } = this.#world;
    const need = this.#needOf(handle);
    this.needs.set(handle, need);
    const chunk = tables.chunk(handle);
    if (need.kind !== 'short' || chunk === undefined) return;
    if (this.#sourceOf(chunk) === undefined) return;
    const racks = chunk.servers.filter((id) => isLive(servers, id)).map((id) => servers.get(id)!.rack);
    const busy = [...servers.all()].filter((server) => server.clones >= clonesPerServerMax).map(({ id }) => id);
    const left = [...servers.all()].filter(({ id }) => departures.mayBeBelieved(handle, id, !chunk.sealed));
    const without = [...chunk.servers, ...busy, ...left.map(({ id }) => id)];
    const [target] = placement.choose({ count: 1, without, racks, bytes: Math.max(1, chunk.length) });
    if (target !== undefined) void this.#replicate(handle, servers.get(target)!);
  }

  /** A member that can give the chunk away now; the primary of an open one, if it is up. */
  #sourceOf(chunk: ChunkRecord): ChunkServer | undefined {
    const { servers } = this.#world;
    const fit = chunk.servers
      .map((id) => servers.get(id))
      .filter((server) => server !== undefined && servers.isHealthy(server) && server.clones < clonesPerServerMax);
    if (!chunk.sealed && fit[0]?.id === chunk.servers[0]) return fit[0];
    return fit.reduce(
      (best, server) => (best === undefined || server!.clones < best.clones ? server : best),
      undefined,
    );
  }

  async #replicate(handle: ChunkHandle, target: ChunkServer): Promise<void> {
    const { env } = this.#world;
    this.#targets.set(handle, target.id);
    this.#running += 1;
    target.clones += 1;
    let release = () => {};
    try {
      if (!this.#chunk(handle).sealed) {
        await this.#copyOpen(handle, target);
        this.#leases.hold(handle, new Promise((resolve) => (release = resolve)));
        await this.#seal(handle);
        await this.#copy(handle, target, finishMs);
      } else await this.#copy(handle, target, this.#world.timing.cloneMs);
      env.events.emit('info', 'chunk_replicated', { handle, server: target.id });
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (!this.#world.isStopped)
        env.events.emit('warn', 'chunk_not_replicated', {
          handle,
          server: target.id,
          code: error.code,
          why: error.message,
        });
      this.#cool(handle);
    } finally {
      release();
      this.#running -= 1;
      target.clones -= 1;
      env.clock.after(settledMs, () => this.#targets.delete(handle));
    }
    if (!this.#world.isStopped) this.note(handle);
    this.pump();
  }

  /** While clients go on writing: what changes meanwhile is copied again, block by block, at the end. */
  async #copyOpen(handle: ChunkHandle, target: ChunkServer): Promise<void> {
    const chunk = this.#chunk(handle);
    const source = this.#sourceOf(chunk);
    if (source === undefined || source.id !== chunk.servers[0]) return;
    try {
      await this.#clone(handle, chunk, source, target, this.#world.timing.cloneMs);
    } catch (thrown) {
      if (toCairnError(thrown).code !== 'CHUNK_MISSING') throw thrown; // nothing was written to it yet
    }
  }

  /** Copies a sealed chunk and takes the copy into its set; members whose servers are dead leave it. */
  async #copy(handle: ChunkHandle, target: ChunkServer, timeoutMs: number): Promise<void> {
    const { servers } = this.#world;
    const chunk = this.#chunk(handle);
    const source = this.#sourceOf(chunk);
    if (!chunk.sealed || source === undefined)
      throw new CairnError('BUSY', `chunk ${handle} is in use again; its copy waits`);
    await this.#clone(handle, chunk, source, target, timeoutMs);
    const without = chunk.servers.filter((id) => !isLive(servers, id));
    const change = { version: chunk.version, server: target.id, without };
    valueOrThrow(
      await servers.excluding(without, () =>
        this.#world.execute({ kind: 'addReplica', handle, ...change }, doneResult),
      ),
    );
    this.#world.departures.note(handle, without, []);
  }

  async #clone(
    handle: ChunkHandle,
    { version }: ChunkRecord,
    source: ChunkServer,
    target: ChunkServer,
    timeoutMs: number,
  ): Promise<void> {
    const from = { server: source.id, address: addressOf(this.#world.tables, source.id) };
    source.clones += 1;
    try {
      await this.#orders(target).call('clone', { handle, version, from }, { timeoutMs });
    } finally {
      source.clones -= 1;
    }
    this.#world.checkLeading();
  }

  // ---------------------------------------------------------------- sealing

  /** Of a chunk that is not being copied just now. @throws CairnError when it could not be sealed */
  async seal(handle: ChunkHandle): Promise<void> {
    if (this.#targets.has(handle) || this.#excluding.has(handle))
      throw new CairnError('BUSY', `chunk ${handle} is being copied just now`);
    await this.#seal(handle);
  }

  /** Ends the open lease of a chunk, so that its length is final. */
  async #seal(handle: ChunkHandle): Promise<void> {
    const chunk = this.#chunk(handle);
    const primary = this.#world.servers.get(chunk.servers[0]!);
    if (chunk.sealed) return;
    if (primary === undefined || !this.#world.servers.isHealthy(primary)) return this.#sealByRecovery(handle, []);
    let length: number;
    try {
      const order = { handle, version: chunk.version };
      length = (await this.#orders(primary).call('release', order, { timeoutMs: orderMs })).response.length;
    } catch (thrown) {
      // It has not begun under this version, or cannot tell: another version can.
      const why = toCairnError(thrown).message;
      this.#world.env.events.emit('info', 'lease_not_released', { handle, server: primary.id, why });
      return this.#sealByRecovery(handle, []);
    }
    await this.#recordSealed({ handle, version: chunk.version, servers: chunk.servers }, length);
  }

  /** A new version under a member that is up: it makes the others equal to itself and gives the lease up at once. */
  async #sealByRecovery(handle: ChunkHandle, gone: readonly ServerId[]): Promise<void> {
    const { env, tables } = this.#world;
    const chunk = this.#chunk(handle);
    const granted = await this.#leases.regrant(handle, chunk, [], env.clock.now() + orderMs, gone);
    if (granted === undefined) throw new CairnError('BUSY', `chunk ${handle} is in use again; its copy waits`);
    const primary = this.#world.servers.get(granted.servers[0]!)!;
    const order = { grant: grantOf(tables, granted, this.#file(chunk)), seal: true };
    const { response } = await this.#orders(primary).call('recover', order, { timeoutMs: this.#world.timing.cloneMs });
    await this.#recordSealed(granted, response.length);
  }

  async #recordSealed({ handle, version }: Granted, length: number): Promise<void> {
    this.#world.checkLeading();
    await this.#world.execute(
      { kind: 'recordLengths', reports: [{ handle, version, length, release: true }] },
      doneResult,
    );
  }

  // ---------------------------------------------------------------- what is broken

  /** A server has no good replica of this chunk any more, by its own word: the others go on without it. */
  async replicaGone(handle: ChunkHandle, server: ServerId, why: 'damaged' | 'missing'): Promise<void> {
    const { env, tables } = this.#world;
    const chunk = tables.chunk(handle);
    if (chunk === undefined || !chunk.servers.includes(server) || this.#excluding.has(handle)) return;
    env.events.emit('warn', 'replica_gone', { handle, server, why, left: chunk.servers.length - 1 });
    if (chunk.servers.length === 1) {
      if (this.#gone.size < goneMax) this.#gone.set(handle, server);
      if (this.needs.set(handle, { kind: 'lost' }))
        env.events.emit('error', 'last_replica_gone', {
          handle,
          server,
          why,
          advice: 'restore this file from elsewhere',
        });
      return;
    }
    this.#excluding.add(handle);
    try {
      if (!chunk.sealed) await this.#sealByRecovery(handle, [server]);
      else {
        const command = { kind: 'exclude', handle, version: chunk.version, servers: [server] } as const;
        valueOrThrow(await this.#world.execute(command, doneResult));
        this.#world.departures.note(handle, [server], []);
      }
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (this.#world.isStopped) return;
      env.events.emit('warn', 'replica_not_excluded', { handle, server, code: error.code, why: error.message });
    } finally {
      this.#excluding.delete(handle);
    }
    this.note(handle);
  }

  #cool(handle: ChunkHandle): void {
    if (this.#world.isStopped || this.#cooling.size >= coolingMax) return;
    const timer = this.#world.env.clock.after(coolMs, () => {
      this.#cooling.delete(handle);
      this.note(handle);
    });
    this.#cooling.set(handle, timer);
  }

  #chunk(handle: ChunkHandle): ChunkRecord {
    const chunk = this.#world.tables.chunk(handle);
    if (chunk === undefined) throw new CairnError('STALE_HANDLE', `chunk ${handle} was removed`);
    return chunk;
  }

  #file({ inode }: ChunkRecord): Inode {
    const file = this.#world.tables.inode(inode);
    if (file === undefined) throw new CairnError('STALE_HANDLE', `inode ${inode} was removed`);
    return file;
  }

  #orders(server: ChunkServer) {
    if (server.rpc === undefined || server.rpc.isClosed)
      throw new CairnError('UNAVAILABLE', `chunkserver ${server.id} cannot be given orders just now`);
    return server.rpc;
  }

  stop(): void {
    this.#timer?.cancel();
    for (const timer of this.#cooling.values()) timer.cancel();
  }
}
