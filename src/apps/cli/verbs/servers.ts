/** `cairn servers`: the chunkservers. */
import type { ClusterStatus } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatBytes, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';

type Server = ClusterStatus['servers'][number];

export function showServer({
  id,
  pid,
  address,
  rack,
  state,
  chunks,
  needed,
  usedBytes,
  totalBytes,
  freeBytes,
  lagBytes,
  silentMs,
}: Server) {
  return {
    id,
    pid,
    address,
    rack,
    state,
    chunks,
    needed,
    usedBytes,
    totalBytes,
    freeBytes,
    lagBytes,
    silentMs: silentMs === undefined ? null : Math.round(silentMs),
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { servers } = await withCluster(invocation, (cairn) => cairn.status());
  if (invocation.json) {
    printJson({ chunkservers: servers.map(showServer) });
    return;
  }
  const rows = servers.map((s) => [
    s.id,
    s.address,
    s.rack,
    s.state,
    s.chunks,
    s.needed,
    formatBytes(s.usedBytes),
    formatBytes(s.freeBytes),
    s.silentMs === undefined ? '-' : `${Math.round(s.silentMs)} ms`,
    s.pid,
  ]);
  printLine(formatTable(['id', 'address', 'rack', 'state', 'chunks', 'needed', 'used', 'free', 'silent', 'pid'], rows));
}
