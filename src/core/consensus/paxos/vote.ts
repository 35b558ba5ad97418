/** What a node holds in one slot: the value it voted for, and the ballot it did so in; or the value it has learned. */
import type { NodeId } from '../../base/brand.ts';
import type { Entry } from '../engine.ts';
import type { Ballot } from './ballot.ts';

export class Vote {
  /** `noBallot` if the value was learned and never voted for. */
  ballot: Ballot;
  readonly entry: Entry;
  /** Checksum of the entry before it in the log of who proposed it; undefined if we do not know any more. */
  readonly previous: number | undefined;
  /** Known to be chosen, although perhaps a slot before it is not. */
  chosen = false;
  /** On the leader of `ballot`: who has voted for it durably. */
  acceptors: NodeId[] | undefined;

  constructor(ballot: Ballot, entry: Entry, previous: number | undefined) {
    this.ballot = ballot;
    this.entry = entry;
    this.previous = previous;
  }

  clone(): Vote {
    const copy = new Vote(this.ballot, this.entry, this.previous);
    copy.chosen = this.chosen;
    copy.acceptors = this.acceptors?.slice();
    return copy;
  }
}
