/**
 * Makes a failing plan smaller: leaves out what can be left out (delta debugging after Zeller and Hildebrandt), then makes what is left
 * shorter and plainer, as long as the same rule is broken. What remains is what matters.
 */
import type { Rule } from './broken-rule.ts';
import { calm } from './group-network.ts';
import type { GroupPlan, Happening } from './plan.ts';
import { type GroupOutcome, runGroup } from './run-group.ts';

export interface Minimised {
  readonly plan: GroupPlan;
  readonly runs: number;
}

export interface MinimiseOptions {
  readonly runsMax: number;
  /** In place of a real run. */
  readonly run?: (plan: GroupPlan) => Pick<GroupOutcome, 'broken'>;
  readonly onProgress?: (runs: number, happenings: number) => void;
}

/** Undefined if the plan breaks no rule. */
export function minimise(plan: GroupPlan, options: MinimiseOptions): Minimised | undefined {
  const { broken } = (options.run ?? runGroup)(plan);
  if (broken === undefined) return undefined;
  return new Minimiser(plan, broken.rule, options).run();
}

class Minimiser {
  #plan: GroupPlan;
  readonly #rule: Rule;
  readonly #options: MinimiseOptions;
  readonly #run: (plan: GroupPlan) => Pick<GroupOutcome, 'broken'>;
  #runs = 1;

  constructor(plan: GroupPlan, rule: Rule, options: MinimiseOptions) {
    this.#plan = plan;
    this.#rule = rule;
    this.#options = options;
    this.#run = options.run ?? runGroup;
  }

  run(): Minimised {
    for (let before = -1; before !== this.#sizeOfPlan() && !this.#isSpent(); ) {
      before = this.#sizeOfPlan();
      this.#endSooner();
      this.#leaveOut();
      this.#makePlainer();
      this.#makeShorter();
    }
    return { plan: this.#plan, runs: this.#runs };
  }

  #sizeOfPlan(): number {
    return JSON.stringify(this.#plan).length;
  }

  #isSpent(): boolean {
    return this.#runs >= this.#options.runsMax;
  }

  /** Takes the plan if it breaks the same rule. */
  #try(plan: GroupPlan): boolean {
    if (this.#isSpent()) return false;
    this.#runs += 1;
    const isKept = this.#run(plan).broken?.rule === this.#rule;
    if (isKept) this.#plan = plan;
    this.#options.onProgress?.(this.#runs, this.#plan.happenings.length);
    return isKept;
  }

  /** What comes after the failure plays no part in it, unless it came after the storm. */
  #endSooner(): void {
    const { broken } = this.#run(this.#plan);
    const { stormMs, happenings } = this.#plan;
    if (broken === undefined || broken.atMs >= stormMs) return;
    this.#try({
      ...this.#plan,
      stormMs: broken.atMs + 1,
      happenings: happenings.filter(({ atMs }) => atMs <= broken.atMs),
    });
  }

  /** Halves first, then ever smaller parts. */
  #leaveOut(): void {
    for (let parts = 2; parts <= this.#plan.happenings.length && !this.#isSpent(); ) {
      const { happenings } = this.#plan;
      const size = Math.ceil(happenings.length / parts);
      let isSmaller = false;
      for (let from = 0; from < happenings.length && !isSmaller; from += size) {
        const rest = [...happenings.slice(0, from), ...happenings.slice(from + size)];
        isSmaller = this.#try({ ...this.#plan, happenings: rest });
      }
      if (isSmaller) parts = Math.max(2, parts - 1);
      else if (size === 1) return;
      else parts = Math.min(parts * 2, happenings.length);
    }
  }

  #makePlainer(): void {
    const { voters, spares } = this.#plan;
    const plainer: readonly Partial<GroupPlan>[] = [
      { weather: calm },
      { writeMs: [0.2, 1] },
      { clockRates: Array.from({ length: voters + spares }, () => 1) },
      { lease: undefined },
      { quorums: undefined },
      { windowSlots: undefined },
      { others: 'well' },
      { clients: 1 },
      { client: { ...this.#plan.client, concurrency: 1 } },
      { host: { ...this.#plan.host, batchesInFlight: 1, applyMs: 0, installMs: 1, isCoded: false } },
      { host: { ...this.#plan.host, flushEveryMs: undefined } },
      { voters: 3, spares: 0 },
    ];
    for (const change of plainer) {
      const plan = { ...this.#plan, ...change };
      if (JSON.stringify(plan) !== JSON.stringify(this.#plan)) this.#try(plan);
    }
  }

  #makeShorter(): void {
    for (let i = 0; i < this.#plan.happenings.length; i++) {
      for (const shorter of shorterThan(this.#plan.happenings[i]!)) {
        const happenings = this.#plan.happenings.with(i, shorter);
        if (this.#try({ ...this.#plan, happenings })) break;
      }
    }
  }
}

function shorterThan(happening: Happening): readonly Happening[] {
  if ('forMs' in happening && happening.forMs > 20) {
    return [
      { ...happening, forMs: Math.ceil(happening.forMs / 8) },
      { ...happening, forMs: Math.ceil(happening.forMs / 2) },
    ];
  }
  if ('downMs' in happening && happening.downMs > 20)
    return [
      { ...happening, downMs: 5 },
      { ...happening, downMs: Math.ceil(happening.downMs / 2) },
    ];
  return [];
}
