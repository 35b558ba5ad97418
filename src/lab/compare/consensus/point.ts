/** One measurement on one group: so many clients, one kind of operation, and what it cost. */
import type { Lab } from '../experiment.ts';
import type { Costs, Group } from '../groups/group.ts';
import { fractions, type LoadAnswers, type LoadPlan, type LoadResult } from '../load/loader.ts';
import type { Asking } from '../process/asking.ts';
import type { Findings } from '../report/findings.ts';
import { metricOf } from './metrics.ts';

/** An operation that is not answered in this time is tried elsewhere: no leader is to fail here. */
export const attemptMs = 10_000;

export interface PointPlace {
  readonly lab: Lab;
  readonly findings: Findings;
  readonly subject: string;
  readonly group: Group;
  readonly load: Asking<LoadAnswers>;
  readonly leader: number;
}

export async function measurePoint(at: PointPlace, plan: LoadPlan): Promise<void> {
  await at.load.ask('disconnect', null);
  await at.load.ask('connect', at.group.target(at.leader, { clients: plan.clients, attemptMs }));
  const before = await at.group.costs();
  const result = await at.load.ask('load', plan);
  const after = await at.group.costs();
  if (result.errors > 0) throw new Error(`${at.subject}: ${result.errors} operations failed: ${result.firstError}`);
  if (result.operations === 0) throw new Error(`${at.subject}: nothing was done in ${plan.measureMs} ms`);
  const rate = result.operations / result.seconds;
  const say = `${at.subject} ${plan.operation}, ${plan.clients} clients: ${Math.round(rate)}/s`;
  at.lab.say(`  ${say}, p50 ${latencyAt(result, 0.5).toFixed(2)} ms, p99 ${latencyAt(result, 0.99).toFixed(2)} ms`);
  const add = (what: string, unit: string, value: number) =>
    at.findings.add(at.subject, metricOf(plan.operation, plan.clients, what), unit, value);
  add(plan.operation === 'put' ? 'writes/s' : 'reads/s', '1/s', rate);
  for (const fraction of [0.5, 0.99] as const) add(`p${fraction * 100}`, 'ms', latencyAt(result, fraction));
  at.findings.addDistribution(at.subject, metricOf(plan.operation, plan.clients, 'latency'), result.latencyMs);
  addCosts(add, result, before, after, plan.operation === 'put');
}

function latencyAt({ latencyMs }: LoadResult, fraction: (typeof fractions)[number]): number {
  return latencyMs[fractions.indexOf(fraction)]!;
}

function addCosts(
  add: (what: string, unit: string, value: number) => void,
  { allOperations, operations, cpuMs }: LoadResult,
  before: Costs,
  after: Costs,
  isWrite: boolean,
): void {
  add('CPU', 'µs/op', ((after.cpuMs - before.cpuMs) * 1000) / allOperations);
  add('CPU of the load', 'µs/op', (cpuMs * 1000) / operations);
  if (!isWrite) return;
  const perOperation = (what: string, unit: string, of: (costs: Costs) => number | undefined): void => {
    const [from, to] = [of(before), of(after)];
    if (from !== undefined && to !== undefined) add(what, unit, (to - from) / allOperations);
  };
  perOperation('messages', '1/op', (costs) => costs.messages);
  perOperation('message bytes', 'B/op', (costs) => costs.messageBytes);
  perOperation('flushes', '1/op', (costs) => costs.flushes);
  perOperation('log entries', '1/op', (costs) => costs.entries);
}
