/** What a Multi-Paxos node holds, by its records: its promise, its votes, and the state that has taken the place of older ones. */
import type { Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';
import { isSameValue } from './paxos-value.ts';

interface Vote {
  /** 0: learned. */
  readonly ballot: number;
  readonly value: Entry;
}

export class AcceptorShadow {
  promised = 0;
  base = 0;
  /** Up to where it knows what is chosen. */
  chosen = 0;
  readonly votes = new Map<number, Vote>();
  configuration: Members;

  constructor(bootstrap: Members) {
    this.configuration = bootstrap;
  }

  holdState({ index, members }: SnapshotPoint): void {
    if (index <= this.base) return;
    this.base = index;
    this.chosen = Math.max(this.chosen, index);
    this.configuration = members;
    for (const slot of this.votes.keys()) if (slot <= index) this.votes.delete(slot);
  }

  /** Those that it has voted for in slots after `chosen`. */
  openConfigurations(chosen: number): readonly Members[] {
    const found: Members[] = [];
    for (const [slot, { value }] of this.votes)
      if (slot > chosen && value.payload.kind === 'members') found.push(value.payload.members);
    return found;
  }

  holds(slot: number, value: Entry): boolean {
    if (slot <= this.base) return true;
    const vote = this.votes.get(slot);
    return vote !== undefined && isSameValue(vote.value, value);
  }
}
