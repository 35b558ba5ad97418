import { describe, expect, it } from 'vitest';
import { farBehindEntries } from '../catch-up-pace.ts';
import { defaultTiming } from '../engine.ts';
import { OneNode, sent } from './one-node.test-support.ts';
import type { RaftEffects } from './outbox.ts';

const bytes = 1000;
/** Entries of that size fit into a message. */
const perMessage = 90;
const behind = 1000;
const { heartbeatIntervalMs } = defaultTiming;

/** What was sent to node 3: after which index, and how many entries. */
const appended = (effects: RaftEffects) =>
  sent(effects, 'appendEntries').flatMap(({ to, message }) =>
    to === 3 && message.entries.length > 0 ? [[message.prevLogIndex, message.entries.length]] : [],
  );

/** `count` entries more that are committed without node 3. @returns what node 3 was sent meanwhile */
function commit(leader: OneNode, count: number): number[][] {
  const effects = [leader.propose(count, bytes), leader.persist().effects];
  for (const id of leader.status.lagPerPeer.keys()) if (id !== 3) effects.push(leader.ack(id));
  return effects.flatMap(appended);
}

/** Node 3 has the no-op of the leader and nothing else, and the first message after it has just been sent: up to `last`. */
function leaderOf({ voters = 3, lacks = behind } = {}): { leader: OneNode; last: number } {
  const limits = { messageMaxBytes: perMessage * bytes };
  const leader = new OneNode({ voters, nonVoters: voters < 3 ? [3] : [], limits });
  leader.elect();
  leader.persist();
  leader.ack(2);
  expect(commit(leader, lacks)).toEqual([]);
  const messages = appended(leader.ack(3, 1));
  const [[prev, count]] = messages as [[number, number]];
  expect([messages.length, prev, count > perMessage / 2]).toEqual([1, 1, true]);
  return { leader, last: prev + count };
}

describe('a follower that is far behind what is committed', () => {
  it.each([
    ['a voter, when things are committed without it', 3],
    ['a listener', 2],
  ])('gets a message at a time, and rests six times as long as it and its answer took: %s', (_, voters) => {
    const { leader, last } = leaderOf({ voters });
    leader.now += 5;
    expect(commit(leader, 10)).toEqual([]);
    expect(appended(leader.ack(3, last))).toEqual([]);
    expect(appended(leader.tick(29))).toEqual([]);
    expect(leader.engine.nextTickAt).toBeCloseTo(leader.now + 1);
    expect(appended(leader.tick(1))).toEqual([[last, last - 1]]);
  });

  it('gets the next one at once when nothing is committed meanwhile: somebody may wait for it', () => {
    const { leader, last } = leaderOf();
    leader.now += 5;
    expect(appended(leader.ack(3, last))).toEqual([[last, last - 1]]);
  });

  it('hears heartbeats while it rests', () => {
    const { leader, last } = leaderOf();
    leader.now += heartbeatIntervalMs;
    commit(leader, 10);
    leader.ack(3, last);
    const told = sent(leader.tick(1), 'appendEntries').map(({ to, message }) => [to, message.entries.length]);
    expect(told).toContainEqual([3, 0]);
  });

  it('gets all that it lacks, as far as its window goes, once it is near', () => {
    const { leader } = leaderOf();
    leader.now += 5;
    commit(leader, 10);
    const near = leader.status.commitIndex - farBehindEntries;
    expect(appended(leader.ack(3, near)).length).toBeGreaterThan(2);
  });
});

describe('a voter that is waited for', () => {
  it('is not far behind, however many entries that are not committed it lacks', () => {
    const leader = new OneNode({ limits: { messageMaxBytes: perMessage * bytes, windowMaxMessages: 4 } });
    leader.lead();
    expect(appended(leader.propose(behind, bytes))).toHaveLength(4);
  });
});
