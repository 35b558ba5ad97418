/** What a group does when a part of it is missing, cut off, slow or busy: the same for each engine. */
import { describe, expect, it } from 'vitest';
import { defaultTiming, type EngineKind } from '../engine.ts';
import { TestNetwork } from './test-network.test-support.ts';
import type { TestNode } from './test-node.test-support.ts';

type Group = TestNetwork<unknown, unknown>;
type Founded = (options?: { voters?: number; seed?: number }) => {
  all: Group;
  leader: TestNode;
  followers: TestNode[];
};
/** How the traces of the engines say that a node seeks to lead. */
const campaigns = ['election_started', 'phase_one_begun'];

const termOf = (node: TestNode) => node.engine!.status.term;

/** Proposes at `node` and waits for the commit; returns how long it took. */
function commits(all: Group, node: TestNode, withinMs = 1000): number {
  const before = all.checker.highestCommitted;
  const start = all.now();
  all.propose(node);
  all.runUntil('the proposal commits', () => all.checker.highestCommitted > before, withinMs);
  return all.now() - start;
}

/** Proposes so many, and waits until the leader has applied them. */
function commitsAll(all: Group, leader: TestNode, count: number): void {
  const before = leader.applied;
  all.propose(leader, count);
  all.runUntil('they are committed', () => leader.applied >= before + count);
}

export function scenarioClaims<M, R>(kind: EngineKind<M, R>): void {
  const group: Founded = ({ voters = 3, seed = 1 } = {}) => {
    const all = new TestNetwork(kind, { seed, voters }) as unknown as Group;
    const leader = all.awaitLeader();
    all.runUntil('everybody is level', () => all.converged);
    return { all, leader, followers: all.nodes.filter((node) => node !== leader) };
  };
  describe(kind.name, () => {
    lossClaims(group);
    linkClaims(group);
    readClaims(group);
    changeClaims(kind, group);
    slownessClaims(group);
    trafficClaims(group);
  });
}

function lossClaims(group: Founded): void {
  describe('a group that loses its leader', () => {
    it('has another within a second, established and committing', () => {
      for (let seed = 1; seed <= 40; seed++) {
        const { all, leader } = group({ seed });
        all.propose(leader, 5);
        all.run(10);
        leader.crash();
        const start = all.now();
        const next = all.awaitLeader();
        commits(all, next);
        expect(all.now() - start).toBeLessThan(1000);
      }
    });

    it('has another within a second when the old one is paused rather than dead, and the old one follows when it wakes', () => {
      const { all, leader, followers } = group();
      const cutOff = followers.flatMap(({ id }) => [`${leader.id}>${id}`, `${id}>${leader.id}`]);
      for (const link of cutOff) all.cut.add(link);
      all.runUntil('another leads', () => all.leader !== undefined && all.leader !== leader, 1000);
      all.cut.clear();
      all.runUntil('one leads', () => all.leaders.length === 1);
      expect(leader.engine!.status.role).toBe('follower');
    });

    it('keeps everything that was committed when all nodes go down at once', () => {
      const { all, leader } = group({ voters: 5 });
      all.propose(leader, 50);
      all.runUntil('some have committed', () => all.checker.highestCommitted >= 40);
      const committed = all.checker.highestCommitted;
      for (const node of all.nodes) node.crash();
      for (const node of all.nodes) node.start();
      all.awaitLeader();
      all.runUntil('everybody has applied', () => all.nodes.every((node) => node.applied >= committed));
      all.checker.checkAll();
    });
  });
}

function linkClaims(group: Founded): void {
  describe('a group in which some links are cut', () => {
    it('is not disturbed by a node that was cut off and returns (PreVote)', () => {
      const { all, leader, followers } = group();
      const [lonely] = followers;
      const before = termOf(leader);
      all.partition(lonely!.id);
      all.run(3000);
      all.cut.clear();
      all.run(1000);
      expect(all.leaders).toEqual([leader]);
      expect(termOf(leader)).toBe(before);
      commits(all, leader);
      all.runUntil('everybody is level', () => all.converged);
    });

    it('is not disturbed by a node that hears everybody but the leader (chained)', () => {
      const { all, leader, followers } = group();
      const before = termOf(leader);
      all.cut.add(`${leader.id}>${followers[0]!.id}`);
      all.cut.add(`${followers[0]!.id}>${leader.id}`);
      all.run(5000);
      expect(all.leaders).toEqual([leader]);
      expect(termOf(leader)).toBe(before);
      commits(all, leader);
    });

    it('gets rid of a leader that is heard but hears nobody (CheckQuorum)', () => {
      const { all, leader, followers } = group();
      for (const { id } of followers) all.cut.add(`${id}>${leader.id}`);
      all.propose(leader, 3);
      all.runUntil('another leads', () => all.leader !== undefined && all.leader !== leader, 2000);
      expect(leader.dropped.map((drop) => drop.split(' ')[1])).toContain('steppedDown');
      commits(all, all.leader!);
    });

    it('goes on with the majority side, and the minority side commits nothing', () => {
      const { all, leader, followers } = group({ voters: 5 });
      all.partition(leader.id, followers[0]!.id);
      all.propose(leader, 3);
      const committed = all.checker.highestCommitted;
      all.runUntil('the majority elects', () => all.leaders.some((node) => node !== leader), 2000);
      expect(all.checker.highestCommitted).toBe(committed);
      all.run(defaultTiming.electionTimeoutMaxMs * 2);
      expect(all.leaders).not.toContain(leader);
      commits(all, all.awaitLeader());
    });
  });
}

function readClaims(group: Founded): void {
  describe('reads', () => {
    it('are never granted by a leader that was cut off before they began', () => {
      for (let seed = 1; seed <= 20; seed++) {
        const { all, leader } = group({ seed });
        all.partition(leader.id);
        const early = all.read(leader);
        all.runUntil('another leads', () => all.leader !== undefined && all.leader !== leader, 2000);
        commits(all, all.leader!);
        const late = leader.engine!.status.role === 'leader' ? all.read(leader) : undefined;
        all.cut.clear();
        all.run(1000);
        expect(early).toMatchObject({ granted: undefined, dropped: 'steppedDown' });
        if (late !== undefined) expect(late.granted).toBeUndefined();
      }
    });

    it('take one round trip and few messages, however many come', () => {
      const { all, leader } = group();
      all.run(50);
      const messages = all.messages;
      const reads = Array.from({ length: 500 }, () => all.read(leader));
      all.runUntil('all are granted', () => reads.every((read) => read.granted !== undefined), 20);
      expect(all.messages - messages).toBeLessThan(16);
    });
  });
}

function changeClaims<M, R>(kind: EngineKind<M, R>, group: Founded): void {
  describe('members and leaders that change under load', () => {
    /** Proposes all along, at whoever leads; returns how long nothing was committed at most. */
    function pauseDuring(all: Group, what: string, done: () => boolean): number {
      let last = all.now();
      let longest = 0;
      let seen = all.checker.highestCommitted;
      all.runUntil(what, () => {
        for (const node of all.leaders) all.propose(node);
        if (all.checker.highestCommitted > seen) {
          longest = Math.max(longest, all.now() - last);
          last = all.now();
          seen = all.checker.highestCommitted;
        }
        return done();
      });
      return longest;
    }

    it('leadership is handed over within a few round trips, and no proposal is lost', () => {
      const { all, leader, followers } = group();
      const pending = leader.control({ kind: 'transferLeadership', to: followers[0]!.id });
      expect(pauseDuring(all, 'another leads', () => pending.completed && all.leader === followers[0])).toBeLessThan(
        25,
      );
      expect(leader.dropped.map((drop) => drop.split(' ')[1])).not.toContain('steppedDown');
    });

    it('a member is replaced without a pause, even if it is the leader', () => {
      for (const removed of [1, 2, 3]) {
        const all = new TestNetwork(kind, { seed: 5, voters: 3, strangers: 1 }) as unknown as Group;
        const leader = all.awaitLeader();
        commitsAll(all, leader, 500);
        const pending = all.changeMembers(
          leader,
          [1, 2, 3, 4].filter((id) => id !== removed),
        );
        const done = () =>
          pending.completed && all.leader !== undefined && all.checker.members.voters.includes(all.leader.id);
        expect(pauseDuring(all, 'it is done', done)).toBeLessThan(40);
      }
    });
  });
}

function slownessClaims(group: Founded): void {
  describe('slow nodes', () => {
    it('a follower whose disk stalls neither holds up commits nor looks dead', () => {
      const { all, leader, followers } = group();
      all.stalledDisks.add(followers[0]!.id);
      for (let i = 0; i < 20; i++) expect(commits(all, leader)).toBeLessThan(10);
      all.run(2000);
      expect(all.leaders).toEqual([leader]);
      all.stalledDisks.clear();
      all.runUntil('everybody is level', () => all.converged);
    });

    it('a leader whose disk stalls commits by the disks of the others', () => {
      const { all, leader } = group();
      all.stalledDisks.add(leader.id);
      for (let i = 0; i < 20; i++) expect(commits(all, leader)).toBeLessThan(10);
      expect(all.leaders).toEqual([leader]);
    });

    it('a leader whose disk stands still makes way for one whose disk does not, and does not come back meanwhile', () => {
      const { all, leader } = group();
      all.writeStopped.add(leader.id);
      all.propose(leader);
      all.runUntil('another leads', () => all.leader !== undefined && all.leader !== leader, 1000);
      for (let i = 0; i < 10; i++) expect(commits(all, all.leader!)).toBeLessThan(10);
      all.run(3000);
      expect(leader.trace.filter((name) => campaigns.includes(name))).toHaveLength(1);
      all.writeStopped.clear();
      leader.crash();
      leader.start();
      all.runUntil('everybody is level', () => all.converged);
    });

    it('a follower that was away while the log was compacted gets the state, then entries', () => {
      const { all, leader, followers } = group();
      followers[0]!.crash();
      commitsAll(all, leader, 200);
      leader.flush(10);
      followers[1]!.flush(10);
      followers[0]!.start();
      all.run(100);
      commits(all, leader);
      all.runUntil('everybody is level', () => all.converged, 1000);
      expect(all.snapshots).toBe(1);
      expect(followers[0]!.engine!.status.firstIndex).toBeGreaterThan(180);
    });

    it('a follower that was away for a moment gets entries, not the state', () => {
      const { all, leader, followers } = group();
      followers[0]!.crash();
      commitsAll(all, leader, 50);
      leader.flush(1000);
      followers[0]!.start();
      all.runUntil('everybody is level', () => all.converged, 1000);
      expect(all.snapshots).toBe(0);
    });
  });
}

function trafficClaims(group: Founded): void {
  describe('traffic', () => {
    it('is heartbeats and their answers when nothing happens', () => {
      const { all } = group();
      all.run(100);
      const before = all.messages;
      all.run(1000);
      expect(all.messages - before).toBeLessThanOrEqual((1000 / defaultTiming.heartbeatIntervalMs + 1) * 4);
    });

    it('is two messages and two answers for each batch when batches follow one another', () => {
      const { all, leader } = group();
      all.run(100);
      const before = all.messages;
      const batches = 200;
      for (let i = 0; i < batches; i++) commits(all, leader);
      expect((all.messages - before) / batches).toBeLessThan(5.5);
    });
  });
}
