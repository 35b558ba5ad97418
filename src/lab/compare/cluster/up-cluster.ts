/** A whole cluster of Cairn on this machine by `cairn up`, ended with the experiment that started it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CairnError } from '../../../core/base/errors.ts';
import { nodeEnv } from '../../../platform/node/node-env.ts';
import { CairnClient } from '../../../system/client/client.ts';
import { parseClusterUrl } from '../../../system/client/cluster-url.ts';
import { projectRoot } from '../../tool/project-root.ts';
import type { Lab } from '../experiment.ts';
import { until } from '../groups/group.ts';
import { OwnedProcess } from '../process/owned-process.ts';
import type { Scope } from '../scope.ts';

const readyDeadlineMs = 120_000;
/** Servers are killed and machines are busy: an operation is given up late. */
const deadlineMs = 60_000;
/** Each cluster has the ports behind those of the one before: what that leaves behind while it ends is not met. */
const portsEach = 20;
const portSlots = 10;
let nextSlot = 0;
/** `cairn up` gives each of its roles 4 s. */
const stopPatienceMs = 15_000;

export interface UpOptions {
  readonly chunkservers: number;
  /** Default: the program's. */
  readonly engine?: string;
  /** Of cairn.yaml; beside what `up` sets itself. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

interface Started {
  readonly role: 'master' | 'chunkserver';
  readonly id: number;
  readonly pid: number;
}

export class UpCluster {
  readonly directory: string;
  /** Where the masters listen. */
  readonly masters: readonly string[];
  /** For clients. */
  readonly url: string;
  readonly #logFile: string;

  private constructor(directory: string, url: string, logFile: string) {
    this.directory = directory;
    this.masters = url.slice('cairn://'.length).split(',');
    this.url = url;
    this.#logFile = logFile;
  }

  static async start(lab: Lab, scope: Scope, { chunkservers, engine, settings = {} }: UpOptions): Promise<UpCluster> {
    const directory = await lab.directory(scope);
    const data = join(directory, 'data');
    mkdirSync(data);
    const configFile = join(directory, 'cairn.yaml');
    // YAML holds JSON.
    writeFileSync(
      configFile,
      JSON.stringify({ disk: { extra_flush: `${lab.options.extraFlushMs ?? 0}ms` }, ...settings }),
    );
    const base = await freePortBase(lab, chunkservers);
    const up = ['up', '--json', '--dir', data, '--port-base', String(base), '--chunkservers', String(chunkservers)];
    if (engine !== undefined) up.push('--engine', engine);
    const logFile = join(directory, 'up.log');
    // Its roles end when it does: they see the end of the pipe that it holds.
    const supervisor = await OwnedProcess.start(scope, {
      name: 'cairn up',
      command: process.execPath,
      args: [join(projectRoot, 'bin/cairn'), ...up, '--config', configFile],
      logFile,
      stopPatienceMs,
    });
    const cluster = new UpCluster(data, `cairn://${[0, 1, 2].map((i) => `127.0.0.1:${base + i}`).join(',')}`, logFile);
    await until('the cluster is ready', readyDeadlineMs, async () => {
      if (!supervisor.isRunning) throw new Error(`cairn up ended\n${supervisor.lastWords()}`);
      return cluster.#events().some(({ event }) => event === 'ready') ? true : undefined;
    });
    return cluster;
  }

  async connect(scope: Scope): Promise<CairnClient> {
    const client = await CairnClient.start(nodeEnv({ dir: tmpdir() }), parseClusterUrl(this.url), { deadlineMs });
    await scope.add(() => client.close());
    return client;
  }

  /** The process that plays a role now: the last one started. */
  pidOf(role: Started['role'], id: number): number {
    const found = this.#events().findLast(
      (event) => event.event === 'started' && event.role === role && event.id === id,
    );
    if (found === undefined) throw new Error(`there is no ${role} ${id}`);
    return found.pid;
  }

  #events(): (Started & { readonly event: string })[] {
    const lines = readFileSync(this.#logFile, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as Started & { readonly event: string });
  }
}

/** Masters listen from the base on, chunkservers ten behind it. */
async function freePortBase(lab: Lab, chunkservers: number): Promise<number> {
  for (let tried = 0; tried < portSlots; tried++) {
    const base = lab.options.portBase + (nextSlot++ % portSlots) * portsEach;
    const ports = [0, 1, 2, ...Array.from({ length: chunkservers }, (_, i) => 10 + i)].map((offset) => base + offset);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new CairnError(
    'PORT_IN_USE',
    `no free ports for a cluster from ${lab.options.portBase} on; choose another --port-base`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const server = createServer();
    server.once('error', () => settle(false));
    server.listen(port, '127.0.0.1', () => server.close(() => settle(true)));
  });
}
