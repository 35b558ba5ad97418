import { describe, expect, it } from 'vitest';
import { toMillis } from '../../base/brand.ts';
import { defaultTiming } from '../engine.ts';
import type { PaxosMessage } from './messages.ts';
import {
  accept,
  ballot,
  chain,
  index,
  members,
  OneNode,
  promise,
  reported,
  sent,
  value,
} from './one-node.test-support.ts';
import type { PaxosEffects } from './outbox.ts';

const { electionTimeoutMaxMs, heartbeatIntervalMs } = defaultTiming;
const granted = (effects: PaxosEffects) => effects.reads.map((read) => read.index as number);

/** What a leader is asked for first. */
const leaderValue = { kind: 'proposal', session: 9, sequence: 1, data: new Uint8Array(4) } as const;

/** With one value chosen. */
function leaderWithValue(setup: ConstructorParameters<typeof OneNode>[0] = {}) {
  const leader = new OneNode(setup);
  const own = leader.lead();
  leader.propose();
  leader.persist();
  leader.receive(2, leader.accepted(own, 1, 1));
  return { leader, own };
}

describe('a linearizable read (read index)', () => {
  it('is granted at what was chosen when its round began, once an accept quorum has answered that round', () => {
    const { leader, own } = leaderWithValue();
    const { effects } = leader.read();
    const [asked] = sent(effects, 'accept');
    expect(granted(effects)).toEqual([]);
    expect(granted(leader.receive(2, leader.accepted(own, 2, 1, { round: asked!.message.round })))).toEqual([1]);
  });

  it('is not confirmed by an answer to an earlier round', () => {
    const { leader, own } = leaderWithValue();
    leader.read();
    expect(granted(leader.receive(2, leader.accepted(own, 2, 1, { round: 0 })))).toEqual([]);
  });

  it('waits until everything is decided that was voted for in earlier ballots', () => {
    const leader = new OneNode();
    const { ballot: own } = leader.campaign();
    leader.receive(2, promise(own, { votes: [reported(ballot(0, 2), 1, 0, value(1))] }));
    expect(sent(leader.read().effects, 'accept')).toEqual([]);
    leader.persist();
    const effects = leader.receive(2, leader.accepted(own, 1, 1));
    expect(leader.status.established).toBe(true);
    expect(sent(effects, 'accept').map(({ message }) => message.round)).toContain(1);
  });

  it('is granted when a change leaves nobody to be asked who has not answered, and holds up no later one', () => {
    const leader = new OneNode({ voters: 2, config: { windowSlots: 4 } });
    const own = leader.lead();
    leader.receive(2, leader.accepted(own, 1, 0));
    leader.changeMembers(members([1]));
    leader.persist();
    leader.receive(2, leader.accepted(own, 1, 1));
    leader.read();
    leader.receive(2, leader.accepted(own, 2, 4));
    expect(granted(leader.persist().effects)).toEqual([1]);
    expect(granted(leader.read().effects)).toEqual([5]);
  });

  it('is dropped by a node that does not lead, and by one that ceases to', () => {
    expect(new OneNode().read().effects.dropped).toMatchObject([{ reason: 'notLeader' }]);
    const { leader, own } = leaderWithValue();
    leader.read();
    const effects = leader.receive(3, { kind: 'rejected', ballot: own, promised: ballot(7, 3) });
    expect(effects.dropped).toMatchObject([{ kind: 'read', reason: 'steppedDown' }]);
  });
});

describe('a read by lease (LeaseGuard)', () => {
  const config = { lease: { durationMs: 200, driftMax: 0.1 } };

  it('is granted alone while the last value chosen in this ballot is young enough', () => {
    const { leader } = leaderWithValue({ config });
    expect(granted(leader.read('lease').effects)).toEqual([1]);
    leader.now += 201;
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('is none without a value of this ballot', () => {
    const leader = new OneNode({ config });
    leader.lead();
    expect(granted(leader.read('lease').effects)).toEqual([]);
  });

  it('is none by a value of an earlier ballot that is proposed again: who leads next may have had it for long', () => {
    const leader = new OneNode({ config });
    leader.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    leader.persist();
    leader.tick(150);
    const { ballot: own } = leader.campaign();
    leader.receive(2, promise(own, {}));
    leader.tick(70);
    leader.propose();
    leader.persist();
    leader.receive(2, leader.accepted(own, 1, 1));
    expect(leader.status).toMatchObject({ established: true, commitIndex: 1 });
    expect(granted(leader.read('lease').effects)).toEqual([]);
    leader.receive(2, leader.accepted(own, 2, 2));
    expect(granted(leader.read('lease').effects)).toEqual([2]);
  });

  it('of who led elsewhere meanwhile does not end by the word of a leader that has been deposed', () => {
    const late = { leasesEnded: true, kind: 'takeOver', ballot: ballot(1, 1) } as const;
    const entries = chain(1, 0, [1, value(1)], [2, value(2)]);
    const followed = accept(ballot(1, 1), entries.slice(0, 1));
    const chosen = { kind: 'chosen', first: index(1), firstRetained: index(1), entries } as const;
    const waits = (...told: PaxosMessage[]) => {
      const next = new OneNode({ id: 3, config });
      next.receive(1, followed);
      for (const message of told) next.receive(2, message);
      next.receive(1, late);
      next.persist();
      const own = ballot(next.status.term, 3);
      next.receive(2, promise(own, { first: next.status.commitIndex + 1 }));
      next.propose();
      next.persist();
      next.receive(2, next.accepted(own, 1, next.status.lastIndex));
      return next.status.commitIndex < next.status.lastIndex;
    };
    expect([waits(), waits(chosen)]).toEqual([false, true]);
  });

  it('holds back what the next leader delivers, until the last value of others is old enough by any clock', () => {
    const next = new OneNode({ config: { lease: { durationMs: 1000, driftMax: 0.1 } } });
    const arrived = next.now;
    next.receive(2, accept(ballot(1, 2), chain(1, 0, [1, value(1)])));
    next.persist();
    const { ballot: own } = next.campaign();
    next.receive(3, promise(own, {}));
    next.persist();
    let delivered: number | undefined;
    while (delivered === undefined && next.now < arrived + 5000) {
      next.receive(2, next.accepted(own, 1, 1));
      if (next.tick(10).committed.length > 0) delivered = next.now - arrived;
    }
    expect(delivered).toBeGreaterThanOrEqual(1100);
    expect(delivered).toBeLessThan(1120);
  });

  it('holds nothing back on a leader that is told by a state of what it has', () => {
    const { leader, own } = leaderWithValue({ config });
    const entries = chain(1, 0, [own.round, leaderValue]);
    const { index: at, term, checksum } = entries[0]!;
    leader.input({
      kind: 'snapshotInstalled',
      at: { index: at, term, checksum, members: members([1, 2, 3]) },
      now: toMillis(leader.now),
    });
    leader.propose();
    leader.persist();
    leader.receive(2, leader.accepted(own, 2, 2));
    expect(leader.status).toMatchObject({ role: 'leader', commitIndex: 2 });
  });

  it('holds back also what only a promise has told of', () => {
    const next = new OneNode({ config });
    const { ballot: own } = next.campaign();
    next.receive(3, promise(own, { votes: [reported(ballot(0, 2), 1, 0, value(1))] }));
    next.persist();
    next.receive(3, next.accepted(own, 1, 1));
    expect(next.status.commitIndex).toBe(0);
    next.tick(100);
    next.receive(3, next.accepted(own, 1, 1));
    expect(next.status.commitIndex).toBe(0);
    next.tick(121);
    expect(next.status.commitIndex).toBe(1);
  });
});

describe('a quorum read (Charapko et al. 2019)', () => {
  const entries = chain(1, 0, [1, value(1)], [1, value(2)]);
  const tokenOf = (effects: PaxosEffects) => sent(effects, 'readQuery')[0]!.message.token;
  const reply = (token: number, last: number) => ({ kind: 'readReply', token, lastIndex: index(last) }) as const;
  const chosen = (upTo: number) =>
    accept(ballot(1, 2), entries, { first: 1, chosen: upTo, chosenChecksum: entries[upTo - 1]?.checksum ?? 0 });

  it('needs no leader: it is granted once everything is delivered that a prepare quorum has voted for', () => {
    const reader = new OneNode({ id: 3 });
    const { effects } = reader.read('quorum');
    expect(granted(reader.receive(2, reply(tokenOf(effects), 2)))).toEqual([]);
    expect(granted(reader.receive(2, chosen(1)))).toEqual([]);
    const last = accept(ballot(1, 2), [], { first: 3, previous: 0, chosen: 2, chosenChecksum: entries[1]!.checksum });
    expect(granted(reader.receive(2, last))).toEqual([2]);
  });

  it('counts its own votes, and no reply twice', () => {
    const reader = new OneNode({ voters: 5, id: 3 });
    const token = tokenOf(reader.read('quorum').effects);
    reader.receive(1, reply(token, 0));
    expect(granted(reader.receive(1, reply(token, 0)))).toEqual([]);
    expect(granted(reader.receive(2, reply(token, 0)))).toEqual([0]);
  });

  it('is not confirmed by a reply to an earlier one', () => {
    const reader = new OneNode({ id: 3 });
    const token = tokenOf(reader.read('quorum').effects);
    reader.receive(1, reply(token, 0));
    reader.read('quorum');
    expect(granted(reader.receive(2, reply(token, 0)))).toEqual([]);
  });

  it('has the leader fill a slot that is voted for and never proposed again', () => {
    const reader = new OneNode({ id: 3 });
    reader.receive(2, chosen(0));
    const token = tokenOf(reader.read('quorum').effects);
    reader.receive(1, reply(token, 2));
    expect(sent(reader.tick(heartbeatIntervalMs), 'fill')).toEqual([{ to: 2, message: { kind: 'fill', slot: 2 } }]);
    const leader = new OneNode();
    leader.lead();
    leader.receive(3, { kind: 'fill', slot: index(2) });
    expect(leader.status.lastIndex).toBe(2);
  });

  it('fetches what it waits for, on a node that nobody sends anything to', () => {
    const reader = new OneNode({ id: 4 });
    const token = tokenOf(reader.read('quorum').effects);
    reader.receive(1, reply(token, 2));
    reader.receive(2, reply(token, 1));
    const asked = sent(reader.tick(heartbeatIntervalMs), 'learn');
    expect(asked).toEqual([{ to: 1, message: { kind: 'learn', first: 1, last: 2 } }]);
    const effects = reader.receive(1, { kind: 'chosen', first: index(1), firstRetained: index(1), entries });
    expect(granted(effects)).toEqual([2]);
  });

  it('asks those who decide by now, once it has heard that they do: the others may be gone', () => {
    const reader = new OneNode();
    reader.read('quorum');
    const goal = members([1, 4, 5]);
    const changes = chain(
      1,
      0,
      [1, { kind: 'members', members: { ...members([1, 2, 3]), votersNext: goal.voters } }],
      [1, { kind: 'members', members: goal }],
    );
    const told = accept(ballot(1, 4), changes, { chosen: 2, chosenChecksum: changes[1]!.checksum });
    const token = sent(reader.receive(4, told), 'readQuery').at(-1)!.message.token;
    expect(granted(reader.receive(5, reply(token, 2)))).toEqual([2]);
  });

  it('asks again who has not answered, and is given up at last', () => {
    const reader = new OneNode({ id: 3 });
    reader.read('quorum');
    expect(sent(reader.tick(heartbeatIntervalMs), 'readQuery').map(({ to }) => to)).toEqual([1, 2]);
    const effects = reader.tick(4 * electionTimeoutMaxMs);
    expect(effects.dropped).toMatchObject([{ kind: 'read', reason: 'noQuorum' }]);
  });

  it('is answered by a leader and by others alike', () => {
    const { leader } = leaderWithValue();
    const effects = leader.receive(3, { kind: 'readQuery', token: 5 });
    expect(sent(effects, 'readReply')).toEqual([{ to: 3, message: { kind: 'readReply', token: 5, lastIndex: 1 } }]);
  });
});
