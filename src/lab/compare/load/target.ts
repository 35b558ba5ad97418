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
      readonly kind: 'etcd' | 'zookeeper';
      readonly addresses: readonly string[];
      readonly connections: number;
      readonly attemptMs: number;
    };
