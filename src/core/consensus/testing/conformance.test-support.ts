/**
 * What a host may rely on, whichever engine stands behind the contract (engine.ts): the same claims for each kind, made in a small group
 * in calm weather. What an engine does not offer, it says so.
 */
import { describe, expect, it } from 'vitest';
import { CairnError } from '../../base/errors.ts';
import type { ElectorName, EngineKind, LeaseTerms, ReadLevel } from '../engine.ts';
import { type GroupOptions, TestNetwork } from './test-network.test-support.ts';
import type { PendingControl, TestNode } from './test-node.test-support.ts';

/** Beyond linearizable and stale reads, which every engine offers. */
export interface Offered {
  readonly levels: readonly ReadLevel[];
}

type Group = TestNetwork<unknown, unknown>;
type Found = <M, R>(kind: EngineKind<M, R>, options?: Partial<GroupOptions>) => { group: Group; leader: TestNode };

const found: Found = (kind, options = {}) => {
  const group = new TestNetwork(kind, { seed: 1, voters: 3, ...options }) as unknown as Group;
  const leader = group.awaitLeader();
  group.runUntil('everybody is level', () => group.converged);
  return { group, leader };
};

function othersOf(group: Group, leader: TestNode): TestNode[] {
  return group.nodes.filter((node) => node !== leader);
}

/** Proposes and waits until all members have applied it. */
function commit(group: Group, leader: TestNode, count = 1, bytes = 8): void {
  const before = group.checker.highestCommitted;
  group.propose(leader, count, bytes);
  group.runUntil('it is committed', () => group.checker.highestCommitted >= before + count && group.converged);
}

function answered(group: Group, pending: PendingControl): PendingControl {
  group.runUntil('it is answered', () => pending.completed || pending.dropped !== undefined, 10_000);
  return pending;
}

const reasonsOf = (node: TestNode) => node.dropped.map((drop) => drop.split(' ')[1]);

export function conformanceClaims<M, R>(kind: EngineKind<M, R>, offered: Offered): void {
  describe(`${kind.name}: proposals`, () => {
    for (const elector of ['timeout', 'ballot'] as const)
      it(`are committed in order on every node, with the elector ${elector}`, () => commitsInOrder(kind, elector));

    it('survive that all nodes go down at once, and none that was committed is lost', () => {
      const { group, leader } = found(kind, { voters: 5 });
      group.propose(leader, 50);
      group.runUntil('some are committed', () => group.checker.highestCommitted >= 30);
      const committed = group.checker.highestCommitted;
      for (const node of group.nodes) node.crash();
      for (const node of group.nodes) node.start();
      commit(group, group.awaitLeader());
      expect(Math.min(...group.nodes.map((node) => node.applied))).toBeGreaterThan(committed);
      group.checker.checkAll();
    });

    it('are dropped for certain by who does not lead, by name', () => {
      const { group, leader } = found(kind);
      const [follower] = othersOf(group, leader);
      const committed = group.checker.highestCommitted;
      group.propose(follower!, 2);
      group.run(300);
      expect(reasonsOf(follower!)).toEqual(['notLeader', 'notLeader']);
      expect(group.checker.highestCommitted).toBe(committed);
    });

    it('are taken up to the limit of their size, and dropped beyond it', () => {
      const { group, leader } = found(kind, { limits: { proposalMaxBytes: 100, messageMaxBytes: 64 } });
      commit(group, leader, 3, 100);
      group.propose(leader, 1, 101);
      expect(reasonsOf(leader)).toEqual(['tooLarge']);
    });

    it.each([
      ['entries', { uncommittedMaxEntries: 10 }],
      ['bytes', { uncommittedMaxBytes: 400 }],
    ])('are bounded in %s while they cannot be committed, and taken again afterwards', (_, limits) => {
      const { group, leader } = found(kind, { limits });
      const before = group.checker.highestCommitted;
      group.partition(leader.id);
      group.propose(leader, 60, 16);
      const full = reasonsOf(leader).filter((reason) => reason === 'queueFull').length;
      expect(full).toBeGreaterThan(30);
      expect(full).toBeLessThan(60);
      group.cut.clear();
      group.runUntil('what was taken is committed', () => group.checker.highestCommitted >= before + 60 - full);
      commit(group, group.awaitLeader(), 5, 16);
    });

    it('of a leader that is deposed have an unknown outcome, said of each', () => {
      const { group, leader } = found(kind);
      group.partition(leader.id);
      group.propose(leader, 4);
      group.runUntil('it has stepped down', () => leader.engine!.status.role !== 'leader', 2000);
      expect(reasonsOf(leader)).toEqual(['steppedDown', 'steppedDown', 'steppedDown', 'steppedDown']);
    });

    it('of a group of one are committed by its own disk', () => {
      const { group, leader } = found(kind, { voters: 1 });
      commit(group, leader, 10);
      const committed = leader.applied;
      leader.crash();
      leader.start();
      commit(group, group.awaitLeader(), 1);
      expect(leader.applied).toBeGreaterThan(committed);
    });
  });

  describe(`${kind.name}: reads`, () => {
    const lease: LeaseTerms = { durationMs: 200, driftMax: 0.1 };

    it.each<[ReadLevel, LeaseTerms | undefined]>([
      ['linearizable', undefined],
      ['lease', lease],
      ['lease', undefined],
      ['stale', undefined],
      ['quorum', undefined],
    ])('of the level %s (lease %o) are granted at the leader, or dropped as not offered', (level, terms) => {
      const { group, leader } = found(kind, { lease: terms });
      commit(group, leader, 5);
      const read = group.read(leader, level);
      group.runUntil('it is answered', () => read.granted !== undefined || read.dropped !== undefined, 500);
      if (!isOffered(offered, level)) expect(read.dropped).toBe('readLevelNotOffered');
      else expect(read.granted).toBeGreaterThanOrEqual(level === 'stale' ? 0 : group.checker.highestCommitted);
    });

    it('by lease take no message, and go on under a leader that has a lease', () => {
      const { group, leader } = found(kind, { lease });
      commit(group, leader);
      const { messages } = group;
      const reads = Array.from({ length: 100 }, () => group.read(leader, 'lease'));
      expect(reads.every(({ granted }) => granted !== undefined)).toBe(true);
      expect(group.messages).toBe(messages);
    });

    it('stale ones are granted by any node, linearizable ones only where they can be confirmed', () => {
      const { group, leader } = found(kind);
      commit(group, leader, 3);
      group.partition(leader.id);
      expect(group.read(leader, 'stale').granted).toBe(leader.applied);
      const read = group.read(leader);
      group.run(1000);
      expect(read.granted).toBeUndefined();
      expect(read.dropped).toBe('steppedDown');
    });
  });

  controlClaims(kind);
  logClaims(kind);
}

function isOffered({ levels }: Offered, level: ReadLevel): boolean {
  return level === 'linearizable' || level === 'stale' || levels.includes(level);
}

function commitsInOrder<M, R>(kind: EngineKind<M, R>, elector: ElectorName): void {
  const { group, leader } = found(kind, { voters: 3, nonVoters: 1, elector });
  for (let i = 0; i < 20; i++) commit(group, leader, 1 + (i % 5));
  expect(new Set(group.nodes.map((node) => node.appliedPoint?.checksum)).size).toBe(1);
  expect(leader.dropped).toEqual([]);
  group.checker.checkAll();
}

function controlClaims<M, R>(kind: EngineKind<M, R>): void {
  describe(`${kind.name}: leadership`, () => {
    it('goes to each voter that it is asked to go to, without a lost proposal', () => {
      const { group } = found(kind, { voters: 3 });
      for (const target of [...group.nodes, ...group.nodes]) {
        const leader = group.awaitLeader();
        group.propose(leader, 5);
        const pending = leader.control({ kind: 'transferLeadership', to: target.id });
        expect(answered(group, pending)).toMatchObject({ completed: true });
        expect(group.awaitLeader()).toBe(target);
        expect(reasonsOf(leader)).not.toContain('steppedDown');
        commit(group, target);
      }
    });

    it('stays where it is when the target has no vote, or is not there', () => {
      const { group, leader } = found(kind, { voters: 3, nonVoters: 1 });
      const [dead] = othersOf(group, leader);
      const toListener = leader.control({ kind: 'transferLeadership', to: group.node(4).id });
      expect(answered(group, toListener).dropped).toBe('targetUnavailable');
      dead!.crash();
      const toDead = leader.control({ kind: 'transferLeadership', to: dead!.id });
      expect(answered(group, toDead).dropped).toBe('targetUnavailable');
      dead!.start();
      commit(group, group.awaitLeader());
    });

    it('is changed by the leader only', () => {
      const { group, leader } = found(kind);
      const [follower] = othersOf(group, leader);
      const pending = follower!.control({ kind: 'transferLeadership', to: follower!.id });
      expect(answered(group, pending).dropped).toBe('notLeader');
    });
  });

  describe(`${kind.name}: members`, () => {
    it('grow, are replaced and shrink, while proposals are committed', () => {
      const { group } = found(kind, { voters: 3, strangers: 2 });
      const goals = [[1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 4, 5], [1, 2, 3], [1]];
      for (const goal of goals) {
        const leader = group.awaitLeader();
        group.propose(leader, 10);
        expect(answered(group, group.changeMembers(leader, goal))).toMatchObject({ completed: true });
        const next = group.awaitLeader();
        commit(group, next, 3);
        expect(next.engine!.status.members).toEqual({ voters: goal, nonVoters: [] });
      }
      group.checker.checkAll();
    });

    it('that listen do not count, and may be made voters', () => {
      const { group, leader } = found(kind, { voters: 1, strangers: 2 });
      expect(answered(group, group.changeMembers(leader, [leader.id], [2, 3]))).toMatchObject({ completed: true });
      group.node(2).crash();
      group.node(3).crash();
      const before = leader.applied;
      group.propose(leader);
      group.runUntil('it is committed', () => leader.applied > before);
      group.node(2).start();
      group.node(3).start();
      expect(answered(group, group.changeMembers(leader, [1, 2, 3]))).toMatchObject({ completed: true });
      commit(group, group.awaitLeader());
    });

    it('are changed by a leader that has only just been elected', () => {
      const group = new TestNetwork(kind, { seed: 1, voters: 3 }) as unknown as Group;
      group.runUntil('somebody leads', () => group.leaders.length > 0);
      const [leader] = group.leaders;
      expect(
        answered(
          group,
          group.changeMembers(
            leader!,
            [1, 2, 3].filter((id) => id !== leader!.id),
          ),
        ),
      ).toMatchObject({
        completed: true,
      });
      commit(group, group.awaitLeader());
    });

    it('are changed once at a time, by the leader, and into something that can work', () => {
      const { group, leader } = found(kind, { voters: 3, strangers: 1 });
      const [follower] = othersOf(group, leader);
      expect(answered(group, group.changeMembers(follower!, [1, 2])).dropped).toBe('notLeader');
      for (const voters of [[], [1, 1, 2]])
        expect(answered(group, group.changeMembers(leader, voters)).dropped).toBe('membersInvalid');
      const first = group.changeMembers(leader, [1, 2, 3, 4]);
      expect(answered(group, group.changeMembers(leader, [1, 2])).dropped).toBe('changeInProgress');
      expect(answered(group, first)).toMatchObject({ completed: true });
    });

    it('are not changed into a group that could not commit anything', () => {
      const { group, leader } = found(kind, { voters: 5 });
      const others = othersOf(group, leader);
      others[0]!.crash();
      others[1]!.crash();
      group.run(1000);
      const goal = [leader, others[0]!, others[1]!].map(({ id }) => id);
      expect(answered(group, group.changeMembers(leader, goal)).dropped).toBe('membersInvalid');
      const before = group.checker.highestCommitted;
      group.propose(leader);
      group.runUntil('the group goes on as it was', () => group.checker.highestCommitted > before);
    });
  });
}

function logClaims<M, R>(kind: EngineKind<M, R>): void {
  describe(`${kind.name}: the log`, () => {
    it('is compacted behind what is durable, and a node restarts from what is left', () => {
      const { group, leader } = found(kind);
      commit(group, leader, 100);
      for (const node of group.nodes) {
        node.flush(10);
        expect(node.engine!.status.firstIndex).toBe(node.applied - 10 + 1);
        node.crash();
        node.start();
        expect(node.engine!.status.firstIndex).toBeGreaterThan(80);
      }
      commit(group, group.awaitLeader(), 5);
      group.checker.checkAll();
    });

    it('that is compacted reaches a follower as state, then goes on as entries', () => {
      const { group, leader } = found(kind);
      const [away] = othersOf(group, leader);
      away!.crash();
      const before = leader.applied;
      group.propose(leader, 200);
      group.runUntil('they are committed', () => leader.applied >= before + 200);
      for (const node of group.nodes) if (node.up) node.flush(5);
      away!.start();
      group.runUntil('everybody is level', () => group.converged);
      commit(group, group.awaitLeader(), 3);
      expect(group.snapshots).toBeGreaterThan(0);
      expect(group.snapshots).toBeLessThan(3);
    });

    it('keeps the members through compaction and restart', () => {
      const { group, leader } = found(kind, { voters: 3, strangers: 1 });
      answered(group, group.changeMembers(leader, [1, 2, 3, 4]));
      commit(group, group.awaitLeader(), 20);
      for (const node of group.nodes) {
        node.flush(0);
        node.crash();
      }
      for (const node of group.nodes) node.start();
      const next = group.awaitLeader();
      expect(next.engine!.status.members).toEqual({ voters: [1, 2, 3, 4], nonVoters: [] });
      commit(group, next);
    });

    it('goes on in a clone as it would have', () => {
      const run = (clones: boolean) => {
        const { group, leader } = found(kind);
        for (let i = 0; i < 20; i++) {
          group.propose(leader, 2);
          group.run(7);
          if (clones) for (const node of group.nodes) node.becomeClone();
        }
        return group.digest;
      };
      expect(run(true)).toBe(run(false));
    });

    it('refuses messages and records that are cut or made up, as the mistake of who made them', () => {
      const codes = new Set<string>();
      for (let seed = 0; seed < 300; seed++) {
        const bytes = Uint8Array.from({ length: seed % 40 }, (_, i) => (seed * 31 + i * (seed % 7)) & 0xff);
        for (const decode of [kind.decodeMessage, kind.decodeRecord] as ((from: Uint8Array) => unknown)[])
          try {
            decode(bytes);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(CairnError);
            codes.add((thrown as CairnError).code);
          }
      }
      expect([...codes].sort()).toEqual(['LOG_CORRUPT', 'PROTOCOL']);
    });
  });
}
