/**
 * kill -9 of one process of a real cluster after another while writers append: in mode `strong`, where nothing acknowledged may be lost, and
 * in mode `async`, where the loss is measured.
 */
import { tmpdir } from 'node:os';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { type ClusterProcess, LocalCluster } from '../cluster/local-cluster.ts';
import { mayEnd } from '../simulator/expected-errors.ts';
import { examine, type Findings, recordOf, type Sent } from './records.ts';

export interface KillRoundsOptions {
  /** `bin/cairn` of this project. */
  readonly program: string;
  readonly rounds: number;
  readonly engine?: 'raft' | 'paxos';
  readonly portBase?: number;
  /** Of the cluster; it stays. Default: one that goes. */
  readonly dir?: string;
  readonly say?: (line: string) => void;
}

export interface KillRoundsReport {
  readonly rounds: number;
  readonly kills: Readonly<Record<ClusterProcess['role'], number>>;
  readonly seconds: number;
  readonly strong: Findings;
  readonly async: Findings;
}

const writersPerFile = 3;
/** So that the files stay of a size that can be looked through. */
const thinkMs = 4;
/** Acknowledged appends to each file between two kills. */
const progress = 30;
const roundDeadlineMs = 60_000;
const lookMs = 20;

/** One file, and those who append to it. */
class Appended {
  readonly sent = new Map<string, Sent>();
  readonly path: string;
  #isOver = false;
  acknowledged = 0;
  /** What no append may end with, whoever is killed. */
  broken: CairnError | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** What fails stays unknown; the writer goes on with the next. */
  async write(client: CairnClient, writer: number): Promise<void> {
    for (let n = 1; !this.#isOver; n++) {
      const record = recordOf(writer, n, performance.now());
      this.sent.set(record.id, record);
      try {
        record.offset = await client.recordAppend(this.path, record.bytes);
        record.endedAt = performance.now();
        this.acknowledged += 1;
      } catch (thrown) {
        // Whether it is there is seen in the end.
        const error = toCairnError(thrown);
        if (!mayEnd(error)) this.broken ??= error;
      }
      await pause(thinkMs);
    }
  }

  stop(): void {
    this.#isOver = true;
  }
}

export async function killRounds(options: KillRoundsOptions): Promise<KillRoundsReport> {
  const { program, engine = 'raft', portBase, dir } = options;
  const startedAt = performance.now();
  const args = ['--engine', engine];
  const place = { ...(portBase && { portBase }), ...(dir && { dir }) };
  const cluster = await LocalCluster.start({ program, chunkservers: 4, args, ...place });
  const clients: CairnClient[] = [];
  try {
    const connect = async () => {
      const env = nodeEnv({ dir: tmpdir() });
      const client = await CairnClient.start(env, parseClusterUrl(cluster.url), { deadlineMs: 30_000 });
      clients.push(client);
      return client;
    };
    const watcher = await connect();
    const files = { strong: new Appended('/strong'), async: new Appended('/async') };
    const writing: Promise<void>[] = [];
    for (const mode of ['strong', 'async'] as const) {
      await watcher.writeFile(files[mode].path, '', { mode, durability: 'memory', chunkBytes: 1024 * 1024 });
      for (let n = 1; n <= writersPerFile; n++) writing.push(files[mode].write(await connect(), n));
    }
    const kills = await killAll(cluster, watcher, Object.values(files), options);
    for (const file of Object.values(files)) file.stop();
    await Promise.all(writing);
    for (const { broken } of Object.values(files)) if (broken !== undefined) throw broken;
    const findings = async (file: Appended) => examine(await watcher.readFile(file.path), file.sent);
    const [strong, async] = [await findings(files.strong), await findings(files.async)];
    const seconds = (performance.now() - startedAt) / 1000;
    return { rounds: options.rounds, kills, seconds, strong, async };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await cluster.stop();
  }
}

async function killAll(
  cluster: LocalCluster,
  watcher: CairnClient,
  files: readonly Appended[],
  { rounds, say = () => undefined }: KillRoundsOptions,
): Promise<Record<ClusterProcess['role'], number>> {
  const kills = { master: 0, chunkserver: 0 };
  for (let round = 1; round <= rounds; round++) {
    const isMaster = round % 3 === 0;
    const id = isMaster ? ((await watcher.status()).leader ?? 1) : 1 + (round % 4);
    const role = isMaster ? 'master' : 'chunkserver';
    kills[role] += 1;
    await cluster.killHard(role, id);
    const goals = files.map((file) => file.acknowledged + progress);
    const waitsFor = () => files.find((file, n) => file.acknowledged < goals[n]!)?.path;
    await until(`appends go on after kill ${round}`, async () => waitsFor());
    await until(`all is well after kill ${round}`, () => troubleOf(watcher));
    if (round % 10 === 0) say(`${round} kills, ${files.map((file) => file.acknowledged).join(' and ')} acknowledged`);
  }
  return kills;
}

/** Everybody is up, and each chunk has its copies: else the next kill could take the last one of what is in memory only. */
async function troubleOf(client: CairnClient): Promise<string | undefined> {
  const status = await client.status().catch((thrown: unknown) => toCairnError(thrown));
  if (status instanceof CairnError) return status.message;
  const { servers, masters, underReplicatedChunks } = status;
  const server = servers.find(({ state }) => state !== 'healthy');
  if (server !== undefined) return `chunkserver ${server.id} is ${server.state}`;
  const master = masters.find(({ role }) => role === 'down');
  if (master !== undefined) return `master ${master.id} is down`;
  return underReplicatedChunks === 0 ? undefined : `${underReplicatedChunks} chunks have too few copies`;
}

/** @param hindrance undefined when it has come to pass */
async function until(what: string, hindrance: () => Promise<string | undefined>): Promise<void> {
  const deadline = performance.now() + roundDeadlineMs;
  for (let why = await hindrance(); why !== undefined; why = await hindrance()) {
    if (performance.now() > deadline)
      throw new Error(`within ${roundDeadlineMs} ms it did not come to pass that ${what}: ${why}`);
    await pause(lookMs);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
