/** Settings of files and directories as options and as `key=value`: by the names that cairn.yaml has for them. */
import { CairnError } from '../../../core/base/errors.ts';
import type { FileSettings } from '../../library/client.ts';

/** What commander makes of the options that `commands` give to all verbs that make files. */
export interface SettingsFlags {
  readonly mode?: 'strong' | 'gfs' | 'async';
  readonly durability?: 'memory' | 'disk';
  readonly factor?: number;
  readonly minReplicas?: number;
  readonly chunkSize?: number;
}

export function settingsOf({ mode, durability, factor, minReplicas, chunkSize }: SettingsFlags): FileSettings {
  return { mode, durability, replication: factor, minReplicas, chunkBytes: chunkSize };
}

const units: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** "64MiB", "1048576". Undefined if it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)\s*(|[KMG]iB)$/.exec(text);
  return match === null ? undefined : Number(match[1]) * units[match[2]!]!;
}

function word<Words extends string>(...words: readonly Words[]): (text: string) => Words | undefined {
  return (text) => words.find((known) => known === text);
}
function count(text: string): number | undefined {
  return /^\d{1,3}$/.test(text) ? Number(text) : undefined;
}

const keys = {
  mode: { read: word('strong', 'gfs', 'async'), says: 'strong, gfs or async' },
  durability: { read: word('memory', 'disk'), says: 'memory or disk' },
  factor: { read: count, says: 'a number of copies' },
  min_replicas: { read: count, says: 'a number of copies' },
  chunk_size: { read: parseSize, says: 'a size such as 64MiB' },
} as const;

/** @throws CairnError USAGE */
export function parseAssignments(assignments: readonly string[]): FileSettings {
  if (assignments.length === 0) throw new CairnError('USAGE', `say what to set: ${Object.keys(keys).join('=…, ')}=…`);
  const found: Record<string, unknown> = {};
  for (const assignment of assignments) {
    const at = assignment.indexOf('=');
    const key = assignment.slice(0, Math.max(0, at));
    if (!Object.hasOwn(keys, key))
      throw new CairnError('USAGE', `'${assignment}' sets nothing; give ${Object.keys(keys).join('=…, ')}=…`);
    const { read, says } = keys[key as keyof typeof keys];
    found[key] = read(assignment.slice(at + 1));
    if (found[key] === undefined) throw new CairnError('USAGE', `'${assignment}': ${key} is ${says}`);
  }
  const { mode, durability, factor, min_replicas, chunk_size } = found as {
    readonly [Key in keyof typeof keys]?: Exclude<ReturnType<(typeof keys)[Key]['read']>, undefined>;
  };
  return { mode, durability, replication: factor, minReplicas: min_replicas, chunkBytes: chunk_size };
}
