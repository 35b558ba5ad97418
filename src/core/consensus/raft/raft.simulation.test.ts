import { describe, expect, it } from 'vitest';
import type { TestNode } from '../testing/test-node.test-support.ts';
import { TestNetwork } from '../testing/test-network.test-support.ts';
import { Raft } from './raft.ts';

type Group = TestNetwork;

/** One thing that goes wrong, or is asked, at a random moment. */
const happenings: readonly ((group: Group, node: TestNode) => void)[] = [
  (group, node) => {
    if (!node.up) node.start();
    else if (group.chance(0.5)) node.crash();
  },
  (group, node) => group.partition(node.id),
  (group) => group.partition(...group.nodes.filter(() => group.chance(0.5)).map(({ id }) => id)),
  (group, node) => group.cut.add(`${node.id}>${group.nodes[group.below(group.nodes.length)]!.id}`),
  (group) => group.cut.clear(),
  (group) => group.cut.clear(),
  (group, node) => group.pausedUntil.set(node.id, group.now() + group.below(600)),
  (group, node) => {
    if (!group.stalledDisks.delete(node.id)) group.stalledDisks.add(node.id);
  },
  (group, node) => {
    if (node.up) node.flush(group.below(20));
  },
  (_, node) => node.becomeClone(),
  (group) => {
    group.weather = {
      loss: group.chance(0.5) ? 0 : group.uniform() * 0.3,
      duplication: group.chance(0.5) ? 0 : group.uniform() * 0.3,
      delayMs: group.chance(0.5) ? [1, 2] : [1, 1 + group.below(80)],
      writeMs: group.chance(0.5) ? [0.2, 1] : [0.2, 1 + group.below(60)],
    };
  },
];

/** Proposals and reads at whoever believes to lead, and at others. */
function clients(group: Group): void {
  const node = group.chance(0.9) && group.leaders.length > 0 ? group.leaders[group.below(group.leaders.length)]! : anyNode(group);
  if (!node.up) return;
  if (group.chance(0.7)) group.propose(node, 1 + group.below(5), 1 + group.below(40));
  if (group.chance(0.5)) group.read(node);
}

function anyNode(group: Group): TestNode {
  return group.nodes[group.below(group.nodes.length)]!;
}

function storm(group: Group, ms: number): void {
  const end = group.now() + ms;
  while (group.now() < end) {
    for (let i = group.below(4); i > 0; i--) clients(group);
    if (group.chance(0.3)) happenings[group.below(happenings.length)]!(group, anyNode(group));
    group.run(group.below(30));
  }
}

/** What must come back when the faults stop: a leader, commits, reads, and everybody level. */
function calmDown(group: Group): void {
  group.heal();
  const leader = group.awaitLeader();
  const before = group.checker.highestCommitted;
  group.run(300);
  const node = group.awaitLeader();
  group.propose(node, 3);
  group.runUntil('new proposals commit', () => group.checker.highestCommitted >= before + 3);
  const read = group.read(group.awaitLeader());
  group.runUntil('a read is granted', () => read.granted !== undefined);
  group.runUntil('everybody is level', () => group.converged);
  group.checker.checkAll();
  expect(leader).toBeDefined();
}

const limits = { messageMaxBytes: 400, windowMaxMessages: 4, windowMaxBytes: 1200, uncommittedMaxEntries: 200 };

function run(seed: number): Group {
  const group: Group = new TestNetwork<any, any>(Raft, { seed, voters: [1, 2, 3, 3, 3, 5][seed % 6]!, nonVoters: seed % 7 === 0 ? 1 : 0, limits });
  for (let round = 0; round < 2; round++) {
    storm(group, 1500);
    calmDown(group);
  }
  return group;
}

describe('a Raft group in any weather', () => {
  const from = Number(process.env['FROM'] ?? 0), n = Number(process.env['SEEDS'] ?? 200);
  it(`is safe, and live when the faults stop`, () => {
    let bad = 0;
    let committed=0, messages=0, snaps=0;
    for (let seed = from; seed < from+n; seed++) {
      try { const g = run(seed); committed+=g.checker.highestCommitted; messages+=g.messages; snaps+=g.snapshots } catch (e) { bad++; console.log(seed, String((e as Error).stack).slice(0, 700)); if (bad > 3) break; }
    }
    console.log({committed, messages, snaps});
    expect(bad).toBe(0);
  }, 600000);
});
