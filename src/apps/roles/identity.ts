/**
 * What a data directory says about itself (`cairn.json`): its format, its cluster, its role. A process refuses a directory that is not its
 * own, so that no two clusters, and no two versions, ever mix their bytes.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CairnError } from '../../core/base/errors.ts';
import type { EngineName } from '../../core/consensus/index.ts';
import { replaceFile } from './replace-file.ts';

/** Of everything below a data directory. Raised when an older version could not read what is written. */
export const formatVersion = 2;
const fileName = 'cairn.json';

const identitySchema = z.object({
  formatVersion: z.number().int(),
  cluster: z.string(),
  /** `member`: of a group of a program's own. */
  role: z.enum(['cluster', 'master', 'chunkserver', 'member']),
  id: z.number().int(),
  /** Of all that have a log, and of whole local clusters: what it was written by. */
  engine: z.enum(['raft', 'paxos']).optional(),
  /** Of whoever has a log: the highest rules that a state machine here has applied commands by; 1 where it does not say. */
  rules: z.number().int().optional(),
});
export type Identity = z.infer<typeof identitySchema>;
export type Role = Identity['role'];

/** The identity in `dir`, or undefined if it has none yet. @throws CairnError WRONG_FORMAT */
export function readIdentity(dir: string): Identity | undefined {
  const path = join(dir, fileName);
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CairnError('LOCAL_IO', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  let identity: Identity;
  try {
    identity = identitySchema.parse(JSON.parse(source));
  } catch (cause) {
    throw new CairnError('WRONG_FORMAT', `${path} is damaged; restore it, or start on an empty directory`, { cause });
  }
  if (identity.formatVersion !== formatVersion)
    throw new CairnError(
      'WRONG_FORMAT',
      `${dir} has format ${identity.formatVersion}, this program writes format ${formatVersion}; use the version that made it`,
    );
  return identity;
}

/** The engine that `dir` was made with, unless `wanted` is another: one directory is never read by two engines. @throws WRONG_FORMAT */
export function engineOfDirectory(dir: string, wanted: EngineName | undefined): EngineName | undefined {
  const made = readIdentity(dir)?.engine;
  if (made === undefined || wanted === undefined || made === wanted) return made ?? wanted;
  throw new CairnError(
    'WRONG_FORMAT',
    `${dir} was made with the engine ${made}, not with ${wanted}; start it with ${made}, or give another directory`,
  );
}

/** Makes the directory this node's, or checks that it already is. @throws CairnError WRONG_CLUSTER, WRONG_FORMAT */
export function claimDirectory(dir: string, wanted: Omit<Identity, 'formatVersion'>): void {
  const found = readIdentity(dir);
  if (found === undefined) {
    writeIdentity(dir, { formatVersion, ...wanted });
    return;
  }
  engineOfDirectory(dir, wanted.engine);
  checkOwner(dir, found, wanted);
  raiseRules(dir, found, wanted.rules);
}

function checkOwner(dir: string, found: Identity, wanted: Omit<Identity, 'formatVersion'>): void {
  for (const key of ['cluster', 'role', 'id'] as const) {
    if (found[key] === wanted[key]) continue;
    throw new CairnError(
      'WRONG_CLUSTER',
      `${dir} belongs to ${nameOf(found)}, not to ${nameOf(wanted)}; give each node a directory of its own`,
    );
  }
}

/**
 * Its log may hold commands that older rules do not know: a program that went back to them would pass over what others have done.
 * @throws CairnError WRONG_FORMAT
 */
function raiseRules(dir: string, found: Identity, wanted: number | undefined): void {
  const { rules: known = 1 } = found;
  if (wanted === undefined || wanted === known) return;
  if (wanted > known) {
    writeIdentity(dir, { ...found, rules: wanted });
    return;
  }
  throw new CairnError(
    'WRONG_FORMAT',
    `commands in ${dir} were applied by rules ${known}, this program has rules ${wanted}; run the version that was last used here, or a later one`,
  );
}

function nameOf({ role, id, cluster }: Omit<Identity, 'formatVersion'>): string {
  if (role === 'cluster') return `the local cluster ${cluster}`;
  return role === 'member' ? `member ${id}` : `${role} ${id} of cluster ${cluster}`;
}

function writeIdentity(dir: string, identity: Identity): void {
  try {
    mkdirSync(dir, { recursive: true });
    replaceFile(join(dir, fileName), `${JSON.stringify(identity, null, 2)}\n`);
  } catch (cause) {
    throw new CairnError('LOCAL_IO', `cannot write to ${dir}: ${(cause as Error).message}`, { cause });
  }
}
