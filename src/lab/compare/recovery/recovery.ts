/** `recovery-consistency`: a server dies under appends; how soon is the next one acknowledged, and is everything there that was? */
import { setTimeout as sleep } from 'node:timers/promises';
import { toAddress } from '../../../core/base/brand.ts';
import type { EngineName } from '../../../core/consensus/index.ts';
import type { Mode } from '../../../core/protocol/types.ts';
import type { CairnClient } from '../../../system/client/client.ts';
import { UpCluster } from '../cluster/up-cluster.ts';
import { chosen, type Experiment, type Lab } from '../experiment.ts';
import { primaryOf } from '../gfs-table1/replicas.ts';
import { engineNames } from '../groups/engines.ts';
import { until } from '../groups/group.ts';
import type { Findings } from '../report/findings.ts';
import { type Scope, scoped } from '../scope.ts';
import { Appending, appenders, Reading } from './appending.ts';

const chunkservers = 4;
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
    'A chunkserver or the leading master dies under appends: how soon is the next one acknowledged, how much of what was is lost, and what do readers miss meanwhile?',

  expected({ quick, runs }) {
    const secondsOfOne = 12;
    return {
      rounds: quick ? 1 : (runs ?? 4),
      secondsEach: engineNames.length * modes.length * secondsOfOne,
      secondsOnce: 0,
    };
  },

  async run(lab: Lab, findings: Findings): Promise<void> {
    const { quick, runs } = lab.options;
    const rounds = quick ? 1 : (runs ?? 4);
    const subjects = chosen(allSubjects(lab), lab, findings);
    Object.assign(findings.settings, { rounds, chunkservers, appenders, copies: 3, article: JSON.stringify(article) });
    findings.note(
      'Each appender has one record under way; each record says who wrote it, and its number. The gap is the longest time in which none was acknowledged, from the kill on. Afterwards the whole file is read: every record that was acknowledged must be in it, in the modes strong and gfs; in async a primary that dies may take the last ones with it. The chunkserver that is killed is the primary.',
    );
    findings.note(
      'Meanwhile another client reads the record that was acknowledged last when its read begins. A read is stale that does not find it; the staleness window is the longest time from an acknowledgement until the first read that saw the record, where one before had not. Records that are lost count as lost, and their reads as stale.',
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
  const other = await cluster.connect(scope);
  for (const victim of victims) {
    const path = `/appended-${victim}`;
    const appending = new Appending(client, path);
    await appending.start();
    const reading = new Reading(other, path, appending.acknowledged);
    reading.start();
    await sleep(steadyMs);
    const pid = await pidOf(cluster, client, victim, path);
    const killedAt = performance.now();
    process.kill(pid, 'SIGKILL');
    await appending.flowing(killedAt);
    await untilWell(client);
    const wellMs = performance.now() - killedAt;
    await appending.stop();
    const seen = await reading.stop();
    const lost = await appending.lost();
    const gapMs = appending.largestGap(killedAt);
    const acknowledged = appending.acknowledged.length;
    const before = appending.acknowledged.filter(({ at }) => at <= killedAt).length;
    const add = (metric: string, unit: string, value: number) =>
      findings.add(name, `${metric}, ${victim} killed`, unit, value);
    add('gap', 'ms', gapMs);
    add('all servers back', 'ms', wellMs);
    add('acknowledged', '1', acknowledged);
    add('acknowledged and lost', '1', lost.length);
    add('lost of what was acknowledged before', 'share', lost.length / before);
    add('staleness window', 'ms', seen.windowMs);
    add('stale reads', 'share', seen.stale / Math.max(1, seen.reads));
    add('longest read', 'ms', seen.longestReadMs);
    if (lost.length > 0) findings.note(`${name}, ${victim} killed, lost: ${lost.slice(0, 3).join(', ')}`);
    const stale = `${seen.stale} of ${seen.reads} reads stale`;
    lab.say(`  ${victim}: ${Math.round(gapMs)} ms, ${acknowledged} acknowledged, ${lost.length} lost, ${stale}`);
  }
}

/** The leading master; or the chunkserver that is the primary of the file's last chunk. */
async function pidOf(cluster: UpCluster, client: CairnClient, victim: Victim, path: string): Promise<number> {
  if (victim === 'master') return cluster.pidOf('master', (await client.status()).leader!);
  return cluster.pidOf('chunkserver', await primaryOf(cluster.masters.map(toAddress), path));
}

async function untilWell(client: CairnClient): Promise<void> {
  await until('all masters and chunkservers are back', wellDeadlineMs, async () => {
    const { masters, servers } = await client.status();
    const isWell = masters.every(({ role }) => role !== 'down') && servers.every(({ state }) => state === 'healthy');
    return isWell && servers.length === chunkservers ? true : undefined;
  });
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
      const stale = findings.runs(name, `stale reads, ${victim} killed`);
      if (stale.length > 0) findings.goal(`${name}: stale reads, ${victim} killed`, Math.max(...stale), '≤', 0);
      if (lost.length > 0) findings.goal(`${name}: lost, ${victim} killed`, Math.max(...lost), '≤', 0);
    }
  }
  const bars = (title: string, metric: string, label: string) =>
    findings.chart({
      kind: 'bars',
      title,
      y: { label, scale: 'linear' },
      groups: victims.map((victim) => `${victim} killed`),
      series: subjects.map(({ name }) => ({
        name,
        values: victims.map((victim) => findings.median(name, `${metric}, ${victim} killed`) ?? null),
      })),
    });
  bars('Time without an acknowledged append after a kill, median', 'gap', 'ms');
  bars('Acknowledged before the kill, and lost, median', 'lost of what was acknowledged before', 'share');
  bars('Longest read around the kill, median', 'longest read', 'ms');
}
