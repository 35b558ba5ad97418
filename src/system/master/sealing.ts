/** Ends open leases, so that the lengths of their chunks are final and their replicas equal. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { chunkOf, fileOf, grantOf, type LeaderWorld, ofDisk, ordersTo } from './leader-world.ts';
import type { Regrants } from './regrants.ts';
import { doneResult, type Granted } from './state/commands.ts';

const orderMs = 3000;

export class Sealing {
  readonly #world: LeaderWorld;
  readonly #regrants: Regrants;
  readonly #underWay = new Map<ChunkHandle, Promise<void>>();

  constructor(world: LeaderWorld, regrants: Regrants) {
    this.#world = world;
    this.#regrants = regrants;
  }

  /** Whoever asks while it is under way gets the same outcome. @throws CairnError when it could not be sealed */
  seal(handle: ChunkHandle): Promise<void> {
    return this.#underWay.get(handle) ?? this.#begin(handle, () => this.#seal(handle));
  }

  /** The same, leaving out members that have no good replica. */
  async sealWithout(handle: ChunkHandle, gone: readonly ServerId[]): Promise<void> {
    await this.#underWay.get(handle)?.catch(() => undefined); // whatever came of it: this is another try
    await this.#begin(handle, () => this.#sealByRecovery(handle, gone));
  }

  #begin(handle: ChunkHandle, seal: () => Promise<void>): Promise<void> {
    const done = seal().finally(() => {
      if (this.#underWay.get(handle) === done) this.#underWay.delete(handle);
    });
    this.#underWay.set(handle, done);
    return done;
  }

  async #seal(handle: ChunkHandle): Promise<void> {
    const { tables, servers, env } = this.#world;
    const chunk = chunkOf(tables, handle);
    if (chunk.sealed) return;
    const primary = servers.get(chunk.servers[0]!);
    if (primary === undefined || !servers.isHealthy(primary)) return this.#sealByRecovery(handle, []);
    let length: number;
    try {
      const order = { handle, version: chunk.version };
      const released = ordersTo(primary).call('release', order, { timeoutMs: orderMs });
      length = (await servers.whileServing([primary.id], released)).response.length;
    } catch (thrown) {
      // It has not begun under this version, or cannot tell: another version can.
      const why = toCairnError(thrown).message;
      env.events.emit('info', 'lease_not_released', { handle, server: primary.id, why });
      return this.#sealByRecovery(handle, []);
    }
    await this.#record({ handle, version: chunk.version, servers: chunk.servers }, length);
  }

  /**
   * A new version under a member that is up: it makes the others equal to itself and gives the lease up at once. If its disk does not let it, another
   * one is asked.
   */
  async #sealByRecovery(handle: ChunkHandle, gone: readonly ServerId[]): Promise<void> {
    const { env, tables, timing, servers } = this.#world;
    const unable: ServerId[] = [];
    for (;;) {
      const chunk = chunkOf(tables, handle);
      if (chunk.sealed) return;
      const granted = await this.#regrants.regrant(handle, chunk, unable, env.clock.now() + orderMs, { gone });
      if (granted === undefined) throw new CairnError('BUSY', `chunk ${handle} is in use again; try again later`);
      const primary = servers.get(granted.servers[0]!)!;
      const order = { grant: grantOf(tables, granted, fileOf(tables, chunk)), seal: true };
      try {
        const recovered = ordersTo(primary).call('recover', order, { timeoutMs: timing.cloneMs });
        const { response } = await servers.whileServing([primary.id], recovered);
        await this.#record(granted, response.length);
        return;
      } catch (thrown) {
        const error = toCairnError(thrown);
        this.#world.checkLeading();
        if (!ofDisk.has(error.code) || unable.includes(primary.id) || granted.servers.length === 1) throw error;
        unable.push(primary.id);
        env.events.emit('warn', 'chunk_not_sealed', {
          handle,
          server: primary.id,
          code: error.code,
          why: error.message,
        });
      }
    }
  }

  async #record({ handle, version }: Granted, length: number): Promise<void> {
    this.#world.checkLeading();
    const reports = [{ handle, version, length, release: true }];
    await this.#world.execute({ kind: 'recordLengths', reports }, doneResult);
  }
}
