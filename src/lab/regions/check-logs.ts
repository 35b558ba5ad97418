/** The files that all clients of a simulated run append to: every byte of every replica is attributed to what they did. */
import { lookup } from '../../system/master/state/resolve.ts';
import type { SimCluster } from '../simulator/cluster.ts';
import type { Inspector } from '../simulator/inspector.ts';
import type { Ledger } from '../simulator/ledger.ts';
import { mustHold } from '../simulator/violation.ts';
import { checkFile } from './check-file.ts';
import type { ChunkReplicas } from './history.ts';

/** @throws Violation */
export async function checkLogs(cluster: SimCluster, inspector: Inspector, ledger: Ledger): Promise<void> {
  for (const { path, chunkBytes, mode, operations } of ledger.logs) {
    const found = lookup(cluster.tables!, path);
    mustHold(found.ok, () => `${path} is there`);
    const chunks: ChunkReplicas[] = [];
    for (const [handle, chunk] of [...cluster.tables!.chunks(0)]) {
      if (chunk.inode !== found.value.inode) continue;
      const held = await Promise.all(chunk.servers.map((server) => inspector.chunk(server, handle)));
      const replicas = held.map((one) => one?.bytes ?? new Uint8Array(0));
      chunks.push({ start: chunk.index * chunkBytes, replicas });
    }
    const wrong = checkFile({ mode, chunkBytes, operations, chunks });
    mustHold(wrong.length === 0, () => `${path}: ${wrong.slice(0, 3).join('; ')}`);
  }
}
