/** A whole cluster of Cairn on given hosts: each role the program's own, with a configuration file of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processFlags } from '../../../platform/node/process-flags.ts';
import { projectRoot } from '../../tool/project-root.ts';
import type { SwitchedHost } from '../network/two-switches.ts';
import { OwnedProcess } from '../process/owned-process.ts';
import type { Scope } from '../scope.ts';

const port = 7070;
/** A profile of some minutes is written in this time. */
const profilePatienceMs = 10_000;
const program = join(projectRoot, 'bin/cairn');

export interface ClusterPlan {
  readonly directory: string;
  /** Roles leave CPU profiles there. */
  readonly profileDir: string | undefined;
  readonly masters: readonly SwitchedHost[];
  readonly chunkservers: readonly SwitchedHost[];
}

export interface RunningCluster {
  /** Where the masters are. */
  readonly masters: readonly string[];
  readonly processes: readonly OwnedProcess[];
}

/** Starts all roles; they may still be looking for each other when this resolves. */
export async function startCluster(scope: Scope, plan: ClusterPlan): Promise<RunningCluster> {
  const masters = plan.masters.map(({ address }) => `${address}:${port}`);
  const processes = [
    ...plan.masters.map((host, i) => startRole(scope, plan, 'master', i + 1, host, masters)),
    ...plan.chunkservers.map((host, i) => startRole(scope, plan, 'chunkserver', i + 1, host, masters)),
  ];
  return { masters, processes: await Promise.all(processes) };
}

function startRole(
  scope: Scope,
  { directory, profileDir }: ClusterPlan,
  role: 'master' | 'chunkserver',
  id: number,
  host: SwitchedHost,
  masters: readonly string[],
): Promise<OwnedProcess> {
  const home = join(directory, `${role}-${id}`);
  mkdirSync(home, { recursive: true });
  const configFile = join(home, 'cairn.yaml');
  const node = { id, dir: join(home, 'data'), address: `${host.address}:${port}` };
  // YAML holds JSON. Forty processes share a few cores: nobody is to be given up because it waits for its turn.
  const patience = { election_timeout: '1s', replication: { heartbeat_interval: '1s' } };
  const settings = {
    cluster: 'lab',
    masters: masters.map((address, i) => ({ id: i + 1, address })),
    node,
    ...patience,
  };
  writeFileSync(configFile, JSON.stringify(settings));
  const profile = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  return OwnedProcess.start(scope, {
    name: `${role} ${id}`,
    command: process.execPath,
    args: [...processFlags, ...profile, program, role, '--config', configFile],
    logFile: join(home, 'events.log'),
    namespace: host.namespace,
    ...(profileDir === undefined ? {} : { stopPatienceMs: profilePatienceMs }),
  });
}
