/** `cairn fsck`: what is wrong with the chunks of files, and with `--regions` what the replicas of one file say. */
import { CairnError, type ErrorCode, errorTable } from '../../../core/base/errors.ts';
import type { ChunkFinding, FsckSummary } from '../../../system/client/fsck.ts';
import type { Region } from '../../../system/client/regions.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatCount, formatName, printJson, printLine, reportError } from '../output.ts';
import { withCluster } from './connect.ts';
import { telling } from './each.ts';
import { writeJson, writeLine } from './stdout.ts';

export async function run(invocation: Invocation): Promise<void> {
  const [path = '/'] = invocation.args as [string?];
  const { regions } = invocation.options;
  if (regions !== undefined && invocation.args.length > 0)
    throw new CairnError('USAGE', 'with --regions FILE there is no other path; see `cairn fsck --help`');
  await withCluster(invocation, async (cairn) => {
    if (typeof regions === 'string') return showRegions(cairn, regions, invocation.json);
    const onFinding = (finding: ChunkFinding): Promise<void> =>
      invocation.json ? writeJson({ event: 'finding', ...finding }) : writeLine(describe(finding));
    const summary = await cairn.fsck(path, { onFinding, onUnreached: telling(invocation) });
    if (invocation.json) printJson({ event: 'summary', ...summary });
    else printLine(summed(summary));
    if (summary.lost + summary.divergent > 0) process.exitCode = errorTable.DATA_LOST.exit;
    else if (summary.short > 0) process.exitCode = errorTable.UNAVAILABLE.exit;
  });
}

async function showRegions(cairn: Cairn, path: string, json: boolean): Promise<void> {
  if ((await cairn.stat(path)).isDirectory())
    throw new CairnError('IS_A_DIRECTORY', `${path}: is a directory; name a file`);
  let exit = 0;
  let last: Region['handle'] | undefined;
  for await (const { from, to, state, handle, read, unread } of cairn.regions(path)) {
    if (json) await writeJson({ from, to, state, handle, read, unread });
    else await writeLine(`${String(from).padStart(12)} ${String(to).padStart(12)}  ${state}`);
    const tell = (code: ErrorCode, what: string) =>
      reportError(new CairnError(code, `${path}: ${what}; \`cairn fsck\` tells more`), json, path);
    if (handle !== last)
      for (const { server, code } of unread) tell(code, `server ${server} did not give its replica of chunk ${handle}`);
    last = handle;
    if (read === 0) {
      tell('DATA_LOST', `no replica of chunk ${handle} gave bytes ${from} to ${to}`);
      exit = errorTable.DATA_LOST.exit;
    } else if (unread.length > 0 && exit === 0) exit = errorTable.UNAVAILABLE.exit;
  }
  process.exitCode = exit;
}

const words = { lost: 'lost', divergent: 'its replicas differ', short: 'too few replicas' } as const;

function describe({ path, problem, handle, firstByte, lengthBytes, replicas }: ChunkFinding): string {
  const where = replicas.map(({ server, condition }) => `server ${server} ${condition}`).join(', ');
  return `${formatName(path)}: bytes ${firstByte} to ${firstByte + lengthBytes}: ${words[problem]} (chunk ${handle}: ${where})`;
}

function summed({ files, directories, chunks, lost, divergent, short, unreached }: FsckSummary): string {
  const seen = `${formatCount(files, 'file')}, ${formatCount(directories, 'directory', 'directories')}, ${formatCount(chunks, 'chunk')}`;
  const rest = unreached === 0 ? '' : `; ${unreached} could not be reached`;
  if (lost + divergent + short === 0) return `${seen}: all well${rest}`;
  return `${seen}: ${lost} lost, ${divergent} with replicas that differ, ${short} with too few${rest}`;
}
