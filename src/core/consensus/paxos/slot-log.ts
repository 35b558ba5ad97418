/**
 * The slots of one node after its compaction point: up to `chosenIndex` values that are chosen and delivered, each continuing the hash
 * chain; after it votes, with gaps where it has not voted. Owns which configuration was delivered last.
 *
 * Invariants: no gap up to chosenIndex; each checksum there continues the one before; no vote before the compaction point.
 */
import { assert } from '../../base/assert.ts';
import type { Crc32 } from '../../base/env.ts';
import type { Entry, LogIndex, Members, SnapshotPoint } from '../engine.ts';
import { chainChecksum, entryBytes } from '../entry-format.ts';
import type { Vote } from './vote.ts';

/** Dropped slots are let go in one go when there are this many, and as many as are held. */
const dropMin = 1024;

export class SlotLog {
  #base: SnapshotPoint;
  /** `#slots[#head + i]` is slot `#base.index + 1 + i`; what is before `#head` has been compacted. */
  #slots: (Vote | undefined)[] = [];
  #head = 0;
  #chosenIndex: LogIndex;
  #chosenChecksum: number;
  /** Delivered slots that hold a configuration, ascending. */
  #memberIndexes: LogIndex[] = [];
  /** As the invariants were checked last: up to which slot all was delivered, and from which on votes have been put since. */
  #checkedTo = 0;
  #changedFrom = 0;

  constructor(base: SnapshotPoint) {
    this.#base = base;
    this.#chosenIndex = base.index;
    this.#chosenChecksum = base.checksum;
  }

  /** The compaction point: everything up to it is in the state machine and no longer here. */
  get base(): SnapshotPoint {
    return this.#base;
  }
  /** The first slot that is retained. */
  get firstIndex(): LogIndex {
    return (this.#base.index + 1) as LogIndex;
  }
  /** Every slot up to it is chosen, and its value delivered. */
  get chosenIndex(): LogIndex {
    return this.#chosenIndex;
  }
  /** Of the entry at chosenIndex. */
  get chosenChecksum(): number {
    return this.#chosenChecksum;
  }
  get firstUnchosen(): LogIndex {
    return (this.#chosenIndex + 1) as LogIndex;
  }
  /** The last slot that holds anything. */
  get lastIndex(): LogIndex {
    return (this.#base.index + this.#slots.length - this.#head) as LogIndex;
  }
  /** The configuration that was delivered last. */
  get members(): Members {
    return this.#membersOf(this.#memberIndexes.at(-1));
  }

  /** The slot of that configuration; 0 if it lies before the compaction point. */
  get membersIndex(): LogIndex {
    return this.#memberIndexes.at(-1) ?? (0 as LogIndex);
  }

  /** What is held in a slot: undefined in a gap, after the end, and where it has been compacted. */
  at(slot: number): Vote | undefined {
    return slot > this.#base.index ? this.#slots[this.#place(slot)] : undefined;
  }

  /** Of a delivered entry or of the compaction point; undefined elsewhere. */
  checksumAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.checksum;
    return index <= this.#chosenIndex ? this.at(index)?.entry.checksum : undefined;
  }

  /** Entries first … last, all of which must be there. */
  slice(first: number, last: number): readonly Entry[] {
    assert(first > this.#base.index && last <= this.lastIndex, 'a slice lies within the log', { first, last });
    const entries: Entry[] = [];
    for (let slot = first; slot <= last; slot++) entries.push(this.at(slot)!.entry);
    return entries;
  }

  /** The last slot ≤ `last` such that the entries first … it, all of which must be there, take at most `maxBytes`; one always fits. */
  lastWithin(first: number, last: number, maxBytes: number): LogIndex {
    let bytes = entryBytes(this.at(first)!.entry);
    let slot = first;
    while (slot < last) {
      bytes += entryBytes(this.at(slot + 1)!.entry);
      if (bytes > maxBytes) break;
      slot += 1;
    }
    return slot as LogIndex;
  }

  /** Puts a vote into a slot that is not delivered. */
  put(vote: Vote): void {
    const { index } = vote.entry;
    assert(index > this.#chosenIndex, 'a chosen value never changes', { index, chosenIndex: this.#chosenIndex });
    if (index < this.#changedFrom) this.#changedFrom = index;
    const place = this.#place(index);
    while (this.#slots.length < place) this.#slots.push(undefined);
    this.#slots[place] = vote;
  }

  /** The value in the first slot that was not delivered is chosen: delivers it. */
  deliver(crc32: Crc32): Entry {
    const slot = this.firstUnchosen;
    const vote = this.at(slot);
    assert(vote !== undefined, 'what is delivered is held', { slot });
    const { entry, previous } = vote;
    const links =
      previous === undefined
        ? chainChecksum(crc32, this.#chosenChecksum, entry.term, slot, entry.payload) === entry.checksum
        : previous === this.#chosenChecksum;
    assert(links, 'each checksum continues the one before', { slot });
    vote.chosen = true;
    vote.acceptors = undefined;
    this.#chosenIndex = slot;
    this.#chosenChecksum = entry.checksum;
    if (entry.payload.kind === 'members') this.#memberIndexes.push(slot);
    return entry;
  }

  /** Where a delivered configuration was last set at or before `index`, which must not lie before the compaction point. */
  pointAt(index: LogIndex): SnapshotPoint {
    if (index === this.#base.index) return this.#base;
    assert(index <= this.#chosenIndex, 'a point of the log has been delivered', { index });
    const { term, checksum } = this.at(index)!.entry;
    return { index, term, checksum, members: this.#membersOf(this.#memberIndexes.findLast((at) => at <= index)) };
  }

  /** Delivered configurations after the compaction point, in order. */
  get configurations(): readonly { readonly slot: LogIndex; readonly members: Members }[] {
    return this.#memberIndexes.map((slot) => ({ slot, members: this.#membersOf(slot) }));
  }

  /** Lets go of the slots up to `index`, which must be delivered. */
  compactTo(index: LogIndex): void {
    if (index <= this.#base.index) return;
    const base = this.pointAt(index);
    this.#memberIndexes = this.#memberIndexes.filter((at) => at > index);
    this.#dropTo(base);
  }

  /** A snapshot has taken the place of everything up to `point`, which lies after what was delivered. Votes after it stay. */
  reset(point: SnapshotPoint): void {
    assert(point.index > this.#chosenIndex, 'a snapshot goes further than what was delivered', { index: point.index });
    this.#memberIndexes = [];
    this.#dropTo(point);
    this.#chosenIndex = point.index;
    this.#chosenChecksum = point.checksum;
    this.#checkedTo = 0;
    this.#changedFrom = 0;
  }

  #dropTo(base: SnapshotPoint): void {
    const kept = Math.min(this.#place(base.index) + 1, this.#slots.length);
    for (let place = this.#head; place < kept; place++) this.#slots[place] = undefined;
    if (base.index >= this.lastIndex) this.#slots = [];
    this.#head = this.#slots.length === 0 ? 0 : kept;
    this.#base = base;
    if (this.#head >= dropMin && this.#head * 2 >= this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
  }

  clone(): SlotLog {
    const copy = new SlotLog(this.#base);
    copy.#slots = this.#slots.slice(this.#head).map((vote) => vote?.clone());
    copy.#chosenIndex = this.#chosenIndex;
    copy.#chosenChecksum = this.#chosenChecksum;
    copy.#memberIndexes = this.#memberIndexes.slice();
    return copy;
  }

  /**
   * Checks what has changed since it was asked last; everything the first time, and if `all` is.
   * @returns the first open slot whose vote may be another than it was then
   */
  invariants(crc32: Crc32, all = false): LogIndex {
    assert(this.#chosenIndex <= this.lastIndex, 'what is delivered is held', { chosenIndex: this.#chosenIndex });
    assert(this.checksumAt(this.#chosenIndex) === this.#chosenChecksum, 'the last checksum is that of the last entry');
    this.#checkDelivered(crc32, all ? this.firstIndex : Math.max(this.firstIndex, this.#checkedTo + 1));
    const changedFrom = Math.max(this.firstUnchosen, all ? 0 : this.#changedFrom) as LogIndex;
    for (let slot = changedFrom; slot <= this.lastIndex; slot++) {
      const vote = this.at(slot);
      assert(vote === undefined || vote.entry.index === slot, 'a vote is in its slot', { slot });
    }
    assert(this.lastIndex === this.#chosenIndex || this.at(this.lastIndex) !== undefined, 'the last slot is held');
    for (const at of this.#memberIndexes) this.#membersOf(at);
    this.#checkedTo = this.#chosenIndex;
    this.#changedFrom = this.lastIndex + 1;
    return changedFrom;
  }

  #checkDelivered(crc32: Crc32, from: number): void {
    let before = this.checksumAt(from - 1);
    for (let slot = from; slot <= this.#chosenIndex; slot++) {
      const vote = this.at(slot);
      assert(vote?.entry.index === slot && vote.chosen, 'delivered slots run on without a gap', { slot });
      const { term, payload, checksum } = vote.entry;
      const links = chainChecksum(crc32, before!, term, slot, payload) === checksum;
      assert(links, 'each checksum continues the one before', { slot });
      before = checksum;
    }
  }

  #place(slot: number): number {
    return this.#head + slot - this.#base.index - 1;
  }

  #membersOf(slot: LogIndex | undefined): Members {
    if (slot === undefined) return this.#base.members;
    const payload = this.at(slot)?.entry.payload;
    assert(payload?.kind === 'members', 'a configuration is where it was noted', { slot });
    return payload.members;
  }
}
