/**
 * How fast a member that is far behind is brought up to date, with either engine: a message, its answer, a rest. Whoever commits without it must
 * not wait for it, and it takes time of whom it asks and of whoever shares a machine with it; so it gets a share of the time and no more. Who rests
 * is who begins the next message: the leader with Raft, which pushes entries; the learner with Multi-Paxos, which asks for them.
 *
 * There is no rest where nothing is committed meanwhile: either nobody writes, or those who write wait for this very member. So a voter that is
 * needed is never slowed down, and nobody has to count who is.
 */
import type { EngineTiming } from './engine.ts';

/** Who lacks more entries than this of what is committed is far behind. */
export const farBehindEntries = 256;

/** A rest is so many times as long as the message and its answer took. */
const restPerMessage = 6;
/** Smaller messages cost nobody much; and with messages of one entry each, rests would be longer than what is committed meanwhile allows. */
const restMinBytes = 64 * 1024;
/** Of what a message brought, at most this share may have been committed since the one before it: else the member would fall behind. */
const grownShareMax = 0.5;

/** One message to a member that is far behind, and what happened meanwhile. */
export interface CatchUpStep {
  /** From when it left until its answer was here. */
  readonly tookMs: number;
  readonly entries: number;
  readonly bytes: number;
  /** Entries that were committed since the answer to the message before it, its rest included. */
  readonly committed: number;
}

/** How long to rest before the next message, in ms; at most an election timeout. */
export function restAfter(step: CatchUpStep, { electionTimeoutMinMs }: EngineTiming): number {
  const { tookMs, entries, bytes, committed } = step;
  if (bytes < restMinBytes || committed <= 0 || committed > grownShareMax * entries) return 0;
  return Math.min(restPerMessage * tookMs, electionTimeoutMinMs);
}
