/**
 * Claims about groups in which some links are cut for good, after the scenarios of Ng, Haridi, Carbone 2023 ("Omni-Paxos", §2): the same
 * for each engine and each elector.
 */
import { describe, expect, it } from 'vitest';
import type { ElectorName, EngineKind } from '../engine.ts';
import { TestNetwork } from './test-network.test-support.ts';
import type { TestNode } from './test-node.test-support.ts';

type Group = TestNetwork<unknown, unknown>;

function settled<M, R>(kind: EngineKind<M, R>, elector: ElectorName, voters: number, seed: number) {
  const group = new TestNetwork<M, R>(kind, { seed, voters, elector }) as unknown as Group;
  const leader = group.awaitLeader();
  group.propose(leader, 5);
  group.runUntil('everybody is level', () => group.converged && leader.applied >= 5);
  return { group, leader, others: group.nodes.filter((node) => node !== leader) };
}

function cut(group: Group, a: TestNode, b: TestNode): void {
  group.cut.add(`${a.id}>${b.id}`);
  group.cut.add(`${b.id}>${a.id}`);
}

/** Only the links with `hub` stay. */
function cutAllBut(group: Group, hub: TestNode): void {
  for (const a of group.nodes) for (const b of group.nodes) if (a !== hub && b !== hub && a !== b) cut(group, a, b);
}

/** Somebody leads who can have something committed. */
function commits(group: Group, withinMs: number): void {
  const before = group.checker.highestCommitted;
  let tried = 0;
  const committed = () => {
    if (tried++ % 50 === 0) for (const leader of group.leaders) group.propose(leader);
    return group.checker.highestCommitted > before + 1;
  };
  group.runUntil('a proposal is committed', committed, withinMs);
}

const termOf = (group: Group) => Math.max(...group.nodes.map((node) => node.engine!.status.term));

/** Nobody seeks leadership any more. */
function stays(group: Group, ms: number): void {
  const before = termOf(group);
  group.run(ms);
  expect(termOf(group)).toBe(before);
}

function hearsQuorum(group: Group, node: TestNode): boolean {
  const heard = group.nodes.filter((other) => !group.cut.has(`${node.id}>${other.id}`));
  return heard.length > group.nodes.length / 2;
}

export function partialConnectivityClaims<M, R>(kind: EngineKind<M, R>, elector: ElectorName): void {
  describe(`${kind.name} with the elector ${elector}, some links being cut`, () => {
    it('replaces a leader that has lost its quorum but is still heard (quorum loss)', () => {
      for (let seed = 1; seed <= 10; seed++) {
        const { group, leader, others } = settled(kind, elector, 5, seed);
        cutAllBut(group, others[seed % 4]!);
        group.runUntil('the hub leads', () => group.leader !== undefined && group.leader !== leader, 3000);
        commits(group, 1000);
        stays(group, 2000);
      }
    });

    it('is not disturbed by a node that hears a quorum but not the leader (chained)', () => {
      const { group, leader, others } = settled(kind, elector, 3, 1);
      const before = termOf(group);
      cut(group, leader, others[0]!);
      group.run(5000);
      expect(termOf(group)).toBe(before);
      expect(group.leaders).toEqual([leader]);
      commits(group, 1000);
    });

    it('is led by somebody in the middle of a chain of five', () => {
      const { group } = settled(kind, elector, 5, 2);
      for (const a of group.nodes) for (const b of group.nodes) if (Math.abs(a.id - b.id) > 1) cut(group, a, b);
      commits(group, 3000);
      stays(group, 2000);
    });

    it('goes on while the links of a leader fail in one direction', () => {
      const { group, leader, others } = settled(kind, elector, 3, 3);
      for (const { id } of others) group.cut.add(`${id}>${leader.id}`);
      group.runUntil('another leads', () => group.leader !== undefined && group.leader !== leader, 3000);
      commits(group, 1000);
    });

    it('has a leader that stays, as long as anybody hears a quorum', () => {
      let held = 0;
      for (let seed = 1; seed <= 40; seed++) {
        const { group } = settled(kind, elector, 5, seed);
        for (const a of group.nodes)
          for (const b of group.nodes) if (a.id < b.id && group.chance(0.5)) cut(group, a, b);
        if (!group.nodes.some((node) => hearsQuorum(group, node))) continue;
        held += 1;
        commits(group, 3000);
        group.run(500);
        stays(group, 2000);
      }
      expect(held).toBeGreaterThan(15);
    });
  });
}
