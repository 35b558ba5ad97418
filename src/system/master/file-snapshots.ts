/**
 * Takes file snapshots (GFS §3.4): calls the leases below the source back and grants none there, keeps other changes out for the moment
 * of the command, and has what was copied laid out afterwards (docs/adr/0006-file-snapshots-are-laid-out-later.md).
 */
import type { InodeId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { show } from '../../core/protocol/paths.ts';
import type { Gate } from './gate.ts';
import type { Holds } from './holds.ts';
import type { Concerns, LeaderWorld } from './leader-world.ts';
import { isBelow, type Recalls } from './recalls.ts';
import { valueOrThrow } from './refusal.ts';
import { doneResult, laidOutResult } from './state/commands.ts';
import { isThere } from './state/copies.ts';
import { lookup } from './state/resolve.ts';

/** Entries laid out by one command: whoever comes meanwhile waits for no more. */
const layOutMax = 100;
/** After each of them others have the masters for as long as it took, but no longer than this. */
const giveWayMaxMs = 100;
const retryMs = 200;

export class FileSnapshots {
  readonly #world: LeaderWorld;
  readonly #holds: Holds;
  readonly #recalls: Recalls;
  readonly #gate: Gate;
  #isLayingOut = false;

  constructor(world: LeaderWorld, holds: Holds, recalls: Recalls, gate: Gate) {
    this.#world = world;
    this.#holds = holds;
    this.#recalls = recalls;
    this.#gate = gate;
  }

  /**
   * Runs `commit`, which takes the snapshot, at a moment at which no lease below `from` is out: below what is there at that moment, which may be
   * something else than when it was asked for.
   * @throws CairnError UNAVAILABLE when leases could not be called back; what `commit` throws
   */
  async take<T>(from: string, commit: () => Promise<T>): Promise<T> {
    const { env, timing } = this.#world;
    const until = env.clock.now() + timing.recallMs;
    try {
      for (;;) {
        const done = await this.#takeOf(from, await this.#sourceAt(from), until, commit);
        if (done !== undefined) return done.value;
        if (env.clock.now() >= until)
          throw new CairnError('UNAVAILABLE', `${show(from)}: other things are put there again and again; try again`);
      }
    } finally {
      this.layOut();
    }
  }

  async #sourceAt(from: string): Promise<InodeId | undefined> {
    const world = this.#world;
    await world.barrier();
    while (!isThere(world.tables, from)) await world.execute({ kind: 'settlePath', path: from }, doneResult);
    return this.#lookup(from);
  }

  #lookup(from: string): InodeId | undefined {
    const source = lookup(this.#world.tables, from);
    return source.ok ? source.value.inode : undefined;
  }

  /** @returns undefined when something else has been put there meanwhile */
  async #takeOf<T>(
    from: string,
    source: InodeId | undefined,
    until: number,
    commit: () => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const concerns = (file: InodeId) => source !== undefined && isBelow(this.#world.tables, file, source);
    const thaw = this.#holds.freeze(concerns);
    try {
      return await this.#whenClosed(concerns, until, async () =>
        this.#lookup(from) === source ? { value: await commit() } : undefined,
      );
    } finally {
      thaw();
    }
  }

  /** What was on its way when grants were stopped is open after the first round: there is always another one. */
  async #whenClosed<T>(concerns: Concerns, until: number, commit: () => Promise<T>): Promise<T> {
    for (let isLast = false; ; isLast = this.#world.env.clock.now() >= until) {
      await this.#recalls.recall(concerns, until);
      const { moves } = this.#gate;
      const known = new Map();
      await this.#recalls.openOf(concerns, known);
      const done = await this.#gate.closedWhile(async () => {
        const open = await this.#recalls.openOf(concerns, moves === this.#gate.moves ? known : undefined);
        return open.length === 0 ? { value: await commit() } : undefined;
      });
      if (done !== undefined) return done.value;
      if (isLast) throw new CairnError('UNAVAILABLE', 'leases are given out there again and again; try again later');
    }
  }

  /** To be called when copies may be under way. */
  layOut(): void {
    if (this.#isLayingOut || this.#world.isStopped || this.#world.tables.counters.copies === 0) return;
    this.#isLayingOut = true;
    void this.#layOutAll();
  }

  async #layOutAll(): Promise<void> {
    const { env } = this.#world;
    try {
      // Asked here, not of the answer: a copy that has been begun since then has asked to be laid out in vain.
      while (!this.#world.isStopped && this.#world.tables.counters.copies > 0) {
        const beganAt = env.clock.now();
        const { more } = valueOrThrow(await this.#world.execute({ kind: 'layOut', limit: layOutMax }, laidOutResult));
        if (!more) continue;
        const giveWayMs = Math.min(giveWayMaxMs, env.clock.now() - beganAt);
        await new Promise<void>((resolve) => env.clock.after(giveWayMs, resolve));
      }
    } catch (thrown) {
      const { code, message: why } = toCairnError(thrown);
      if (this.#world.isStopped || code === 'NOT_LEADER') return;
      env.events.emit('warn', 'laying_out_interrupted', { code, why });
      env.clock.after(retryMs, () => this.layOut());
    } finally {
      this.#isLayingOut = false;
    }
  }
}
