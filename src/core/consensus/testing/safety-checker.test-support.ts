/**
 * What must hold of a group, judged from outside: from the effects that engines give, and from what is on their disks. Knows
 * nothing of how an engine works, so both engines answer to it.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { EngineStatus, Entry, Members, SnapshotPoint } from '../engine.ts';
import { quorumReached } from '../quorums.ts';

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
  /** The latest configuration that is committed, and where. */
  members: Members;
  #membersIndex = 0;
  readonly #disks: ReadonlyMap<NodeId, ShadowLog>;
  readonly #leaders = new Map<number, NodeId>();
  /** Checksums by index: the hash chain makes each stand for the whole log before it. */
  readonly #committed: (number | undefined)[] = [];
  readonly #entries = new Map<string, number>();
  highestCommitted = 0;

  constructor(bootstrap: Members, disks: ReadonlyMap<NodeId, ShadowLog>) {
    this.members = bootstrap;
    this.#disks = disks;
  }

  /** Log matching: an entry of the same index and term has the same log before it, on every node. */
  written(entry: Entry): void {
    const key = `${entry.index}:${entry.term}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === entry.checksum, 'log matching', { key });
    this.#entries.set(key, entry.checksum);
  }

  /** State-machine safety, and that what is committed is durable on a quorum, by the disks. `members`: in force where it was committed. */
  committed(node: NodeId, entry: Entry, members: Members): void {
    const known = this.#committed[entry.index];
    assert(known === undefined || known === entry.checksum, 'state-machine safety: one entry at each index', {
      node,
      index: entry.index,
    });
    if (known !== undefined) return;
    this.#committed[entry.index] = entry.checksum;
    this.highestCommitted = Math.max(this.highestCommitted, entry.index);
    this.durableOnQuorum(entry.index, members);
    if (entry.payload.kind !== 'members' || entry.index < this.#membersIndex) return;
    this.members = entry.payload.members;
    this.#membersIndex = entry.index;
  }

  durableOnQuorum(index: number, members: Members): void {
    const checksum = this.#committed[index];
    if (checksum === undefined) return;
    const holds = (id: NodeId) => (this.#disks.get(id)!.holds(index, checksum) ? 1 : 0);
    assert(quorumReached(members, holds) >= 1, 'what is committed is durable on a quorum', {
      index,
      holders: [...this.#disks.keys()].filter((id) => holds(id) === 1).join(' '),
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
    for (let index = 1; index <= this.highestCommitted; index++) this.durableOnQuorum(index, this.members);
  }
}
