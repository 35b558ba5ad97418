/**
 * When the storm is over: a random quorum is well and connected, whatever becomes of the others, and clients must be served within a bound.
 * Then all are well, and must come to the same state. Liveness bugs show here: the safety checks are silent about them.
 */
import type { NodeId } from '../../../core/base/brand.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import { BrokenRule, hold } from './broken-rule.ts';
import type { Group, Node } from './group.ts';
import { calm } from './group-network.ts';
import { isQuorum } from './members-of-group.ts';

/** Within this clients are served again: elections that collide, a lease that runs out, snapshots. */
function progressMsOf({ plan }: Group): number {
  const leaseMs = (plan.lease?.durationMs ?? 0) * (1 + (plan.lease?.driftMax ?? 0));
  return 20 * plan.timing.electionTimeoutMaxMs + 2 * leaseMs + 3_000;
}

export function settle(group: Group): void {
  const random = group.random.fork('settling');
  const core = drawCore(group, random);
  group.note?.(
    'world',
    `the storm is over: ${core.map((id) => `n${id}`).join(' ')} are well, others ${group.plan.others}`,
  );
  group.network.weather = calm;
  const others = group.nodes().filter((id) => !core.includes(id));
  const links = leaveOut(group, others, core);
  for (const id of core) group.node(id).start();
  mustServe(group, 'a healthy quorum');
  mustConverge(group, (id) => core.includes(id));

  group.note?.('world', 'all are well');
  for (const [from, to] of links) group.network.join(from, to);
  for (const id of others) group.node(id).start();
  mustServe(group, 'all nodes');
  mustConverge(group, (id) => !group.lost.has(id));
  mustHaveAnswered(group);
}

/** As few as make a quorum in every configuration that anybody may act by, and perhaps some more. */
function drawCore(group: Group, random: SimRandom): readonly NodeId[] {
  const configurations = group.checker.watch.configurations();
  const sound = random.shuffled(group.nodes().filter((id) => !group.lost.has(id)));
  const core: NodeId[] = [];
  for (const id of sound) {
    if (configurations.every((members) => isQuorum(members, (node) => core.includes(node)))) break;
    core.push(id);
  }
  return core;
}

function leaveOut(
  group: Group,
  others: readonly NodeId[],
  core: readonly NodeId[],
): readonly (readonly [NodeId, NodeId])[] {
  const fate = group.plan.others;
  const links: (readonly [NodeId, NodeId])[] = [];
  for (const id of others) {
    const node = group.node(id);
    if (fate === 'down') node.crash(0);
    else node.start();
    for (const well of core) {
      if (fate === 'apart') links.push([id, well], [well, id]);
      if (fate === 'deaf') links.push([well, id]);
    }
  }
  for (const [from, to] of links) group.network.cut(from, to);
  return links;
}

function mustServe(group: Group, who: string): void {
  let served = 0;
  for (const client of group.clients) client.probe(() => served++);
  const from = group.agenda.nowMs;
  const withinMs = progressMsOf(group);
  group.agenda.runUntil(from + withinMs, () => served === group.clients.length);
  hold(served === group.clients.length, 'progress', () => {
    const seen = group.nodes().map((id) => describeNode(group.node(id)));
    return `${who} serve ${served} of ${group.clients.length} clients within ${withinMs} ms: ${seen.join('; ')}`;
  });
}

/** All members for whom `isThere` holds come to what is committed. */
function mustConverge(group: Group, isThere: (id: NodeId) => boolean): void {
  const { log } = group.checker;
  const behind = () => {
    const { voters, votersNext = [], nonVoters } = log.configurations.at(-1)!.members;
    const members = [...new Set([...voters, ...votersNext, ...nonVoters])].filter(isThere);
    return members.filter((id) => group.node(id).appliedIndex < log.highest);
  };
  const withinMs = progressMsOf(group) + 3 * group.host.installMs;
  group.agenda.runUntil(group.agenda.nowMs + withinMs, () => behind().length === 0);
  const late = behind();
  if (late.length === 0) return;
  const seen = late.map((id) => describeNode(group.node(id)));
  throw new BrokenRule('convergence', `${log.highest} is committed; after ${withinMs} ms: ${seen.join('; ')}`);
}

/** Nothing that was asked of a node is still open: what is lost must be said to be. */
function mustHaveAnswered(group: Group): void {
  const open = () => group.nodes().filter((id) => group.node(id).unanswered !== undefined);
  const withinMs = 2 * group.plan.timing.electionTimeoutMaxMs + 1_000;
  group.agenda.runUntil(group.agenda.nowMs + withinMs, () => open().length === 0);
  const [first] = open();
  if (first === undefined) return;
  throw new BrokenRule('contract', `n${first} still owes an answer to ${group.node(first).unanswered}`);
}

function describeNode({ id, status, isDamaged }: Node): string {
  if (status === undefined) return `n${id} ${isDamaged ? 'damaged' : 'down'}`;
  const { role, term, leader, commitIndex, appliedIndex, lastIndex } = status;
  return `n${id} ${role} of ${term} (leader ${leader ?? 'none'}) ${appliedIndex}/${commitIndex}/${lastIndex}`;
}
