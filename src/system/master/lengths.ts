/** What primaries report of their chunks, logged in batches: all reports of a turn are one entry. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { LengthReport } from '../../core/protocol/master-calls.ts';
import type { LeaderWorld } from './leader-world.ts';
import { doneResult, reportsPerCommandMax } from './state/commands.ts';

/** Reports that may wait to be logged. */
export const reportsWaitingMax = 65_536;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: CairnError) => void;
}

export class LengthReports {
  readonly #world: LeaderWorld;
  #pending = new Map<ChunkHandle, LengthReport>();
  #waiters: Waiter[] = [];

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** Resolves once all that is new in them is committed. Reports of servers that are not the primary are void. */
  add(from: ServerId, reports: readonly LengthReport[]): Promise<void> {
    if (this.#pending.size + reports.length > reportsWaitingMax)
      return Promise.reject(new CairnError('BUSY', `${reportsWaitingMax} length reports wait; try again later`));
    let isNew = false;
    for (const report of reports) {
      if (!this.#tells(from, report)) continue;
      this.#pending.set(report.handle, report);
      isNew = true;
    }
    if (!isNew) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (this.#waiters.length === 1) this.#world.env.clock.soon(() => void this.#log());
    });
  }

  #tells(from: ServerId, { handle, version, length, release }: LengthReport): boolean {
    const chunk = this.#world.tables.chunk(handle);
    if (chunk === undefined || chunk.version !== version || chunk.sealed || chunk.servers[0] !== from) return false;
    return release || length !== chunk.length;
  }

  /** A chunk may become shorter under its lease: what the master knows of must not be more than anybody has. */
  #isCut({ handle, length, release }: LengthReport): boolean {
    return !release && length < (this.#world.tables.chunk(handle)?.length ?? 0);
  }

  async #log(): Promise<void> {
    const reports = [...this.#pending.values()];
    const waiters = this.#waiters;
    this.#pending = new Map();
    this.#waiters = [];
    try {
      for (let at = 0; at < reports.length; at += reportsPerCommandMax) {
        const some = reports.slice(at, at + reportsPerCommandMax);
        const cuts = some.filter((report) => this.#isCut(report));
        const others = some.filter((report) => !this.#isCut(report));
        if (cuts.length > 0) await this.#world.execute({ kind: 'recordCuts', cuts }, doneResult);
        if (others.length > 0) await this.#world.execute({ kind: 'recordLengths', reports: others }, doneResult);
      }
      for (const waiter of waiters) waiter.resolve();
    } catch (thrown) {
      const error = toCairnError(thrown);
      for (const waiter of waiters) waiter.reject(error);
    }
  }
}
