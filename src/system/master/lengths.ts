/** What primaries report of their chunks, logged in batches: all reports that come while one entry is on its way are the next. */
import type { ChunkHandle, ServerId } from '../../core/base/brand.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { LengthReport } from '../../core/protocol/master-calls.ts';
import type { LeaderWorld } from './leader-world.ts';
import { doneResult, reportsPerCommandMax } from './state/commands.ts';

/** Reports that may wait to be logged. */
export const reportsWaitingMax = 65_536;

export class LengthReports {
  readonly #world: LeaderWorld;
  #pending = new Map<ChunkHandle, LengthReport>();
  /** What is being logged. */
  #onItsWay: ReadonlySet<ChunkHandle> = new Set();
  /** Of those that are pending. */
  #logged: Promise<void> | undefined;
  /** Of those before them; it does not fail. */
  #before: Promise<void> = Promise.resolve();

  constructor(world: LeaderWorld) {
    this.#world = world;
  }

  /** Resolves once all that is new in them is committed. Reports of servers that are not the primary are void. */
  add(from: ServerId, reports: readonly LengthReport[]): Promise<void> {
    if (this.#pending.size + reports.length > reportsWaitingMax)
      return Promise.reject(new CairnError('BUSY', `${reportsWaitingMax} length reports wait; try again later`));
    let isNew = false;
    for (const report of reports) {
      if (!this.#isPrimary(from, report) || !(this.#tells(report) || this.#isOvertaking(report))) continue;
      this.#pending.set(report.handle, report);
      isNew = true;
    }
    if (!isNew) return Promise.resolve();
    this.#logged ??= this.#logNext();
    return this.#logged;
  }

  #isPrimary(from: ServerId, { handle }: LengthReport): boolean {
    return this.#world.tables.chunk(handle)?.servers[0] === from;
  }

  /** What was told before, and is not logged yet, is to be another length: this one is news again by then. */
  #isOvertaking({ handle }: LengthReport): boolean {
    return this.#pending.has(handle) || this.#onItsWay.has(handle);
  }

  /** Also when it is about to be logged: the same may have been told before, and have waited. */
  #tells({ handle, version, length, release }: LengthReport): boolean {
    const chunk = this.#world.tables.chunk(handle);
    if (chunk === undefined || chunk.version !== version || chunk.sealed) return false;
    return release || length !== chunk.length;
  }

  /** A chunk may become shorter under its lease: what the master knows of must not be more than anybody has. */
  #isCut({ handle, length, release }: LengthReport): boolean {
    return !release && length < (this.#world.tables.chunk(handle)?.length ?? 0);
  }

  /** At the end of the turn, and of what is on its way. */
  #logNext(): Promise<void> {
    const { clock } = this.#world.env;
    const endOfTurn = () => new Promise<void>((resolve) => clock.soon(resolve));
    const logged = this.#before.then(endOfTurn).then(() => this.#log());
    this.#before = logged.catch(() => undefined); // those who have told them hear of it
    return logged;
  }

  async #log(): Promise<void> {
    const reports = [...this.#pending.values()].filter((report) => this.#tells(report));
    this.#onItsWay = new Set(this.#pending.keys());
    this.#pending = new Map();
    this.#logged = undefined;
    try {
      await this.#logEach(reports);
    } finally {
      this.#onItsWay = new Set();
    }
  }

  async #logEach(reports: readonly LengthReport[]): Promise<void> {
    for (let at = 0; at < reports.length; at += reportsPerCommandMax) {
      const some = reports.slice(at, at + reportsPerCommandMax);
      const cuts = some.filter((report) => this.#isCut(report));
      const others = some.filter((report) => !this.#isCut(report));
      if (cuts.length > 0) await this.#world.execute({ kind: 'recordCuts', cuts }, doneResult);
      if (others.length > 0) await this.#world.execute({ kind: 'recordLengths', reports: others }, doneResult);
    }
  }
}
