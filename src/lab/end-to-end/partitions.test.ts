/**
 * Masters as real processes, each in a network of its own, while they are killed and cut off from each other: what clients saw must be
 * explained by one order of all that they did. Names are made, removed and looked for: each tells exactly what it found.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toCairnError } from '../../core/base/errors.ts';
import { nodeEnv } from '../../platform/node/node-env.ts';
import { CairnClient } from '../../system/client/client.ts';
import { parseClusterUrl } from '../../system/client/cluster-url.ts';
import { Mesh } from '../compare/network/mesh.ts';
import { Scope } from '../compare/scope.ts';
import {
  checkLinearizable,
  impossible,
  type Operation,
  type SequentialModel,
} from '../simulator/linearizability/checker.ts';
import { program, until } from './command-line.test-support.ts';

const isRoot = process.getuid?.() === 0 && existsSync('/usr/sbin/ip');
const hosts = ['m1', 'm2', 'm3'] as const;
const port = 7070;
const workers = 5;
const names = 4;

interface Input {
  readonly kind: 'make' | 'remove' | 'look';
  readonly name: number;
}
/** Whether the name was there. */
type Output = boolean;

const nameModel: SequentialModel<Input, Output, boolean> = {
  initial: false,
  partOf: ({ name }) => name,
  keyOf: (state) => Number(state),
  step(state, { kind }, output) {
    if (output !== undefined && output !== state) return impossible;
    return kind === 'look' ? state : kind === 'make';
  },
};

class Masters {
  readonly #processes = new Map<string, ChildProcess>();
  readonly #mesh: Mesh;
  readonly #dir: string;
  readonly #engine: string;

  constructor(mesh: Mesh, dir: string, engine: string) {
    this.#mesh = mesh;
    this.#dir = dir;
    this.#engine = engine;
  }

  get addresses(): string[] {
    return hosts.map((host) => `${this.#mesh.host(host).address}:${port}`);
  }

  start(host: (typeof hosts)[number]): void {
    const id = hosts.indexOf(host) + 1;
    const masters = this.addresses.map((address, i) => `  - {id: ${i + 1}, address: "${address}"}`).join('\n');
    const file = join(this.#dir, `${host}.yaml`);
    const node = `node: {id: ${id}, dir: "${join(this.#dir, host)}"}`;
    writeFileSync(file, `cluster: parted\nengine: ${this.#engine}\nmasters:\n${masters}\n${node}\n`);
    const enter = `--net=/run/netns/${this.#mesh.host(host).namespace}`;
    const child = spawn('nsenter', [enter, process.execPath, program, 'master', '--config', file], { stdio: 'ignore' });
    this.#processes.set(host, child);
  }

  async kill(host: (typeof hosts)[number]): Promise<void> {
    const child = this.#processes.get(host)!;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

/** Works until it is told to stop, and writes down what it saw. */
class Worker {
  readonly history: Operation<Input, Output>[] = [];
  readonly unexpected: string[] = [];
  isOver = false;
  readonly #client: CairnClient;
  readonly #number: number;
  #turn = 0;

  constructor(client: CairnClient, number: number) {
    this.#client = client;
    this.#number = number;
  }

  async run(): Promise<void> {
    while (!this.isOver) {
      this.#turn += 1;
      const kind = (['make', 'look', 'remove', 'look'] as const)[(this.#turn + this.#number) % 4]!;
      await this.#attempt({ kind, name: (this.#turn * 7 + this.#number) % names });
    }
  }

  async #attempt(input: Input): Promise<void> {
    const invokedAt = performance.now();
    const note = (returned: Operation<Input, Output>['returned']) =>
      this.history.push({ client: this.#number, invokedAt, returned, input });
    try {
      const output = await this.#ask(input);
      note({ at: performance.now(), output });
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.retry === 'unknown') note(undefined);
      else if (error.code !== 'NO_QUORUM') this.unexpected.push(`${error.code}: ${error.message}`);
      // else it surely did not happen: if it did, others will have seen what nobody did
    }
  }

  async #ask({ kind, name }: Input): Promise<Output> {
    const path = `/name-${name}`;
    if (kind === 'make') return !(await happens(this.#client.mkdir(path), 'EXISTS'));
    if (kind === 'remove') return happens(this.#client.rm(path, { recursive: true }), 'NOT_FOUND');
    return happens(this.#client.stat(path), 'NOT_FOUND');
  }
}

/** False if it was refused with the code. */
async function happens(call: Promise<unknown>, refusal: string): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (thrown) {
    if (toCairnError(thrown).code === refusal) return false;
    throw thrown;
  }
}

describe('the claim', () => {
  const told = (at: number, kind: Input['kind'], output: Output): Operation<Input, Output> => ({
    ...{ client: 0, invokedAt: at, returned: { at: at + 1, output }, input: { kind, name: 0 } },
  });

  it('fails when a name that was made is not there, or is made twice', () => {
    const lost = [told(0, 'make', false), told(2, 'look', false)];
    const twice = [told(0, 'make', false), told(2, 'make', false)];
    for (const history of [lost, twice]) expect(checkLinearizable(nameModel, history).kind).toBe('violation');
    expect(checkLinearizable(nameModel, [told(0, 'make', false), told(2, 'remove', true)]).kind).toBe('linearizable');
  });
});

describe.skipIf(!isRoot)('masters that are killed and cut off (needs root, for networks of their own)', () => {
  let scope: Scope;
  let dir: string;
  let mesh: Mesh;
  beforeEach(async () => {
    scope = new Scope();
    dir = mkdtempSync(join(tmpdir(), 'cairn-parted-'));
    mesh = await Mesh.make(scope, hosts);
  }, 20_000);
  afterEach(async () => {
    await scope.close();
    rmSync(dir, { recursive: true, force: true });
  }, 20_000);

  async function connect(masters: Masters): Promise<CairnClient> {
    const env = nodeEnv({ dir });
    const url = `cairn://${masters.addresses.join(',')}`;
    const client = await CairnClient.start(env, parseClusterUrl(url), { deadlineMs: 15_000 });
    await scope.add(() => client.close());
    return client;
  }

  it.each(['raft', 'paxos'])(
    'under %s look to their clients like one that never fails',
    {
      timeout: 90_000,
    },
    async (engine) => {
      const masters = new Masters(mesh, dir, engine);
      for (const host of hosts) {
        masters.start(host);
        await scope.add(() => masters.kill(host));
      }
      const watcher = await connect(masters);
      await until('one leads', () => happens(watcher.stat('/'), 'NO_QUORUM'));
      const clients = await Promise.all(Array.from({ length: workers }, () => connect(masters)));
      const work = clients.map((client, number) => new Worker(client, number));
      const over = Promise.all(work.map((worker) => worker.run()));
      const leader = async () => hosts[(await watcher.status()).leader! - 1]!;
      const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

      await pass(300);
      const first = await leader();
      mesh.isolate(first, hosts); // it still hears its clients
      await pass(1200);
      mesh.heal();
      const second = await leader();
      await masters.kill(second);
      await pass(700);
      masters.start(second);
      const third = await leader();
      for (const host of hosts) if (host !== third) mesh.cutOneWay(host, third); // it is heard, and hears nobody
      await pass(1200);
      mesh.heal();
      await watcher.status();
      await pass(300);
      for (const worker of work) worker.isOver = true;
      await over;

      const history = work.flatMap((worker) => worker.history);
      expect(work.flatMap((worker) => worker.unexpected)).toEqual([]);
      expect(history.filter(({ returned }) => returned !== undefined).length).toBeGreaterThan(200);
      expect(checkLinearizable(nameModel, history)).toMatchObject({ kind: 'linearizable' });
    },
  );
});
