/**
 * When the storm is over: a random quorum is well and connected, whatever becomes of the others, and clients must be served within a bound.
 * Then all are well, and must come to the same state. Liveness bugs show here: the safety checks are silent about them.
 */
import { assert } from '../../../core/base/assert.ts';
import type { NodeId } from '../../../core/base/brand.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import { BrokenRule, hold } from './broken-rule.ts';
import type { Group, Node } from './group.ts';
import { calm } from './group-network.ts';
import { isMember } from './members-of-group.ts';
import type { GroupPlan } from './plan.ts';

/** Within this clients are served again: elections that collide, a lease that runs out, snapshots. */
function progressMsOf({ plan }: Group): number {
  const leaseMs = (plan.lease?.durationMs ?? 0) * (1 + (plan.lease?.driftMax ?? 0));
  // Multi-Paxos fills a window of slots, one message after another at worst, before other voters decide
  const windowMs = plan.engine === 'paxos' && plan.spares > 0 ? 2_000 : 0;
  return 20 * plan.timing.electionTimeoutMaxMs + 2 * leaseMs + windowMs + 4 * (plan.host.streamMs ?? 0) + 3_000;
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
  const takeBackIn = leaveOut(group, others, core, random);
  for (const id of core) group.node(id).start();
  mustServe(group, 'a healthy quorum');
  // a node with some links may lead and never reach some of the core
  if (group.plan.others !== 'noisy') mustConverge(group, (id) => core.includes(id));

  group.note?.('world', 'all are well');
  takeBackIn();
  mustServe(group, 'all nodes');
  mustConverge(group, (id) => group.isSound(id));
  mustHaveAnswered(group);
}

/** As few as make a quorum in every configuration that anybody may act by, and perhaps some more. */
function drawCore(group: Group, random: SimRandom): readonly NodeId[] {
  const sound = random.shuffled(group.nodes().filter((id) => group.isSound(id)));
  const core: NodeId[] = [];
  for (const id of sound) {
    if (group.canDecide((node) => core.includes(node))) break;
    core.push(id);
  }
  const isQuorum = group.canDecide((node) => core.includes(node));
  assert(isQuorum, 'sound nodes are a quorum of every configuration', { core: core.join(' ') });
  return core;
}

/** @returns what undoes it */
function leaveOut(group: Group, others: readonly NodeId[], core: readonly NodeId[], random: SimRandom): () => void {
  const fate = group.plan.others;
  const links = others.flatMap((id) => core.flatMap((well) => linksOf(fate, id, well, random)));
  for (const [from, to] of links) group.network.cut(from, to);
  for (const id of others) {
    if (fate === 'down') group.node(id).crash(0);
    else group.node(id).start();
    if (fate === 'stalled') group.stalled.add(id);
  }
  return () => {
    for (const [from, to] of links) group.network.join(from, to);
    for (const id of others) {
      if (group.stalled.delete(id)) group.node(id).crash(0); // what its disk was at is never done
      group.node(id).start();
    }
  };
}

/** Those that are cut. */
function linksOf(
  fate: GroupPlan['others'],
  id: NodeId,
  well: NodeId,
  random: SimRandom,
): readonly (readonly [NodeId, NodeId])[] {
  const [to, from] = [[id, well] as const, [well, id] as const];
  switch (fate) {
    case 'apart':
      return [to, from];
    case 'deaf':
      return [from];
    case 'noisy':
      return [to, from].filter(() => random.chance(0.5));
    default:
      return [];
  }
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
  const isLate = ({ id, appliedIndex }: Node) =>
    appliedIndex < log.highest && isThere(id) && isMember(log.configurations.at(-1)!.members, id);
  const nodes = [...group.nodesById.values()];
  const withinMs = progressMsOf(group) + 3 * group.host.installMs;
  group.agenda.runUntil(group.agenda.nowMs + withinMs, () => !nodes.some(isLate));
  const late = nodes.filter(isLate);
  if (late.length === 0) return;
  throw new BrokenRule(
    'convergence',
    `${log.highest} is committed; after ${withinMs} ms: ${late.map(describeNode).join('; ')}`,
  );
}

/** Nothing that was asked of a node is still open: what is lost must be said to be. */
function mustHaveAnswered(group: Group): void {
  const open = () => group.nodes().filter((id) => group.node(id).unanswered !== undefined);
  // clients try on what they are at; a quorum read has a patience of 4 election timeouts, and may begin after a round that has used up its own
  const { client, timing } = group.plan;
  const withinMs = client.callMs + 8 * timing.electionTimeoutMaxMs + 1_000;
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
