/** What takes minutes, and a cluster of its own: run only where it is asked for by name, `npm run bench -- --only NAME`. */
import { namespace } from './namespace.ts';
import { restore } from './restore.ts';
import type { Suite } from './suite.ts';
import { treeSnapshot } from './tree-snapshot.ts';

export const suites: ReadonlyMap<string, Suite> = new Map<string, Suite>([
  ['namespace', namespace],
  ['tree', treeSnapshot],
  ['restore', restore],
]);
