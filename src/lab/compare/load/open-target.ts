import type { Target, TargetSpec } from './target.ts';

export async function openTarget(spec: TargetSpec): Promise<Target> {
  switch (spec.kind) {
    case 'cairn':
      return new (await import('./cairn-target.ts')).CairnTarget(spec.addresses, spec.attemptMs);
    case 'etcd':
      return new (await import('./etcd-target.ts')).EtcdTarget(spec.addresses, spec.connections, spec.attemptMs);
    case 'zookeeper': {
      const { ZooKeeperTarget } = await import('./zookeeper-target.ts');
      return new ZooKeeperTarget(spec.addresses, spec.connections, spec.attemptMs);
    }
  }
}
