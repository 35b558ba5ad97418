/** How much room a cluster has. */
import type { ResponseOf } from '../../core/protocol/call.ts';
import type { masterCalls, ServerStatus } from '../../core/protocol/master-calls.ts';

export interface DiskFree {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Bytes of files that fit still, at the cluster's usual replication. */
  readonly availableBytes: number;
  readonly replication: number;
  /** Servers that are healthy: the figures are theirs. */
  readonly servers: number;
}

export function diskFreeOf({ servers, replication }: ResponseOf<(typeof masterCalls)['status']>): DiskFree {
  const healthy = servers.filter(({ state }) => state === 'healthy');
  const sum = (of: (server: ServerStatus) => number) => healthy.reduce((total, server) => total + of(server), 0);
  const freeBytes = sum((server) => server.freeBytes);
  return {
    totalBytes: sum((server) => server.totalBytes),
    usedBytes: sum((server) => server.usedBytes),
    freeBytes,
    availableBytes: Math.floor(freeBytes / Math.max(1, replication)),
    replication,
    servers: healthy.length,
  };
}
