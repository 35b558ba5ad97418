/**
 * When a node that is to vote has caught up, and when it is given up, with either engine (dissertation §4.2.1): in rounds, each for what has
 * come while the one before was under way. A round that is over within an election timeout is the last.
 */
import type { Millis } from '../base/brand.ts';
import type { EngineTiming, LogIndex } from './engine.ts';

/** A node that has not caught up after so many rounds never will. */
const roundsMax = 10;
/** Election timeouts after which a node is given up that is silent. */
const silenceMaxTimeouts = 20;
/** Election timeouts after which one is given up that answers, and comes no nearer. */
export const standstillMaxTimeouts = 100;

/** The node is to reach `target`, where the log ended when the round began. */
export interface CatchUpRound {
  readonly target: LogIndex;
  readonly since: Millis;
  readonly round: number;
  /** The least that it has lacked in this round, and since when it has not lacked less. */
  readonly leastLacked: number;
  readonly nearerAt: Millis;
}

/** How a node that is to vote stands. */
export interface CatchUpView {
  readonly now: Millis;
  /** When it last answered. */
  readonly heardAt: Millis;
  readonly isReached: boolean;
  /** How many entries it has still to get, as far as is known. */
  readonly lacked: number;
  /** Our state is on its way to it: it comes no nearer before it has all of that. */
  readonly isSentState: boolean;
  /** Where the log ends: the target of a round that begins now. */
  readonly end: LogIndex;
}

export function newRound(target: LogIndex, now: Millis, round = 1): CatchUpRound {
  return { target, since: now, round, leastLacked: Number.POSITIVE_INFINITY, nearerAt: now };
}

/** The state that was on its way has arrived: what follows from that is not known yet. */
export function withState(round: CatchUpRound, now: Millis): CatchUpRound {
  return { ...round, nearerAt: now };
}

/** Whether it has caught up or is given up; else the round that is under way from now on. */
export function lookAgain(
  round: CatchUpRound,
  view: CatchUpView,
  { electionTimeoutMaxMs }: EngineTiming,
): CatchUpRound | 'caughtUp' | 'givenUp' {
  const { now, heardAt, isReached, lacked, isSentState, end } = view;
  if (isReached && now - round.since < electionTimeoutMaxMs) return 'caughtUp';
  if (now - heardAt > silenceMaxTimeouts * electionTimeoutMaxMs || round.round >= roundsMax) return 'givenUp';
  if (isReached) return newRound(end, now, round.round + 1);
  if (lacked < round.leastLacked) return { ...round, leastLacked: lacked, nearerAt: now };
  const standsStill = !isSentState && now - round.nearerAt > standstillMaxTimeouts * electionTimeoutMaxMs;
  return standsStill ? 'givenUp' : round;
}
