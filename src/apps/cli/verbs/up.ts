/** `cairn up`: a whole cluster on this machine, one process a node. */
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { ElectorName, EngineName } from '../../../core/consensus/index.ts';
import { lockDirectory } from '../../../platform/node/directory-lock.ts';
import { parseSettings, type Settings } from '../../config/settings.ts';
import { Cairn } from '../../library/client.ts';
import { engineDefault } from '../../roles/engines.ts';
import { engineOfDirectory, makeDirectory } from '../../roles/identity.ts';
import { readSettingsFile } from '../../roles/run-role.ts';
import type { Invocation } from '../invocation.ts';
import { errorDocument, formatCount, printJson, printLine, reportError } from '../output.ts';
import { requireFree } from '../up/free.ts';
import { type Layout, prepareLayout } from '../up/layout.ts';
import { Supervisor } from '../up/supervisor.ts';

/** The cluster is ready when a command commits and all chunkservers have registered. */
const readyDeadlineMs = 60_000;
/** Once writes succeed, chunkservers that do not come up are waited for so long: one broken disk must not keep the others down. */
const stragglersMs = 15_000;
/** One attempt to reach the cluster while it starts; between two of them Ctrl-C is heard. */
const attemptMs = 1000;
const pollMs = 50;

interface Flags {
  readonly dir: string;
  readonly engine?: EngineName;
  readonly elector?: ElectorName;
  readonly masters: number;
  readonly chunkservers: number;
  readonly portBase: number;
  readonly config?: string;
}

export async function run({ options, json }: Invocation): Promise<void> {
  const flags = options as unknown as Flags;
  const settings = settingsOf(flags);
  const dir = resolve(flags.dir);
  const engine = engineOfDirectory(dir, settings.engine) ?? engineDefault;
  makeDirectory(dir);
  const lock = await lockDirectory(dir);
  try {
    const layout = prepareLayout({ ...flags, dir, settings, engine });
    await requireFree(layout.nodes);
    await superviseUntilStopped(layout, flags, json);
  } finally {
    await lock.release();
  }
}

/** What is said on the command line counts more than the file. */
function settingsOf({ config, engine, elector }: Flags): Settings {
  const settings = config === undefined ? parseSettings('', 'defaults') : readSettingsFile(config);
  return { ...settings, engine: engine ?? settings.engine, elector: elector ?? settings.elector };
}

async function superviseUntilStopped(layout: Layout, flags: Flags, json: boolean): Promise<void> {
  const program = realpathSync(process.argv[1]!); // this very program: bin/cairn
  const stop = new AbortController();
  const supervisor = new Supervisor(layout.nodes, program, {
    started: (node, pid) => json && printJson({ event: 'started', role: node.role, id: node.id, pid }),
    died: (node, { how, error }, restartInMs) => {
      const why = error === undefined ? {} : errorDocument(error);
      if (json) printJson({ event: 'died', role: node.role, id: node.id, how, ...why, restartInMs });
      else
        printLine(
          `${node.name} ended (${error === undefined ? how : `[${error.code}] ${error.message}`}); it is started again in ${restartInMs} ms; see ${node.logFile}`,
        );
    },
    left: (node, error) => {
      if (json) printJson({ event: 'left', role: node.role, id: node.id, ...errorDocument(error) });
      else printLine(`${error.message}; it is not started again`);
    },
    hopeless: (_node, error) => {
      reportError(error, json);
      stop.abort();
    },
  });
  const signalled = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, signalled);
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
    printLine(
      `starting ${formatCount(flags.masters, 'master')} and ${formatCount(flags.chunkservers, 'chunkserver')} in ${resolve(flags.dir)} …`,
    );
  const missing = await untilReady(layout, flags.chunkservers, signal);
  if (signal.aborted) return;
  const endpoints = Object.fromEntries(layout.nodes.map((node) => [node.name, node.address]));
  if (json) printJson({ event: 'ready', cluster: layout.url, endpoints, processes: supervisor.processes });
  else {
    printLine(welcome(layout, flags));
    if (missing > 0)
      printLine(`\nNot up yet: ${formatCount(missing, 'chunkserver')}; what ails it is in its events.log.`);
  }
}

/**
 * Until writes succeed and the chunkservers are there, or `signal` is aborted.
 * @returns how many chunkservers are missing
 * @throws CairnError UNAVAILABLE, or what the last attempt failed with, if writes do not succeed in time
 */
async function untilReady(layout: Layout, chunkservers: number, signal: AbortSignal): Promise<number> {
  const startedAt = Date.now();
  let why: CairnError | undefined;
  while (!signal.aborted) {
    try {
      const missing = chunkservers - (await healthyServers(layout));
      why = undefined;
      if (missing <= 0) return 0;
      if (missing < chunkservers && Date.now() - startedAt > stragglersMs) return missing;
    } catch (thrown) {
      why = toCairnError(thrown);
      if (why.retry === 'never') throw why;
    }
    if (Date.now() - startedAt > readyDeadlineMs)
      throw why ?? new CairnError('UNAVAILABLE', 'no chunkserver came up; look at their events.log below --dir');
    await new Promise((done) => setTimeout(done, pollMs));
  }
  return chunkservers;
}

/** Commits a command, then counts. */
async function healthyServers(layout: Layout): Promise<number> {
  const cairn = await Cairn.connect(layout.url, { deadlineMs: attemptMs });
  try {
    if (cairn.clusterId !== layout.cluster)
      throw new CairnError('WRONG_CLUSTER', `${layout.url} is cluster ${cairn.clusterId}; choose another --port-base`);
    await cairn.mkdir('/', { recursive: true });
    return (await cairn.status()).servers.filter(({ state }) => state === 'healthy').length;
  } finally {
    await cairn.close();
  }
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
