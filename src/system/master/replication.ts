/**
 * Sees to it that every chunk has the copies that it should have, where it should have them (GFS §4.3): found by events and by a slow scan
 * of the table, made by the servers themselves, a bounded number at a time and no faster than the throttle allows.
 */
import type { ChunkHandle, InodeId, ServerId } from '../../core/base/brand.ts';
import type { Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { Balance } from './balance.ts';
import { BrokenReplicas, type WhyGone } from './broken-replicas.ts';
import type { ChunkServer } from './chunk-servers.ts';
import { type Copy, CopyWork } from './copy-work.ts';
import { Heat } from './heat.ts';
import type { Holds } from './holds.ts';
import { chunkOf, type LeaderWorld } from './leader-world.ts';
import { isLive, type Need, Needs, needOf } from './needs.ts';
import type { Regrants } from './regrants.ts';
import { ReplicaSets } from './replica-sets.ts';
import type { Sealing } from './sealing.ts';
import type { ChunkRecord } from './state/records.ts';
import { Throttle } from './throttle.ts';
import { type Held, heldBy, isSoundAndWhole } from './whole-replicas.ts';

export const clonesMax = 16;
/** Chunks that lose members at one time. */
const sheddingMax = 16;
/** Chunks looked at in one go for something to do. */
export const candidatesMax = 64;
/** Chunks that wait to be moved for the sake of evenness; more are found when these are done. */
const unevenMax = 64;
/** What failed is tried again after this. */
const coolMs = 1000;
const coolingMax = 10_000;
/** A finished copy stays unknown to an inventory that was on its way: see inventory.ts. */
const settledMs = 5000;
/** Chunks of a file looked at before others get their turn. */
const pageMax = 500;
const pumpMs = 500;
const pumpMinMs = 2;

export class Replication {
  readonly #world: LeaderWorld;
  readonly heat: Heat;
  readonly needs: Needs;
  readonly broken: BrokenReplicas;
  readonly #holds: Holds;
  readonly #sealing: Sealing;
  readonly #sets: ReplicaSets;
  readonly #throttle: Throttle;
  readonly #balance: Balance;
  readonly #copying: CopyWork;
  /** Of each chunk the copy that is under way, or that ended lately. */
  readonly #targets = new Map<ChunkHandle, Copy>();
  readonly #underWay = new Set<ChunkHandle>();
  readonly #cooling = new Map<ChunkHandle, Timer>();
  #copies = 0;
  #shedding = 0;
  #pumpIsDue = false;
  #timer: Timer | undefined;

  constructor(world: LeaderWorld, holds: Holds, regrants: Regrants, sealing: Sealing) {
    this.#world = world;
    this.#holds = holds;
    this.#sealing = sealing;
    this.heat = new Heat(world.env);
    this.needs = new Needs((handle) => this.heat.isHot(handle));
    this.#sets = new ReplicaSets(world, holds, regrants);
    this.broken = new BrokenReplicas(world, sealing, this.#sets, (handle) => this.note(handle));
    this.#throttle = new Throttle(world.env, world.timing);
    this.#balance = new Balance(world);
    this.#copying = new CopyWork(world, holds, sealing, this.#sets, this.#throttle);
  }

  /** Something about this chunk may have changed: sees what it needs. */
  note(handle: ChunkHandle): void {
    const need = this.#needOf(handle);
    if (this.needs.set(handle, need))
      this.#world.env.events.emit('error', 'chunk_lost', {
        handle,
        servers: this.#world.tables.chunk(handle)?.servers.join(','),
        advice: 'start one of these servers again; until then this part of the file cannot be read',
      });
    if (need.kind !== 'none' && need.kind !== 'lost') this.pump();
  }

  /** A chunk has left the table: it needs nothing, and is not lost either. */
  removed(handle: ChunkHandle): void {
    this.needs.set(handle, { kind: 'none' });
    this.#copying.failed.forget(handle);
  }

  /** All chunks of a file, a page at a time. */
  async noteFile(inode: InodeId): Promise<void> {
    const { env } = this.#world;
    for (let first = 0; ; ) {
      const file = this.#world.tables.inode(inode);
      if (file?.kind !== 'file') return;
      const page = this.#world.tables.handlesFrom(inode, file, first, pageMax);
      for (const { handle } of page) this.note(handle);
      if (page.length < pageMax) return;
      first = page.at(-1)!.index + 1;
      await new Promise<void>((resolve) => env.clock.soon(resolve));
      this.#world.checkLeading();
    }
  }

  #needOf(handle: ChunkHandle): Need {
    const { tables, servers } = this.#world;
    if (this.broken.isLost(handle)) return { kind: 'lost' };
    const need = needOf(tables, servers, handle);
    if (need.kind !== 'none' || this.needs.count('uneven') >= unevenMax) return need;
    const chunk = tables.chunk(handle);
    return chunk !== undefined && this.#balance.moveFor(chunk) !== undefined ? { kind: 'uneven' } : need;
  }

  isCloning(handle: ChunkHandle, server: ChunkServer): boolean {
    return this.#targets.get(handle)?.target.id === server.id;
  }

  /** Looks for something to do, once in a turn, and again after a while if some chunks must wait. */
  pump(): void {
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#world.env.clock.soon(() => {
      this.#pumpIsDue = false;
      if (!this.#world.isStopped) this.#pump();
    });
  }

  #pump(): void {
    for (const handle of this.needs.take(candidatesMax))
      if (!this.#underWay.has(handle) && !this.#cooling.has(handle)) this.#consider(handle);
    if (this.needs.waiting === 0) return;
    this.#timer?.cancel();
    const waitMs = Math.max(pumpMinMs, Math.min(pumpMs, this.#throttle.opensInMs ?? pumpMs));
    this.#timer = this.#world.env.clock.after(waitMs, () => this.pump());
  }

  #consider(handle: ChunkHandle): void {
    const need = this.#needOf(handle);
    this.needs.set(handle, need);
    const chunk = this.#world.tables.chunk(handle);
    if (chunk === undefined) return;
    if (need.kind === 'surplus') {
      if (this.#shedding < sheddingMax) void this.#shed(handle, need.members);
      return;
    }
    if (need.kind === 'none' || need.kind === 'lost') return;
    if (this.#copies >= clonesMax || !this.#throttle.isOpen()) return;
    const copy = need.kind === 'uneven' ? this.#moveOf(handle, chunk) : this.#copyOf(handle, chunk, need);
    const source = copy === undefined ? undefined : this.#copying.sourceFor(handle, chunk, copy.target);
    if (copy === undefined || source === undefined) return;
    if (copy.replaces !== undefined) this.#balance.began(copy.replaces, copy.target, chunk.length);
    this.#throttle.charge([source.id, copy.target.id], chunk.length);
    void this.#replicate(copy);
  }

  #copyOf(handle: ChunkHandle, chunk: ChunkRecord, need: Need): Copy | undefined {
    const { servers, placement } = this.#world;
    const staying = chunk.servers.filter((id) => isLive(servers, id) && servers.get(id)?.isDraining === false);
    const racks = staying.map((id) => servers.get(id)!.rack);
    const bytes = Math.max(1, chunk.length);
    const choose = (isMeant: (server: ChunkServer) => boolean): ChunkServer | undefined => {
      const isFit = (server: ChunkServer) => !chunk.servers.includes(server.id) && isMeant(server);
      const [target] = placement.choose({ count: 1, isFit, racks, bytes });
      return target === undefined ? undefined : servers.get(target);
    };
    const sources = this.#copying.sourcesOf(chunk);
    if (sources.length === 0) return undefined;
    const { failed } = this.#copying;
    const isUntried = (server: ChunkServer) =>
      !this.#mayBeBelieved(server, handle) && sources.some(({ id }) => !failed.has(handle, id, server.id));
    if (failed.knows(handle) && choose(isUntried) === undefined) failed.forget(handle); // who is left has failed: from the first again
    const target = choose((server) => isUntried(server) && this.#copying.isFree(server));
    if (target === undefined) return undefined;
    const isAmiss = need.kind === 'leaving' && racks.includes(target.rack);
    const better = isAmiss ? choose(isUntried) : undefined;
    // There are enough copies yet: this one waits until a server of another rack has time for it.
    if (better !== undefined && !racks.includes(better.rack)) return undefined;
    return { handle, target, replaces: undefined };
  }

  #moveOf(handle: ChunkHandle, chunk: ChunkRecord): Copy | undefined {
    const move = this.#balance.moveFor(chunk);
    if (move === undefined || !this.#copying.isFree(move.to) || this.#mayBeBelieved(move.to, handle)) return undefined;
    return { handle, target: move.to, replaces: move.from };
  }

  #mayBeBelieved(server: ChunkServer, handle: ChunkHandle): boolean {
    return this.#world.departures.mayBeBelieved(handle, server.id);
  }

  async #replicate(copy: Copy): Promise<void> {
    const { env } = this.#world;
    const { handle, target } = copy;
    this.#targets.set(handle, copy);
    this.#copies += 1;
    await this.#doing(handle, { event: 'chunk_not_replicated', server: target.id }, async () => {
      await this.#copying.make(copy);
      env.events.emit('info', 'chunk_replicated', { handle, server: target.id });
    });
    this.#copies -= 1;
    env.clock.after(settledMs, () => {
      if (this.#targets.get(handle) === copy) this.#targets.delete(handle); // else another copy is being made
    });
    this.#done(handle);
  }

  /** Takes members out of the set that are not needed. */
  async #shed(handle: ChunkHandle, members: readonly ServerId[]): Promise<void> {
    this.#shedding += 1;
    await this.#doing(handle, { event: 'surplus_not_dropped', server: members.join(',') }, async () => {
      const release = this.#holds.hold(handle);
      try {
        await this.#sealing.seal(handle);
        const need = this.#needOf(handle);
        if (need.kind !== 'surplus') return;
        await this.#mustBeWhole(handle, need.members);
        await this.#sets.exclude(handle, chunkOf(this.#world.tables, handle).version, need.members);
        this.#world.env.events.emit('info', 'surplus_dropped', { handle, servers: need.members.join(',') });
      } finally {
        release();
      }
    });
    this.#shedding -= 1;
    this.#done(handle);
  }

  /**
   * Nobody is more than enough unless all others have the chunk: one that stays may have dropped it, for a change of the set that could not be
   * logged, and not have told yet.
   * @throws CairnError UNAVAILABLE
   */
  async #mustBeWhole(handle: ChunkHandle, leaving: readonly ServerId[]): Promise<void> {
    const chunk = chunkOf(this.#world.tables, handle);
    if (chunk.length === 0) return; // it is sealed: nothing can be missing
    const staying = chunk.servers.filter((id) => !leaving.includes(id));
    const said = await Promise.all(staying.map(async (id) => ({ id, held: await heldBy(this.#world, handle, id) })));
    this.#world.checkLeading();
    const lacking = said.filter(({ held }) => held === undefined || !isSoundAndWhole(chunk, held));
    for (const { id, held } of lacking) if (held !== undefined) this.broken.gone(handle, id, whyGone(held));
    if (lacking.length === 0) return;
    const names = lacking.map(({ id }) => id).join(', ');
    throw new CairnError('UNAVAILABLE', `of servers ${names} it is not known that they have all of chunk ${handle}`);
  }

  async #doing(
    handle: ChunkHandle,
    failed: { readonly event: string; readonly server: unknown },
    work: () => Promise<void>,
  ): Promise<void> {
    this.#underWay.add(handle);
    try {
      await work();
    } catch (thrown) {
      const { code, message: why } = toCairnError(thrown);
      if (this.#world.isStopped) return;
      this.#world.env.events.emit('warn', failed.event, { handle, server: failed.server, code, why });
      this.#cool(handle);
    } finally {
      this.#underWay.delete(handle);
    }
  }

  #done(handle: ChunkHandle): void {
    if (this.#world.isStopped) return;
    this.note(handle);
    this.pump();
  }

  #cool(handle: ChunkHandle): void {
    if (this.#cooling.size >= coolingMax) return;
    const timer = this.#world.env.clock.after(coolMs, () => {
      this.#cooling.delete(handle);
      this.note(handle);
    });
    this.#cooling.set(handle, timer);
  }

  stop(): void {
    this.#timer?.cancel();
    this.broken.stop();
    for (const timer of this.#cooling.values()) timer.cancel();
  }
}

function whyGone({ version, isSound }: Held): WhyGone {
  if (version === undefined) return 'missing';
  return isSound ? 'short' : 'damaged';
}
