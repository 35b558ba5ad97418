/** `cairn status`: who leads, who is well, what lacks copies. */

import { toCairnError } from '../../../core/base/errors.ts';
import type { ClusterStatus } from '../../library/client.ts';
import type { Invocation } from '../invocation.ts';
import { formatBytes, formatCount, formatTable, printJson, printLine } from '../output.ts';
import { askMasters } from './ask-masters.ts';
import { namedMasters, withCluster } from './connect.ts';
import { showServer } from './servers.ts';

type MasterStatus = ClusterStatus['masters'][number];

/** What Raft calls a term, Multi-Paxos calls a ballot: only its round is told. */
export function showMaster({ term, lag, ...master }: MasterStatus) {
  return { ...master, ...(master.engine === 'paxos' ? { ballot: term } : { term }), lag: lag ?? null };
}

export async function run(invocation: Invocation): Promise<void> {
  const status = await withCluster(invocation, (cairn) => cairn.status()).catch((thrown: unknown) =>
    withoutLeader(invocation, thrown),
  );
  const { servers, masters, ...rest } = status;
  if (invocation.json) {
    printJson({ ...rest, masters: masters.map(showMaster), chunkservers: servers.map(showServer) });
    return;
  }
  printLine(`cluster ${status.clusterId}, led by master ${status.leader ?? '(none)'}\n`);
  const term = masters[0]?.engine === 'paxos' ? 'ballot' : 'term';
  const columns = ['master', 'address', 'role', 'engine', 'elector', term, 'commit', 'applied', 'lag', 'pid'];
  printLine(formatTable(columns, masters.map(rowOf)));
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
  const troubles = troublesOf(status);
  printLine(troubles.length === 0 ? 'all is well' : troubles.join('\n'));
}

/** People are told what can be told; the error is the same. */
async function withoutLeader(invocation: Invocation, thrown: unknown): Promise<never> {
  if (toCairnError(thrown).code === 'NO_QUORUM' && !invocation.json) {
    const words = await askMasters(namedMasters(invocation));
    if (words.some(({ says }) => says.startsWith('answers')))
      printLine(
        `no master leads; of themselves they say:\n${formatTable(
          ['master', ''],
          words.map(({ address, says }) => [address, says]),
        )}`,
      );
  }
  throw thrown;
}

function rowOf(m: MasterStatus): (string | number)[] {
  const role = m.standing === 'voter' ? m.role : `${m.role} (${m.standing})`;
  const known = m.role === 'down' ? ['-', '-', '-'] : [m.term, m.commitIndex, m.appliedIndex];
  return [m.id, m.address, role, m.engine, m.elector, ...known, m.lag ?? '-', m.pid === 0 ? '-' : m.pid];
}

/** What is not as it should be, a line each. */
export function troublesOf({ leader, masters, servers, underReplicatedChunks, lostChunks }: ClusterStatus): string[] {
  const troubles: string[] = [];
  if (leader === undefined) troubles.push('no master leads: nothing can be changed until a majority is up');
  const down = masters.filter(({ role }) => role === 'down').map(({ id }) => id);
  if (down.length > 0) troubles.push(`down: ${down.length === 1 ? 'master' : 'masters'} ${down.join(', ')}`);
  if (masters.filter(({ standing }) => standing === 'voter').length === 2)
    troubles.push('two masters vote, so neither may fail; add a third with `cairn consensus add ADDRESS`');
  for (const state of ['suspect', 'dead'] as const) {
    const ids = servers.filter((server) => server.state === state).map(({ id }) => id);
    const advice = state === 'dead' ? '; bring back, or, what is gone for good, `cairn drain ID`' : '';
    if (ids.length > 0)
      troubles.push(`${state}: ${ids.length === 1 ? 'chunkserver' : 'chunkservers'} ${ids.join(', ')}${advice}`);
  }
  const full = servers.filter(({ state, freeBytes }) => state === 'healthy' && freeBytes === 0).map(({ id }) => id);
  if (full.length > 0)
    troubles.push(`no room left: ${full.length === 1 ? 'chunkserver' : 'chunkservers'} ${full.join(', ')}`);
  if (servers.length === 0)
    troubles.push('no chunkserver has registered: files can be made, and nothing written to them');
  else if (servers.every(({ state }) => state === 'draining' || state === 'drained'))
    troubles.push(
      'all chunkservers are being drained: nothing new can be written; take it back with `cairn drain ID --undo`',
    );
  if (underReplicatedChunks > 0)
    troubles.push(`fewer copies than there should be: ${formatCount(underReplicatedChunks, 'chunk')}`);
  if (lostChunks > 0)
    troubles.push(
      `no copy left that can be reached: ${formatCount(lostChunks, 'chunk')}; \`cairn fsck\` names the files`,
    );
  return troubles;
}
