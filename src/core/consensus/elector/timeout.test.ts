import { describe, expect, it } from 'vitest';
import { toNodeId } from '../../base/brand.ts';
import { defaultTiming } from '../engine.ts';
import type { Rival, Standing } from './elector.ts';
import { OneElector } from './one-elector.test-support.ts';
import { TimeoutElector } from './timeout.ts';

const { electionTimeoutMaxMs, electionTimeoutMinMs, heartbeatIntervalMs } = defaultTiming;

const rival = (id: number, standing: Standing = [0, 0]): Rival => ({ id: toNodeId(id), standing });

/** Node 2 of three, whose patience has ended: it asks whether it would be elected in term 5. */
function asking(): OneElector {
  const one = new OneElector('timeout');
  one.view.id = toNodeId(2);
  one.pass(electionTimeoutMaxMs);
  expect(one.asked).toEqual(['canvass']);
  return one;
}

/** As above, and it would: it has begun to seek term 5. */
function campaigning(): OneElector {
  const one = asking();
  one.receive(1, { kind: 'preVoteResponse', term: 5, granted: true });
  expect(one.asked).toEqual(['campaign']);
  return one;
}

const patienceOf = (one: OneElector) => one.elector.nextTickAt(one.view) - one.view.now;

describe('randomised time-outs', () => {
  it('end within the bounds, at other times on each of several nodes of one seed, and each time anew (Raft §5.2)', () => {
    const patiences = [1, 2, 3, 4, 5].flatMap((id) => {
      const elector = new TimeoutElector({ seed: 1, id: toNodeId(id) });
      const { view } = new OneElector('timeout', 5);
      return [0, 1, 2].map(() => {
        elector.restart(view);
        return elector.nextTickAt(view) - view.now;
      });
    });
    expect(new Set(patiences).size).toBe(patiences.length);
    for (const patience of patiences) {
      expect(patience).toBeGreaterThanOrEqual(electionTimeoutMinMs);
      expect(patience).toBeLessThan(electionTimeoutMaxMs);
    }
    expect(Math.max(...patiences) - Math.min(...patiences)).toBeGreaterThan(
      (electionTimeoutMaxMs - electionTimeoutMinMs) / 2,
    );
  });
});

describe('randomised time-outs, when two seek leadership at once', () => {
  it('let a rival of a higher id go first that asks at the same time, and does not campaign when it could', () => {
    const one = asking();
    one.receive(3, { kind: 'preVote', term: 5, standingTerm: 0, standingIndex: 0 });
    expect(one.asked).toEqual(['standBy']);
    one.elector.restart(one.view); // as an engine does that stands by
    one.receive(1, { kind: 'preVoteResponse', term: 5, granted: true });
    expect(one.asked).toEqual([]);
  });

  it('go before a rival of a lower id that asks at the same time, and before one whose log is behind', () => {
    for (const [id, standing] of [
      [1, [0, 0]],
      [3, [0, 0]],
    ] as const) {
      const one = asking();
      if (id === 3) one.view.standing = [1, 1];
      const [standingTerm, standingIndex] = standing;
      one.receive(id, { kind: 'preVote', term: 5, standingTerm, standingIndex });
      one.receive(id, { kind: 'preVoteResponse', term: 5, granted: true });
      expect(one.asked).toEqual(['campaign']);
    }
  });

  it('go on within a heartbeat when they outrank the rival, and wait anew when they do not', () => {
    const first = campaigning();
    first.elector.campaignRefused(first.view, rival(1));
    expect(patienceOf(first)).toBe(heartbeatIntervalMs);
    const second = campaigning();
    second.pass(electionTimeoutMinMs - 1);
    second.elector.campaignRefused(second.view, rival(3));
    expect(patienceOf(second)).toBeGreaterThanOrEqual(electionTimeoutMinMs);
  });

  it('take the longer log for the higher rank, whatever the ids: only it can win', () => {
    const ahead = campaigning();
    ahead.view.standing = [4, 9];
    ahead.elector.campaignRefused(ahead.view, rival(3, [4, 8]));
    expect(patienceOf(ahead)).toBe(heartbeatIntervalMs);
    const behind = campaigning();
    behind.view.standing = [4, 8];
    behind.elector.campaignRefused(behind.view, rival(1, [4, 9]));
    expect(patienceOf(behind)).toBeGreaterThanOrEqual(electionTimeoutMinMs);
  });

  it('try again soon when they are refused for a rival that is not known, unless they have given way', () => {
    const one = campaigning();
    one.elector.campaignRefused(one.view);
    expect(patienceOf(one)).toBeLessThan(0.75 * electionTimeoutMinMs);
    const other = campaigning();
    other.elector.campaignRefused(other.view, rival(3));
    other.elector.campaignRefused(other.view);
    expect(patienceOf(other)).toBeGreaterThanOrEqual(electionTimeoutMinMs);
    other.elector = other.elector.clone();
    other.elector.campaignRefused(other.view);
    expect(patienceOf(other)).toBeGreaterThanOrEqual(electionTimeoutMinMs);
  });
});

describe('randomised time-outs, while a candidate that was promised something goes on', () => {
  const asked = { kind: 'preVote', term: 5, standingTerm: 0, standingIndex: 0 } as const;
  const granted = (one: OneElector) =>
    one.sent.map(({ message }) => message.kind === 'preVoteResponse' && message.granted);

  it('would elect nobody else, for as long as a silent leader is protected', () => {
    const one = new OneElector('timeout');
    one.elector.candidateHeard(one.view, toNodeId(2));
    one.elector = one.elector.clone();
    one.view.now = (one.view.now + electionTimeoutMinMs - 1) as typeof one.view.now;
    for (const id of [2, 3]) one.receive(id, asked);
    expect(granted(one)).toEqual([true, false]);
    one.view.now = (one.view.now + 1) as typeof one.view.now;
    one.receive(3, asked);
    expect(granted(one)).toEqual([true]);
  });

  it('forget it once patience has begun anew for somebody else', () => {
    const one = new OneElector('timeout');
    one.elector.candidateHeard(one.view, toNodeId(2));
    one.elector.restart(one.view);
    one.receive(3, asked);
    expect(granted(one)).toEqual([true]);
  });
});
