/** `cairn status`: who leads, who is well, what lacks copies. */

import type { ClusterStatus } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatBytes, formatCount, formatTable, printJson, printLine } from '../output.ts';
import { withCluster } from './connect.ts';
import { showServer } from './servers.ts';

type MasterStatus = ClusterStatus['masters'][number];

/** What Raft calls a term, Multi-Paxos calls a ballot: only its round is told. */
export function showMaster({ term, lag, ...master }: MasterStatus) {
  return { ...master, ...(master.engine === 'paxos' ? { ballot: term } : { term }), lag: lag ?? null };
}

export async function run(invocation: Invocation): Promise<void> {
  const status = await withCluster(invocation, (cairn) => cairn.status());
  const { servers, masters, ...rest } = status;
  if (invocation.json) {
    printJson({ ...rest, masters: masters.map(showMaster), chunkservers: servers.map(showServer) });
    return;
  }
  printLine(`cluster ${status.clusterId}, led by master ${status.leader ?? '(none)'}\n`);
  const masterRows = masters.map((m) => [
    m.id,
    m.address,
    m.standing === 'voter' ? m.role : `${m.role} (${m.standing})`,
    m.engine,
    m.elector,
    m.term,
    m.commitIndex,
    m.appliedIndex,
    m.lag ?? '-',
    m.pid,
  ]);
  const term = masters[0]?.engine === 'paxos' ? 'ballot' : 'term';
  const columns = ['master', 'address', 'role', 'engine', 'elector', term, 'commit', 'applied', 'lag', 'pid'];
  printLine(formatTable(columns, masterRows));
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
  const lagBytes = servers.reduce((sum, server) => sum + server.lagBytes, 0);
  if (lagBytes > 0) printLine(`acknowledged in mode async, not yet on all copies: ${formatBytes(lagBytes)}`);
  if (status.underReplicatedChunks > 0)
    printLine(`fewer copies than there should be: ${formatCount(status.underReplicatedChunks, 'chunk')}`);
  if (status.lostChunks > 0) printLine(`no copy left that can be reached: ${formatCount(status.lostChunks, 'chunk')}`);
}
