/**
 * What must hold of a group, judged from outside: from the effects that engines give, and from what is on their disks. Knows
 * nothing of how an engine works, so both engines answer to it.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { EngineStatus, Entry, SnapshotPoint } from '../engine.ts';

/** The log that a disk (or a memory) holds: checksums by index; everything up to `base` is held as state. */
export class ShadowLog {
  base = 0;
  readonly #checksums = new Map<number, number>();
  #last = 0;

  /** Returns false if this cut off an entry that `keeps` forbids to lose. */
  write(entry: Entry, mayLose: (index: number, checksum: number) => boolean): boolean {
    let allowed = true;
    for (let index = entry.index; index <= this.#last; index++) {
      const old = this.#checksums.get(index);
      if (old !== undefined && old !== entry.checksum && !mayLose(index, old) && index !== entry.index) allowed = false;
      if (index === entry.index && old !== undefined && old !== entry.checksum && !mayLose(index, old)) allowed = false;
      this.#checksums.delete(index);
    }
    this.#checksums.set(entry.index, entry.checksum);
    this.#last = entry.index;
    return allowed;
  }

  holdsState(index: number): void {
    this.base = Math.max(this.base, index);
    this.#last = Math.max(this.#last, index);
  }

  holds(index: number, checksum: number): boolean {
    return index <= this.base || this.#checksums.get(index) === checksum;
  }
}

export class SafetyChecker {
  readonly #voters: readonly NodeId[];
  readonly #disks: ReadonlyMap<NodeId, ShadowLog>;
  readonly #leaders = new Map<number, NodeId>();
  /** Checksums by index: the hash chain makes each stand for the whole log before it. */
  readonly #committed: (number | undefined)[] = [];
  readonly #entries = new Map<string, number>();
  highestCommitted = 0;

  constructor(voters: readonly NodeId[], disks: ReadonlyMap<NodeId, ShadowLog>) {
    this.#voters = voters;
    this.#disks = disks;
  }

  /** Log matching: an entry of the same index and term has the same log before it, on every node. */
  written(entry: Entry): void {
    const key = `${entry.index}:${entry.term}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === entry.checksum, 'log matching', { key });
    this.#entries.set(key, entry.checksum);
  }

  /** State-machine safety, and that what is committed is durable on a quorum, by the disks. */
  committed(node: NodeId, entry: Entry): void {
    const known = this.#committed[entry.index];
    assert(known === undefined || known === entry.checksum, 'state-machine safety: one entry at each index', {
      node,
      index: entry.index,
    });
    if (known !== undefined) return;
    this.#committed[entry.index] = entry.checksum;
    this.highestCommitted = Math.max(this.highestCommitted, entry.index);
    this.durableOnQuorum(entry.index);
  }

  durableOnQuorum(index: number): void {
    const checksum = this.#committed[index];
    if (checksum === undefined) return;
    const holders = this.#voters.filter((id) => this.#disks.get(id)!.holds(index, checksum));
    assert(holders.length > this.#voters.length / 2, 'what is committed is durable on a quorum', {
      index,
      holders: holders.join(' '),
    });
  }

  /** Whether a disk may lose this entry: not if it is the committed one. */
  mayLose = (index: number, checksum: number): boolean => this.#committed[index] !== checksum;

  /** Election safety, and leader completeness at the moment of election. */
  leads(status: EngineStatus, memory: ShadowLog): void {
    const known = this.#leaders.get(status.term);
    assert(known === undefined || known === status.id, 'election safety: one leader a term', { term: status.term });
    if (known !== undefined) return;
    this.#leaders.set(status.term, status.id);
    for (let index = 1; index <= this.highestCommitted; index++)
      assert(memory.holds(index, this.#committed[index]!), 'leader completeness', { leader: status.id, index });
  }

  /** A snapshot is of a state that the group went through. */
  installed(point: SnapshotPoint): void {
    const known = this.#committed[point.index];
    assert(known === point.checksum, 'a snapshot is of committed state', { index: point.index });
  }

  checkAll(): void {
    for (let index = 1; index <= this.highestCommitted; index++) this.durableOnQuorum(index);
  }
}
