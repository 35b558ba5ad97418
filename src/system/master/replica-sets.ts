/**
 * Changes of the set of a sealed chunk by which members leave that serve it still. A reader may believe that the chunk is there; so nothing is
 * mutated before they have dropped it, or serve nothing any more. Who leaves without another coming drops it first, if it can: of one that was left
 * out and serves it still the next leader would know nothing. And nobody drops it so before one that stays has said that it has all of it, or as much as who leaves.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import { dropReplica } from './drop-replica.ts';
import type { Holds } from './holds.ts';
import { chunkOf, type LeaderWorld, waitUntil } from './leader-world.ts';
import { valueOrThrow } from './refusal.ts';
import type { Regrants } from './regrants.ts';
import { type CommandOf, doneResult } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';
import { canDoWithout } from './whole-replicas.ts';

export class ReplicaSets {
  readonly #world: LeaderWorld;
  readonly #holds: Holds;
  readonly #regrants: Regrants;

  constructor(world: LeaderWorld, holds: Holds, regrants: Regrants) {
    this.#world = world;
    this.#holds = holds;
    this.#regrants = regrants;
  }

  /** `server` has all of it and joins, `without` leave. @throws CairnError STALE_VERSION, BUSY when the chunk was changed meanwhile */
  add(handle: ChunkHandle, version: ChunkRecord['version'], server: ServerId, without: readonly ServerId[]) {
    return this.#change({ kind: 'addReplica', handle, version, server, without }, without);
  }

  /** @throws CairnError UNAVAILABLE when no other member has said that it has all of the chunk; as `add` */
  exclude(handle: ChunkHandle, version: ChunkRecord['version'], servers: readonly ServerId[]): Promise<void> {
    return this.#change({ kind: 'exclude', handle, version, servers }, servers);
  }

  async #change(command: CommandOf<'addReplica' | 'exclude'>, leaving: readonly ServerId[]): Promise<void> {
    const { servers, tables } = this.#world;
    const { handle } = command;
    const release = this.#holds.hold(handle);
    try {
      const { before, serving } = await this.#regrants.alone(handle, async () => {
        const chunk = chunkOf(tables, handle);
        const dropped = command.kind === 'exclude' ? await this.#dropFirst(handle, chunk, command) : [];
        const lapsed = leaving.filter((id) => !servers.hasSession(id));
        valueOrThrow(await servers.excluding(lapsed, () => this.#world.execute(command, doneResult)));
        return { before: chunk, serving: leaving.filter((id) => !lapsed.includes(id) && !dropped.includes(id)) };
      });
      await Promise.all(serving.map((id) => this.#servesNoMore(id, handle, before)));
    } finally {
      release();
    }
  }

  /**
   * To be called while nothing else changes the chunk: a grant that is on its way may leave out who stays here.
   * @returns those that have dropped it. @throws CairnError UNAVAILABLE
   */
  async #dropFirst(
    handle: ChunkHandle,
    chunk: ChunkRecord,
    { version, servers: leaving }: CommandOf<'exclude'>,
  ): Promise<readonly ServerId[]> {
    const { env, timing } = this.#world;
    if (!chunk.sealed || chunk.version !== version) return []; // the command is refused
    const staying = chunk.servers.filter((id) => !leaving.includes(id));
    const isHeld = await canDoWithout(this.#world, handle, chunk, leaving, staying);
    this.#world.checkLeading();
    if (!isHeld)
      throw new CairnError('UNAVAILABLE', `no other server of chunk ${handle} has said that it has all of it`);
    const until = env.clock.now() + 2 * timing.sessionMs;
    const asked = leaving.map((id) => this.#hasDropped(id, handle, chunk, until));
    const isDropped = await Promise.all(asked);
    this.#world.checkLeading();
    return leaving.filter((_, n) => isDropped[n] === true);
  }

  /** Else it has no session any more; or it is heard of, and does not say for long that it has dropped it: then it is told again afterwards. */
  async #hasDropped(id: ServerId, handle: ChunkHandle, chunk: ChunkRecord, until: number): Promise<boolean> {
    const { servers, env } = this.#world;
    while (servers.hasSession(id) && env.clock.now() < until) {
      if (await dropReplica(this.#world, id, handle, chunk)) return true;
      await waitUntil(this.#world, servers.changed(id), until);
    }
    return false;
  }

  async #servesNoMore(id: ServerId, handle: ChunkHandle, chunk: ChunkRecord): Promise<void> {
    const { servers } = this.#world;
    while (servers.hasSession(id)) {
      if (await dropReplica(this.#world, id, handle, chunk)) return;
      await servers.changed(id);
      this.#world.checkLeading();
    }
  }
}
