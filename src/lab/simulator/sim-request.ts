/** What is asked of the simulator, on the command line or from a program, checked. */
import { readFileSync } from 'node:fs';
import { CairnError } from '../../core/base/errors.ts';
import type { ElectorName, EngineName } from '../../core/consensus/engine.ts';
import { ClusterScenario } from './cluster-scenario.ts';
import type { GroupPlan } from './consensus/plan.ts';
import { engineNames } from './engines.ts';
import { GroupScenario } from './group-scenario.ts';
import type { ScenarioKind } from './scenario-kind.ts';

export const seedMax = 2 ** 31;
export const seedsMax = 10_000_000;
export const jobsMax = 256;

/** As they come from a command line. */
export interface SimFlags {
  readonly engine: string;
  readonly seeds: number;
  readonly start: number;
  readonly members?: number | undefined;
  readonly elector?: string | undefined;
  /** `consensus`, `cluster`, or a file that `minimise --out` wrote. */
  readonly scenario: string;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Stop at the first seed that fails. */
  readonly untilFailure: boolean;
  /** Stop after so much processor time. */
  readonly seconds?: number | undefined;
  readonly out?: string | undefined;
  /** Threads that run seeds. */
  readonly jobs: number;
}

export const defaultFlags: SimFlags = {
  engine: 'raft',
  seeds: 100,
  start: 1,
  scenario: 'consensus',
  json: false,
  verbose: false,
  untilFailure: false,
  jobs: 1,
};

export interface SimRequest {
  readonly action: 'run' | 'replay' | 'minimise';
  readonly engine: EngineName;
  readonly scenario: ScenarioKind;
  readonly start: number;
  readonly seeds: number;
  readonly flags: SimFlags;
}

/** @throws CairnError USAGE, LOCAL_IO */
export function toRequest([action = 'run', seed]: readonly string[], flags: SimFlags): SimRequest {
  const engine = engineOf(flags.engine);
  const plan = planOf(flags.scenario);
  if (action === 'run') {
    if (seed !== undefined) throw usage('run takes --seeds and --start; replay and minimise take one seed');
    return { action, engine, scenario: scenarioOf(flags, engine, plan), start: flags.start, seeds: flags.seeds, flags };
  }
  if (action !== 'replay' && action !== 'minimise')
    throw usage(`there is no action ${action}; there is run, replay, minimise`);
  const start = seed === undefined && plan !== undefined ? plan.seed : seedOf(action, seed);
  if (action === 'minimise' && flags.scenario === 'cluster')
    throw usage('only runs of the scenario consensus can be made smaller');
  return { action, engine, scenario: scenarioOf(flags, engine, plan), start, seeds: 1, flags };
}

function engineOf(name: string): EngineName {
  const found = engineNames.find((known) => known === name);
  if (found === undefined) throw usage(`there is no engine ${name}; there is ${engineNames.join(', ')}`);
  return found;
}

function seedOf(action: string, seed: string | undefined): number {
  if (seed === undefined) throw usage(`${action} takes one seed`);
  if (!/^\d+$/.test(seed) || Number(seed) > seedMax)
    throw usage(`${seed} is no seed; give a whole number up to ${seedMax}`);
  return Number(seed);
}

function scenarioOf(flags: SimFlags, engine: EngineName, plan: GroupPlan | undefined): ScenarioKind {
  if (flags.scenario === 'cluster') return new ClusterScenario(engine);
  return new GroupScenario({ engine, members: flags.members, elector: electorOf(flags.elector) }, plan);
}

function electorOf(name: string | undefined): ElectorName | undefined {
  if (name === undefined || name === 'timeout' || name === 'ballot') return name;
  throw usage(`there is no elector ${name}; there is timeout, ballot`);
}

/** The plan in a file; undefined for the scenarios that have a name. */
function planOf(scenario: string): GroupPlan | undefined {
  if (scenario === 'consensus' || scenario === 'cluster') return undefined;
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(scenario, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CairnError('LOCAL_IO', `the scenario is consensus, cluster, or a file with a plan: ${why}`, { cause });
  }
  if (typeof content !== 'object' || content === null || !('happenings' in content) || !('voters' in content))
    throw usage(`${scenario} is no plan: \`cairn sim minimise SEED --out FILE\` writes one`);
  return content as GroupPlan;
}

function usage(what: string): CairnError {
  return new CairnError('USAGE', `${what}; see \`cairn sim --help\``);
}
