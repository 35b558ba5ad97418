/**
 * The arithmetic of majorities, plain and joint: every decision of a group goes through here. Under a joint configuration
 * (`votersNext` set) a quorum is a majority of each half.
 */
import type { NodeId } from '../base/brand.ts';
import type { Members } from './engine.ts';

/** Whether `id` has a vote in the configuration. */
export function isVoter(members: Members, id: NodeId): boolean {
  return members.voters.includes(id) || (members.votersNext?.includes(id) ?? false);
}

/** Everybody that the log is replicated to except `self`, each once, in ascending order. */
export function peersOf(members: Members, self: NodeId): readonly NodeId[] {
  const all = new Set([...members.voters, ...(members.votersNext ?? []), ...members.nonVoters]);
  all.delete(self);
  return [...all].sort((a, b) => a - b);
}

/**
 * The largest n such that a quorum has reached at least n: an index that is stored, a round that is acknowledged, a time
 * since which they have been heard of. `reached` gives -1 (or less) for a voter of whom nothing is known.
 */
export function quorumReached(members: Members, reached: (voter: NodeId) => number): number {
  const first = majorityReached(members.voters, reached);
  return members.votersNext === undefined ? first : Math.min(first, majorityReached(members.votersNext, reached));
}

export type VoteOutcome = 'won' | 'lost' | 'open';

/** `votes` holds one answer a voter, however often it has arrived; answers of others do not count. */
export function voteOutcome(members: Members, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  const first = majorityOutcome(members.voters, votes);
  if (members.votersNext === undefined) return first;
  const second = majorityOutcome(members.votersNext, votes);
  if (first === 'lost' || second === 'lost') return 'lost';
  return first === 'won' && second === 'won' ? 'won' : 'open';
}

/** How many make a majority of `count`. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

const scratch: number[] = [];

/** Of nobody, a majority has reached everything: an empty half decides nothing. */
function majorityReached(voters: readonly NodeId[], reached: (voter: NodeId) => number): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  // insertion sort, descending: groups are small, and this runs for each acknowledgement
  for (let i = 0; i < count; i++) {
    const value = reached(voters[i]!);
    let at = i;
    for (; at > 0 && scratch[at - 1]! < value; at--) scratch[at] = scratch[at - 1]!;
    scratch[at] = value;
  }
  return scratch[majorityOf(count) - 1]!;
}

function majorityOutcome(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  const needed = majorityOf(voters.length);
  if (voters.length === 0 || granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'open';
}
