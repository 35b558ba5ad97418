/** Runs seeds one after another and says how they went, for people or (`--json`) one object a line. */
import { type Outcome, runSeed } from './run-seed.ts';

export interface SimulateOptions {
  readonly start: number;
  readonly seeds: number;
  readonly json: boolean;
  /** Each line of the trace as it happens; for one seed. */
  readonly verbose: boolean;
}

export interface Summary {
  readonly event: 'summary';
  readonly engine: 'raft';
  readonly seeds: number;
  readonly passed: number;
  readonly failed: readonly number[];
  readonly simulatedSeconds: number;
  readonly wallSeconds: number;
}

const tailLines = 60;

/** @param print a line, without its end. */
export async function simulate(options: SimulateOptions, print: (line: string) => void): Promise<Summary> {
  const { start, seeds, json, verbose } = options;
  const began = performance.now();
  const failed: number[] = [];
  let simulatedMs = 0;
  for (let seed = start; seed < start + seeds; seed++) {
    const before = performance.now();
    const outcome = await runSeed(seed, { onLine: verbose && !json ? print : undefined });
    const wallMs = performance.now() - before;
    simulatedMs += outcome.simulatedMs;
    if (!outcome.passed) failed.push(seed);
    print(json ? JSON.stringify(documentOf(outcome, wallMs)) : lineOf(outcome, wallMs));
    if (!outcome.passed && !json) for (const line of report(outcome, verbose)) print(line);
  }
  const summary: Summary = {
    event: 'summary',
    engine: 'raft',
    seeds,
    passed: seeds - failed.length,
    failed,
    simulatedSeconds: Math.round(simulatedMs / 1000),
    wallSeconds: Math.round((performance.now() - began) / 100) / 10,
  };
  print(json ? JSON.stringify(summary) : summaryLine(summary));
  return summary;
}

function documentOf({ seed, passed, why, hash, simulatedMs, eventCount, counts, trace }: Outcome, wallMs: number) {
  const simulatedSeconds = simulatedMs / 1000;
  const failure = passed ? {} : { why, trace: trace.tail(tailLines), replay: replayCommand(seed) };
  return { event: 'seed', seed, passed, hash, simulatedSeconds, wallMs, events: eventCount, ...counts, ...failure };
}

function lineOf({ seed, passed, hash, simulatedMs, eventCount, counts }: Outcome, wallMs: number): string {
  const { calls, unknown, records, faults } = counts;
  const work = `${calls} calls (${unknown} of unknown fate), ${records} records, ${faults} faults`;
  const time = `${(simulatedMs / 1000).toFixed(1)} s in ${(wallMs / 1000).toFixed(1)} s, ${eventCount} events`;
  return `seed ${seed} ${passed ? 'passed' : 'FAILED'} ${hash}: ${work}; ${time}`;
}

function report({ seed, why, trace }: Outcome, verbose: boolean): readonly string[] {
  const tail = verbose ? [] : trace.tail(tailLines);
  return [...tail, '', `seed ${seed}: ${why}`, `replay it with: ${replayCommand(seed)}`];
}

function replayCommand(seed: number): string {
  return `npm run sim -- --seed ${seed} --verbose`;
}

function summaryLine({ seeds, passed, failed, simulatedSeconds, wallSeconds }: Summary): string {
  const bad = failed.length === 0 ? '' : `; failed: ${failed.join(' ')}`;
  return `${passed} of ${seeds} seeds passed; ${simulatedSeconds} simulated seconds in ${wallSeconds} s${bad}`;
}
