/** `cairn up`: a whole cluster on this machine, one process a node. */
import { realpathSync } from 'node:fs';
import { basename, delimiter, dirname, relative, resolve } from 'node:path';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import type { ElectorName, EngineName } from '../../../core/consensus/index.ts';
import { lockDirectory } from '../../../platform/node/directory-lock.ts';
import { makeDirectory } from '../../../platform/node/make-directory.ts';
import { portDefault } from '../../../system/client/cluster-url.ts';
import { parseSettings, type Settings } from '../../config/settings.ts';
import { Cairn } from '../../library/client.ts';
import { engineDefault } from '../../roles/engines.ts';
import { engineOfDirectory } from '../../roles/identity.ts';
import { readSettingsFile } from '../../roles/run-role.ts';
import type { Invocation } from '../invocation.ts';
import { errorDocument, formatCount, printJson, printLine, reportError } from '../output.ts';
import { requireFree } from '../up/free.ts';
import { type Layout, type NodePlan, planLayout, writeLayout } from '../up/layout.ts';
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
  readonly masters?: number;
  readonly chunkservers?: number;
  readonly portBase?: number;
  readonly config?: string;
}

export async function run({ options, json }: Invocation): Promise<void> {
  const flags = options as unknown as Flags;
  const settings = settingsOf(flags);
  const dir = resolve(flags.dir);
  makeDirectory(dir);
  const engine = engineOfDirectory(dir, settings.engine) ?? engineDefault;
  const lock = await lockDirectory(dir);
  try {
    const { masters, chunkservers, portBase } = flags;
    const upOptions = { dir, masters, chunkservers, portBase, settings, engine };
    const layout = planLayout(upOptions);
    await requireFree(layout);
    writeLayout(layout, upOptions); // now that it can start
    if (!json) printLine(starting(layout, dir));
    for (const node of layout.leftOut) tellLeftOut(node, json);
    await superviseUntilStopped(layout, json);
  } finally {
    await lock.release();
  }
}

/** What is said on the command line counts more than the file. @throws CairnError CONFIG_INVALID */
function settingsOf({ config, engine, elector }: Flags): Settings {
  const settings = config === undefined ? parseSettings('', 'defaults') : readSettingsFile(config);
  if (settings.masters !== undefined || settings.node !== undefined)
    throw new CairnError(
      'CONFIG_INVALID',
      `${config}: \`cairn up\` names its masters and nodes itself; leave out the keys masters and node, or run each node with \`cairn master\` and \`cairn chunkserver\``,
    );
  return { ...settings, engine: engine ?? settings.engine, elector: elector ?? settings.elector };
}

function starting({ nodes }: Layout, dir: string): string {
  const count = (role: string) => formatCount(nodes.filter((node) => node.role === role).length, role);
  return `starting ${count('master')} and ${count('chunkserver')} in ${dir} …`;
}

function tellLeftOut({ role, id, name, dir }: NodePlan, json: boolean): void {
  if (json) printJson({ event: 'leftOut', role, id });
  else if (role === 'master')
    printLine(`${name} was removed from the cluster and is left out; remove ${dir} when you like`);
  else printLine(`${name} is in this directory too, and is left out; without --chunkservers all are started`);
}

async function superviseUntilStopped(layout: Layout, json: boolean): Promise<void> {
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
    eventsLost: (node, error) => {
      if (json) printJson({ event: 'eventsLost', role: node.role, id: node.id, ...errorDocument(error) });
      else printLine(error.message);
    },
    hopeless: (_node, error) => {
      reportError(error, json);
      stop.abort();
    },
  });
  const signalled = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, signalled);
  // At once: Ctrl-C reaches the nodes too, and those that end of it are not to be started again.
  const stopped = new Promise<void>((done) =>
    stop.signal.addEventListener('abort', () => {
      if (!json) printLine('stopping …');
      done(supervisor.stop());
    }),
  );
  supervisor.start();
  try {
    await announceReady(layout, supervisor, json, stop.signal);
    await stopped;
  } finally {
    stop.abort();
    await stopped;
  }
}

async function announceReady(
  layout: Layout,
  supervisor: Supervisor,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  const missing = await untilReady(layout, signal);
  if (signal.aborted) return;
  supervisor.ready();
  const endpoints = Object.fromEntries(layout.nodes.map((node) => [node.name, node.address]));
  if (json) printJson({ event: 'ready', cluster: layout.url, endpoints, processes: supervisor.processes });
  else printLine(welcome(layout, missing));
}

/**
 * Until writes succeed and the chunkservers are there, or `signal` is aborted.
 * @returns the chunkservers that are missing
 * @throws CairnError UNAVAILABLE, or what the last attempt failed with, if writes do not succeed in time
 */
async function untilReady(layout: Layout, signal: AbortSignal): Promise<readonly NodePlan[]> {
  const chunkservers = layout.nodes.filter(({ role }) => role === 'chunkserver');
  const startedAt = Date.now();
  let why: CairnError | undefined;
  while (!signal.aborted) {
    try {
      const present = await presentServers(layout);
      const missing = chunkservers.filter(({ id }) => !present.has(id));
      why = undefined;
      if (missing.length === 0) return [];
      if (missing.length < chunkservers.length && Date.now() - startedAt > stragglersMs) return missing;
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

/** Commits a command, then looks who is there. @returns ids */
async function presentServers(layout: Layout): Promise<ReadonlySet<number>> {
  const cairn = await Cairn.connect(layout.url, { deadlineMs: attemptMs });
  try {
    if (cairn.clusterId !== layout.cluster)
      throw new CairnError('WRONG_CLUSTER', `${layout.url} is cluster ${cairn.clusterId}; choose another --port-base`);
    await cairn.mkdir('/', { recursive: true });
    const { servers } = await cairn.status();
    return new Set(servers.filter(({ state }) => state !== 'suspect' && state !== 'dead').map(({ id }) => id));
  } finally {
    await cairn.close();
  }
}

function welcome(layout: Layout, missing: readonly NodePlan[]): string {
  const where = layout.nodes.map(
    (node) =>
      `  ${node.name.padEnd(14)} ${node.address.padEnd(22)} ${node.logFile}${missing.includes(node) ? '  (not up yet: look there)' : ''}`,
  );
  const isFound = layout.nodes[0]!.address.endsWith(`:${portDefault}`);
  const program = programAsTyped();
  return [
    '',
    `Cairn is ready: ${layout.url}`,
    ...where,
    '',
    'Try, in another shell:',
    ...(isFound ? [] : [`  export CAIRN_CLUSTER=${layout.url}`]),
    `  echo hello | ${program} append /hello`,
    `  ${program} ls -l /`,
    `  ${program} status`,
    `  ${program} --help`,
    '',
    'Ctrl-C stops it; the data stay.',
  ].join('\n');
}

/** How this program is called from where it was called. */
function programAsTyped(): string {
  const typed = process.argv[1]!;
  const folders = (process.env.PATH ?? '').split(delimiter);
  if (folders.includes(dirname(typed))) return basename(typed);
  const path = relative(process.cwd(), typed);
  return path.startsWith('..') ? typed : `./${path}`;
}
