/** The groups that can be compared: each of our engines, and the peers that are installed. */
import type { EngineName } from '../../../core/consensus/index.ts';
import type { Lab } from '../experiment.ts';
import type { Findings } from '../report/findings.ts';
import type { Scope } from '../scope.ts';
import { CairnGroup, type CairnGroupOptions } from './cairn-group.ts';
import { engineNames } from './engines.ts';
import { EtcdGroup, etcdVersion } from './etcd-group.ts';
import { type Group, type GroupOptions, type Place, portsEach, three } from './group.ts';
import { ZooKeeperGroup, zookeeperVersion } from './zookeeper-group.ts';

export interface GroupSubject {
  readonly name: string;
  /** Of ours: the others are only compared with. */
  readonly engine?: EngineName;
  start(options: GroupOptions): Promise<Group>;
}

export type CairnSettings = Pick<CairnGroupOptions, 'elector' | 'lease' | 'spares'>;

export function cairnSubject(name: string, engine: EngineName, lab: Lab, settings: CairnSettings = {}): GroupSubject {
  const { extraFlushMs, profileDir } = lab.options;
  const common = {
    engine,
    ...settings,
    ...(extraFlushMs === undefined ? {} : { extraFlushMs }),
    ...(profileDir === undefined ? {} : { profileDir }),
  };
  return { name, engine, start: (options) => CairnGroup.start({ ...options, ...common }) };
}

export function engineSubjects(lab: Lab, settings: CairnSettings = {}): GroupSubject[] {
  return engineNames.map((engine) => cairnSubject(engine, engine, lab, settings));
}

/** etcd where it is installed, else nothing, and the report says so. */
export function etcdSubjects(findings: Findings, name = 'etcd'): GroupSubject[] {
  const version = etcdVersion();
  if (version === undefined) {
    findings.skip('etcd', 'not installed (Debian package etcd-server)');
    return [];
  }
  findings.settings.etcd = version;
  return [{ name, start: (options) => EtcdGroup.start(options) }];
}

/** As etcdSubjects. */
export function zookeeperSubjects(findings: Findings): GroupSubject[] {
  const version = zookeeperVersion();
  if (version === undefined) {
    findings.skip('zookeeper', 'not installed (Debian package zookeeperd)');
    return [];
  }
  findings.settings.zookeeper = version;
  return [{ name: 'zookeeper', start: (options) => ZooKeeperGroup.start(options) }];
}

export interface GroupSettings {
  readonly electionTimeoutMs: { readonly min: number; readonly max: number };
  readonly heartbeatMs: number;
  readonly places?: readonly Place[];
}

/** As startGroup, for what only our own groups can do. */
export async function startOwnGroup(
  lab: Lab,
  scope: Scope,
  engine: EngineName,
  settings: GroupSettings & CairnSettings,
): Promise<{ readonly group: CairnGroup; readonly directory: string }> {
  const { places = three, elector, lease, spares, ...timing } = settings;
  const directory = await lab.directory(scope);
  const ports = await lab.ports(places.length * portsEach);
  const { extraFlushMs = 0, profileDir } = lab.options;
  const group = await CairnGroup.start({
    ...{ scope, directory, places, ports, engine, extraFlushMs, ...timing },
    ...(elector === undefined ? {} : { elector }),
    ...(lease === undefined ? {} : { lease }),
    ...(spares === undefined ? {} : { spares }),
    ...(profileDir === undefined ? {} : { profileDir }),
  });
  return { group, directory };
}

/** A fresh group in a fresh directory, which go with `scope`. */
export async function startGroup(
  lab: Lab,
  scope: Scope,
  subject: GroupSubject,
  settings: GroupSettings,
): Promise<{ readonly group: Group; readonly directory: string }> {
  const { places = three, ...timing } = settings;
  const directory = await lab.directory(scope);
  const ports = await lab.ports(places.length * portsEach);
  return { group: await subject.start({ scope, directory, places, ports, ...timing }), directory };
}
