/** `gfs-fig3`: the paper's own measurement on the paper's own network, Figure 3: aggregate throughput of 1 … 16 clients. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Experiment, Lab, LabOptions } from '../experiment.ts';
import { until } from '../groups/group.ts';
import { makeTwoSwitches, type SwitchedHost } from '../network/two-switches.ts';
import { Asking } from '../process/asking.ts';
import { nodePlan, OwnedProcess } from '../process/owned-process.ts';
import type { Findings } from '../report/findings.ts';
import { type ClientAnswers, stepBytesOf, underWay, type WorkPlan } from './client.ts';
import { startCluster } from './cluster.ts';
import { drawFigure3, limitOf, metricOf, operations, paper } from './figure3.ts';

const mebi = 1024 * 1024;
const masterCount = 3;
const readyDeadlineMs = 120_000;

interface Plan {
  readonly scale: number;
  readonly chunkservers: number;
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly files: number;
  readonly fileBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

function planOf({ quick, runs, seconds, clients, scale }: LabOptions): Plan {
  if (quick)
    return {
      scale: scale ?? 1,
      chunkservers: 3,
      clients: clients ?? [1, 2],
      rounds: 1,
      files: 3,
      fileBytes: 4 * mebi,
      warmUpMs: 400,
      measureMs: 1200,
    };
  // Two cores are busy at a third of the paper's rates when 16 clients write three copies each: bytes come in small pieces on slow links.
  const share = scale ?? Math.min(1, availableParallelism() / 8);
  return {
    scale: share,
    chunkservers: 16,
    clients: clients ?? [1, 2, 4, 8, 16],
    rounds: runs ?? 3,
    files: 64, // of one region each, so that reads spread evenly over the chunkservers
    fileBytes: stepBytesOf('read', share),
    warmUpMs: 2000,
    measureMs: (seconds ?? 5) * 1000,
  };
}

export const gfsFig3: Experiment = {
  name: 'gfs-fig3',
  question:
    'How near do reads, writes and record appends come to the limits of the GFS paper’s own network, for 1 … 16 clients?',
  needsNetworks: true,
  diskMiB: 8192,

  expected(options) {
    const { rounds, clients, warmUpMs, measureMs } = planOf(options);
    const secondsOfPoint = (warmUpMs + measureMs) / 1000 + 1;
    return { rounds, secondsEach: operations.length * clients.length * secondsOfPoint, secondsOnce: 45 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const plan = planOf(lab.options);
    describe(findings, plan);
    const { clients, remake } = await prepare(lab, plan);
    for (let round = 1; round <= plan.rounds; round++)
      for (const operation of operations)
        for (const count of plan.clients) {
          lab.say(`round ${round} of ${plan.rounds}: ${operation}, ${count} clients`);
          await measure(lab, findings, plan, clients.slice(0, count), operation);
          await remake(operation);
        }
    compare(findings, plan);
    drawFigure3(findings, plan.clients, plan.scale);
  },
};

function describe(findings: Findings, plan: Plan): void {
  const { scale, warmUpMs, measureMs, ...rest } = plan;
  Object.assign(findings.settings, rest, {
    masters: masterCount,
    scaleOfThePapersRates: scale,
    linkMbit: 100 * scale,
    trunkMbit: 1000 * scale,
    secondsEach: measureMs / 1000,
    warmUpSeconds: warmUpMs / 1000,
    copies: 3,
    bytesOfEach: operations.map((operation) => `${operation}: ${stepBytesOf(operation, scale)}`),
    underWayOfEachClient: operations.map((operation) => `${operation}: ${underWay[operation]}`),
  });
  if (scale !== 1)
    findings.note(
      `All links run at ${scale} of the paper’s rates, and limits and the paper’s figures are scaled alike; what a client reads, writes and appends at once is smaller by the same share, so that each step takes as long as on the paper’s network. The whole network, ${plan.chunkservers} chunkservers and the clients share the ${availableParallelism()} cores of this machine.`,
    );
  findings.note(
    'Limits are the bare rates of the links. Ethernet, IP and TCP take 4.4 % of them, so nothing can come nearer than 95.6 %. Writes and appends are acknowledged when they are in the page cache of all three copies, as in the paper.',
  );
}

interface Stage {
  readonly clients: readonly Asking<ClientAnswers>[];
  /** Takes away what an operation has written. */
  remake(operation: WorkPlan['operation']): Promise<void>;
}

const appendPath = '/figure3/appended';
const writtenPath = (client: number) => `/figure3/written-${client}`;
const readPath = (file: number) => `/figure3/read-${file}`;

async function prepare(lab: Lab, plan: Plan): Promise<Stage> {
  const { scope } = lab;
  const directory = await lab.directory(scope);
  const named = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i + 1}`);
  const [masters, servers] = [named('m', masterCount), named('s', plan.chunkservers)];
  const clientNames = named('c', Math.max(...plan.clients));
  const hosts = await makeTwoSwitches(scope, {
    left: [...masters, ...servers],
    right: clientNames,
    linkMbit: 100 * plan.scale,
    trunkMbit: 1000 * plan.scale,
  });
  const on = (names: readonly string[]) => hosts.filter(({ name }) => names.includes(name));
  const cluster = await startCluster(scope, {
    directory,
    profileDir: lab.options.profileDir,
    masters: on(masters),
    chunkservers: on(servers),
  });
  const clients = await Promise.all(on(clientNames).map((host) => startClient(lab, directory, host)));
  await Promise.all(clients.map((client) => client.ask('connect', cluster.masters)));
  await until('all chunkservers are there', readyDeadlineMs, async () =>
    (await clients[0]!.ask('servers', null)) === plan.chunkservers ? true : undefined,
  );
  lab.say(`${plan.chunkservers} chunkservers are up; making ${plan.files} files to read`);
  await makeFiles(clients, plan);
  return { clients, remake: (operation) => remake(clients, operation) };
}

async function startClient(lab: Lab, directory: string, { name, namespace }: SwitchedHost) {
  const plan = { name: `client ${name}`, logFile: join(directory, `${name}.log`), namespace };
  return new Asking<ClientAnswers>(await OwnedProcess.start(lab.scope, nodePlan('fig3-client', plan)));
}

/** Each client in turn makes a file, all at once: the network is the bound. */
async function makeFiles(clients: readonly Asking<ClientAnswers>[], { files, fileBytes, scale }: Plan): Promise<void> {
  const pieceBytes = stepBytesOf('write', scale);
  let next = 0;
  await Promise.all(
    clients.map(async (client) => {
      for (let file = next++; file < files; file = next++)
        await client.ask('make', { path: readPath(file), bytes: fileBytes, pieceBytes });
    }),
  );
}

async function remake(clients: readonly Asking<ClientAnswers>[], operation: WorkPlan['operation']): Promise<void> {
  if (operation === 'record append') await clients[0]!.ask('remove', appendPath);
  if (operation === 'write') await Promise.all(clients.map((client, i) => client.ask('remove', writtenPath(i))));
}

function pathsOf(operation: WorkPlan['operation'], client: number, { files }: Plan): readonly string[] {
  switch (operation) {
    case 'read':
      return Array.from({ length: files }, (_, file) => readPath(file));
    case 'write':
      return [writtenPath(client)];
    case 'record append':
      return [appendPath];
  }
}

async function measure(
  lab: Lab,
  findings: Findings,
  plan: Plan,
  clients: readonly Asking<ClientAnswers>[],
  operation: WorkPlan['operation'],
): Promise<void> {
  const { fileBytes, warmUpMs, measureMs, scale } = plan;
  const stepBytes = stepBytesOf(operation, scale);
  const results = await Promise.all(
    clients.map((client, i) =>
      client.ask('work', { operation, paths: pathsOf(operation, i, plan), stepBytes, fileBytes, warmUpMs, measureMs }),
    ),
  );
  const each = results.map(({ bytesPerSecond }) => bytesPerSecond / 1e6);
  const total = each.reduce((sum, rate) => sum + rate, 0);
  const limit = limitOf(operation, clients.length, plan);
  lab.say(`  ${total.toFixed(1)} MB/s, ${Math.round((100 * total) / limit)} % of the limit`);
  const add = (what: string, unit: string, value: number) =>
    findings.add('cairn', metricOf(operation, clients.length, what), unit, value);
  add('throughput', 'MB/s', total);
  add('least of a client', 'MB/s', Math.min(...each));
  add('most of a client', 'MB/s', Math.max(...each));
  findings.add('limit', metricOf(operation, clients.length, 'throughput'), 'MB/s', limit);
}

const goals = { read: 0.95, write: 0.9, 'record append': 0.9 } as const;

function compare(findings: Findings, { clients, scale }: Plan): void {
  for (const operation of operations)
    for (const count of clients) {
      const metric = metricOf(operation, count, 'throughput');
      const share = findings.ratio('cairn', 'limit', metric);
      const figure = paper[operation][count];
      if (figure !== undefined) findings.add('GFS 2003', metric, 'MB/s', figure * scale);
      findings.ratio('cairn', 'GFS 2003', metric);
      if (count === 1 || count === 16) findings.goal(`cairn/limit ${metric}`, share, '≥', goals[operation]);
    }
}
