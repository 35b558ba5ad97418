/**
 * A local cluster in one directory: which nodes it has, where they listen, what each is told. The number of masters is fixed when the
 * directory is made; chunkservers may be added. A directory that is there has the nodes it was made with, unless others are asked for.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { stringify } from 'yaml';
import { CairnError } from '../../../core/base/errors.ts';
import type { EngineName } from '../../../core/consensus/index.ts';
import { portDefault } from '../../../system/client/cluster-url.ts';
import { decodeMemberFile, memberFileName } from '../../../system/master/membership/member-file.ts';
import type { Settings } from '../../config/settings.ts';
import { claimDirectory, readIdentity } from '../../roles/identity.ts';
import { replaceFile } from '../../roles/replace-file.ts';
import { readSettingsFile } from '../../roles/run-role.ts';
import { formatCount } from '../output.ts';

export interface UpOptions {
  readonly dir: string;
  readonly engine: EngineName;
  /** How many; undefined: as many as the directory has, three in a new one. */
  readonly masters: number | undefined;
  readonly chunkservers: number | undefined;
  /** Undefined: the one that the directory has, 7070 in a new one. */
  readonly portBase: number | undefined;
  readonly settings: Settings;
}

export interface NodePlan {
  readonly role: 'master' | 'chunkserver';
  readonly id: number;
  readonly name: string;
  readonly address: string;
  readonly dir: string;
  readonly configFile: string;
  readonly logFile: string;
}

export interface Layout {
  readonly cluster: string;
  readonly url: string;
  readonly nodes: readonly NodePlan[];
  /** A directory that is there keeps its ports. */
  readonly isNew: boolean;
  /**
   * What the directory has and is not started: masters that were removed from the cluster, and chunkservers where fewer are asked for: what
   * only they hold cannot be read meanwhile.
   */
  readonly leftOut: readonly NodePlan[];
}

const host = '127.0.0.1';
const nodesDefault = 3;

/** What the node owns, and locks. */
export function dataDirectory(node: NodePlan): string {
  return join(node.dir, 'data');
}

/**
 * What there is to be, of a directory that is there; writes nothing. Masters listen on portBase, +1 …; chunkservers on portBase + 10, +11 …
 * @throws CairnError WRONG_FORMAT, USAGE, CONFIG_INVALID, LOCAL_IO, NOT_A_MEMBER
 */
export function planLayout(options: UpOptions): Layout {
  const dir = resolve(options.dir);
  const made = readIdentity(dir)?.cluster;
  const cluster = options.settings.cluster ?? made ?? `local-${randomBytes(6).toString('hex')}`;
  // In a new one the folders may have been made before, for a disk each.
  const idsMade = (role: NodePlan['role']) => (made === undefined ? [] : idsIn(dir, role));
  const masterIds = mastersOf(dir, idsMade('master'), options.masters);
  const portBase = portBaseOf(dir, masterIds[0]!, options.portBase);
  const plan = (role: NodePlan['role'], id: number): NodePlan => {
    const name = `${role}-${id}`;
    const home = join(dir, name);
    return {
      role,
      id,
      name,
      address: `${host}:${portBase + (role === 'master' ? 0 : 10) + id - 1}`,
      dir: home,
      configFile: join(home, 'cairn.yaml'),
      logFile: join(home, 'events.log'),
    };
  };
  const allMasters = masterIds.map((id) => plan('master', id));
  const removed = allMasters.filter(wasRemoved);
  const masters = allMasters.filter((master) => !removed.includes(master));
  if (masters.length === 0)
    throw new CairnError('NOT_A_MEMBER', `all masters of ${dir} were removed from their cluster; give another --dir`);
  const found = idsMade('chunkserver');
  const wanted = options.chunkservers === undefined && found.length > 0 ? found : upTo(options.chunkservers);
  const unwanted = found.filter((id) => !wanted.includes(id)).map((id) => plan('chunkserver', id));
  return {
    cluster,
    url: `cairn://${masters.map((master) => master.address).join(',')}`,
    nodes: [...masters, ...wanted.map((id) => plan('chunkserver', id))],
    isNew: made === undefined,
    leftOut: [...removed, ...unwanted],
  };
}

/** Its directory says so. One that was removed while it was down learns it when it starts. */
function wasRemoved(master: NodePlan): boolean {
  const file = join(dataDirectory(master), memberFileName);
  if (!existsSync(file)) return false;
  try {
    return decodeMemberFile(readFileSync(file), { crc32 }).removed;
  } catch (thrown) {
    if (thrown instanceof CairnError) return false; // damaged, or of another version: the master says so, and the others go on
    throw thrown;
  }
}

/** Makes the directory this cluster's, or checks that it is, and writes each node's `cairn.yaml`. @throws CairnError WRONG_CLUSTER, LOCAL_IO */
export function writeLayout({ cluster, nodes }: Layout, options: UpOptions): void {
  claimDirectory(resolve(options.dir), { cluster, role: 'cluster', id: 0, engine: options.engine });
  const masters = nodes.filter(({ role }) => role === 'master');
  for (const node of nodes) writeConfig(node, cluster, masters, options);
}

function upTo(count = nodesDefault): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

/** In ascending order. */
function idsIn(dir: string, role: NodePlan['role']): number[] {
  return readdirSync(dir)
    .map((name) => new RegExp(`^${role}-(\\d{1,5})$`).exec(name)?.[1])
    .filter((id) => id !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

/** Masters know each other by their addresses, which they keep in their log: all of them at once cannot move. @throws CairnError USAGE, CONFIG_INVALID */
function portBaseOf(dir: string, firstMaster: number, wanted: number | undefined): number {
  const config = join(dir, `master-${firstMaster}`, 'cairn.yaml');
  if (!existsSync(config)) return wanted ?? portDefault;
  const address = readSettingsFile(config).node?.address;
  if (address === undefined) return wanted ?? unknownPorts(config);
  const made = Number(address.slice(address.lastIndexOf(':') + 1)) - firstMaster + 1;
  if (wanted === undefined || wanted === made) return made;
  throw new CairnError(
    'USAGE',
    `${dir} was made with --port-base ${made}, by which its masters know each other; leave --port-base out, or give another --dir`,
  );
}

/** It was cut, or somebody changed it. */
function unknownPorts(config: string): never {
  throw new CairnError(
    'CONFIG_INVALID',
    `${config} has no node.address, by which the masters know each other; give the --port-base that the directory was made with`,
  );
}

function mastersOf(dir: string, found: readonly number[], wanted: number | undefined): readonly number[] {
  if (found.length === 0) return upTo(wanted);
  if (wanted === undefined || wanted === found.length) return found;
  throw new CairnError(
    'USAGE',
    `${dir} was made with ${formatCount(found.length, 'master')}, which cannot be changed here; leave --masters out, or give another --dir`,
  );
}

function writeConfig(node: NodePlan, cluster: string, masters: readonly NodePlan[], options: UpOptions): void {
  const { settings } = options;
  const text = stringify({
    cluster,
    engine: options.engine,
    elector: settings.elector,
    lease: `${settings.lease}ms`,
    masters: masters.map(({ id, address }) => ({ id, address })),
    node: { id: node.id, dir: dataDirectory(node), address: node.address, rack: 'default' },
    replication: { ...settings.replication, heartbeat_interval: `${settings.replication.heartbeat_interval}ms` },
    durability: settings.durability,
    chunk_size: settings.chunk_size,
    election_timeout: `${settings.election_timeout}ms`,
    dead_after: `${settings.dead_after}ms`,
    trash: { retention: `${settings.trash.retention}ms` },
    copying: settings.copying,
    disk: {
      ...settings.disk,
      extra_flush: `${settings.disk.extra_flush}ms`,
      scrub_every: `${settings.disk.scrub_every}ms`,
    },
    log: settings.log,
  });
  try {
    mkdirSync(node.dir, { recursive: true });
    if (!existsSync(node.configFile) || readFileSync(node.configFile, 'utf8') !== text)
      replaceFile(node.configFile, text);
  } catch (cause) {
    throw new CairnError('LOCAL_IO', `cannot write ${node.configFile}: ${(cause as Error).message}`, { cause });
  }
}
