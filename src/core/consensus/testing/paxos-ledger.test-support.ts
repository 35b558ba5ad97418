/**
 * What the records of a Multi-Paxos group mean. Of all disks together: in one slot and ballot only one value is voted for; a value is
 * chosen once a quorum of disks has voted for it in one ballot, whether anybody notices or not; and no slot ever has two chosen values.
 * Of each disk: it votes in no ballot below one that it has promised, and keeps the chosen values that it holds.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import { crc32 } from '../../base/crc32.ts';
import type { Entry, Members, QuorumSizes } from '../engine.ts';
import { chainChecksum } from '../entry-format.ts';
import { type Ballot, compareBallots, nameOf, noBallot } from '../paxos/ballot.ts';
import { windowOf } from '../paxos/configuration.ts';
import type { PaxosRecord } from '../paxos/records.ts';
import { majorityOf } from '../quorums.ts';
import type { CommittedAt, Ledger, Shadow } from './ledger.test-support.ts';

/** Stands for round and payload, whatever precedes them. */
function digestOf({ index, term, payload }: Entry): number {
  return chainChecksum(crc32, 0, term, index, payload);
}

interface Tally {
  readonly value: number;
  readonly disks: Set<NodeId>;
}

export class PaxosLedger implements Ledger {
  readonly #bootstrap: Members;
  readonly #sizes: QuorumSizes | undefined;
  /** By disk. */
  readonly #promised = new Map<NodeId, Ballot>();
  /** By slot and ballot. */
  readonly #votes = new Map<string, Tally>();
  /** By slot: the value that is chosen, by what disks say. */
  readonly #chosen = new Map<number, number>();
  /** Changes of voters that are committed, in order. */
  readonly #changes: { readonly slot: number; readonly voters: readonly NodeId[] }[] = [];

  constructor(bootstrap: Members, sizes?: QuorumSizes) {
    this.#bootstrap = bootstrap;
    this.#sizes = sizes;
  }

  shadow(): Shadow {
    return new ShadowVotes();
  }

  written(node: NodeId, record: unknown, isDurable: boolean): void {
    const written = record as PaxosRecord;
    if (isDurable && (written.kind === 'promise' || written.kind === 'accepted')) this.#promise(node, written.ballot);
    if (written.kind === 'learned') this.#learned(written.entry);
    if (written.kind !== 'accepted') return;
    const { ballot, entry } = written;
    const key = `${entry.index}:${nameOf(ballot)}`;
    const value = digestOf(entry);
    const tally = this.#votes.get(key) ?? { value, disks: new Set() };
    assert(tally.value === value, 'in a ballot one value is proposed for a slot', { key });
    this.#votes.set(key, tally);
    if (!isDurable) return;
    tally.disks.add(node);
    const voters = this.#votersAt(entry.index);
    const needed = this.#sizes?.accept ?? majorityOf(voters.length);
    if (voters.filter((id) => tally.disks.has(id)).length >= needed) this.#choose(entry);
  }

  #promise(node: NodeId, ballot: Ballot): void {
    const promised = this.#promised.get(node) ?? noBallot;
    assert(compareBallots(ballot, promised) >= 0, 'an acceptor takes no part in a ballot below its promise', {
      node,
      ballot: nameOf(ballot),
      promised: nameOf(promised),
    });
    this.#promised.set(node, ballot);
  }

  #choose(entry: Entry): void {
    const value = digestOf(entry);
    const known = this.#chosen.get(entry.index) ?? value;
    assert(known === value, 'no two values are chosen for one slot', { slot: entry.index });
    this.#chosen.set(entry.index, value);
  }

  #learned(entry: Entry): void {
    assert(this.#chosen.get(entry.index) === digestOf(entry), 'only what is chosen is learned', { slot: entry.index });
  }

  /** The configuration chosen in slot i decides from slot i + α on. */
  #votersAt(slot: number): readonly NodeId[] {
    const change = this.#changes.findLast((at) => at.slot + windowOf({}) <= slot);
    return change?.voters ?? this.#bootstrap.voters;
  }

  committed(entry: Entry): void {
    const isChosen = this.#chosen.get(entry.index) === digestOf(entry);
    assert(isChosen, 'what is committed was voted for in one ballot by a quorum of disks', { slot: entry.index });
    if (entry.payload.kind !== 'members') return;
    const { votersNext } = entry.payload.members;
    if (votersNext !== undefined) this.#changes.push({ slot: entry.index, voters: votersNext });
  }

  /** Anybody can be elected: what it lacks it learns before it is established. */
  elected(): void {}
}

class ShadowVotes implements Shadow {
  #base = 0;
  readonly #held = new Map<number, Entry>();

  write(record: unknown, committedAt: CommittedAt): void {
    const written = record as PaxosRecord;
    if (written.kind === 'accepted' || written.kind === 'learned') this.#hold(written.entry, committedAt);
  }

  #hold(entry: Entry, committedAt: CommittedAt): void {
    const old = this.#held.get(entry.index);
    const committed = committedAt(entry.index);
    const isCommitted = old !== undefined && committed !== undefined && digestOf(old) === digestOf(committed);
    const stays = !isCommitted || digestOf(old) === digestOf(entry);
    assert(stays, 'a chosen value stays where it is durable', { slot: entry.index });
    this.#held.set(entry.index, entry);
  }

  holdsState(index: number): void {
    this.#base = Math.max(this.#base, index);
  }

  holds(entry: Entry): boolean {
    const held = this.#held.get(entry.index);
    return entry.index <= this.#base || (held !== undefined && digestOf(held) === digestOf(entry));
  }
}
