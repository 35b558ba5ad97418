/**
 * Keeps the processes of a local cluster running: starts them, restarts what dies, stops all. While the cluster comes up, a child that cannot
 * even start once, for a reason that a restart does not cure (port in use, directory of another cluster), ends all with its own error.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { CairnError, errorTable, isErrorCode } from '../../../core/base/errors.ts';
import { withHugePages } from '../../../platform/node/huge-pages.ts';
import { processFlags } from '../../../platform/node/process-flags.ts';
import { boundEventFile } from './event-file.ts';
import type { NodePlan } from './layout.ts';

const restartMinMs = 100;
const restartMaxMs = 5000;
/** A child that has run this long is well: its next restart is immediate again. */
const wellAfterMs = 10_000;
/** A process that has not ended then is killed: any of them may be, at any time. */
const stopPatienceMs = 4000;
const boundEventsEveryMs = 10_000;
const hopeless: ReadonlySet<number> = new Set([errorTable.USAGE.exit, errorTable.PORT_IN_USE.exit]);

export interface Death {
  /** Its signal or exit code, or that it was not started. */
  readonly how: string;
  /** What it said last, if that was an error; else why nobody can know. */
  readonly error: CairnError | undefined;
}

export interface SupervisorEvents {
  started(node: NodePlan, pid: number): void;
  died(node: NodePlan, death: Death, restartInMs: number): void;
  hopeless(node: NodePlan, error: CairnError): void;
  /** It does not belong to the cluster any more: it is not started again. */
  left(node: NodePlan, error: CairnError): void;
  /** The file of its events was too long, and what was in it could not be kept. */
  eventsLost(node: NodePlan, error: CairnError): void;
}

interface Watched {
  readonly node: NodePlan;
  child: ChildProcess | undefined;
  startedAt: number;
  backOffMs: number;
  starts: number;
  restart: NodeJS.Timeout | undefined;
}

export class Supervisor {
  readonly #watched: Watched[];
  readonly #program: string;
  readonly #events: SupervisorEvents;
  #stopping = false;
  #isReady = false;
  #bounding: NodeJS.Timeout | undefined;

  /** `program`: the file that node runs, `bin/cairn`. */
  constructor(nodes: readonly NodePlan[], program: string, events: SupervisorEvents) {
    this.#watched = nodes.map((node) => ({
      node,
      child: undefined,
      startedAt: 0,
      backOffMs: 0,
      starts: 0,
      restart: undefined,
    }));
    this.#program = program;
    this.#events = events;
  }

  get processes(): { role: string; id: number; pid: number }[] {
    return this.#watched.map(({ node, child }) => ({ role: node.role, id: node.id, pid: child?.pid ?? 0 }));
  }

  start(): void {
    for (const watched of this.#watched) this.#spawn(watched);
    this.#bounding = setInterval(() => {
      for (const { node } of this.#watched) this.#boundEvents(node);
    }, boundEventsEveryMs).unref();
  }

  /** The cluster serves: from now on none of its processes ends the others, whatever it ends with. */
  ready(): void {
    this.#isReady = true;
  }

  /** Asks all to end, waits, and kills what does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#bounding);
    await Promise.all(this.#watched.map((watched) => this.#stopOne(watched)));
  }

  #spawn(watched: Watched): void {
    const { node } = watched;
    watched.startedAt = Date.now();
    watched.starts += 1;
    this.#boundEvents(node);
    let log: number;
    try {
      log = openSync(node.logFile, 'a');
    } catch (cause) {
      this.#startLater(watched, { how: 'not started', error: withoutItsFolder(node, cause as Error) });
      return;
    }
    const from = fstatSync(log).size;
    // The pipe on stdin is never written: when this process ends, however it ends, the child sees its end and stops too.
    const env = { ...process.env, CAIRN_SUPERVISED: '1' };
    const child = spawn(process.execPath, [...processFlags, this.#program, node.role, '--config', node.configFile], {
      stdio: ['pipe', log, log],
      env: node.role === 'chunkserver' ? withHugePages(env) : env,
    });
    closeSync(log);
    watched.child = child;
    child.stdin?.on('error', () => {}); // the child is gone: `exit` says so
    child.once('error', (error) => this.#gone(watched, child, error.message, undefined, from));
    child.once('exit', (code, signal) =>
      this.#gone(watched, child, signal ?? `exit code ${code}`, code ?? undefined, from),
    );
    if (child.pid !== undefined) this.#events.started(node, child.pid);
  }

  #boundEvents(node: NodePlan): void {
    try {
      boundEventFile(node.logFile);
    } catch (cause) {
      const why = `${node.logFile} was too long and was cut; what was in it could not be kept: ${(cause as Error).message}`;
      this.#events.eventsLost(node, new CairnError('LOCAL_IO', why, { cause }));
    }
  }

  #gone(watched: Watched, child: ChildProcess, how: string, code: number | undefined, logFrom: number): void {
    if (watched.child !== child) return;
    watched.child = undefined;
    if (this.#stopping) return;
    const error = lastError(watched.node, logFrom);
    if (error?.code === 'NOT_A_MEMBER') {
      this.#events.left(watched.node, error);
      return;
    }
    if (!this.#isReady && watched.starts === 1 && code !== undefined && hopeless.has(code)) {
      this.#events.hopeless(watched.node, error ?? unexplained(watched.node));
      return;
    }
    this.#startLater(watched, { how, error });
  }

  #startLater(watched: Watched, death: Death): void {
    const well = Date.now() - watched.startedAt >= wellAfterMs;
    watched.backOffMs = well || watched.backOffMs === 0 ? restartMinMs : Math.min(restartMaxMs, watched.backOffMs * 2);
    this.#events.died(watched.node, death, watched.backOffMs);
    watched.restart = setTimeout(() => this.#spawn(watched), watched.backOffMs);
  }

  async #stopOne(watched: Watched): Promise<void> {
    clearTimeout(watched.restart);
    const { child } = watched;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const patience = setTimeout(() => child.kill('SIGKILL'), stopPatienceMs);
      child.once('exit', () => {
        clearTimeout(patience);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}

function unexplained(node: NodePlan): CairnError {
  return new CairnError('INTERNAL', `${node.name} cannot start; see ${node.logFile}`);
}

/** The disk of one node may be gone while the others are well. */
function withoutItsFolder(node: NodePlan, cause: Error): CairnError {
  const why = `${node.name} cannot write its events: ${cause.message}; put its directory back; if it is lost, make an empty one and start \`cairn up\` anew`;
  return new CairnError('LOCAL_IO', why, { cause });
}

/** The error line that the child wrote last: `cairn: [CODE] message`; if that cannot be read any more, why not. */
function lastError(node: NodePlan, from: number): CairnError | undefined {
  let written: Buffer;
  try {
    written = readFileSync(node.logFile);
  } catch (cause) {
    const why = `${node.name}: what it said last cannot be read: ${(cause as Error).message}`;
    return new CairnError('LOCAL_IO', why, { cause });
  }
  const said = written.subarray(written.length < from ? 0 : from); // shorter: it has been cut meanwhile
  const lines = said.toString('utf8').trimEnd().split('\n');
  const match = lines.map((line) => /^cairn: \[([A-Z_]+)\] (.*)$/.exec(line)).findLast((found) => found !== null);
  if (match === undefined || match === null || !isErrorCode(match[1]!)) return undefined;
  return new CairnError(match[1], `${node.name}: ${match[2]}`);
}
