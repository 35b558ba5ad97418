/**
 * A process that an experiment starts. It ends with the experiment's scope, and with the lab itself however that ends: the kernel kills it
 * when its parent dies.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { processFlags } from '../../../platform/node/process-flags.ts';
import { processProgram } from '../../tool/project-root.ts';
import type { Scope } from '../scope.ts';

const lastWordsBytes = 2000;
/** A profile of some minutes is written in this time. */
const profilePatienceMs = 10_000;

export interface ProcessPlan {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** stdout and stderr go there. */
  readonly logFile: string;
  /** The network namespace it lives in, by name. Needs root. */
  readonly namespace?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A channel for messages, for programs that run Node. */
  readonly ipc?: boolean;
  /** It is asked to end, so that it can put away what it has, and killed after so long. Absent: it is killed at once. */
  readonly stopPatienceMs?: number;
}

export class OwnedProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly #logFile: string;
  /** Resolves when it has ended, whoever ended it. */
  readonly ended: Promise<void>;
  #expected = false;

  private constructor(plan: ProcessPlan, child: ChildProcess) {
    this.name = plan.name;
    this.child = child;
    this.#logFile = plan.logFile;
    this.ended = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }

  static async start(scope: Scope, plan: ProcessPlan): Promise<OwnedProcess> {
    const log = openSync(plan.logFile, 'a');
    const inside = plan.namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${plan.namespace}`];
    const [command, ...args] = [...inside, 'setpriv', '--pdeathsig', 'KILL', plan.command, ...plan.args];
    const child = spawn(command!, args, {
      stdio: plan.ipc === true ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      env: { ...process.env, ...plan.env },
      serialization: 'advanced',
    });
    closeSync(log);
    const owned = new OwnedProcess(plan, child);
    await scope.add(() => (plan.stopPatienceMs === undefined ? owned.kill() : owned.stop(plan.stopPatienceMs)));
    return owned;
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error(`${this.name} could not be started\n${this.lastWords()}`);
    return pid;
  }
  get isRunning(): boolean {
    return this.child.pid !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    this.#expected = true;
    if (this.isRunning) this.child.kill('SIGKILL');
    await this.ended;
  }

  /** SIGTERM; SIGKILL if it has not ended in time. */
  async stop(patienceMs: number): Promise<void> {
    this.#expected = true;
    if (!this.isRunning) return;
    const patience = setTimeout(() => this.child.kill('SIGKILL'), patienceMs);
    this.child.kill('SIGTERM');
    await this.ended;
    clearTimeout(patience);
  }

  /** Rejects when the process ends unasked. */
  async failure(): Promise<never> {
    await this.ended;
    if (this.#expected) return new Promise(() => {}); // its owner knows
    const { exitCode, signalCode } = this.child;
    throw new Error(`${this.name} ended by itself (${signalCode ?? `exit code ${exitCode}`})\n${this.lastWords()}`);
  }

  lastWords(): string {
    return readFileSync(this.#logFile).subarray(-lastWordsBytes).toString('utf8');
  }
}

/** Node on one of the lab's own roles (see main.ts), as `cairn up` starts its processes. */
export function nodePlan(
  role: string,
  plan: Omit<ProcessPlan, 'command' | 'args' | 'ipc'>,
  profileDir?: string,
): ProcessPlan {
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  const args = [...processFlags, '--enable-source-maps', ...profile, processProgram, role];
  return {
    ...plan,
    command: process.execPath,
    args,
    ipc: true,
    ...(profileDir === undefined ? {} : { stopPatienceMs: profilePatienceMs }),
  };
}
