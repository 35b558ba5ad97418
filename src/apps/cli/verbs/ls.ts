/** `cairn ls`. */
import { Cairn, type Shadow, type Stats } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatBytes, formatName } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath } from './each.ts';
import { baseName, formatTime, joinPath, showEntry } from './entries.ts';
import { ageOf, type StaleFlag, shadowFor, tellAge } from './stale.ts';
import { writeJson, writeLine } from './stdout.ts';

interface Flags extends StaleFlag {
  readonly long?: boolean;
  readonly recursive?: boolean;
}

export async function run(invocation: Invocation): Promise<void> {
  const flags = invocation.options as unknown as Flags;
  const paths = invocation.args.length === 0 ? ['/'] : invocation.args;
  await withCluster(invocation, async (cairn) => {
    const shadow = shadowFor(cairn, flags);
    const source = shadow ?? cairn;
    await forEachPath(invocation, paths, async (path) => {
      const stats = await source.stat(path);
      if (stats.isFile()) await show(path, path, stats, flags, invocation.json, shadow);
      else {
        if (path !== paths[0] && !invocation.json) await writeLine('');
        await list(source, path, flags, invocation.json, paths.length > 1 || flags.recursive === true);
      }
    });
    tellAge(shadow, invocation.json);
  });
}

async function list(source: Cairn | Shadow, path: string, flags: Flags, json: boolean, titled: boolean): Promise<void> {
  const shadow = source instanceof Cairn ? undefined : source;
  if (titled && !json) await writeLine(`${formatName(path)}:`);
  const below: string[] = [];
  for await (const entry of source.entries(path, { withAttributes: true })) {
    const child = joinPath(path, entry.name);
    await show(child, baseName(child), entry.stats!, flags, json, shadow);
    if (entry.isDirectory()) below.push(child);
  }
  if (flags.recursive !== true) return;
  for (const child of below) {
    if (!json) await writeLine('');
    await list(source, child, flags, json, true);
  }
}

function show(
  path: string,
  name: string,
  stats: Stats,
  flags: Flags,
  json: boolean,
  shadow: Shadow | undefined,
): Promise<void> {
  if (json) return writeJson({ ...showEntry(path, stats), ...ageOf(shadow) });
  const shown = `${formatName(name)}${stats.isDirectory() ? '/' : ''}`;
  if (flags.long !== true) return writeLine(shown);
  const size = stats.isDirectory() ? '-' : `${stats.isSizeExact ? '' : '≥'}${formatBytes(stats.size)}`;
  const copies = stats.isDirectory() ? '-' : `×${stats.replication}`;
  return writeLine(`${size.padStart(9)}  ${copies.padStart(3)}  ${formatTime(stats.modifiedAtMs)}  ${shown}`);
}
