/** `cairn up`: a whole cluster on this machine, one process a node. */
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { CairnError } from '../../../core/base/errors.ts';
import { lockDirectory } from '../../../platform/node/directory-lock.ts';
import { parseSettings, type Settings } from '../../config/settings.ts';
import { Cairn } from '../../library/client.ts';
import { printJson, printLine, reportError } from '../output.ts';
import type { Invocation } from '../program.ts';
import { type Layout, prepareLayout } from '../up/layout.ts';
import { Supervisor } from '../up/supervisor.ts';

/** The cluster is ready when a command commits and all chunkservers have registered. */
const readyDeadlineMs = 60_000;

interface Flags {
  readonly dir: string;
  readonly engine: 'raft' | 'paxos';
  readonly masters: number;
  readonly chunkservers: number;
  readonly portBase: number;
  readonly config?: string;
}

export async function run({ options, json }: Invocation): Promise<void> {
  const flags = options as unknown as Flags;
  const settings = readSettings(flags.config);
  if (flags.engine !== 'raft')
    throw new CairnError('NOT_SUPPORTED', 'this version has the engine raft only; start it with --engine raft');
  const dir = resolve(flags.dir);
  makeDirectory(dir);
  const lock = await lockDirectory(dir);
  try {
    const layout = prepareLayout({ ...flags, dir, settings });
    await superviseUntilStopped(layout, flags, json);
  } finally {
    await lock.release();
  }
}

function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (cause) {
    throw new CairnError('LOCAL_IO', `cannot make ${dir}: ${(cause as Error).message}`, { cause });
  }
}

function readSettings(file: string | undefined): Settings {
  if (file === undefined) return parseSettings('', 'defaults');
  try {
    return parseSettings(readFileSync(file, 'utf8'), file);
  } catch (cause) {
    if (cause instanceof CairnError) throw cause;
    throw new CairnError('CONFIG_INVALID', `cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

async function superviseUntilStopped(layout: Layout, flags: Flags, json: boolean): Promise<void> {
  const program = realpathSync(process.argv[1]!); // this very program: bin/cairn
  const stop = new AbortController();
  const supervisor = new Supervisor(layout.nodes, program, {
    started: (node, pid) => json && printJson({ event: 'started', role: node.role, id: node.id, pid }),
    died: (node, how, restartInMs) => {
      if (json) printJson({ event: 'died', role: node.role, id: node.id, how, restartInMs });
      else printLine(`${node.name} ended (${how}); it is started again in ${restartInMs} ms; see ${node.logFile}`);
    },
    hopeless: (_node, error) => {
      reportError(error, json);
      stop.abort();
    },
  });
  const signalled = () => stop.abort();
  process.once('SIGINT', signalled);
  process.once('SIGTERM', signalled);
  supervisor.start();
  try {
    await announceReady(layout, supervisor, flags, json, stop.signal);
    if (!stop.signal.aborted) await new Promise<void>((done) => stop.signal.addEventListener('abort', () => done()));
  } finally {
    if (!json) printLine('stopping …');
    await supervisor.stop();
  }
}

async function announceReady(
  layout: Layout,
  supervisor: Supervisor,
  flags: Flags,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (!json)
    printLine(`starting ${flags.masters} masters and ${flags.chunkservers} chunkservers in ${resolve(flags.dir)} …`);
  const cairn = await Cairn.connect(layout.url, { deadlineMs: readyDeadlineMs });
  try {
    await Promise.race([ready(cairn, flags.chunkservers), aborted(signal)]);
  } finally {
    await cairn.close();
  }
  if (signal.aborted) return;
  const endpoints = Object.fromEntries(layout.nodes.map((node) => [node.name, node.address]));
  if (json) printJson({ event: 'ready', cluster: layout.url, endpoints, processes: supervisor.processes });
  else printLine(welcome(layout, flags));
}

async function ready(cairn: Cairn, chunkservers: number): Promise<void> {
  const until = Date.now() + readyDeadlineMs;
  await cairn.mkdir('/', { recursive: true });
  for (;;) {
    const status = await cairn.status();
    if (status.servers.filter((server) => server.state === 'healthy').length >= chunkservers) return;
    if (Date.now() > until)
      throw new CairnError('UNAVAILABLE', 'not all chunkservers came up; look at their events.log below --dir');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

function welcome(layout: Layout, flags: Flags): string {
  const where = layout.nodes.map((node) => `  ${node.name.padEnd(14)} ${node.address.padEnd(22)} ${node.logFile}`);
  const flag = flags.portBase === 7070 ? '' : ` --cluster ${layout.url}`;
  return [
    '',
    `Cairn is ready: ${layout.url}`,
    ...where,
    '',
    'Try, in another shell:',
    `  ./bin/cairn put -r docs /docs${flag}`,
    `  ./bin/cairn ls -l /docs${flag}`,
    `  ./bin/cairn status${flag}`,
    '',
    'Ctrl-C stops it; the data stay.',
  ].join('\n');
}
