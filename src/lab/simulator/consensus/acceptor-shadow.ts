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
  /** Of the votes, those for configurations, by slot: few among many. */
  readonly #configurations = new Map<number, Members>();
  configuration: Members;

  constructor(bootstrap: Members) {
    this.configuration = bootstrap;
  }

  put(value: Entry, ballot: number): void {
    const { index, payload } = value;
    if (index <= this.base) return;
    this.votes.set(index, { ballot, value });
    if (payload.kind === 'members') this.#configurations.set(index, payload.members);
    else this.#configurations.delete(index);
  }

  holdState({ index, members }: SnapshotPoint): void {
    if (index <= this.base) return;
    this.base = index;
    this.chosen = Math.max(this.chosen, index);
    this.configuration = members;
    for (const of of [this.votes, this.#configurations])
      for (const slot of of.keys()) if (slot <= index) of.delete(slot);
  }

  /** Those that it has voted for in slots after `chosen`. */
  openConfigurations(chosen: number): readonly Members[] {
    const found: Members[] = [];
    for (const [slot, members] of this.#configurations) if (slot > chosen) found.push(members);
    return found;
  }

  holds(slot: number, value: Entry): boolean {
    if (slot <= this.base) return true;
    const vote = this.votes.get(slot);
    return vote !== undefined && isSameValue(vote.value, value);
  }
}
