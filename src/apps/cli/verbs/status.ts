/** `cairn status`: who leads, who is well, what lacks copies. */

import type { Invocation } from '../invocation.ts';
import { formatBytes, formatCount, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { showServer } from './servers.ts';

export async function run(invocation: Invocation): Promise<void> {
  const status = await withCluster(invocation, (cairn) => cairn.status());
  const { servers, masters, ...rest } = status;
  if (invocation.json) {
    printJson({ ...rest, masters, chunkservers: servers.map(showServer) });
    return;
  }
  printLine(`cluster ${status.clusterId}, led by master ${status.leader ?? '(none)'}\n`);
  const masterRows = masters.map((m) => [
    m.id,
    m.address,
    m.role,
    m.engine,
    m.term,
    m.commitIndex,
    m.appliedIndex,
    m.pid,
  ]);
  printLine(formatTable(['master', 'address', 'role', 'engine', 'term', 'commit', 'applied', 'pid'], masterRows));
  const serverRows = servers.map((s) => [
    s.id,
    s.address,
    s.rack,
    s.state,
    s.chunks,
    formatBytes(s.usedBytes),
    formatBytes(s.freeBytes),
    s.pid,
  ]);
  printLine(
    `\n${formatTable(['chunkserver', 'address', 'rack', 'state', 'chunks', 'used', 'free', 'pid'], serverRows)}`,
  );
  printLine(
    `\n${formatCount(status.files, 'file')}, ${formatCount(status.directories, 'directory', 'directories')}, ${formatCount(status.chunks, 'chunk')}`,
  );
  if (status.underReplicatedChunks > 0)
    printLine(`fewer copies than there should be: ${formatCount(status.underReplicatedChunks, 'chunk')}`);
  if (status.lostChunks > 0) printLine(`no copy left that can be reached: ${formatCount(status.lostChunks, 'chunk')}`);
}
