/**
 * Paxos for one value (Lamport, "Paxos Made Simple", §2.2, §2.3): the smallest whole of it, to be read before Multi-Paxos and to be run
 * alone. Any number of proposers, each with a value of its own, and a majority of the acceptors decide on one of the values; whatever
 * is lost, repeated, overtaken or restarted, never on two. Everything here is told what to do and answers with data: whoever uses it
 * carries the messages, and saves what an acceptor must not forget before its answer leaves.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { majorityOf } from '../quorums.ts';
import { type Ballot, compareBallots, noBallot, sameBallot, toRound } from './ballot.ts';

export interface ValueVote<V> {
  readonly ballot: Ballot;
  readonly value: V;
}

export type Request<V> =
  /** Phase 1a: will you take part in no lower ballot, and have you voted for anything? */
  | { readonly kind: 'prepare'; readonly ballot: Ballot }
  /** Phase 2a: vote for this value. */
  | { readonly kind: 'accept'; readonly ballot: Ballot; readonly value: V };

export type Answer<V> =
  /** Phase 1b, with the vote of the highest ballot so far. */
  | { readonly kind: 'promise'; readonly ballot: Ballot; readonly vote: ValueVote<V> | undefined }
  /** Phase 2b. */
  | { readonly kind: 'accepted'; readonly ballot: Ballot; readonly value: V }
  /** A higher ballot is promised. */
  | { readonly kind: 'rejected'; readonly ballot: Ballot; readonly promised: Ballot };

/** What an acceptor never forgets: to be durable before the answer that depends on it leaves. */
export interface AcceptorState<V> {
  readonly promised: Ballot;
  readonly vote: ValueVote<V> | undefined;
}

export class SingleAcceptor<V> {
  #state: AcceptorState<V>;

  constructor(saved: AcceptorState<V> = { promised: noBallot, vote: undefined }) {
    this.#state = saved;
  }

  get state(): AcceptorState<V> {
    return this.#state;
  }

  answer(request: Request<V>): Answer<V> {
    const { ballot } = request;
    const { promised, vote } = this.#state;
    if (compareBallots(ballot, promised) < 0) return { kind: 'rejected', ballot, promised };
    if (request.kind === 'prepare') {
      this.#state = { promised: ballot, vote };
      return { kind: 'promise', ballot, vote };
    }
    const { value } = request;
    // an Accept raises the promise as well: without that, a lower ballot could still gather votes after this one has
    this.#state = { promised: ballot, vote: { ballot, value } };
    return { kind: 'accepted', ballot, value };
  }
}

/** Proposes in ever higher ballots until it knows what is chosen. What it sends goes to every acceptor. */
export class SingleProposer<V> {
  readonly #id: NodeId;
  readonly #needed: number;
  readonly #own: V;
  #ballot: Ballot = noBallot;
  #highestSeen: Ballot = noBallot;
  /** Promises of this ballot, and the votes that came with them. */
  #promises = new Map<NodeId, ValueVote<V> | undefined>();
  /** The value of this ballot, once a majority has promised. */
  #proposed: { readonly value: V } | undefined;
  #voters = new Set<NodeId>();
  #chosen: { readonly value: V } | undefined;

  /** `lastRound`: of the last ballot that this node may have used before, so that none is used twice. */
  constructor(id: NodeId, acceptors: number, value: V, lastRound = 0) {
    this.#id = id;
    this.#needed = majorityOf(acceptors);
    this.#own = value;
    this.#highestSeen = { round: toRound(lastRound), node: id };
  }

  get chosen(): { readonly value: V } | undefined {
    return this.#chosen;
  }
  get ballot(): Ballot {
    return this.#ballot;
  }

  /** Begins a ballot above all that it has heard of. To be called again when nothing comes back, or after a refusal, a little later. */
  begin(): Request<V> {
    this.#ballot = { round: toRound(this.#highestSeen.round + 1), node: this.#id };
    this.#highestSeen = this.#ballot;
    this.#promises = new Map();
    this.#proposed = undefined;
    this.#voters = new Set();
    return { kind: 'prepare', ballot: this.#ballot };
  }

  /** What to send to every acceptor next, if anything. Answers of earlier ballots count for nothing. */
  take(from: NodeId, answer: Answer<V>): Request<V> | undefined {
    if (answer.kind === 'rejected') {
      if (compareBallots(answer.promised, this.#highestSeen) > 0) this.#highestSeen = answer.promised;
      return undefined;
    }
    if (!sameBallot(answer.ballot, this.#ballot)) return undefined;
    return answer.kind === 'promise' ? this.#promised(from, answer.vote) : this.#accepted(from, answer.value);
  }

  #promised(from: NodeId, vote: ValueVote<V> | undefined): Request<V> | undefined {
    this.#promises.set(from, vote);
    if (this.#proposed !== undefined || this.#promises.size < this.#needed) return undefined;
    const value = this.#valueToPropose();
    this.#proposed = { value };
    return { kind: 'accept', ballot: this.#ballot, value };
  }

  /** That of the highest ballot among the votes reported: a value that is chosen is among them. Its own only if there are none (P2c). */
  #valueToPropose(): V {
    let highest: ValueVote<V> | undefined;
    for (const vote of this.#promises.values())
      if (vote !== undefined && compareBallots(vote.ballot, highest?.ballot ?? noBallot) > 0) highest = vote;
    return highest === undefined ? this.#own : highest.value;
  }

  #accepted(from: NodeId, value: V): undefined {
    assert(this.#proposed !== undefined, 'only what was proposed is voted for');
    this.#voters.add(from);
    if (this.#voters.size >= this.#needed) this.#chosen = { value };
    return undefined;
  }
}
