/** `cairn scrub`: how far the chunkservers' search for damage has come, and with `--now` a search now. */
import { setTimeout as pause } from 'node:timers/promises';
import { CairnError, errorTable } from '../../../core/base/errors.ts';
import { defaultSettings } from '../../../system/client/limits.ts';
import type { ServerScrub } from '../../../system/client/scrubbing.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { errorDocument, formatBytes, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { formatTime } from './entries.ts';

/** How often a pass that is waited for is looked at. */
const lookMs = 300;

type Answer = Extract<ServerScrub, { error: undefined }>;
/** What was found is told also of a server that cannot be asked any more. */
type Found = ServerScrub & Pick<Answer, 'damaged'>;

export async function run(invocation: Invocation): Promise<void> {
  const { options, json, deadlineMs = defaultSettings.deadlineMs } = invocation;
  await withCluster(invocation, async (cairn) => {
    const servers = options.now === true ? await searchAll(cairn, deadlineMs) : (await cairn.scrub()).map(foundBy);
    if (json) for (const server of servers) printJson(documentOf(server));
    else print(servers);
    if (servers.some(({ damaged }) => damaged.length > 0)) process.exitCode = errorTable.DISK_CORRUPT.exit;
    const silent = servers.filter(({ error }) => error !== undefined).map(({ server }) => server);
    if (silent.length > 0)
      throw new CairnError(
        'UNAVAILABLE',
        `chunkservers ${silent.join(', ')} could not be asked; start them and try again`,
      );
  });
}

function foundBy(server: ServerScrub): Found {
  return server.error === undefined ? server : { ...server, damaged: [] };
}

/** Until each server has looked at all it has, or could not be asked for `patienceMs`. */
async function searchAll(cairn: Cairn, patienceMs: number): Promise<readonly Found[]> {
  const searches = new Map<number, Search>();
  for (let looked = await cairn.scrub({ now: true }); ; looked = await cairn.scrub()) {
    for (const one of looked) if (!searches.has(one.server)) searches.set(one.server, new Search(one));
    await Promise.all(looked.map((one) => searches.get(one.server)!.look(one)));
    const all = [...searches.values()];
    if (all.every(({ isOver, silentMs }) => isOver || silentMs > patienceMs)) break;
    showProgress(all.map(({ found }) => found));
    await pause(lookMs);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  return [...searches.values()].map(({ found }) => found);
}

/** The search of one server. A restart may cut its pass short, and forget it: then it is told to search once more. */
class Search {
  isOver = false;
  #last: ServerScrub;
  /** When the pass began whose end is waited for. */
  #since: number | undefined;
  #heardAt = Date.now();
  readonly #damaged = new Map<number, Found['damaged'][number]>();

  /** @param begun its answer to being told to search */
  constructor(begun: ServerScrub) {
    this.#last = begun;
    this.#begun(begun);
  }

  get silentMs(): number {
    return Date.now() - this.#heardAt;
  }

  get found(): Found {
    return { ...this.#last, damaged: [...this.#damaged.values()] };
  }

  async look(server: ServerScrub): Promise<void> {
    if (this.isOver) return;
    const last = this.#last;
    this.#note(server);
    if (server.error !== undefined) return;
    this.isOver = hasEnded(server, this.#since);
    const goesOn = last.error === undefined && server.chunks >= last.chunks; // else nobody hurries it any more
    const isUnderWay = goesOn && server.isRunning && server.startedAt === this.#since;
    if (!this.isOver && !isUnderWay) this.#begun(await server.begin());
  }

  #begun(server: ServerScrub): void {
    this.#note(server);
    this.#since = server.error === undefined && server.isRunning ? server.startedAt : undefined;
  }

  #note(server: ServerScrub): void {
    this.#last = server;
    if (server.error !== undefined) return;
    this.#heardAt = Date.now();
    for (const one of server.damaged) this.#damaged.set(one.handle, one);
  }
}

/** Whether the pass that began then has come to its end, or a later one. */
function hasEnded({ isRunning, startedAt = 0, finishedAt = 0 }: Answer, since: number | undefined): boolean {
  return !isRunning && since !== undefined && startedAt >= since && finishedAt >= startedAt;
}

function showProgress(servers: readonly ServerScrub[]): void {
  if (!process.stderr.isTTY) return;
  const sum = (of: (server: Answer) => number) =>
    servers.reduce((total, server) => total + (server.error === undefined ? of(server) : 0), 0);
  const chunks = `${sum(({ chunks }) => chunks)} of ${sum(({ chunksTotal }) => chunksTotal)} replicas`;
  process.stderr.write(`\r\u001b[K${chunks}, ${formatBytes(sum(({ bytes }) => bytes))}`);
}

function documentOf(found: Found): object {
  const { server, damaged } = found;
  if (found.error !== undefined)
    return { server, ...errorDocument(found.error), ...(damaged.length === 0 ? {} : { damaged }) };
  const { isRunning, startedAt, finishedAt, chunks, chunksTotal, bytes } = found;
  return {
    server,
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

function print(servers: readonly Found[]): void {
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
  for (const { server, damaged } of servers)
    for (const { handle, blocks } of damaged)
      printLine(
        `server ${server}: chunk ${handle}: ${blocks === 0 ? 'its file' : `${blocks} blocks`} damaged; it is copied anew from another server`,
      );
}

function stateOf({ isRunning, startedAt, finishedAt }: Answer): string {
  if (isRunning) return `since ${formatTime(startedAt ?? 0)}`;
  return finishedAt === undefined ? 'not begun yet' : `ended ${formatTime(finishedAt)}`;
}
