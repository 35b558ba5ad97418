/** What load is put on: the same few operations, whoever answers them. */

/** As the read levels of consensus; `stale` is what the member asked has applied. */
export type ReadKind = 'linearizable' | 'lease' | 'stale';

export interface Target {
  /** Resolves when the write is acknowledged. Rejects when its outcome is a refusal or unknown. */
  put(client: number, key: string, value: Uint8Array): Promise<void>;
  get(client: number, key: string, kind: ReadKind): Promise<Uint8Array | undefined>;
  close(): void;
}

export type TargetSpec =
  | { readonly kind: 'cairn'; readonly addresses: readonly string[]; readonly attemptMs: number }
  | {
      readonly kind: 'etcd';
      readonly addresses: readonly string[];
      readonly connections: number;
      readonly attemptMs: number;
    };

export async function openTarget(spec: TargetSpec): Promise<Target> {
  switch (spec.kind) {
    case 'cairn':
      return new (await import('./cairn-target.ts')).CairnTarget(spec.addresses, spec.attemptMs);
    case 'etcd':
      return new (await import('./etcd-target.ts')).EtcdTarget(spec.addresses, spec.connections, spec.attemptMs);
  }
}
