/** `cairn get`: files and trees out of the cluster. */
import { closeSync, openSync, renameSync, rmSync, type Stats } from 'node:fs';
import { link, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { makeDirectory } from '../../../platform/node/make-directory.ts';
import { wasCut } from '../../../system/client/failures.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { withCluster } from './connect.ts';
import { type CopyItem, copyAll, localError, type Skipped } from './copying.ts';
import { baseName, joinPath } from './entries.ts';
import { fetchLarge, largeBytes } from './fetch-large.ts';
import { takingBack } from './interrupt.ts';
import type { Progress } from './progress.ts';
import { writeOut } from './stdout.ts';

interface Flags {
  readonly recursive?: boolean;
  readonly replace: boolean;
  readonly parallel: number;
}

interface Plan {
  readonly files: CopyItem[];
  readonly skipped: Skipped[];
}

export async function run(invocation: Invocation): Promise<void> {
  const flags = invocation.options as unknown as Flags;
  const sources = invocation.args.slice(0, -1);
  const target = invocation.args.at(-1)!;
  if (sources.length === 0) throw new CairnError('USAGE', 'say what to copy and where to: `cairn get PATH… LOCAL`');
  await withCluster(invocation, async (cairn) => {
    if (target === '-') return getToStdout(cairn, sources);
    const { files, skipped } = await planAll(cairn, sources, target, flags);
    await copyAll(files, skipped, { parallel: flags.parallel, json: invocation.json }, (item, progress) =>
      getFile(cairn, item, flags, progress),
    );
  });
}

async function getToStdout(cairn: Cairn, sources: readonly string[]): Promise<void> {
  for (const path of sources) {
    const file = await cairn.open(path, 'r');
    try {
      for await (const piece of file.readStream()) await writeOut(piece);
    } finally {
      await file.close();
    }
  }
}

async function planAll(cairn: Cairn, sources: readonly string[], target: string, flags: Flags): Promise<Plan> {
  const plan: Plan = { files: [], skipped: [] };
  const into = (await statLocal(target))?.isDirectory() === true;
  if (!into && target.endsWith('/') && flags.recursive !== true)
    throw new CairnError('LOCAL_IO', `there is no directory ${target}; make it first`);
  if (sources.length > 1 && !into)
    throw new CairnError('LOCAL_IO', `${target} is not a directory; several sources need one to go to`);
  for (const source of sources) {
    const to = into ? join(target, baseName(source)) : target;
    const stats = await cairn.stat(source);
    if (stats.isFile()) plan.files.push({ from: source, to, size: stats.size });
    else if (flags.recursive === true) await planTree(cairn, source, to, plan);
    else throw new CairnError('USAGE', `${source} is a directory; copy it with -r`);
  }
  return plan;
}

/** A directory that cannot be listed, as it has gone away or its path is too long, is told at the end: the rest is copied. */
async function planTree(cairn: Cairn, source: string, to: string, plan: Plan): Promise<void> {
  makeDirectory(to);
  const directories: string[] = [];
  try {
    for await (const { name, kind, stats } of cairn.entries(source, { withAttributes: true })) {
      if (kind === 'directory') directories.push(name);
      else plan.files.push({ from: joinPath(source, name), to: join(to, name), size: stats!.size });
    }
  } catch (thrown) {
    const why = toCairnError(thrown);
    if (why.retry !== 'never') throw why;
    plan.skipped.push({ path: source, why });
  }
  for (const name of directories) await planTree(cairn, joinPath(source, name), join(to, name), plan);
}

/** Follows links. Undefined if nothing is there. */
async function statLocal(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw localError(path, 'read', cause);
  }
}

async function getFile(cairn: Cairn, item: CopyItem, flags: Flags, progress: Progress): Promise<number> {
  const there = await statLocal(item.to);
  if (there !== undefined && !flags.replace) throw localError(item.to, 'write', { code: 'EEXIST' });
  if (there?.isDirectory() === true) throw localError(item.to, 'write', { code: 'EISDIR' });
  try {
    // A device or a pipe, /dev/null say, is written to; a file is replaced, where it really is if a link leads there.
    if (there !== undefined && !there.isFile()) return await fetchInto(cairn, item.from, item.to, there, progress);
    const target = there === undefined ? item.to : await realpath(item.to);
    return await fetchWhole(cairn, item.from, target, there, flags, progress);
  } catch (cause) {
    throw localError(item.to, 'write', cause);
  }
}

let unfinishedFiles = 0;

/** Into a file beside the target that takes its name when it is whole: what is under that name is never half a file. */
async function fetchWhole(
  cairn: Cairn,
  from: string,
  to: string,
  there: Stats | undefined,
  flags: Flags,
  progress: Progress,
): Promise<number> {
  const unfinished = join(dirname(to), `.get-${process.pid}-${unfinishedFiles++}`);
  return takingBack(
    () => rmSync(unfinished, { force: true }),
    async () => {
      // In this turn: none can come into being when it has been taken back. What is replaced may be for its owner alone.
      closeSync(openSync(unfinished, 'w', there === undefined ? 0o666 : 0o600));
      try {
        const bytes = await fetchInto(cairn, from, unfinished, there, progress);
        if (flags.replace) await rename(unfinished, to);
        else await takeFreeName(unfinished, to);
        return bytes;
      } finally {
        await rm(unfinished, { force: true });
      }
    },
  );
}

/** What `link` says on a file system that has none. */
const noLinks: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Fails if a file has come there meanwhile. */
async function takeFreeName(unfinished: string, to: string): Promise<void> {
  try {
    await link(unfinished, to);
  } catch (cause) {
    if (!noLinks.has((cause as NodeJS.ErrnoException).code)) throw cause;
    renameToFree(unfinished, to);
  }
}

/** In one turn, so that no interrupt leaves the empty file that holds the name. */
function renameToFree(unfinished: string, to: string): void {
  closeSync(openSync(to, 'wx'));
  try {
    renameSync(unfinished, to);
  } catch (cause) {
    rmSync(to, { force: true });
    throw cause;
  }
}

/**
 * @param to an empty file, or the device or pipe that is written to
 * @param there the file that is replaced; the new one is as accessible. Or that device or pipe.
 */
async function fetchInto(
  cairn: Cairn,
  from: string,
  to: string,
  there: Stats | undefined,
  progress: Progress,
): Promise<number> {
  const isFile = there?.isFile() !== false;
  const remote = await cairn.open(from, 'r');
  const local = await open(to, isFile ? 'r+' : 'w');
  let total = 0;
  try {
    const { size } = await remote.stat();
    if (size >= largeBytes && isFile) {
      total = await fetchLarge(remote, size, to, progress.advance);
    } else {
      for await (const piece of remote.readStream({ reuseMemory: true })) {
        // Without a position: a pipe has none.
        for (let at = 0; at < piece.length; )
          at += (await local.write(piece, at, piece.length - at, null)).bytesWritten;
        total += piece.length;
        progress.advance(piece.length);
      }
    }
    if (total < size) throw wasCut(from, size, total);
    if (there?.isFile() === true) await local.chmod(there.mode & 0o7777); // now: it may forbid to write
  } finally {
    await local.close();
    await remote.close();
  }
  return total;
}
