/** `recovery-consistency`: a server dies under appends; how soon is the next one acknowledged, and is everything there that was? */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineName } from '../../../core/consensus/index.ts';
import type { Mode } from '../../../core/protocol/types.ts';
import type { CairnClient } from '../../../system/client/client.ts';
import { UpCluster } from '../cluster/up-cluster.ts';
import { chosen, type Experiment, type Lab } from '../experiment.ts';
import { engineNames } from '../groups/engines.ts';
import { until } from '../groups/group.ts';
import type { Findings } from '../report/findings.ts';
import { type Scope, scoped } from '../scope.ts';

const chunkservers = 4;
const appenders = 8;
const steadyMs = 500;
const wellDeadlineMs = 60_000;
/** The article that this project starts from: recovery under strong consistency, and under eventual with about 5 % lost. */
const article = { strongMs: 8200, eventualMs: 3100, eventualLost: 0.05 };
const modes = ['strong', 'gfs', 'async'] as const satisfies readonly Mode[];

const victims = ['chunkserver', 'master'] as const;
type Victim = (typeof victims)[number];

interface Subject {
  readonly name: string;
  readonly engine: EngineName;
  readonly mode: Mode;
}

/** A quick run has time for each engine and each mode, not for each pair of them. */
function allSubjects({ options: { quick } }: Lab): Subject[] {
  const all = engineNames.flatMap((engine) =>
    modes.map((mode): Subject => ({ name: `${mode}, ${engine}`, engine, mode })),
  );
  return quick ? all.filter(({ engine, mode }) => mode === 'strong' || engine === 'raft') : all;
}

export const recovery: Experiment = {
  name: 'recovery-consistency',
  question:
    'A chunkserver or the leading master dies under appends: how soon is the next one acknowledged, and how much of what was is lost?',

  async run(lab: Lab, findings: Findings): Promise<void> {
    const { quick, runs } = lab.options;
    const rounds = quick ? 1 : (runs ?? 5);
    const subjects = chosen(allSubjects(lab), lab, findings);
    Object.assign(findings.settings, { rounds, chunkservers, appenders, copies: 3, article: JSON.stringify(article) });
    findings.note(
      'Each appender has one record under way; each record says who wrote it, and its number. The gap is the longest time in which none was acknowledged, from the kill on. Afterwards the whole file is read: every record that was acknowledged must be in it, in the modes strong and gfs; in async a primary that dies may take the last ones with it.',
    );
    for (let round = 1; round <= rounds; round++)
      for (const subject of subjects) {
        lab.say(`round ${round} of ${rounds}: ${subject.name}`);
        await scoped(lab.scope, (scope) => measure(lab, findings, scope, subject));
      }
    compare(findings, subjects);
  },
};

async function measure(lab: Lab, findings: Findings, scope: Scope, { name, engine, mode }: Subject): Promise<void> {
  const settings = { replication: { mode } };
  const cluster = await UpCluster.start(lab, scope, { chunkservers, settings, engine });
  const client = await cluster.connect(scope);
  for (const victim of victims) {
    const path = `/appended-${victim}`;
    const appending = new Appending(client, path);
    await appending.start();
    await sleep(steadyMs);
    const killedAt = performance.now();
    process.kill(await pidOf(cluster, client, victim, path), 'SIGKILL');
    await appending.flowing(killedAt);
    await untilWell(client);
    const wellMs = performance.now() - killedAt;
    await appending.stop();
    const { acknowledged, lost } = await appending.verify();
    const gapMs = appending.largestGap(killedAt);
    const add = (metric: string, unit: string, value: number) =>
      findings.add(name, `${metric}, ${victim} killed`, unit, value);
    add('gap', 'ms', gapMs);
    add('all servers back', 'ms', wellMs);
    add('acknowledged', '1', acknowledged);
    add('acknowledged and lost', '1', lost.length);
    if (lost.length > 0) findings.note(`${name}, ${victim} killed, lost: ${lost.slice(0, 3).join(', ')}`);
    lab.say(`  ${victim}: ${Math.round(gapMs)} ms, ${acknowledged} acknowledged, ${lost.length} lost`);
  }
}

/** The leading master; or a chunkserver that holds the file. */
async function pidOf(cluster: UpCluster, client: CairnClient, victim: Victim, path: string): Promise<number> {
  if (victim === 'master') return cluster.pidOf('master', (await client.status()).leader!);
  if ((await client.stat(path)).size === 0) throw new Error(`${path} is empty still`);
  const holder = (await client.servers()).find(({ chunks }) => chunks > 0);
  return cluster.pidOf('chunkserver', holder!.id);
}

async function untilWell(client: CairnClient): Promise<void> {
  await until('all masters and chunkservers are back', wellDeadlineMs, async () => {
    const { masters, servers } = await client.status();
    const isWell = masters.every(({ role }) => role !== 'down') && servers.every(({ state }) => state === 'healthy');
    return isWell && servers.length === chunkservers ? true : undefined;
  });
}

class Appending {
  readonly #client: CairnClient;
  readonly #path: string;
  readonly #acknowledgedAt: number[] = [];
  readonly #acknowledged: string[] = [];
  #appenders: Promise<void>[] = [];
  #stopped = false;

  constructor(client: CairnClient, path: string) {
    this.#client = client;
    this.#path = path;
  }

  async start(): Promise<void> {
    await this.#append('begin');
    this.#appenders = Array.from({ length: appenders }, (_, who) => this.#run(who));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#appenders);
  }

  /** Resolves when every appender has gone on after that time. */
  async flowing(after: number): Promise<void> {
    await until('appends flow again', wellDeadlineMs, async () => {
      const since = this.#acknowledgedAt.filter((at) => at > after).length;
      return since > appenders * 3 ? true : undefined;
    });
  }

  largestGap(from: number): number {
    const times = this.#acknowledgedAt.filter((at) => at > from);
    return Math.max(...times.map((at, i) => at - (times[i - 1] ?? from)));
  }

  /** Reads the whole file. */
  async verify(): Promise<{ readonly acknowledged: number; readonly lost: readonly string[] }> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#client.readStream(this.#path)) pieces.push(piece.slice());
    const there = new Set(Buffer.concat(pieces).toString('latin1').split('\n'));
    return { acknowledged: this.#acknowledged.length, lost: this.#acknowledged.filter((record) => !there.has(record)) };
  }

  async #run(who: number): Promise<void> {
    for (let number = 0; !this.#stopped; number++) await this.#append(`appender ${who} record ${number}`);
  }

  async #append(record: string): Promise<void> {
    await this.#client.recordAppend(this.#path, Buffer.from(`\n${record}\n`));
    this.#acknowledged.push(record);
    this.#acknowledgedAt.push(performance.now());
  }
}

function compare(findings: Findings, subjects: readonly Subject[]): void {
  for (const victim of victims) {
    const metric = `gap, ${victim} killed`;
    for (const mode of modes) findings.ratio(`${mode}, paxos`, `${mode}, raft`, metric);
    for (const engine of engineNames)
      for (const mode of modes)
        if (mode !== 'strong') findings.ratio(`${mode}, ${engine}`, `strong, ${engine}`, metric);
    for (const { name, mode } of subjects) {
      if (mode !== 'strong') continue; // the others promise less
      findings.goal(
        `${name}: ${metric}, ms (the article: ${article.strongMs})`,
        findings.median(name, metric),
        '≤',
        1000,
      );
      const lost = findings.runs(name, `acknowledged and lost, ${victim} killed`);
      if (lost.length > 0) findings.goal(`${name}: lost, ${victim} killed`, Math.max(...lost), '≤', 0);
    }
  }
  findings.chart({
    kind: 'bars',
    title: 'Time without an acknowledged append after a kill, median',
    y: { label: 'ms', scale: 'linear' },
    groups: victims.map((victim) => `${victim} killed`),
    series: subjects.map(({ name }) => ({
      name,
      values: victims.map((victim) => findings.median(name, `gap, ${victim} killed`) ?? null),
    })),
  });
}
