/** `cairn df`. */

import type { Invocation } from '../invocation.ts';
import { formatBytes, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';

export async function run(invocation: Invocation): Promise<void> {
  const { servers, replication, files, chunks } = await withCluster(invocation, (cairn) => cairn.status());
  const healthy = servers.filter(({ state }) => state === 'healthy'); // of others nobody knows
  const sum = (key: 'totalBytes' | 'usedBytes' | 'freeBytes') =>
    healthy.reduce((total, server) => total + server[key], 0);
  const whole = {
    totalBytes: sum('totalBytes'),
    usedBytes: sum('usedBytes'),
    freeBytes: sum('freeBytes'),
    replication,
    /** What new files of the usual number of copies can still take. */
    availableBytes: Math.floor(sum('freeBytes') / replication),
    files,
    chunks,
  };
  if (invocation.json) {
    printJson(whole);
    return;
  }
  const row = [whole.totalBytes, whole.usedBytes, whole.freeBytes, whole.availableBytes].map(formatBytes);
  printLine(
    formatTable(['total', 'used', 'free', `available ×${replication}`, 'files', 'chunks'], [[...row, files, chunks]]),
  );
}
