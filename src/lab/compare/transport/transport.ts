/** `transport`: one service, one implementation, the same call at 100 in flight over each transport. */

import { join } from 'node:path';
import { chosen, type Experiment, type Lab, type LabOptions } from '../experiment.ts';
import { fractions } from '../load/loader.ts';
import { Asking } from '../process/asking.ts';
import { cpuMs } from '../process/cpu.ts';
import { nodePlan, OwnedProcess } from '../process/owned-process.ts';
import type { Findings } from '../report/findings.ts';
import { scoped } from '../scope.ts';
import type { CallingAnswers, CallResult } from './calling.ts';
import type { ServerAnswers } from './server.ts';
import { type TransportName, transportNames } from './transports.ts';

const inFlight = 100;
/** What the article that this project starts from reports, in Go: calls per second and latency, which by Little's law are one figure. */
const article = { 'HTTP/1.1': { qps: 8200, ms: 12.1 }, gRPC: { qps: 15_600, ms: 6.3 } } as const;

interface Plan {
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly rates: readonly number[];
}

function planOf({ quick, runs, seconds }: LabOptions): Plan {
  if (quick) return { rounds: 1, warmUpMs: 100, measureMs: 200, rates: [500] };
  return { rounds: runs ?? 4, warmUpMs: 1500, measureMs: (seconds ?? 3) * 1000, rates: [2000, 5000, 10_000, 20_000] };
}

/** How long each rate of the open loop is held. */
function openMs(warmUpMs: number, measureMs: number): number {
  return Math.max(warmUpMs, measureMs / 2);
}

export const transport: Experiment = {
  name: 'transport',
  question: 'What does the same call cost, and how many are served, over framed TCP, HTTP/1.1, gRPC and gRPC-Web?',

  expected(options) {
    const { rounds, warmUpMs, measureMs, rates } = planOf(options);
    const secondsOfOne = 1.5 + (warmUpMs + measureMs + rates.length * openMs(warmUpMs, measureMs)) / 1000;
    return { rounds, secondsEach: transportNames.length * secondsOfOne, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    const subjects = chosen(
      transportNames.map((name) => ({ name })),
      lab,
      findings,
    ).map(({ name }) => name);
    describe(findings, plan);
    for (let round = 1; round <= plan.rounds; round++)
      for (const subject of subjects) {
        lab.say(`round ${round} of ${plan.rounds}: ${subject}`);
        await measure(lab, findings, subject, plan);
      }
    compare(findings, subjects);
    draw(findings, subjects, plan.rates);
  },
};

function describe(findings: Findings, { rounds, measureMs, warmUpMs, rates }: Plan): void {
  Object.assign(findings.settings, {
    inFlight,
    rounds,
    secondsEach: measureMs / 1000,
    warmUpSeconds: warmUpMs / 1000,
    openLoopCallsPerSecond: rates,
    call: 'cairn.lab.v1.Locator/Locate: where is chunk 0 of one of 10,000 files; about 50 bytes asked, 100 answered',
    libraries: 'node:http with undici; @grpc/grpc-js; protobufjs; gRPC-Web by hand on node:http',
  });
  findings.note(
    'One server process, one client process, both Node, on the same machine. Framed TCP and gRPC use one connection, HTTP/1.1 and gRPC-Web one for each call under way.',
  );
  findings.note(
    'Latency in closed loop is calls under way divided by calls per second (Little’s law): the article’s pairs, 8,200/s at 12.1 ms and 15,600/s at 6.3 ms, are each one figure. The open loop counts latency from when a call was due.',
  );
  findings.note(
    'Unary gRPC on Node is far from the article’s Go: grpc-js makes a dozen objects, timers and stream events for each call, on both sides. The light client, which lays frames by hand, shows the server’s half of that; one stream for all calls pays it once.',
  );
}

async function measure(lab: Lab, findings: Findings, subject: TransportName, plan: Plan): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const directory = await lab.directory(scope);
    const [port] = (await lab.ports(1)) as [number];
    const { profileDir } = lab.options;
    const start = async (role: string) =>
      OwnedProcess.start(scope, nodePlan(role, { name: role, logFile: join(directory, `${role}.log`) }, profileDir));
    const server = new Asking<ServerAnswers>(await start('transport-server'));
    const client = new Asking<CallingAnswers>(await start('transport-client')); // it starts while the server does
    await server.ask('serve', { name: subject, port });
    await client.ask('connect', { name: subject, port, inFlight });
    await client.ask('closedLoop', { inFlight, warmUpMs: 0, measureMs: plan.warmUpMs });
    const before = cpuMs(server.process.pid);
    const { warmUpMs } = plan;
    const result = await client.ask('closedLoop', { inFlight, warmUpMs: 0, measureMs: plan.measureMs });
    const serverMs = cpuMs(server.process.pid) - before;
    noteClosed(lab, findings, subject, result, serverMs);
    for (const perSecond of plan.rates) {
      const open = await client.ask('openLoop', { perSecond, measureMs: openMs(warmUpMs, plan.measureMs) });
      if (!noteOpen(lab, findings, subject, perSecond, open)) break; // what is beyond its means only takes time
    }
    await client.ask('disconnect', null);
  });
}

function latencyAt({ latencyMs }: CallResult, fraction: (typeof fractions)[number]): number {
  return latencyMs[fractions.indexOf(fraction)]!;
}

function noteClosed(lab: Lab, findings: Findings, subject: string, result: CallResult, serverMs: number): void {
  if (result.calls === 0) throw new Error(`${subject}: no call succeeded: ${result.firstError}`);
  const qps = result.calls / result.seconds;
  lab.say(`  ${subject}: ${Math.round(qps)}/s, p50 ${latencyAt(result, 0.5).toFixed(2)} ms, ${result.errors} errors`);
  const add = (metric: string, unit: string, value: number) => findings.add(subject, metric, unit, value);
  add('calls/s', '1/s', qps);
  add('p50', 'ms', latencyAt(result, 0.5));
  add('p99', 'ms', latencyAt(result, 0.99));
  add('errors', '1/call', result.errors / (result.calls + result.errors));
  add('CPU of the server', 'µs/call', (serverMs * 1000) / result.calls);
  add('CPU of the client', 'µs/call', (result.cpuMs * 1000) / result.calls);
  findings.addDistribution(subject, 'latency', result.latencyMs);
}

/** A rate that was not reached has no latency worth telling. @returns whether it was */
function noteOpen(lab: Lab, findings: Findings, subject: string, perSecond: number, result: CallResult): boolean {
  const served = result.calls / result.seconds;
  const reached = served > perSecond * 0.95 && result.errors === 0;
  lab.say(
    `  ${subject} at ${perSecond}/s: ${reached ? `p99 ${latencyAt(result, 0.99).toFixed(2)} ms` : `only ${Math.round(served)}/s`}`,
  );
  findings.add(subject, `served at ${perSecond}/s`, '1', Math.min(1, served / perSecond));
  if (!reached) return false;
  findings.add(subject, `p50 at ${perSecond}/s`, 'ms', latencyAt(result, 0.5));
  findings.add(subject, `p99 at ${perSecond}/s`, 'ms', latencyAt(result, 0.99));
  return true;
}

function compare(findings: Findings, subjects: readonly TransportName[]): void {
  for (const subject of subjects) {
    if (subject === 'framed TCP') continue;
    for (const metric of ['calls/s', 'CPU of the server']) findings.ratio(subject, 'framed TCP', metric);
  }
  findings.ratio('gRPC streaming', 'HTTP/1.1 + JSON', 'calls/s');
  findings.ratio('gRPC unary', 'HTTP/1.1 + JSON', 'calls/s');
  findings.goal('HTTP/1.1 + JSON calls/s', findings.median('HTTP/1.1 + JSON', 'calls/s'), '>', article['HTTP/1.1'].qps);
  findings.goal('HTTP/1.1 + JSON p50, ms', findings.median('HTTP/1.1 + JSON', 'p50'), '≤', article['HTTP/1.1'].ms);
  const modes = (['gRPC unary', 'gRPC streaming', 'gRPC-Web'] as const).filter((mode) => subjects.includes(mode));
  const best = modes.toSorted((a, b) => findings.median(b, 'calls/s')! - findings.median(a, 'calls/s')!)[0];
  if (best === undefined) return;
  findings.goal(`${best} (the best gRPC mode) calls/s`, findings.median(best, 'calls/s'), '>', article.gRPC.qps);
  findings.goal(`${best} p50, ms`, findings.median(best, 'p50'), '≤', article.gRPC.ms);
}

function draw(findings: Findings, subjects: readonly TransportName[], rates: readonly number[]): void {
  const each = (metric: string) => subjects.map((name) => findings.median(name, metric) ?? null);
  findings.chart({
    kind: 'bars',
    title: `Calls per second, ${inFlight} in flight`,
    y: { label: 'calls/s', scale: 'log' },
    groups: ['closed loop'],
    series: subjects.map((name) => ({ name, values: [findings.median(name, 'calls/s') ?? null] })),
  });
  findings.chart({
    kind: 'bars',
    title: 'Processor time of a call',
    y: { label: 'µs', scale: 'linear' },
    groups: [...subjects],
    series: [
      { name: 'server', values: each('CPU of the server') },
      { name: 'client', values: each('CPU of the client') },
    ],
  });
  findings.chart({
    kind: 'lines',
    title: `Latency, ${inFlight} in flight`,
    x: { label: 'percentile', scale: 'percentile' },
    y: { label: 'ms', scale: 'log' },
    series: subjects.map((name) => ({
      name,
      points: findings.distribution(name, 'latency').map((ms, i) => [fractions[i]!, ms] as const),
    })),
  });
  findings.chart({
    kind: 'lines',
    title: '99th percentile at fixed rates (open loop), where they were reached',
    x: { label: 'calls/s asked for', scale: 'linear' },
    y: { label: 'ms', scale: 'log' },
    series: subjects.map((name) => ({
      name,
      points: rates.flatMap((rate) => {
        const ms = findings.median(name, `p99 at ${rate}/s`);
        return ms === undefined ? [] : [[rate, ms] as const];
      }),
    })),
  });
}
