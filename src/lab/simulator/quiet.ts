/** When a healed cluster has come to rest: everything is sealed, copied as often as it should be, and collected. */
import { type ServerId, toServerId } from '../../core/base/brand.ts';
import type { ChunkRecord } from '../../system/master/state/records.ts';
import { runningOf, type SimCluster } from './cluster.ts';

/** What is still to come, for people; undefined when nothing is. Chunks of which a server holds too many are looked for elsewhere. */
export function unrest(cluster: SimCluster): string | undefined {
  if (!cluster.isUp) return 'a master or a chunkserver is not serving';
  const { leader, scenario } = cluster;
  if (leader === undefined) return 'no master leads';
  const { lastIndex } = cluster.commits;
  for (const member of cluster.masters) {
    const applied = runningOf(member)!.replica.appliedIndex;
    if (applied !== lastIndex) return `${member.node.name} has applied ${applied} of ${lastIndex} entries`;
  }
  const { tables } = leader.machine;
  if (tables.firstDetached() !== undefined) return 'removed trees are not yet collected';
  const isStaying = (id: ServerId) => tables.server(id)?.draining === false;
  const staying = cluster.chunkservers.filter(({ id }) => isStaying(toServerId(id))).length;
  for (const [handle, chunk] of tables.chunks(0)) {
    if (!chunk.sealed) return `chunk ${handle} is not sealed`;
    const kept = chunk.servers.filter(isStaying).length;
    if (kept < Math.min(scenario.replication, staying)) return `chunk ${handle} is on ${chunk.servers.join(' ')} only`;
    // Where enough others are, servers that are drained end up empty.
    if (staying >= scenario.replication && kept < chunk.servers.length)
      return `chunk ${handle} is still on servers that are drained: ${chunk.servers.join(' ')}`;
  }
  return undefined;
}

/** How many chunks each server should hold. */
export function chunksPerServer(chunks: Iterable<readonly [unknown, ChunkRecord]>): Map<ServerId, number> {
  const counts = new Map<ServerId, number>();
  for (const [, { servers }] of chunks) for (const server of servers) counts.set(server, (counts.get(server) ?? 0) + 1);
  return counts;
}
