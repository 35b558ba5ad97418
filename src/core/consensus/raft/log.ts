/**
 * The replicated log in memory: the entries after the compaction point, hash-chained. Owns which configuration is in force: the
 * latest one in the log, committed or not (§4.1 of the dissertation).
 *
 * Invariants: indexes run on without a gap from the compaction point; terms never fall; each checksum continues the one before.
 */
import { assert } from '../../base/assert.ts';
import type { Crc32 } from '../../base/env.ts';
import type { Entry, LogIndex, Members, SnapshotPoint } from '../engine.ts';
import { chainChecksum, entryBytes } from '../entry-format.ts';
import type { Term } from './term.ts';

/** Dropped entries are let go in one go when there are this many, and as many as are held. */
const dropMin = 1024;

export class RaftLog {
  #base: SnapshotPoint;
  /** `#entries[#head + i]` has the index `#base.index + 1 + i`; what is before `#head` has been compacted. */
  #entries: (Entry | undefined)[] = [];
  #head = 0;
  /** Indexes of the entries that hold a configuration, ascending. */
  #memberIndexes: LogIndex[] = [];
  /** What is before it is as it was when the invariants were checked last. */
  #changedFrom = 0;

  constructor(base: SnapshotPoint) {
    this.#base = base;
  }

  /** The compaction point: everything up to it is in the state machine and no longer here. */
  get base(): SnapshotPoint {
    return this.#base;
  }
  get firstIndex(): LogIndex {
    return (this.#base.index + 1) as LogIndex;
  }
  get lastIndex(): LogIndex {
    return (this.#base.index + this.#entries.length - this.#head) as LogIndex;
  }
  get lastTerm(): Term {
    return (this.#entries.length === this.#head ? this.#base.term : this.#entries.at(-1)!.term) as Term;
  }
  get lastChecksum(): number {
    return this.#entries.length === this.#head ? this.#base.checksum : this.#entries.at(-1)!.checksum;
  }
  /** In force: the latest configuration in the log. */
  get members(): Members {
    return this.#membersOf(this.#memberIndexes.at(-1));
  }

  /** The one that it replaced. */
  get membersBefore(): Members {
    return this.#membersOf(this.#memberIndexes.at(-2));
  }
  /** Where it is; at or before the compaction point if that brought it along. */
  get membersIndex(): LogIndex {
    return this.#memberIndexes.at(-1) ?? this.#base.index;
  }

  /** The entry at `index`, or undefined where the log does not reach or has been compacted. */
  at(index: number): Entry | undefined {
    return index > this.#base.index ? this.#entries[this.#slot(index)] : undefined;
  }

  /** The term at `index`; undefined before the compaction point and after the end: such a place matches nothing. */
  termAt(index: number): Term | undefined {
    if (index === this.#base.index) return this.#base.term as Term;
    return this.at(index)?.term as Term | undefined;
  }

  /** Whether an entry of this index and term is in the log (or is the compaction point). */
  matches(index: number, term: number): boolean {
    return this.termAt(index) === term;
  }

  checksumAt(index: number): number | undefined {
    return index === this.#base.index ? this.#base.checksum : this.at(index)?.checksum;
  }

  /** Entries first … last, all of which must be there. */
  slice(first: number, last: number): readonly Entry[] {
    assert(first > this.#base.index && last <= this.lastIndex, 'a slice lies within the log', { first, last });
    return this.#entries.slice(this.#slot(first), this.#slot(last) + 1) as Entry[];
  }

  /** The last index such that the entries first … it take at most `maxBytes`; one entry always fits. */
  lastWithin(first: number, maxBytes: number): LogIndex {
    const last = this.lastIndex;
    let bytes = entryBytes(this.at(first)!);
    let index = first;
    while (index < last) {
      bytes += entryBytes(this.at(index + 1)!);
      if (bytes > maxBytes) break;
      index += 1;
    }
    return index as LogIndex;
  }

  /** Where a configuration was in force at `index`, which must not lie before the compaction point. */
  pointAt(index: LogIndex): SnapshotPoint {
    if (index === this.#base.index) return this.#base;
    const entry = this.at(index);
    assert(entry !== undefined, 'a point of the log is in the log', { index });
    const members = this.#membersOf(this.#memberIndexes.findLast((at) => at <= index));
    return { index, term: entry.term, checksum: entry.checksum, members };
  }

  /** The largest index ≤ `index` whose term is ≤ `term`: where a log like ours can at best agree with another's (§5.3). */
  lastWithTermAtMost(index: number, term: number): LogIndex {
    let low = this.#base.index - 1;
    let high = Math.max(low, Math.min(index, this.lastIndex));
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.termAt(middle)! <= term) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low) as LogIndex;
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'an entry continues the log', { index: entry.index });
    this.#entries.push(entry);
    if (entry.index < this.#changedFrom) this.#changedFrom = entry.index;
    if (entry.payload.kind === 'members') this.#memberIndexes.push(entry.index);
  }

  /** Removes the entry at `index` and everything after it. */
  truncateFrom(index: number): void {
    assert(index > this.#base.index, 'what is compacted is committed, and never truncated', { index });
    this.#entries.length = Math.min(this.#entries.length, this.#slot(index));
    while ((this.#memberIndexes.at(-1) ?? 0) >= index) this.#memberIndexes.pop();
  }

  /** Lets go of the entries up to `index`, which must be there. */
  compactTo(index: LogIndex): void {
    if (index <= this.#base.index) return;
    const base = this.pointAt(index);
    for (let slot = this.#head; slot <= this.#slot(index); slot++) this.#entries[slot] = undefined;
    this.#head = this.#slot(index) + 1;
    this.#base = base;
    this.#memberIndexes = this.#memberIndexes.filter((at) => at > index);
    if (this.#head >= dropMin && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Begins anew after a snapshot. */
  reset(base: SnapshotPoint): void {
    this.#base = base;
    this.#entries = [];
    this.#head = 0;
    this.#memberIndexes = [];
    this.#changedFrom = 0;
  }

  clone(): RaftLog {
    const copy = new RaftLog(this.#base);
    copy.#entries = this.#entries.slice(this.#head);
    copy.#memberIndexes = this.#memberIndexes.slice();
    return copy;
  }

  /** Checks what has changed since it was asked last; everything the first time, and if `all` is. */
  invariants(crc32: Crc32, all = false): void {
    const last = this.lastIndex;
    let index = all ? this.firstIndex : Math.max(this.firstIndex, this.#changedFrom);
    let before = this.checksumAt(index - 1);
    let term: number | undefined = this.termAt(index - 1);
    for (; index <= last; index++) {
      const entry = this.at(index)!;
      assert(entry.index === index, 'indexes run on without a gap', { index, found: entry.index });
      assert(entry.term >= term!, 'terms never fall along the log', { index });
      const checksum = chainChecksum(crc32, before!, entry.term, index, entry.payload);
      assert(checksum === entry.checksum, 'each checksum continues the one before', { index });
      before = checksum;
      term = entry.term;
    }
    this.#changedFrom = last + 1;
    for (const at of this.#memberIndexes) this.#membersOf(at);
  }

  #slot(index: number): number {
    return this.#head + index - this.#base.index - 1;
  }

  #membersOf(index: LogIndex | undefined): Members {
    if (index === undefined) return this.#base.members;
    const payload = this.at(index)?.payload;
    assert(payload?.kind === 'members', 'a configuration is where it was noted', { index });
    return payload.members;
  }
}
