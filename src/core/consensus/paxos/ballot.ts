/**
 * Ballots (the proposal numbers of Lamport's "Paxos Made Simple", §2.2): a round, and the node that may use it. Totally ordered, and no
 * two nodes ever share one. An acceptor promises each round to one node only, so that the round alone names a leader, as a term does.
 */
import type { Brand, NodeId } from '../../base/brand.ts';
import { naturalBrand, toNodeId } from '../../base/brand.ts';
import { branded, struct, varint } from '../../base/codec.ts';

/** From 1; 0 is before the first. */
export type Round = Brand<number, 'Round'>;
export const toRound = naturalBrand<Round>('a round');

export interface Ballot {
  readonly round: Round;
  readonly node: NodeId;
}

/** Before all others; nobody proposes in it. */
export const noBallot: Ballot = Object.freeze({ round: 0 as Round, node: 0 as NodeId });

/** By round, then by node: negative if `a` comes first. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.round === b.round ? a.node - b.node : a.round - b.round;
}

export function sameBallot(a: Ballot, b: Ballot): boolean {
  return a.round === b.round && a.node === b.node;
}

/** For events: `round.node`. */
export function nameOf(ballot: Ballot): string {
  return `${ballot.round}.${ballot.node}`;
}

/** Of a ballot that somebody proposes in. */
export const ballotCodec = struct({ round: branded(varint, toRound), node: branded(varint, toNodeId) });

/** Of a promise, which may be none yet. */
export const promiseCodec = struct({ round: branded(varint, toRound), node: branded(varint, (id) => id as NodeId) });
