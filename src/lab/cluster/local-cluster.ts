/**
 * A real cluster for experiments and end-to-end tests: `cairn up` as a child process in a directory of its own, its processes known by
 * role and pid so that they can be killed and stopped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface ClusterProcess {
  readonly role: 'master' | 'chunkserver';
  readonly id: number;
  readonly pid: number;
}

export interface LocalClusterOptions {
  /** `bin/cairn` of this project. */
  readonly program: string;
  /** Default: a new directory below the system's temporary one, removed by `stop`. */
  readonly dir?: string;
  readonly masters?: number;
  readonly chunkservers?: number;
  readonly portBase?: number;
  /** Extra arguments of `up`. */
  readonly args?: readonly string[];
}

const readyDeadlineMs = 60_000;

/** They end with this process, whatever ends it but SIGKILL; see `exitWhenInterrupted`. */
const running = new Set<LocalCluster>();

function endAll(): void {
  for (const cluster of running) cluster.endAtOnce();
}

/** For programs that start clusters: an interrupt ends them by way of `exit`, and their clusters with them. */
export function exitWhenInterrupted(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

export class LocalCluster {
  readonly dir: string;
  readonly url: string;
  readonly portBase: number;
  readonly #child: ChildProcess;
  readonly #removeDir: boolean;
  readonly #processes = new Map<string, ClusterProcess>();
  readonly #watchers = new Set<() => void>();

  private constructor(child: ChildProcess, dir: string, removeDir: boolean, url: string, portBase: number) {
    this.#child = child;
    this.dir = dir;
    this.#removeDir = removeDir;
    this.url = url;
    this.portBase = portBase;
    if (running.size === 0) process.once('exit', endAll);
    running.add(this);
    child.once('exit', () => {
      running.delete(this);
      if (running.size === 0) process.off('exit', endAll);
    });
  }

  /** Starts it and waits until writes succeed. Rejects with what it printed if it does not come up. */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'cairn-'));
    const portBase = options.portBase ?? (await freePortBase());
    const masters = options.masters ?? 3;
    const args = ['up', '--json', '--dir', dir, '--port-base', String(portBase), '--masters', String(masters)];
    args.push('--chunkservers', String(options.chunkservers ?? 3), ...(options.args ?? []));
    const child = spawn(process.execPath, [options.program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4000);
    });
    const url = `cairn://${Array.from({ length: masters }, (_, i) => `127.0.0.1:${portBase + i}`).join(',')}`;
    const cluster = new LocalCluster(child, dir, options.dir === undefined, url, portBase);
    await cluster.#untilReady(() => errors);
    return cluster;
  }

  get supervisorPid(): number {
    return this.#child.pid!;
  }

  get processes(): readonly ClusterProcess[] {
    return [...this.#processes.values()];
  }

  process(role: ClusterProcess['role'], id: number): ClusterProcess {
    const found = this.#processes.get(`${role}-${id}`);
    if (found === undefined) throw new Error(`there is no ${role} ${id}`);
    return found;
  }

  /** kill -9, at once. Resolves when the supervisor has started a successor. */
  async killHard(role: ClusterProcess['role'], id: number): Promise<void> {
    const { pid } = this.process(role, id);
    process.kill(pid, 'SIGKILL');
    while (this.process(role, id).pid === pid) await new Promise<void>((resolve) => this.#watchers.add(resolve));
  }

  /** kill -9 of the supervisor and all its processes; the directory stays. */
  async killAll(): Promise<void> {
    const ended = this.#ended();
    process.kill(this.supervisorPid, 'SIGKILL');
    for (const { pid } of this.processes) killIfThere(pid);
    await ended;
  }

  /** In one turn, for a process that ends: its supervisor and all its processes are killed, a directory of ours is removed. */
  endAtOnce(): void {
    killIfThere(this.supervisorPid);
    for (const { pid } of this.processes) killIfThere(pid);
    if (this.#removeDir) rmSync(this.dir, { recursive: true, force: true });
  }

  /** Ctrl-C. */
  async stop(): Promise<void> {
    const ended = this.#ended();
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await ended;
    if (this.#removeDir) rmSync(this.dir, { recursive: true, force: true });
  }

  #ended(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => this.#child.once('exit', () => resolve()));
  }

  #untilReady(errors: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail('it was not ready in time'), readyDeadlineMs);
      const fail = (why: string): void => {
        clearTimeout(timer);
        this.#child.kill('SIGKILL');
        reject(new Error(`the cluster in ${this.dir} did not start: ${why}\n${errors()}`));
      };
      const ended = (code: number | null): void => fail(`it ended with code ${code}`);
      this.#child.once('exit', ended);
      createInterface({ input: this.#child.stdout! }).on('line', (line) => {
        const event = JSON.parse(line) as { event: string } & ClusterProcess;
        if (event.event === 'started') this.#note(event);
        if (event.event !== 'ready') return;
        clearTimeout(timer);
        this.#child.off('exit', ended);
        resolve();
      });
    });
  }

  #note({ role, id, pid }: ClusterProcess): void {
    this.#processes.set(`${role}-${id}`, { role, id, pid });
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * A base such that the ports a cluster of usual size takes are free just now. Below those that the system gives to outgoing connections, one
 * of which could take a port between the look and the use.
 */
export async function freePortBase(): Promise<number> {
  for (;;) {
    const base = 20_000 + Math.floor(Math.random() * 120) * 100;
    const ports = [0, 1, 2, 10, 11, 12, 13].map((offset) => base + offset);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
