/**
 * A local cluster in one directory: which nodes it has, where they listen, what each is told. The number of masters is fixed when the
 * directory is made; chunkservers may be added.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { CairnError } from '../../../core/base/errors.ts';
import type { EngineName } from '../../../core/consensus/index.ts';
import type { Settings } from '../../config/settings.ts';
import { claimDirectory, readIdentity } from '../../roles/identity.ts';

export interface UpOptions {
  readonly dir: string;
  readonly engine: EngineName;
  readonly masters: number;
  readonly chunkservers: number;
  readonly portBase: number;
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
}

const host = '127.0.0.1';

/** What the node owns, and locks. */
export function dataDirectory(node: NodePlan): string {
  return join(node.dir, 'data');
}

/**
 * Makes or checks the directory and writes each node's `cairn.yaml`. Masters listen on portBase, +1 …; chunkservers on portBase + 10, +11 …
 * @throws CairnError WRONG_CLUSTER, WRONG_FORMAT, USAGE, LOCAL_IO
 */
export function prepareLayout(options: UpOptions): Layout {
  const dir = resolve(options.dir);
  const cluster = readIdentity(dir)?.cluster ?? `local-${randomBytes(6).toString('hex')}`;
  claimDirectory(dir, { cluster, role: 'cluster', id: 0, engine: options.engine });
  checkMasters(dir, options.masters);
  const plan = (role: NodePlan['role'], id: number, port: number): NodePlan => {
    const name = `${role}-${id}`;
    const home = join(dir, name);
    return {
      role,
      id,
      name,
      address: `${host}:${port}`,
      dir: home,
      configFile: join(home, 'cairn.yaml'),
      logFile: join(home, 'events.log'),
    };
  };
  const masters = range(options.masters).map((i) => plan('master', i + 1, options.portBase + i));
  const servers = range(options.chunkservers).map((i) => plan('chunkserver', i + 1, options.portBase + 10 + i));
  const nodes = [...masters, ...servers];
  for (const node of nodes) writeConfig(node, cluster, masters, options);
  return { cluster, url: `cairn://${masters.map((master) => master.address).join(',')}`, nodes };
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

function checkMasters(dir: string, wanted: number): void {
  const found = readdirSync(dir).filter((name) => /^master-\d+$/.test(name)).length;
  if (found === 0 || found === wanted) return;
  throw new CairnError(
    'USAGE',
    `${dir} was made with ${found} masters, which cannot be changed here; give --masters ${found}, or another --dir`,
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
    node: { id: node.id, dir: dataDirectory(node), address: node.address, rack: settings.node?.rack ?? 'default' },
    replication: { ...settings.replication, heartbeat_interval: `${settings.replication.heartbeat_interval}ms` },
    durability: settings.durability,
    chunk_size: settings.chunk_size,
    election_timeout: `${settings.election_timeout}ms`,
    dead_after: `${settings.dead_after}ms`,
    trash: { retention: `${settings.trash.retention}ms` },
    copying: settings.copying,
    disk: { extra_flush: `${settings.disk.extra_flush}ms`, reserve: settings.disk.reserve },
    log: settings.log,
  });
  try {
    mkdirSync(node.dir, { recursive: true });
    writeFileSync(node.configFile, text);
  } catch (cause) {
    throw new CairnError('LOCAL_IO', `cannot write ${node.configFile}: ${(cause as Error).message}`, { cause });
  }
}
