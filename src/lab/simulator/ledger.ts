/** What all clients of a run share: the files that they append to together, the names that they race for, what was counted. */
import type { Durability } from '../../core/protocol/types.ts';
import type { SimRandom } from '../../platform/sim/random.ts';
import { CutLog } from './cut-log.ts';
import type { Scenario } from './scenario.ts';
import { SharedLog } from './shared-log.ts';
import { mustHold } from './violation.ts';

/** A file snapshot of a shared log. */
export interface LogCopy {
  readonly path: string;
  readonly log: SharedLog;
  /** Records that were acknowledged when it was asked for, and begun when it was answered. */
  readonly acknowledgedBefore: number;
  readonly begunBefore: number;
}

export class Ledger {
  readonly logs: readonly SharedLog[];
  readonly cutLogs: readonly CutLog[];
  readonly copies: LogCopy[] = [];
  #copies = 0;
  readonly counts = { calls: 0, unknown: 0, records: 0, bytes: 0, cuts: 0 };
  /** Who made a file of this name exclusively, and who may have. */
  readonly #made = new Map<string, { winner: number | undefined; mayHave: Set<number> }>();
  readonly #durabilities: readonly Durability[];

  /** @param now by one clock, for all clients */
  constructor(scenario: Scenario, now: () => number) {
    this.#durabilities = scenario.hasMemoryFiles ? ['memory', 'disk'] : ['disk'];
    const { chunkBytes, logModes, cutLogs } = scenario;
    const numbers = Array.from({ length: cutLogs }, (_, i) => i + 1);
    this.cutLogs = numbers.map((n) => new CutLog(`/shared/cut-${n}`, chunkBytes, now));
    this.logs = logModes.map((mode, i) => new SharedLog({ path: `/shared/log-${i + 1}`, chunkBytes, mode, now }));
  }

  nextCopy(): number {
    return ++this.#copies;
  }

  drawDurability(random: SimRandom): Durability {
    return random.pick(this.#durabilities);
  }

  // ---------------------------------------------------------------- races: a name is made exclusively by one client at most

  race(name: string): { winner: number | undefined; mayHave: Set<number> } {
    let race = this.#made.get(name);
    if (race === undefined) {
      race = { winner: undefined, mayHave: new Set() };
      this.#made.set(name, race);
    }
    return race;
  }
  won(name: string, client: number): void {
    const race = this.race(name);
    mustHold(race.winner === undefined, () => `${name} was made exclusively by client ${race.winner} and by ${client}`);
    race.winner = client;
  }
  /** All races at an end: `exists` says whether the file is there. */
  checkRace(name: string, exists: boolean): void {
    const { winner, mayHave } = this.race(name);
    mustHold(exists || winner === undefined, () => `${name}, made by client ${winner}, is not there`);
    mustHold(!exists || winner !== undefined || mayHave.size > 0, () => `${name} is there and nobody made it`);
  }
  get races(): readonly string[] {
    return [...this.#made.keys()];
  }
}
