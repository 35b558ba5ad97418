/** `cairn find`: what is below a path, by name, kind, size and time, as it comes. */
import type { Stats } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatName } from '../output.ts';
import { withCluster } from './connect.ts';
import { forEachPath, telling } from './each.ts';
import { baseName, showEntry } from './entries.ts';
import { globOf } from './glob.ts';
import { ageOf, type StaleFlag, shadowFor, tellAge } from './stale.ts';
import { writeJson, writeOut } from './stdout.ts';

interface Flags extends StaleFlag {
  readonly name?: string;
  readonly path?: string;
  readonly type?: 'file' | 'directory';
  readonly larger?: number;
  readonly smaller?: number;
  /** Milliseconds. */
  readonly newer?: number;
  readonly older?: number;
  readonly empty?: boolean;
  readonly maxDepth?: number;
  readonly limit?: number;
  readonly null?: boolean;
}

type Test = (path: string, stats: Stats) => boolean;

export async function run(invocation: Invocation): Promise<void> {
  const flags = invocation.options as unknown as Flags;
  const holds = testOf(flags, Date.now());
  const paths = invocation.args.length === 0 ? ['/'] : invocation.args;
  let left = flags.limit ?? Number.POSITIVE_INFINITY;
  await withCluster(invocation, async (cairn) => {
    const shadow = shadowFor(cairn, flags);
    const options = { maxDepth: flags.maxDepth, onUnreached: telling(invocation) };
    await forEachPath(invocation, paths, async (path) => {
      if (left === 0) return;
      for await (const found of (shadow ?? cairn).walk(path, options)) {
        if (!holds(found.path, found.stats)) continue;
        if (invocation.json) await writeJson({ ...showEntry(found.path, found.stats), ...ageOf(shadow) });
        else await writeOut(flags.null === true ? `${found.path}\0` : `${formatName(found.path)}\n`);
        left -= 1;
        if (left === 0) return;
      }
    });
    tellAge(shadow, invocation.json);
  });
}

/** All that was asked for must hold. @throws CairnError USAGE */
function testOf(flags: Flags, now: number): Test {
  const { type, larger, smaller, newer, older } = flags;
  const tests: Test[] = [];
  if (flags.name !== undefined) {
    const isNamed = globOf(flags.name);
    tests.push((path) => isNamed(baseName(path)));
  }
  if (flags.path !== undefined) {
    const isAt = globOf(flags.path);
    tests.push((path) => isAt(path));
  }
  if (type !== undefined) tests.push((_, { kind }) => kind === type);
  if (larger !== undefined) tests.push((_, stats) => stats.isFile() && stats.size > larger);
  if (smaller !== undefined) tests.push((_, stats) => stats.isFile() && stats.isSizeExact && stats.size < smaller);
  if (newer !== undefined) tests.push((_, { modifiedAtMs }) => modifiedAtMs > now - newer);
  if (older !== undefined) tests.push((_, { modifiedAtMs }) => modifiedAtMs < now - older);
  if (flags.empty === true)
    tests.push((_, stats) => (stats.isFile() ? stats.isSizeExact && stats.size === 0 : stats.entries === 0));
  return (path, stats) => tests.every((holds) => holds(path, stats));
}
