/** Groups of one engine, as a scenario: what each seed is like is drawn from it, or given by a file. */
import { drawPlan, type PlanOptions } from './consensus/draw-plan.ts';
import type { GroupPlan } from './consensus/plan.ts';
import { runGroup } from './consensus/run-group.ts';
import type { RunSeedOptions, ScenarioKind, SeedReport } from './scenario-kind.ts';
import { traceLine } from './trace.ts';

export class GroupScenario implements ScenarioKind {
  readonly name = 'consensus';
  readonly #options: PlanOptions;
  readonly #plan: GroupPlan | undefined;

  /** @param plan in place of what seeds draw; a seed then changes only what is left to chance in it */
  constructor(options: PlanOptions, plan?: GroupPlan) {
    this.#options = options;
    this.#plan = plan;
  }

  planOf(seed: number): GroupPlan {
    return this.#plan === undefined ? drawPlan(seed, this.#options) : { ...this.#plan, seed };
  }

  async runSeed(seed: number, { onLine }: RunSeedOptions = {}): Promise<SeedReport> {
    return reportOf(this.planOf(seed), onLine);
  }
}

export function reportOf(plan: GroupPlan, onLine?: (line: string) => void): SeedReport {
  const { happenings, ...group } = plan;
  onLine?.(traceLine(0, 'world', JSON.stringify(group)));
  const note = onLine && ((atMs: number, who: string, text: string) => onLine(traceLine(atMs, who, text)));
  const { seed, passed, broken, hash, simulatedMs, events, counts } = runGroup(plan, note);
  const why = broken && `${broken.rule}: ${broken.why} (at ${broken.atMs.toFixed(3)} ms)`;
  return { seed, passed, rule: broken?.rule, why, hash, simulatedMs, events, counts };
}
