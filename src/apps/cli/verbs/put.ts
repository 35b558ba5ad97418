/** `cairn put`: local files and trees into the cluster. */
import type { Stats as LocalStats } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CairnError } from '../../../core/base/errors.ts';
import type { Cairn } from '../../library/client.ts';
import type { Invocation } from '../program.ts';
import { withCluster } from './connect.ts';
import { type CopyItem, copyAll, localError, type Skipped } from './copying.ts';
import { joinPath } from './entries.ts';
import type { Progress } from './progress.ts';
import { statIfThere } from './targets.ts';

/** Files up to this size are read whole and written with one call. */
const smallBytes = 1024 * 1024;
const pieceBytes = 1024 * 1024;
const mkdirParallel = 16;

interface Flags {
  readonly recursive?: boolean;
  readonly parents?: boolean;
  readonly replace: boolean;
  readonly parallel: number;
  readonly durability?: 'memory' | 'disk';
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
    if (sources.includes('-')) return putStdin(cairn, sources, target, flags);
    const plan = await planAll(cairn, sources, target, flags);
    await makeDirectories(cairn, plan.directories);
    await copyAll(plan.files, plan.skipped, { parallel: flags.parallel, json: invocation.json }, (item, progress) =>
      putFile(cairn, item, flags, progress),
    );
  });
}

async function putStdin(cairn: Cairn, sources: readonly string[], target: string, flags: Flags): Promise<void> {
  if (sources.length > 1) throw new CairnError('USAGE', 'with - (stdin) there can be no other source');
  if (flags.parents === true) await cairn.mkdir(parentOf(target), { recursive: true });
  const stream = await cairn.writeStream(target, { ...settingsOf(flags), flags: flags.replace ? 'w' : 'wx' });
  for await (const piece of process.stdin) await stream.write(piece as Buffer);
  await stream.close();
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
    const to = inside ? joinPath(target, basename(source)) : target;
    const stats = await stat(source).catch((cause: unknown) => Promise.reject(localError(source, 'read', cause)));
    if (stats.isDirectory() && flags.recursive !== true)
      throw new CairnError('USAGE', `${source} is a directory; copy it with -r`);
    await planOne(source, to, stats, plan);
  }
  return plan;
}

async function planOne(source: string, to: string, stats: LocalStats, plan: Plan): Promise<void> {
  if (stats.isFile()) {
    plan.files.push({ from: source, to, size: stats.size });
    return;
  }
  if (!stats.isDirectory()) {
    plan.skipped.push({
      path: source,
      why: new CairnError('NOT_SUPPORTED', `${source} is neither a file nor a directory; it was left out`),
    });
    return;
  }
  plan.directories.push(to);
  let entries: { name: string }[];
  try {
    entries = await readdir(source, { withFileTypes: true });
  } catch (cause) {
    plan.skipped.push({ path: source, why: localError(source, 'list', cause) });
    return;
  }
  for (const { name } of entries) {
    const child = join(source, name);
    try {
      await planOne(child, joinPath(to, name), await stat(child), plan);
    } catch (cause) {
      plan.skipped.push({ path: child, why: localError(child, 'read', cause) });
    }
  }
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
      await cairn.writeFile(item.to, bytes, { ...settingsOf(flags), flags: flags.replace ? 'w' : 'wx' });
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
  const stream = await cairn.writeStream(item.to, {
    ...settingsOf(flags),
    flags: flags.replace ? 'w' : 'wx',
    expectedBytes: item.size,
  });
  for (let total = 0; ; ) {
    const memory = Buffer.allocUnsafeSlow(pieceBytes);
    const { bytesRead } = await local
      .read(memory, 0, pieceBytes, total)
      .catch((cause: unknown) => Promise.reject(localError(item.from, 'read', cause)));
    if (bytesRead === 0) {
      await stream.close();
      return total;
    }
    await stream.write(memory.subarray(0, bytesRead));
    total += bytesRead;
    progress.advance(bytesRead);
  }
}

function settingsOf({ durability }: Flags): { durability?: 'memory' | 'disk' } {
  return durability === undefined ? {} : { durability };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.replace(/\/+$/, '').lastIndexOf('/')));
}
