/** `gfs-table1`: Table 1 of the GFS paper, found by looking: the state of each region that was mutated, from the bytes of all replicas. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, toAddress } from '../../../core/base/brand.ts';
import type { Mode } from '../../../core/protocol/types.ts';
import type { CairnClient } from '../../../system/client/client.ts';
import type { FileHandle } from '../../../system/client/file-handle.ts';
import { UpCluster } from '../cluster/up-cluster.ts';
import { chosen, type Experiment, type Lab } from '../experiment.ts';
import { until } from '../groups/group.ts';
import type { Findings } from '../report/findings.ts';
import { scoped } from '../scope.ts';
import { type ChunkReplicas, readReplicas } from './replicas.ts';

const regionBytes = 64 * 1024;
const chunkservers = 4;
const writers = 4;
const modes: readonly Mode[] = ['strong', 'gfs', 'async'];
const wellDeadlineMs = 60_000;
const killAfterMs = 150;

/** The paper's words (§2.7.1). `undefined` is consistent, but a mixture of several mutations. */
type State = 'defined' | 'undefined' | 'inconsistent';
const states: readonly State[] = ['defined', 'undefined', 'inconsistent'];

const operations = ['write', 'record append'] as const;
type Operation = (typeof operations)[number];
/** `failing`: a chunkserver that holds the file is killed meanwhile. */
const circumstances = ['serial', 'concurrent', 'failing'] as const;
type Circumstance = (typeof circumstances)[number];

export const gfsTable1: Experiment = {
  name: 'gfs-table1',
  question:
    'What state are regions in after serial, concurrent and failing writes and record appends, in each mode, by the bytes of all replicas?',

  expected({ quick, runs }) {
    const secondsOfMode = 20;
    return { rounds: quick ? 1 : (runs ?? 3), secondsEach: modes.length * secondsOfMode, secondsOnce: 0 };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const { quick, runs } = lab.options;
    const regions = quick ? 6 : 200;
    const rounds = quick ? 1 : (runs ?? 3);
    const subjects = chosen(
      modes.map((name) => ({ name })),
      lab,
      findings,
    );
    Object.assign(findings.settings, { rounds, regions, regionBytes, writers, chunkservers, copies: 3 });
    findings.note(
      'Each region, acknowledged in the end (clients try again until it is), is compared over all replicas that readers may be sent to, after all servers are well again: defined (every replica holds one mutation whole), undefined (all the same, but mixed), inconsistent (replicas differ). Of appends only regions that were acknowledged are regions; what else is in the file is counted apart. A region fits one mutation, so concurrent writers replace each other whole: the paper’s mixtures need writes that are split.',
    );
    findings.note(
      'GFS, Table 1: writes serial: defined; concurrent: undefined; failing: inconsistent. Record appends serial and concurrent: defined, interspersed with inconsistent; failing: inconsistent.',
    );
    for (let round = 1; round <= rounds; round++)
      for (const { name: mode } of subjects) {
        lab.say(`round ${round} of ${rounds}: ${mode}`);
        await measure(lab, findings, mode, regions);
      }
    compare(
      findings,
      subjects.map(({ name }) => name),
    );
  },
};

async function measure(lab: Lab, findings: Findings, mode: Mode, regions: number): Promise<void> {
  await scoped(lab.scope, async (scope) => {
    const cluster = await UpCluster.start(lab, scope, { chunkservers, settings: { replication: { mode } } });
    const clients = await Promise.all(Array.from({ length: writers }, () => cluster.connect(scope)));
    for (const operation of operations)
      for (const circumstance of circumstances) {
        const path = `/${operation.replace(' ', '-')}-${circumstance}`;
        const work = { clients, path, regions, circumstance };
        const mutating = operation === 'write' ? write(work) : append(work);
        const [acknowledged] = await Promise.all([
          mutating,
          circumstance === 'failing' ? killHolder(cluster, clients[0]!, path) : undefined,
        ]);
        await untilWell(clients[0]!);
        const replicas = await readReplicas(cluster.masters.map(toAddress) as Address[], path);
        note(lab, findings, mode, operation, circumstance, acknowledged, replicas);
      }
  });
}

interface Work {
  readonly clients: readonly CairnClient[];
  readonly path: string;
  readonly regions: number;
  readonly circumstance: Circumstance;
}

/** What each client writes is its own: byte values tell whose it is. */
function bytesOf(client: number): Uint8Array {
  return new Uint8Array(regionBytes).fill(client + 1);
}

/** All regions are written by one client after another, or by all at once. @returns where regions are */
async function write({ clients, path, regions, circumstance }: Work): Promise<number[]> {
  const files: FileHandle[] = [];
  for (const client of clients) files.push(await client.open(path, files.length === 0 ? 'w+' : 'r+'));
  for (let region = 0; region < regions; region++) {
    const position = region * regionBytes;
    const one = (client: number) => files[client]!.write(bytesOf(client), { position });
    if (circumstance === 'serial') await one(region % clients.length);
    else await Promise.all(clients.map((_, client) => one(client)));
  }
  return Array.from({ length: regions }, (_, region) => region * regionBytes);
}

/** @returns where the records that were acknowledged begin */
async function append({ clients, path, regions, circumstance }: Work): Promise<number[]> {
  const places: number[] = [];
  const one = async (client: number): Promise<void> => {
    places.push(await clients[client]!.recordAppend(path, bytesOf(client)));
  };
  await one(0);
  for (let region = 1; region < regions; region++) {
    if (circumstance === 'serial') await one(region % clients.length);
    else await Promise.all(clients.map((_, client) => one(client)));
  }
  return places;
}

async function killHolder(cluster: UpCluster, client: CairnClient, path: string): Promise<void> {
  await until('the file is there', wellDeadlineMs, async () => ((await client.exists(path)) ? true : undefined));
  await sleep(killAfterMs);
  const holder = (await client.servers()).toSorted((a, b) => b.chunks - a.chunks)[0]!;
  process.kill(cluster.pidOf('chunkserver', holder.id), 'SIGKILL');
}

/** All servers answer, and every chunk has all its copies again. */
async function untilWell(client: CairnClient): Promise<void> {
  await until('all chunkservers are back', wellDeadlineMs, async () => {
    const { servers } = await client.status();
    return servers.length === chunkservers && servers.every(({ state }) => state === 'healthy') ? true : undefined;
  });
}

function note(
  lab: Lab,
  findings: Findings,
  mode: Mode,
  operation: Operation,
  circumstance: Circumstance,
  regions: readonly number[],
  replicas: readonly ChunkReplicas[],
): void {
  const counts = { defined: 0, undefined: 0, inconsistent: 0 };
  for (const region of regions) counts[stateOf(region, replicas)] += 1;
  for (const state of states)
    findings.add(mode, `${operation}, ${circumstance}: ${state}`, 'share', counts[state] / regions.length);
  const bytes = replicas.reduce((sum, { contents }) => sum + Math.max(0, ...contents.map((each) => each.length)), 0);
  const beside = Math.max(0, bytes - regions.length * regionBytes) / Math.max(1, bytes);
  if (operation === 'record append')
    findings.add(mode, `${operation}, ${circumstance}: beside the records`, 'share of bytes', beside);
  lab.say(`  ${operation}, ${circumstance}: ${states.map((state) => `${counts[state]} ${state}`).join(', ')}`);
}

function stateOf(position: number, replicas: readonly ChunkReplicas[]): State {
  const chunk = replicas.findLast(({ start }) => start <= position);
  if (chunk === undefined || chunk.contents.length === 0) return 'inconsistent';
  const from = position - chunk.start;
  const views = chunk.contents.map((content) => content.subarray(from, from + regionBytes));
  const [first] = views as [Buffer];
  if (first.length < regionBytes || views.some((view) => !view.equals(first))) return 'inconsistent';
  const isOnes = first[0]! >= 1 && first[0]! <= writers && first.every((byte) => byte === first[0]);
  return isOnes ? 'defined' : 'undefined';
}

function compare(findings: Findings, subjects: readonly Mode[]): void {
  for (const operation of operations) {
    findings.chart({
      kind: 'bars',
      title: `Regions that are defined after ${operation}s`,
      y: { label: 'share of the regions', scale: 'linear' },
      groups: circumstances,
      series: subjects.map((mode) => ({
        name: mode,
        values: circumstances.map((each) => findings.median(mode, `${operation}, ${each}: defined`) ?? null),
      })),
    });
    for (const circumstance of circumstances) {
      const inconsistent = findings.runs('strong', `${operation}, ${circumstance}: inconsistent`);
      if (inconsistent.length > 0)
        findings.goal(`strong: ${operation}, ${circumstance}: inconsistent`, Math.max(...inconsistent), '≤', 0);
    }
  }
}
