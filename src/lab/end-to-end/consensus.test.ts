/** The group of masters, operated while clients are at work: real processes, both engines, no failed operation. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { LocalCluster } from '../cluster/local-cluster.ts';
import { begin, program, type Running, run, until } from './command-line.test-support.ts';

let scratch: string;
let cluster: LocalCluster;
let roles: Running[] = [];
let clients: CairnClient[] = [];

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'cairn-consensus-'));
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  for (const { child } of roles) for (const signal of ['SIGTERM', 'SIGCONT'] as const) child.kill(signal);
  await Promise.all(roles.map(({ ended }) => ended));
  roles = [];
  await cluster?.stop();
}, 30_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function connect(): Promise<CairnClient> {
  const client = await CairnClient.start(nodeEnv({ dir: scratch }), parseClusterUrl(cluster.url), {
    deadlineMs: 10_000,
  });
  clients.push(client);
  return client;
}

/** A client that makes directories, writes, reads and appends without a pause; every answer is checked, every failure is kept. */
class Load {
  readonly failures: unknown[] = [];
  operations = 0;
  #isOver = false;
  readonly #ended: Promise<unknown>;
  readonly #client: CairnClient;
  readonly #name: string;
  #records = 0;

  constructor(client: CairnClient, name: string) {
    this.#client = client;
    this.#name = name;
    this.#ended = Promise.all([this.#loop((i) => this.#file(i)), this.#loop((i) => this.#append(i))]);
  }

  async #loop(work: (i: number) => Promise<void>): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      try {
        await work(i);
        this.operations += 1;
      } catch (thrown) {
        this.failures.push(thrown);
        return; // one is one too many
      }
    }
  }

  async #file(i: number): Promise<void> {
    const path = `/${this.#name}/${i}`;
    await this.#client.mkdir(path, { recursive: true });
    await this.#client.writeFile(`${path}/file`, `content ${i}`);
    const text = Buffer.from(await this.#client.readFile(`${path}/file`)).toString();
    if (text !== `content ${i}`) throw new Error(`${path}/file holds ${text}`);
    await this.#client.rename(`${path}/file`, `${path}/renamed`);
  }

  async #append(i: number): Promise<void> {
    await this.#client.recordAppend(`/${this.#name}.log`, Buffer.from(`${i}\n`));
    this.#records = i + 1;
  }

  /** Ends it; the log must hold each record once, in order. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
    const lines = Buffer.from(await this.#client.readFile(`/${this.#name}.log`))
      .toString()
      .replaceAll('\0', '')
      .trimEnd()
      .split('\n');
    expect(lines).toEqual(Array.from({ length: this.#records }, (_, i) => String(i)));
    expect(this.failures).toEqual([]);
  }
}

function startMaster(id: number, dir: string, address: string, engine: string): Running {
  const masters = [0, 1, 2].map((i) => `  - {id: ${i + 1}, address: "127.0.0.1:${cluster.portBase + i}"}`);
  const { cluster: name } = JSON.parse(readFileSync(join(cluster.dir, 'cairn.json'), 'utf8')) as { cluster: string };
  const file = join(scratch, `master-${id}-${address.replace(':', '-')}.yaml`);
  const node = `node: {id: ${id}, dir: "${dir}", address: "${address}"}`;
  writeFileSync(file, `cluster: ${name}\nengine: ${engine}\nmasters:\n${masters.join('\n')}\n${node}\n`);
  const running = begin(['master', '--config', file]);
  roles.push(running);
  return running;
}

const consensus = (...args: string[]) => run(['consensus', ...args, '--json', '--cluster', cluster.url]);

describe.each(['raft', 'paxos'])('the masters under %s', (engine) => {
  it('hand over leadership, take in, replace and dismiss masters under load, without a failed operation', {
    timeout: 120_000,
  }, async () => {
    cluster = await LocalCluster.start({ program, args: ['--engine', engine] });
    const client = await connect();
    const load = new Load(await connect(), 'load');

    for (const id of [2, 1]) {
      expect(await consensus('transfer', String(id))).toMatchObject({ code: 0, stdout: `{"leader":${id}}\n` });
      expect((await client.status()).leader).toBe(id);
    }

    const address = `127.0.0.1:${cluster.portBase + 5}`;
    const fourth = startMaster(4, join(scratch, `fourth-${engine}`), address, engine);
    await until('it can be added', async () => (await consensus('add', address)).code === 0);
    const grown = await client.status();
    expect(grown.masters.map(({ id, standing }) => [id, standing])).toEqual([
      [1, 'voter'],
      [2, 'voter'],
      [3, 'voter'],
      [4, 'voter'],
    ]);

    // A second one with that id, on another machine as it were.
    const double = startMaster(4, join(scratch, `double-${engine}`), `127.0.0.1:${cluster.portBase + 6}`, engine);
    const { code, stderr } = await double.ended;
    expect([code, stderr]).toEqual([12, expect.stringContaining(`[DUPLICATE_ID] master 4 runs at ${address} already`)]);

    // A disk is lost: another incarnation takes its place.
    rmSync(join(cluster.dir, 'master-2/data'), { recursive: true });
    await cluster.killHard('master', 2);
    await until('it votes again', async () => {
      const second = (await client.status()).masters.find(({ id }) => id === 2);
      return second?.incarnation === 1 && second.standing === 'voter';
    });

    // The leader itself is removed: another leads, its process ends, and is not started again.
    await consensus('transfer', '1');
    expect(await consensus('remove', '1')).toMatchObject({ code: 0, stdout: '{"removed":1}\n' });
    const left = await client.status();
    expect(left.masters.map(({ id }) => id)).toEqual([2, 3, 4]);
    expect(left.leader).not.toBe(1);
    const eventsOf1 = () => readFileSync(join(cluster.dir, 'master-1/events.log'), 'utf8');
    await until('it says why it ends', () => eventsOf1().includes('cairn: [NOT_A_MEMBER]'));

    // Without a second one of the three that are left nobody could decide.
    fourth.child.kill('SIGSTOP');
    await until('it is missed', async () =>
      (await client.status()).masters.some(({ id, role }) => id === 4 && role === 'down'),
    );
    const refused = await consensus('remove', '2');
    expect([refused.code, refused.stderr]).toEqual([7, expect.stringContaining('WOULD_LOSE_QUORUM')]);
    fourth.child.kill('SIGCONT');

    const done = load.operations;
    await until('the load has gone on', () => load.operations > done + 10);
    await load.end();
    expect((await consensus('status')).code).toBe(0);
  });
});
