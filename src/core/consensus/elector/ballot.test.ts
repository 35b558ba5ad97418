import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../base/brand.ts';
import { defaultTiming } from '../engine.ts';
import { quorumSystemOf } from '../quorums.ts';
import type { HeartbeatReply } from './messages.ts';
import { OneElector } from './one-elector.test-support.ts';

const { electionTimeoutMaxMs, electionTimeoutMinMs, heartbeatIntervalMs } = defaultTiming;
const leads = (ballotRound = 4) => ({ leading: true, quorumConnected: true, contented: true, ballotRound });

/** Rounds with the same answers until something is asked of the engine, or `max` of them. */
function roundsUntilAsked(one: OneElector, replies: Parameters<OneElector['round']>[0], max = 20): readonly string[] {
  for (let i = 0; i < max; i++) {
    one.round(replies);
    const { asked } = one;
    if (asked.length > 0) return asked;
  }
  return [];
}

/** Node 2 of three, which has just begun to seek leadership. */
function campaigning(): OneElector {
  const one = new OneElector('ballot');
  one.view.id = toNodeId(2);
  expect(roundsUntilAsked(one, { 1: {}, 3: {} })).toEqual(['canvass']);
  one.round({ 1: {}, 3: {} });
  expect(one.asked).toEqual(['campaign']);
  return one;
}

describe('ballot leader election (Omni-Paxos §5.2)', () => {
  it('seeks leadership only when it hears a quorum', () => {
    const one = new OneElector('ballot', 5);
    expect(roundsUntilAsked(one, { 2: {} })).toEqual([]);
    expect(roundsUntilAsked(one, { 2: {}, 3: {} })).toEqual(['canvass']);
    one.round({ 2: {}, 3: {} });
    expect(one.asked).toEqual(['campaign']);
  });

  it('stands back for a quorum-connected rival of a higher ballot, but not for ever', () => {
    const one = new OneElector('ballot');
    expect(roundsUntilAsked(one, { 2: { ballotRound: 5 } })).toEqual(['canvass']);
    let rounds = 0;
    for (; one.asked.length === 0; rounds++) one.round({ 2: { ballotRound: 5 } });
    expect(rounds).toBe(5);
  });

  it('goes before a rival of a lower ballot, and before one that hears no quorum', () => {
    for (const rival of [{ ballotRound: 4 }, { ballotRound: 9, quorumConnected: false }]) {
      const one = new OneElector('ballot');
      expect(roundsUntilAsked(one, { 2: rival })).toEqual(['canvass']);
      one.round({ 2: rival });
      expect(one.asked).toEqual(['campaign']);
    }
  });

  it('goes on with its next round when its campaign met one of a rival that it outranks', () => {
    const one = campaigning();
    one.elector.campaignRefused(one.view, { id: toNodeId(1), standing: [0, 0] });
    one.round({ 1: {}, 3: {} });
    expect(one.asked).toEqual(['campaign']);
  });

  it('gives way to a rival of a higher rank that its campaign met, until its patience ends', () => {
    const one = campaigning();
    one.elector.campaignRefused(one.view, { id: toNodeId(3), standing: [0, 0] });
    one.elector.campaignRefused(one.view); // the same, told by somebody else
    one.elector = one.elector.clone();
    one.elector.campaignRefused(one.view);
    for (let ms = heartbeatIntervalMs; ms < electionTimeoutMinMs; ms += heartbeatIntervalMs) {
      one.round({ 1: {}, 3: {} });
      expect(one.asked).toEqual([]);
    }
    expect(roundsUntilAsked(one, { 1: {}, 3: {} })).toEqual(['canvass']);
  });

  it('seeks again soon when it was refused for a rival that it does not know', () => {
    const one = campaigning();
    one.elector.campaignRefused(one.view);
    let rounds = 1;
    for (; one.asked.length === 0; rounds++) one.round({ 1: {}, 3: {} });
    expect(rounds * heartbeatIntervalMs).toBeLessThan(electionTimeoutMinMs + 2 * heartbeatIntervalMs);
  });

  it('leaves others more and more time between campaigns that come to nothing, until a leader is heard', () => {
    const one = new OneElector('ballot');
    const roundsToCampaign = () => {
      let rounds = 0;
      do {
        one.round({ 2: {}, 3: {} });
        rounds += 1;
      } while (!one.asked.includes('campaign'));
      one.elector.restart(one.view);
      one.elector = one.elector.clone();
      return rounds;
    };
    const soon = electionTimeoutMaxMs / heartbeatIntervalMs + 3;
    const inVain = Array.from({ length: 9 }, roundsToCampaign);
    expect(Math.max(...inVain.slice(0, 3))).toBeLessThanOrEqual(soon);
    for (const rounds of inVain.slice(-3)) {
      expect(rounds).toBeGreaterThanOrEqual((8 * electionTimeoutMinMs) / heartbeatIntervalMs);
      expect(rounds).toBeLessThanOrEqual((8 * electionTimeoutMaxMs) / heartbeatIntervalMs + 3);
    }
    one.elector.leaderHeard(one.view);
    one.elector.restart(one.view);
    expect(roundsToCampaign()).toBeLessThanOrEqual(soon);
  });

  it('stays away while a node that it hears is content with a leader (chained)', () => {
    const one = new OneElector('ballot');
    expect(roundsUntilAsked(one, { 2: { contented: true } })).toEqual([]);
    expect(roundsUntilAsked(one, { 2: { contented: false } })).toEqual(['canvass']);
  });

  it('gives a leader up that says that it has lost its quorum, although it is heard (quorum loss)', () => {
    const one = new OneElector('ballot');
    one.follow(3);
    for (let i = 0; i < 20; i++) one.round({ 2: {}, 3: leads() });
    expect(one.asked).toEqual([]);
    expect(one.elector.protectsLeader(one.view)).toBe(true);
    one.round({ 2: {}, 3: { ...leads(), quorumConnected: false, contented: false } });
    expect(one.elector.protectsLeader(one.view)).toBe(false);
    one.round({ 2: {}, 3: { leading: true, quorumConnected: false } });
    expect(one.asked).toEqual(['canvass']);
  });

  it('seeks leadership only when it hears a quorum of each phase, where they differ (Flexible Paxos)', () => {
    const seeker = (prepare: number, accept: number) => {
      const one = new OneElector('ballot', 4);
      one.view.quorums = quorumSystemOf(one.view.members, { prepare, accept });
      return one;
    };
    expect(roundsUntilAsked(seeker(2, 3), { 2: {} })).toEqual([]);
    expect(roundsUntilAsked(seeker(3, 2), { 2: {} })).toEqual([]);
    expect(roundsUntilAsked(seeker(2, 3), { 2: {}, 3: {} })).toEqual(['canvass']);
    expect(roundsUntilAsked(seeker(3, 2), { 2: {}, 3: {} })).toEqual(['canvass']);
  });

  it('counts towards its quorum only those whose logs reach no further than its own', () => {
    const one = new OneElector('ballot');
    one.view.standing = [3, 7];
    expect(roundsUntilAsked(one, { 2: { standingTerm: 3, standingIndex: 8 } })).toEqual([]);
    expect(
      roundsUntilAsked(one, { 2: { standingTerm: 3, standingIndex: 8 }, 3: { standingTerm: 2, standingIndex: 99 } }),
    ).toEqual(['canvass']);
  });

  it('takes a reply for as old as the round that it answers', () => {
    const one = new OneElector('ballot');
    one.pass(heartbeatIntervalMs);
    const late = one.sent[0]!;
    one.pass(electionTimeoutMaxMs);
    one.receive(late.to, {
      ...({ kind: 'heartbeatReply', round: 1 } as HeartbeatReply),
      ...{ ballotRound: 0, leading: false, quorumConnected: true, contented: false, standingTerm: 0, standingIndex: 0 },
    });
    expect(roundsUntilAsked(one, {})).toEqual([]);
  });

  it('steps down as a leader that hears no quorum, or whose disk stalls', () => {
    const one = new OneElector('ballot');
    one.view.leading = true;
    one.heardAt.set(2, one.view.now);
    one.pass(electionTimeoutMaxMs - 1);
    expect(one.asked).toEqual([]);
    one.pass(1);
    expect(one.asked).toEqual(['abdicate: it has not heard from a quorum']);
    one.heardAt.set(2, one.view.now);
    one.view.diskStalled = true;
    one.pass(1);
    expect(one.asked).toEqual(['abdicate: its disk has stalled']);
  });

  it('does not concern a node without a vote, which says that it hears nobody when it does not', () => {
    const one = new OneElector('ballot', 0, { voters: [2, 3].map(toNodeId), nonVoters: [toNodeId(1)] });
    one.follow(3);
    one.pass(electionTimeoutMinMs);
    expect(one.asked).toEqual([]);
    one.pass(electionTimeoutMaxMs);
    expect(one.asked).toEqual(['standBy']);
    expect(one.sent).toEqual([]);
  });

  it('goes on as it was when it is cloned', () => {
    const one = new OneElector('ballot');
    expect(roundsUntilAsked(one, { 2: {} })).toEqual(['canvass']);
    one.elector = one.elector.clone();
    one.round({ 2: {} });
    expect(one.asked).toEqual(['campaign']);
  });
});

it('ballot leader election keeps others away from a candidate that was promised something and goes on, but not itself', () => {
  const one = new OneElector('ballot');
  const contented = (from: number) => {
    one.receive(from, { kind: 'heartbeatRequest', round: 1 });
    return one.sent.some(({ message }) => message.kind === 'heartbeatReply' && message.contented);
  };
  one.elector.candidateHeard(one.view, toNodeId(2));
  one.elector = one.elector.clone();
  expect([contented(2), contented(3)]).toEqual([false, true]);
  one.view.now = (one.view.now + electionTimeoutMinMs) as typeof one.view.now;
  expect(contented(3)).toBe(false);
});
