/** `cairn put`: local files and trees into the cluster. */
import { isUtf8 } from 'node:buffer';
import type { Stats as LocalStats } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { printJson } from '../output.ts';
import { withCluster } from './connect.ts';
import { type CopyItem, copyAll, localError, type Skipped } from './copying.ts';
import { joinPath } from './entries.ts';
import { type SettingsFlags, settingsOf } from './file-settings.ts';
import type { Progress } from './progress.ts';
import { parentIsMissing, statIfThere } from './targets.ts';
import { parentOf, takingItsPlace } from './unfinished.ts';

/** Files up to this size are read whole and written with one call. */
const smallBytes = 1024 * 1024;
const pieceBytes = 1024 * 1024;
/**
 * Under way for one file: the more there is, the more of it a chunkserver writes, and tells the next, at a time. A little less than a
 * chunkserver takes from one connection before it stops reading from it.
 */
const windowBytes = 14 * 1024 * 1024;
const mkdirParallel = 16;

interface Flags extends SettingsFlags {
  readonly recursive?: boolean;
  readonly parents?: boolean;
  readonly replace: boolean;
  readonly parallel: number;
}

interface Plan {
  /** Parents before children. */
  readonly directories: string[];
  readonly files: CopyItem[];
  readonly skipped: Skipped[];
}

export async function run(invocation: Invocation): Promise<void> {
  const flags = invocation.options as unknown as Flags;
  const sources = invocation.args.slice(0, -1);
  const target = invocation.args.at(-1)!;
  if (sources.length === 0) throw new CairnError('USAGE', 'say what to copy and where to: `cairn put LOCAL… PATH`');
  await withCluster(invocation, async (cairn) => {
    if (sources.includes('-')) return putStdin(cairn, sources, target, flags, invocation.json);
    const plan = await planAll(cairn, sources, target, flags);
    await makeDirectories(cairn, plan.directories);
    await copyAll(plan.files, plan.skipped, { parallel: flags.parallel, json: invocation.json }, (item, progress) =>
      putFile(cairn, item, flags, progress),
    );
  });
}

async function putStdin(
  cairn: Cairn,
  sources: readonly string[],
  target: string,
  flags: Flags,
  json: boolean,
): Promise<void> {
  if (sources.length > 1) throw new CairnError('USAGE', 'with - (stdin) there can be no other source');
  if (target.endsWith('/') || (await statIfThere(cairn, target))?.isDirectory() === true)
    throw new CairnError('IS_A_DIRECTORY', `${target}: is a directory; name the file that stdin becomes`);
  if (flags.parents === true) await cairn.mkdir(parentOf(target), { recursive: true });
  const bytes = await putWhole(cairn, target, flags, undefined, async (write) => {
    let total = 0;
    try {
      for await (const piece of process.stdin) {
        await write(piece as Buffer);
        total += (piece as Buffer).length;
      }
    } catch (cause) {
      throw localError('stdin', 'read', cause);
    }
    return total;
  });
  if (json) printJson({ from: '-', to: target, bytes });
}

async function planAll(cairn: Cairn, sources: readonly string[], target: string, flags: Flags): Promise<Plan> {
  const plan: Plan = { directories: [], files: [], skipped: [] };
  const found = await statIfThere(cairn, target);
  const into = found?.isDirectory() === true || target.endsWith('/');
  if (sources.length > 1 && !into && found !== undefined)
    throw new CairnError('NOT_A_DIRECTORY', `${target} is a file; several sources need a directory to go to`);
  const inside = into || sources.length > 1;
  if (flags.parents === true) plan.directories.push(inside ? target : parentOf(target));
  for (const source of sources) {
    const to = inside ? placeIn(target, source) : target;
    const stats = await stat(source).catch((cause: unknown) => Promise.reject(localError(source, 'read', cause)));
    if (stats.isDirectory() && flags.recursive !== true)
      throw new CairnError('USAGE', `${source} is a directory; copy it with -r`);
    await planOne(source, to, stats, plan, []);
  }
  return plan;
}

/** The same name in the directory; `.`, `..` and `/` have none of their own: what is in them goes there. */
function placeIn(target: string, source: string): string {
  const name = basename(source);
  return ['', '.', '..'].includes(name) ? target : joinPath(target, name);
}

/** @param above real paths of the directories that hold it: a link to one of them leads round in a circle. */
async function planOne(
  source: string,
  to: string,
  stats: LocalStats,
  plan: Plan,
  above: readonly string[],
): Promise<void> {
  if (stats.isFile()) {
    plan.files.push({ from: source, to, size: stats.size });
    return;
  }
  if (!stats.isDirectory()) {
    const what = stats.isFIFO()
      ? 'is a pipe; hand it in as stdin, with `cairn put - PATH`'
      : 'is neither a file nor a directory; it was left out';
    plan.skipped.push({ path: source, why: new CairnError('NOT_SUPPORTED', `${source} ${what}`) });
    return;
  }
  let names: Buffer[];
  let real: string;
  try {
    real = await realpath(source);
    names = await readdir(source, { encoding: 'buffer' });
  } catch (cause) {
    plan.skipped.push({ path: source, why: localError(source, 'list', cause) });
    return;
  }
  if (above.includes(real)) {
    const why = new CairnError('LOCAL_IO', `${source} is a link to a directory that holds it; it was left out`);
    plan.skipped.push({ path: source, why });
    return;
  }
  plan.directories.push(to);
  for (const bytes of names) {
    const name = bytes.toString('utf8');
    const child = join(source, name);
    try {
      if (!isUtf8(bytes)) throw notUtf8(child);
      await planOne(child, joinPath(to, name), await stat(child), plan, [...above, real]);
    } catch (cause) {
      plan.skipped.push({ path: child, why: localError(child, 'read', cause) });
    }
  }
}

function notUtf8(path: string): CairnError {
  return new CairnError('INVALID_NAME', `${path}: its name is not valid UTF-8; rename it to copy it`);
}

/** Level by level, many of one level at once. */
async function makeDirectories(cairn: Cairn, directories: readonly string[]): Promise<void> {
  const depth = (path: string) => path.split('/').length;
  const levels = new Map<number, string[]>();
  for (const path of directories) levels.set(depth(path), [...(levels.get(depth(path)) ?? []), path]);
  for (const level of [...levels.keys()].sort((a, b) => a - b)) {
    const paths = levels.get(level)!;
    for (let at = 0; at < paths.length; at += mkdirParallel)
      await Promise.all(paths.slice(at, at + mkdirParallel).map((path) => cairn.mkdir(path, { recursive: true })));
  }
}

async function putFile(cairn: Cairn, item: CopyItem, flags: Flags, progress: Progress): Promise<number> {
  const local = await open(item.from, 'r').catch((cause: unknown) =>
    Promise.reject(localError(item.from, 'read', cause)),
  );
  try {
    if (item.size <= smallBytes) {
      const bytes = await local
        .readFile()
        .catch((cause: unknown) => Promise.reject(localError(item.from, 'read', cause)));
      await cairn
        .writeFile(item.to, bytes, { ...settingsOf(flags), flags: flags.replace ? 'w' : 'wx' })
        .catch(parentIsMissing(item.to, 'make it first, or use -p'));
      progress.advance(bytes.length);
      return bytes.length;
    }
    return await putLarge(cairn, local, item, flags, progress);
  } finally {
    await local.close();
  }
}

async function putLarge(
  cairn: Cairn,
  local: Awaited<ReturnType<typeof open>>,
  item: CopyItem,
  flags: Flags,
  progress: Progress,
): Promise<number> {
  return putWhole(cairn, item.to, flags, item.size, async (write) => {
    for (let total = 0; ; ) {
      const memory = Buffer.allocUnsafeSlow(pieceBytes);
      const { bytesRead } = await local
        .read(memory, 0, pieceBytes, total)
        .catch((cause: unknown) => Promise.reject(localError(item.from, 'read', cause)));
      if (bytesRead === 0 && total < item.size) throw becameShorter(item, total);
      if (bytesRead === 0) return total;
      await write(memory.subarray(0, bytesRead));
      total += bytesRead;
      progress.advance(bytesRead);
    }
  });
}

/** Room was made for what is gone: it would read as zeros. */
function becameShorter({ from, size }: CopyItem, bytes: number): CairnError {
  return new CairnError(
    'LOCAL_IO',
    `${from} became shorter while it was copied: ${bytes} bytes, before ${size}; copy it again when nobody changes it`,
  );
}

/** @returns what `copy` returns, the bytes written */
async function putWhole(
  cairn: Cairn,
  target: string,
  flags: Flags,
  expectedBytes: number | undefined,
  copy: (write: (bytes: Uint8Array) => Promise<void>) => Promise<number>,
): Promise<number> {
  return takingItsPlace(cairn, target, flags.replace, async (unfinished, beginning) => {
    const settings = { ...settingsOf(flags), flags: 'wx', expectedBytes, windowBytes } as const;
    const opening = cairn.writeStream(unfinished, settings);
    const stream = await beginning(opening).catch(parentIsMissing(target, 'make it first, or use -p'));
    const bytes = await copy((piece) => stream.write(piece));
    await stream.close();
    return bytes;
  });
}
