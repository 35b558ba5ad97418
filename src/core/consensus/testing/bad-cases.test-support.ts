/** What others do wrong, and what comes over a group that is well otherwise: the same claims for each engine. */
import { describe, expect, it } from 'vitest';
import { defaultTiming, type EngineKind } from '../engine.ts';
import { type GroupOptions, TestNetwork } from './test-network.test-support.ts';
import type { TestNode } from './test-node.test-support.ts';

type Group = TestNetwork<unknown, unknown>;
const { electionTimeoutMaxMs } = defaultTiming;
const reasonsOf = (node: TestNode) => node.dropped.map((drop) => drop.split(' ')[1]);

export function badCaseClaims<M, R>(kind: EngineKind<M, R>): void {
  const founded = (options: Partial<GroupOptions> = {}) => {
    const group = new TestNetwork(kind, { seed: 3, voters: 3, ...options }) as unknown as Group;
    const leader = group.awaitLeader();
    commits(group);
    return { group, leader, followers: group.members.filter((node) => node !== leader) };
  };

  describe(`${kind.name}, when things go wrong`, () => {
    it('each proposal at the minority end of a partition ends: unknown at who led, refused for certain elsewhere', () => {
      const { group, leader, followers } = founded({ voters: 5 });
      const before = group.checker.highestCommitted;
      group.partition(leader.id, followers[0]!.id);
      group.propose(leader, 3);
      group.propose(followers[0]!, 2);
      group.run(2 * electionTimeoutMaxMs);
      expect(reasonsOf(leader)).toEqual(['steppedDown', 'steppedDown', 'steppedDown']);
      expect(reasonsOf(followers[0]!)).toEqual(['notLeader', 'notLeader']);
      group.propose(leader, 1);
      expect(reasonsOf(leader).at(-1)).toBe('notLeader');
      expect(leader.applied).toBe(before);
    });

    it('a member that was removed while it was away does not disturb those who stay', () => {
      const { group, leader, followers } = founded({ voters: 4 });
      const [removed, ...stay] = followers;
      group.partition(removed!.id);
      const pending = group.changeMembers(
        leader,
        [leader, ...stay].map(({ id }) => id),
      );
      group.runUntil('it is removed', () => pending.completed);
      group.run(10 * electionTimeoutMaxMs); // what was to tell it has given up
      const { term } = leader.engine!.status;
      group.cut.clear();
      group.run(10 * electionTimeoutMaxMs);
      expect(group.leaders).toEqual([leader]);
      expect(leader.engine!.status.term).toBe(term);
      commits(group);
    });

    it.each(['leader', 'follower'] as const)(
      'a clock that jumps ahead, of the %s, ends at most one leadership',
      (whose) => {
        const { group, leader, followers } = founded();
        const { term } = leader.engine!.status;
        group.clocksAhead.set((whose === 'leader' ? leader : followers[0]!).id, 3_600_000);
        for (let i = 0; i < 10; i++) {
          group.run(electionTimeoutMaxMs);
          commits(group);
        }
        expect(group.leader!.engine!.status.term).toBeLessThanOrEqual(term + (whose === 'leader' ? 1 : 0));
        group.checker.checkAll();
      },
    );

    it('a peer that says the same again and again moves nothing, and is answered no more than once each time', () => {
      const { group, leader, followers } = founded();
      const flooding = followers[0]!;
      const said = group.lastMessages.get(`${flooding.id}>${leader.id}`)!;
      const heard = group.lastMessages.get(`${leader.id}>${flooding.id}`)!;
      const { lastIndex, term } = leader.engine!.status;
      const sentBefore = group.messages;
      const times = 2000;
      for (let i = 0; i < times; i++) {
        leader.receive(flooding.id, said);
        flooding.receive(leader.id, heard);
      }
      expect(group.messages - sentBefore).toBeLessThanOrEqual(2 * times);
      expect(leader.engine!.status).toMatchObject({ role: 'leader', lastIndex, term });
      commits(group);
    });

    it('what a node says that is no member changes nothing', () => {
      const { group, leader, followers } = founded({ strangers: 1 });
      const { term, members } = leader.engine!.status;
      const stranger = group.nodes.find((node) => !group.members.includes(node))!;
      for (const of of [leader, ...followers])
        for (const to of [leader, ...followers]) {
          const message = group.lastMessages.get(`${of.id}>${to.id}`);
          if (message !== undefined) to.receive(stranger.id, message);
        }
      group.run(electionTimeoutMaxMs);
      expect(group.leaders).toEqual([leader]);
      expect(leader.engine!.status).toMatchObject({ term, members });
      commits(group);
    });

    it('each read and each request ends, whatever becomes of the node that it was asked of', () => {
      const { group, leader, followers } = founded({ lease: { durationMs: 100, driftMax: 0.1 } });
      group.partition(leader.id);
      const levels = ['linearizable', 'lease', 'stale', 'quorum'] as const;
      const reads = [leader, ...followers].flatMap((node) => levels.map((level) => group.read(node, level)));
      const pending = group.changeMembers(leader, [1, 2]);
      group.run(6 * electionTimeoutMaxMs);
      for (const { granted, dropped } of reads) expect(granted ?? dropped).toBeDefined();
      expect(pending.completed || pending.dropped !== undefined).toBe(true);
    });
  });
}

/** One value, at whoever leads. */
function commits(group: Group): void {
  const before = group.checker.highestCommitted;
  group.propose(group.awaitLeader());
  group.runUntil('it is committed everywhere', () => group.checker.highestCommitted > before && group.converged);
}
