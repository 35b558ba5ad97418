/** Does what was asked of the simulator, and says how it went: for people, or (`--json`) one object a line, the summary last. */
import { writeFileSync } from 'node:fs';
import type { EngineName } from '../../core/consensus/engine.ts';
import { minimise } from './consensus/minimise.ts';
import { describeHappening } from './consensus/plan.ts';
import { GroupScenario, reportOf } from './group-scenario.ts';
import type { SeedReport } from './scenario-kind.ts';
import { seedRuns } from './seed-runs.ts';
import type { SimRequest } from './sim-request.ts';
import { Trace } from './trace.ts';

export interface Summary {
  readonly event: 'summary';
  readonly engine: EngineName;
  readonly scenario: string;
  readonly seeds: number;
  readonly passed: number;
  readonly failed: readonly number[];
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
}

export interface Output {
  /** A line, without its end. */
  print(line: string): void;
  /** Where things stand, on a terminal, in place of what was there; undefined clears it. */
  progress?(line: string | undefined): void;
}

const tailLines = 60;
/** More seeds than this are not told one by one, unless they fail. */
const toldOneByOneMax = 20;
const progressMs = 200;
const minimiseRunsMax = 2_000;

/** @returns false if a seed failed */
export async function simulate(request: SimRequest, output: Output): Promise<boolean> {
  if (request.action === 'minimise') return minimiseSeed(request, output);
  const { failed } = await runSeeds(request, output);
  return failed.length === 0;
}

async function runSeeds(request: SimRequest, output: Output): Promise<Summary> {
  const { seeds, scenario, flags } = request;
  const began = performance.now();
  const progress = new Progress(request, output);
  const failed: number[] = [];
  let done = 0;
  let simulatedMs = 0;
  const isTold = flags.verbose && seeds === 1 && !flags.json;
  for await (const { report, wallMs } of seedRuns(request, isTold ? output.print : undefined)) {
    done += 1;
    simulatedMs += report.simulatedMs;
    if (!report.passed) failed.push(report.seed);
    if (flags.json || !report.passed || seeds <= toldOneByOneMax) {
      progress.clear();
      await tell(request, report, wallMs, output);
    }
    progress.show(done, failed.length, simulatedMs);
    if (!report.passed && flags.untilFailure) break;
    if (flags.seconds !== undefined && usedSeconds() >= flags.seconds) break;
  }
  progress.clear();
  const summary: Summary = {
    event: 'summary',
    engine: request.engine,
    scenario: scenario.name,
    seeds: done,
    passed: done - failed.length,
    failed,
    simulatedSeconds: Math.round(simulatedMs / 1000),
    wallSeconds: Math.round((performance.now() - began) / 100) / 10,
  };
  output.print(flags.json ? JSON.stringify(summary) : summaryLine(summary));
  return summary;
}

/** Processor time of this process, which says more than the clock on a machine that others use. */
function usedSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function tell(request: SimRequest, report: SeedReport, wallMs: number, { print }: Output): Promise<void> {
  const { json, verbose } = request.flags;
  const isLong = !report.passed && !(verbose && request.seeds === 1);
  const tail = isLong ? await tailOf(request, report) : [];
  if (json) print(JSON.stringify(documentOf(request, report, wallMs, tail)));
  else {
    for (const line of tail) print(line);
    print(lineOf(report, wallMs));
    if (!report.passed)
      print(`  ${report.why}\n  replay it with: ${commandFor(request, 'replay', report.seed)} --verbose`);
  }
}

/** A run writes nothing down unless it is told to, so one that failed is run once more. */
async function tailOf({ scenario }: SimRequest, { seed }: SeedReport): Promise<readonly string[]> {
  const trace = new Trace(undefined);
  await scenario.runSeed(seed, { onLine: (line) => trace.take(line) });
  return trace.tail(tailLines);
}

function documentOf(request: SimRequest, report: SeedReport, wallMs: number, trace: readonly string[]): object {
  const { seed, passed, rule, why, hash, simulatedMs, events, counts } = report;
  const failure = passed ? {} : { rule, why, trace, replay: commandFor(request, 'replay', seed) };
  return {
    event: 'seed',
    seed,
    passed,
    hash,
    simulatedSeconds: simulatedMs / 1000,
    wallMs,
    events,
    ...counts,
    ...failure,
  };
}

function lineOf({ seed, passed, hash, simulatedMs, events, counts }: SeedReport, wallMs: number): string {
  const done = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  const time = `${(simulatedMs / 1000).toFixed(1)} s in ${(wallMs / 1000).toFixed(2)} s, ${events} events`;
  return `seed ${seed} ${passed ? 'passed' : 'FAILED'} ${hash}: ${done.join(', ')}; ${time}`;
}

function summaryLine({ engine, scenario, seeds, passed, failed, simulatedSeconds, wallSeconds }: Summary): string {
  const bad = failed.length === 0 ? '' : `; failed: ${failed.join(' ')}`;
  const speed = wallSeconds > 0 ? `, ${Math.round(simulatedSeconds / wallSeconds)} × real time` : '';
  return `${engine}, ${scenario}: ${passed} of ${seeds} seeds passed; ${simulatedSeconds} simulated seconds in ${wallSeconds} s${speed}${bad}`;
}

function commandFor({ scenario, engine, flags }: SimRequest, action: string, seed: number): string {
  const { scenario: from, members, elector } = flags;
  const options = [
    ` --engine ${engine}`,
    from === scenario.name && from === 'consensus' ? '' : ` --scenario ${from}`,
    members === undefined ? '' : ` --members ${members}`,
    elector === undefined ? '' : ` --elector ${elector}`,
  ];
  return `npm run sim -- ${action} ${seed}${options.join('')}`;
}

// ---------------------------------------------------------------- making smaller

function minimiseSeed(request: SimRequest, { print, progress }: Output): boolean {
  const { scenario, start, flags } = request;
  if (!(scenario instanceof GroupScenario)) throw new Error('only plans of groups can be made smaller');
  const plan = scenario.planOf(start);
  const smallest = minimise(plan, {
    runsMax: minimiseRunsMax,
    onProgress: (runs, left) =>
      progress?.(`seed ${start}: ${runs} runs, ${left} of ${plan.happenings.length} events left`),
  });
  progress?.(undefined);
  if (smallest === undefined) {
    print(flags.json ? JSON.stringify({ event: 'minimised', seed: start, passed: true }) : `seed ${start} passes`);
    return true;
  }
  if (flags.out !== undefined) writeFileSync(flags.out, `${JSON.stringify(smallest.plan, undefined, 1)}\n`);
  const trace = new Trace(undefined);
  const report = reportOf(smallest.plan, (line) => trace.take(line));
  if (flags.json) {
    const { rule, why } = report;
    print(
      JSON.stringify({
        event: 'minimised',
        seed: start,
        passed: false,
        rule,
        why,
        ...smallest,
        trace: trace.tail(tailLines),
      }),
    );
    return false;
  }
  for (const line of trace.tail(tailLines)) print(line);
  print(
    `\nseed ${start} fails with ${smallest.plan.happenings.length} of ${plan.happenings.length} events (${smallest.runs} runs):`,
  );
  for (const happening of smallest.plan.happenings)
    print(`  ${happening.atMs.toFixed(3).padStart(10)} ms  ${describeHappening(happening)}`);
  print(`${report.why}`);
  if (flags.out !== undefined) print(`replay it with: npm run sim -- replay --scenario ${flags.out} --verbose`);
  return false;
}

/** A line that says how far the run is, now and then. */
class Progress {
  readonly #request: SimRequest;
  readonly #output: Output;
  readonly #began = performance.now();
  #shownAt = 0;

  constructor(request: SimRequest, output: Output) {
    this.#request = request;
    this.#output = output;
  }

  show(done: number, failed: number, simulatedMs: number): void {
    const now = performance.now();
    const { seeds, engine, scenario } = this.#request;
    if (this.#output.progress === undefined || seeds === 1 || now - this.#shownAt < progressMs) return;
    this.#shownAt = now;
    const wallMs = now - this.#began;
    const leftSeconds = Math.ceil(((wallMs / done) * (seeds - done)) / 1000);
    const bad = failed === 0 ? '' : `, ${failed} failed`;
    this.#output.progress(
      `${engine}, ${scenario.name}: ${done} of ${seeds} seeds${bad}; ${Math.round(simulatedMs / wallMs)} × real time, ${leftSeconds} s left`,
    );
  }

  clear(): void {
    this.#output.progress?.(undefined);
  }
}
