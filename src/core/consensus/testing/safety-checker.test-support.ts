/**
 * What must hold of a group, judged from outside: from the effects that engines give, and from what is on their disks. What the records
 * of an engine mean, its ledger knows; the rest is the same for both engines.
 */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { EngineName, EngineStatus, Entry, Members, QuorumSizes, SnapshotPoint } from '../engine.ts';
import { assertHeldByQuorum, type Ledger, type Shadow } from './ledger.test-support.ts';
import { PaxosLedger } from './paxos-ledger.test-support.ts';
import { RaftLedger } from './raft-ledger.test-support.ts';

export class SafetyChecker {
  /** The latest configuration that is committed, and where. */
  members: Members;
  #membersIndex = 0;
  readonly #ledger: Ledger;
  readonly #quorums: QuorumSizes | undefined;
  readonly #disks = new Map<NodeId, Shadow>();
  readonly #leaders = new Map<number, NodeId>();
  /** By term: how much was committed in terms before it when its leader was elected. */
  readonly #committedBefore = new Map<number, number>();
  /** By index, from 1 on. */
  readonly #committed: Entry[] = [];
  /** In which term each was. */
  readonly #committedIn: number[] = [];

  constructor(engine: EngineName, bootstrap: Members, quorums?: QuorumSizes) {
    this.members = bootstrap;
    this.#quorums = quorums;
    this.#ledger = engine === 'raft' ? new RaftLedger() : new PaxosLedger(bootstrap, quorums);
  }

  get highestCommitted(): number {
    return this.#committed.length;
  }

  newMemory(): Shadow {
    return this.#ledger.shadow();
  }
  newDisk(node: NodeId): Shadow {
    const disk = this.#ledger.shadow();
    this.#disks.set(node, disk);
    return disk;
  }

  remembered(node: NodeId, memory: Shadow, record: unknown): void {
    memory.write(record, () => undefined);
    this.#ledger.written(node, record, false);
  }
  becameDurable(node: NodeId, record: unknown): void {
    this.#disks.get(node)!.write(record, (index) => this.#committed[index - 1]);
    this.#ledger.written(node, record, true);
  }

  /** State-machine safety, and that what is committed is so by the disks. `before`: its node before it did so. */
  committed(node: NodeId, entry: Entry, before: Pick<EngineStatus, 'members' | 'term'>): void {
    const known = this.#committed[entry.index - 1];
    const isSame = known === undefined || (known.checksum === entry.checksum && known.term === entry.term);
    assert(isSame, 'state-machine safety: one entry at each index', { node, index: entry.index });
    if (known !== undefined) return;
    assert(entry.index === this.highestCommitted + 1, 'entries are committed without a gap', { index: entry.index });
    this.#committed.push(entry);
    this.#committedIn.push(before.term);
    this.#ledger.committed(entry, before.members, this.#disks);
    if (entry.payload.kind !== 'members' || entry.index < this.#membersIndex) return;
    this.members = entry.payload.members;
    this.#membersIndex = entry.index;
  }

  /**
   * Election safety, and that a leader knows what was committed before it. One may learn late that it was elected, when others have led
   * and committed in later terms.
   */
  leads({ id, term, established, commitIndex }: EngineStatus, memory: Shadow): void {
    const known = this.#leaders.get(term);
    assert(known === undefined || known === id, 'election safety: one leader a term', { term });
    if (known === undefined) {
      this.#leaders.set(term, id);
      const later = this.#committedIn.findIndex((of) => of >= term);
      const before = later < 0 ? this.#committed : this.#committed.slice(0, later);
      this.#committedBefore.set(term, before.length);
      this.#ledger.elected(memory, before);
    }
    const knows = !established || commitIndex >= this.#committedBefore.get(term)!;
    assert(knows, 'an established leader knows all that was committed before it', { leader: id, commitIndex });
  }

  /** A snapshot is of a state that the group went through. */
  installed(point: SnapshotPoint): void {
    const known = this.#committed[point.index - 1];
    assert(known?.checksum === point.checksum, 'a snapshot is of committed state', { index: point.index });
  }

  /** Everything that is committed is on a quorum of the disks. */
  checkAll(): void {
    for (const entry of this.#committed) assertHeldByQuorum(entry, this.members, this.#disks, this.#quorums);
  }
}
