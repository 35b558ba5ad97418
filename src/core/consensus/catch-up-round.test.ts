import { describe, expect, it } from 'vitest';
import { toMillis } from '../base/brand.ts';
import { type CatchUpView, lookAgain, newRound, standstillMaxTimeouts, withState } from './catch-up-round.ts';
import { defaultTiming, toLogIndex } from './engine.ts';

const { electionTimeoutMaxMs } = defaultTiming;
const standstillMs = standstillMaxTimeouts * electionTimeoutMaxMs;
const first = newRound(toLogIndex(100), toMillis(0));

function view(now: number, lacked: number, changed: Partial<CatchUpView> = {}): CatchUpView {
  const times = { now: toMillis(now), heardAt: toMillis(now) };
  return { ...times, lacked, isReached: lacked === 0, isSentState: false, end: toLogIndex(150), ...changed };
}
const look = (round: typeof first, at: CatchUpView) => lookAgain(round, at, defaultTiming);

describe('a node that is to vote', () => {
  it('has caught up with a round that took less than an election timeout', () => {
    expect(look(first, view(electionTimeoutMaxMs - 1, 0))).toBe('caughtUp');
    expect(look(first, view(electionTimeoutMaxMs, 0))).toMatchObject({ round: 2, target: 150 });
  });

  it('is given up after ten rounds, and when it is silent', () => {
    expect(look(newRound(toLogIndex(100), toMillis(0), 10), view(1, 5))).toBe('givenUp');
    const silent = view(21 * electionTimeoutMaxMs, 5, { heardAt: toMillis(0) });
    expect(look(first, silent)).toBe('givenUp');
  });

  it('is given up when it comes no nearer, however much it answers, and not while it does', () => {
    let round = look(first, view(10, 90));
    for (let lacked = 89; lacked > 0 && typeof round === 'object'; lacked--)
      round = look(round, view((90 - lacked) * standstillMs, lacked));
    expect(round).toMatchObject({ leastLacked: 1 });
    if (typeof round !== 'object') return;
    expect(look(round, view(90 * standstillMs, 1))).toBe(round);
    expect(look(round, view(90 * standstillMs + 1, 60))).toBe('givenUp');
  });

  it('comes no nearer while our state is on its way to it, and has time to say that it has it', () => {
    expect(look(first, view(5 * standstillMs, 100, { isSentState: true }))).toMatchObject({ leastLacked: 100 });
    const waiting = { ...first, leastLacked: 100 };
    expect(look(waiting, view(5 * standstillMs, 100, { isSentState: true }))).toBe(waiting);
    expect(look(withState(waiting, toMillis(5 * standstillMs)), view(5 * standstillMs + 1, 100))).toMatchObject({
      leastLacked: 100,
    });
    expect(look(waiting, view(5 * standstillMs, 100))).toBe('givenUp');
  });
});
