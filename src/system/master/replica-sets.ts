/**
 * Changes of the set of a sealed chunk by which members leave that serve it still. A reader may believe that the chunk is there; so nothing is
 * mutated before they have dropped it, or serve nothing any more.
 */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { chunkOf, type LeaderWorld } from './leader-world.ts';
import type { Leases } from './leases.ts';
import { valueOrThrow } from './refusal.ts';
import { type CommandOf, doneResult } from './state/commands.ts';
import type { ChunkRecord } from './state/records.ts';

export class ReplicaSets {
  readonly #world: LeaderWorld;
  readonly #leases: Leases;

  constructor(world: LeaderWorld, leases: Leases) {
    this.#world = world;
    this.#leases = leases;
  }

  /** `server` joins, `without` leave. @throws CairnError STALE_VERSION, BUSY when the chunk was changed meanwhile */
  add(handle: ChunkHandle, version: ChunkRecord['version'], server: ServerId, without: readonly ServerId[]) {
    return this.#change({ kind: 'addReplica', handle, version, server, without }, without);
  }

  exclude(handle: ChunkHandle, version: ChunkRecord['version'], servers: readonly ServerId[]) {
    return this.#change({ kind: 'exclude', handle, version, servers }, servers);
  }

  async #change(command: CommandOf<'addReplica' | 'exclude'>, leaving: readonly ServerId[]): Promise<void> {
    const { servers, tables, departures } = this.#world;
    const { handle } = command;
    const release = this.#leases.hold(handle);
    try {
      const before = chunkOf(tables, handle);
      const lapsed = leaving.filter((id) => !servers.hasSession(id));
      valueOrThrow(await servers.excluding(lapsed, () => this.#world.execute(command, doneResult)));
      departures.note(handle, leaving, []);
      const serving = leaving.filter((id) => !lapsed.includes(id));
      await Promise.all(serving.map((id) => this.#servesNoMore(id, handle, before)));
    } finally {
      release();
    }
  }

  async #servesNoMore(id: ServerId, handle: ChunkHandle, chunk: ChunkRecord): Promise<void> {
    const { servers } = this.#world;
    while (servers.hasSession(id)) {
      if (await this.#leases.drop(id, handle, chunk)) return;
      await servers.changed(id);
      this.#world.checkLeading();
    }
  }
}
