/** `cairn scrub`: how far the chunkservers' search for damage has come, and with `--now` a search now. */
import { setTimeout as pause } from 'node:timers/promises';
import { CairnError, errorTable } from '../../../core/base/errors.ts';
import type { ServerScrub } from '../../../system/client/scrubbing.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { errorDocument, formatBytes, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { formatTime } from './entries.ts';

/** How often a pass that is waited for is looked at. */
const lookMs = 300;

export async function run(invocation: Invocation): Promise<void> {
  await withCluster(invocation, async (cairn) => {
    const servers = await cairn.scrub({ now: invocation.options.now === true });
    const last = invocation.options.now === true ? await untilOver(cairn, servers) : servers;
    if (invocation.json) for (const server of last) printJson(documentOf(server));
    else print(last);
    if (last.some((server) => server.error === undefined && server.damaged.length > 0))
      process.exitCode = errorTable.DISK_CORRUPT.exit;
    const silent = last.filter(({ error }) => error !== undefined).map(({ server }) => server);
    if (silent.length > 0)
      throw new CairnError(
        'UNAVAILABLE',
        `chunkservers ${silent.join(', ')} could not be asked; start them and try again`,
      );
  });
}

async function untilOver(cairn: Cairn, first: readonly ServerScrub[]): Promise<readonly ServerScrub[]> {
  let servers = first;
  while (servers.some((server) => server.error === undefined && server.isRunning)) {
    showProgress(servers);
    await pause(lookMs);
    servers = await cairn.scrub();
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  return servers;
}

function showProgress(servers: readonly ServerScrub[]): void {
  if (!process.stderr.isTTY) return;
  const sum = (of: (server: Extract<ServerScrub, { error: undefined }>) => number) =>
    servers.reduce((total, server) => total + (server.error === undefined ? of(server) : 0), 0);
  const chunks = `${sum(({ chunks }) => chunks)} of ${sum(({ chunksTotal }) => chunksTotal)} replicas`;
  process.stderr.write(`\r\u001b[K${chunks}, ${formatBytes(sum(({ bytes }) => bytes))}`);
}

function documentOf(server: ServerScrub): object {
  if (server.error !== undefined) return { server: server.server, ...errorDocument(server.error) };
  const { isRunning, startedAt, finishedAt, chunks, chunksTotal, bytes, damaged } = server;
  return {
    server: server.server,
    running: isRunning,
    startedAt: timeOf(startedAt) ?? null,
    finishedAt: timeOf(finishedAt) ?? null,
    chunks,
    chunksTotal,
    bytes,
    damaged,
  };
}

function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function print(servers: readonly ServerScrub[]): void {
  const rows = servers.map((server) =>
    server.error === undefined
      ? [
          server.server,
          stateOf(server),
          `${server.chunks} of ${server.chunksTotal}`,
          formatBytes(server.bytes),
          server.damaged.length,
        ]
      : [server.server, `cannot be asked: ${server.error.code}`, '', '', ''],
  );
  printLine(formatTable(['server', 'state', 'replicas', 'read', 'damaged'], rows));
  for (const server of servers) {
    if (server.error !== undefined) continue;
    for (const { handle, blocks } of server.damaged)
      printLine(
        `server ${server.server}: chunk ${handle}: ${blocks === 0 ? 'its file' : `${blocks} blocks`} damaged; it is copied anew from another server`,
      );
  }
}

function stateOf({ isRunning, startedAt, finishedAt }: Extract<ServerScrub, { error: undefined }>): string {
  if (isRunning) return `since ${formatTime(startedAt ?? 0)}`;
  return finishedAt === undefined ? 'not begun yet' : `ended ${formatTime(finishedAt)}`;
}
