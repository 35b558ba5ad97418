/**
 * The arithmetic of quorums: every decision of a group goes through here. Majorities, plain and joint, for Raft and the electors; and
 * quorum systems for Multi-Paxos, in which the quorums of the two phases may differ in size as long as they meet (Howard, Malkhi,
 * Spiegelman 2016, "Flexible Paxos"). Under a joint configuration (`votersNext` set) a quorum is one of each half.
 */
import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/brand.ts';
import type { Members, QuorumSizes } from './engine.ts';

/** Whether `id` has a vote in the configuration. */
export function isVoter(members: Members, id: NodeId): boolean {
  return members.voters.includes(id) || (members.votersNext?.includes(id) ?? false);
}

/** Everybody that the log is replicated to except `self`, each once, in ascending order. */
export function peersOf(members: Members, self: NodeId): readonly NodeId[] {
  const { voters, votersNext, nonVoters } = members;
  const peers: NodeId[] = [];
  for (const id of voters) insert(peers, id, self);
  if (votersNext !== undefined) for (const id of votersNext) insert(peers, id, self);
  for (const id of nonVoters) insert(peers, id, self);
  return peers;
}

/** Groups are small, and mostly named in order. */
function insert(peers: NodeId[], id: NodeId, self: NodeId): void {
  if (id === self) return;
  let at = peers.length;
  while (at > 0 && peers[at - 1]! > id) at -= 1;
  if (at > 0 && peers[at - 1] === id) return;
  peers.push(id);
  for (let to = peers.length - 1; to > at; to--) peers[to] = peers[to - 1]!;
  peers[at] = id;
}

/**
 * The largest n such that a quorum has reached at least n: an index that is stored, a round that is acknowledged, a time
 * since which they have been heard of. `reached` gives -1 (or less) for a voter of whom nothing is known.
 */
export function quorumReached(members: Members, reached: (voter: NodeId) => number): number {
  const { voters, votersNext } = members;
  const first = countReached(voters, majorityOf(voters.length), reached);
  if (votersNext === undefined) return first;
  return Math.min(first, countReached(votersNext, majorityOf(votersNext.length), reached));
}

export type VoteOutcome = 'won' | 'lost' | 'open';

/** `votes` holds one answer a voter, however often it has arrived; answers of others do not count. */
export function voteOutcome(members: Members, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  const { voters, votersNext } = members;
  const first = countOutcome(voters, majorityOf(voters.length), votes);
  return votersNext === undefined ? first : both(first, countOutcome(votersNext, majorityOf(votersNext.length), votes));
}

/** How many make a majority of `count`. */
export function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

// ---------------------------------------------------------------- quorum systems

/** Phase 1 asks a `prepare` quorum for promises, phase 2 an `accept` quorum for votes; any two of them meet. */
export type QuorumPhase = 'prepare' | 'accept';

/** Who decides in one configuration. */
export interface QuorumSystem {
  /** Whether these nodes, each named once, hold a quorum; those without a vote do not count. */
  isQuorum(phase: QuorumPhase, nodes: readonly NodeId[]): boolean;
  /** As `voteOutcome`. */
  outcome(phase: QuorumPhase, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome;
  /** As `quorumReached`. */
  reached(phase: QuorumPhase, reached: (voter: NodeId) => number): number;
}

/** Any `prepare` and any `accept` of so many voters meet, and there are enough voters for either. */
export function sizesFit(voters: number, { prepare, accept }: QuorumSizes): boolean {
  return prepare + accept > voters && isSize(prepare, voters) && isSize(accept, voters);
}

function isSize(size: number, voters: number): boolean {
  return Number.isInteger(size) && size >= 1 && size <= voters;
}

/** Of the configuration; majorities unless sizes are given. */
export function quorumSystemOf({ voters, votersNext }: Members, sizes?: QuorumSizes): QuorumSystem {
  const first = new CountedQuorums(voters, sizes);
  return votersNext === undefined ? first : jointQuorums(first, new CountedQuorums(votersNext, sizes));
}

/** Majorities, for either phase, of a configuration that may change. */
export function majoritiesOf(members: () => Members): QuorumSystem {
  return {
    isQuorum: (_, nodes) => quorumReached(members(), (voter) => (nodes.includes(voter) ? 1 : 0)) >= 1,
    outcome: (_, votes) => voteOutcome(members(), votes),
    reached: (_, reached) => quorumReached(members(), reached),
  };
}

/** Both have to agree. */
export function jointQuorums(first: QuorumSystem, second: QuorumSystem): QuorumSystem {
  return {
    isQuorum: (phase, nodes) => first.isQuorum(phase, nodes) && second.isQuorum(phase, nodes),
    outcome: (phase, votes) => both(first.outcome(phase, votes), second.outcome(phase, votes)),
    reached: (phase, reached) => Math.min(first.reached(phase, reached), second.reached(phase, reached)),
  };
}

class CountedQuorums implements QuorumSystem {
  readonly #voters: readonly NodeId[];
  readonly #sizes: QuorumSizes;

  constructor(voters: readonly NodeId[], sizes?: QuorumSizes) {
    const majority = majorityOf(voters.length);
    this.#voters = voters;
    this.#sizes = sizes ?? { prepare: majority, accept: majority };
    assert(sizesFit(voters.length, this.#sizes), 'every two quorums of the two phases meet', {
      voters: voters.length,
      ...this.#sizes,
    });
  }

  isQuorum(phase: QuorumPhase, nodes: readonly NodeId[]): boolean {
    const needed = this.#sizes[phase];
    if (nodes.length < needed) return false;
    let count = 0;
    for (const voter of this.#voters) if (nodes.includes(voter)) count += 1;
    return count >= needed;
  }

  outcome(phase: QuorumPhase, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
    return countOutcome(this.#voters, this.#sizes[phase], votes);
  }

  reached(phase: QuorumPhase, reached: (voter: NodeId) => number): number {
    return countReached(this.#voters, this.#sizes[phase], reached);
  }
}

// ---------------------------------------------------------------- counting

const scratch: number[] = [];

/** The largest n that `needed` voters have reached. Nobody has reached everything: an empty half decides nothing. */
function countReached(voters: readonly NodeId[], needed: number, reached: (voter: NodeId) => number): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  // insertion sort, descending: groups are small, and this runs for each acknowledgement
  for (let i = 0; i < count; i++) {
    const value = reached(voters[i]!);
    let at = i;
    for (; at > 0 && scratch[at - 1]! < value; at--) scratch[at] = scratch[at - 1]!;
    scratch[at] = value;
  }
  return scratch[needed - 1]!;
}

function countOutcome(voters: readonly NodeId[], needed: number, votes: ReadonlyMap<NodeId, boolean>): VoteOutcome {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  if (voters.length === 0 || granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'open';
}

function both(first: VoteOutcome, second: VoteOutcome): VoteOutcome {
  if (first === 'lost' || second === 'lost') return 'lost';
  return first === 'won' && second === 'won' ? 'won' : 'open';
}
