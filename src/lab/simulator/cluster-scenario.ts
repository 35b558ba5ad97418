/** Whole clusters as a scenario. */
import type { EngineName } from '../../core/consensus/engine.ts';
import { runSeed } from './run-seed.ts';
import type { RunSeedOptions, ScenarioKind, SeedReport } from './scenario-kind.ts';

export class ClusterScenario implements ScenarioKind {
  readonly name = 'cluster';
  readonly #engine: EngineName;

  constructor(engine: EngineName) {
    this.#engine = engine;
  }

  async runSeed(seed: number, { onLine }: RunSeedOptions = {}): Promise<SeedReport> {
    const { passed, why, hash, simulatedMs, eventCount, counts } = await runSeed(seed, {
      engine: this.#engine,
      onLine,
    });
    return { seed, passed, rule: passed ? undefined : 'cluster', why, hash, simulatedMs, events: eventCount, counts };
  }
}
