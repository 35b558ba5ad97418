/** A log of Raft as it stands in the mind of a node or on its disk, by its records. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';

/** What decides between two logs in an election (§5.4.1 of the Raft paper). */
export interface Standing {
  readonly lastTerm: number;
  readonly lastIndex: number;
}

export function isUpToDate(log: Standing, other: Standing): boolean {
  return log.lastTerm === other.lastTerm ? log.lastIndex >= other.lastIndex : log.lastTerm > other.lastTerm;
}

/** A row of entries; everything up to `base` is held as state. */
export class LogShadow {
  base = 0;
  term = 0;
  vote: NodeId | undefined;
  /** Of entries and state: a term is known by them as well. */
  termOfLog = 0;
  readonly #entries = new Map<number, Entry>();
  #baseTerm = 0;
  #last = 0;
  /** The furthest that it ever reached, whatever was cut since. */
  #furthest = 0;
  #configurations: { readonly index: number; readonly members: Members }[];

  constructor(bootstrap: Members) {
    this.#configurations = [{ index: 0, members: bootstrap }];
  }

  /** An entry replaces what is at its index and behind it. @returns the first index that was cut although `mustKeep` it */
  write(entry: Entry, mustKeep: (index: number, checksum: number) => boolean): number | undefined {
    const { index, term, checksum, payload } = entry;
    if (index <= this.base) return undefined; // it was queued before a snapshot took its place
    this.termOfLog = Math.max(this.termOfLog, term);
    let lost: number | undefined;
    for (let at = index; at <= this.#last; at++) {
      const old = this.#entries.get(at)?.checksum;
      if (old !== undefined && !(at === index && old === checksum) && mustKeep(at, old)) lost ??= at;
      this.#entries.delete(at);
    }
    this.#entries.set(index, entry);
    this.#last = index;
    this.#furthest = Math.max(this.#furthest, index);
    while (this.#configurations.length > 1 && this.#configurations.at(-1)!.index >= index) this.#configurations.pop();
    if (payload.kind === 'members') this.#configurations.push({ index, members: payload.members });
    return lost;
  }

  /** A baseline may come ahead of records that were queued before it. */
  writeVote(term: number, vote: NodeId | undefined): void {
    if (term < this.term || (term === this.term && vote === undefined)) return;
    this.term = term;
    this.vote = vote;
  }

  votesFor(candidate: NodeId, term: number): boolean {
    return this.term === term && this.vote === candidate;
  }

  get last(): number {
    return this.#last;
  }

  /** Whether it holds entries up to `index`; of a term that is over, whether it did. */
  reached(index: number, term: number): boolean {
    return index <= this.#last || (term < this.termOfLog && index <= this.#furthest);
  }

  /** State takes the place of the entries up to a point. */
  holdState({ index, term, members }: SnapshotPoint): void {
    if (index <= this.base) return;
    this.termOfLog = Math.max(this.termOfLog, term);
    for (let at = this.base + 1; at < index; at++) this.#entries.delete(at);
    this.base = index;
    this.#baseTerm = term;
    this.#last = Math.max(this.#last, index);
    this.#configurations = [{ index, members }, ...this.#configurations.filter((later) => later.index > index)];
  }

  /** The same, and the log is given up if it contradicts the point or does not reach it. */
  adoptState(point: SnapshotPoint): void {
    if (point.index <= this.base) return;
    if (this.#entries.get(point.index)?.checksum !== point.checksum) this.cutBehind(point.index);
    this.holdState(point);
  }

  /**
   * A point that is read at a restart: the log is given up if it contradicts it.
   * @returns whether that cannot be told from here, as the entry itself is not there: what follows may continue it, or may not
   */
  adoptRead(point: SnapshotPoint): boolean {
    if (point.index <= this.base) return false;
    const known = this.#entries.get(point.index);
    if (known !== undefined && known.checksum !== point.checksum) this.cutBehind(point.index);
    this.holdState(point);
    return known === undefined && this.#last > point.index;
  }

  cutBehind(index: number): void {
    for (let at = index + 1; at <= this.#last; at++) this.#entries.delete(at);
    this.#last = index;
    this.#configurations = this.#configurations.filter((later, i) => i === 0 || later.index <= index);
  }

  holds(index: number, checksum: number): boolean {
    return index <= this.base || this.#entries.get(index)?.checksum === checksum;
  }

  get standing(): Standing {
    const last = this.#last > this.base ? this.#entries.get(this.#last) : undefined;
    return { lastTerm: last?.term ?? this.#baseTerm, lastIndex: this.#last };
  }

  configurationsBehind(index: number): readonly Members[] {
    return this.#configurations.filter((one) => one.index > index).map(({ members }) => members);
  }

  get members(): Members {
    return this.#configurations.at(-1)!.members;
  }
}
