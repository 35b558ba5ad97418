/** What the records of a Raft group mean: a log on each disk, of which a prefix is committed. */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { Entry, Members } from '../engine.ts';
import type { RaftRecord } from '../raft/records.ts';
import { assertHeldByQuorum, type CommittedAt, type Ledger, type Shadow } from './ledger.test-support.ts';

export class RaftLedger implements Ledger {
  /** Checksums by index and term: the hash chain makes each stand for the whole log before it. */
  readonly #entries = new Map<string, number>();

  shadow(): Shadow {
    return new ShadowLog();
  }

  /** Log matching: an entry of the same index and term has the same log before it, on every node. */
  written(_node: NodeId, record: unknown): void {
    const { kind, ...rest } = record as RaftRecord;
    if (kind !== 'entry') return;
    const { entry } = rest as { entry: Entry };
    const key = `${entry.index}:${entry.term}`;
    const known = this.#entries.get(key);
    assert(known === undefined || known === entry.checksum, 'log matching', { key });
    this.#entries.set(key, entry.checksum);
  }

  committed(entry: Entry, inForce: Members, disks: ReadonlyMap<NodeId, Shadow>): void {
    assertHeldByQuorum(entry, inForce, disks);
  }

  elected(memory: Shadow, committed: readonly Entry[]): void {
    for (const entry of committed) assert(memory.holds(entry), 'leader completeness', { index: entry.index });
  }
}

/** An entry at an index that is taken replaces it and everything after it. */
class ShadowLog implements Shadow {
  #base = 0;
  readonly #entries = new Map<number, Entry>();
  #last = 0;

  write(record: unknown, committedAt: CommittedAt): void {
    const written = record as RaftRecord;
    if (written.kind !== 'entry') return;
    const { entry } = written;
    for (let index = entry.index as number; index <= this.#last; index++) {
      const old = this.#entries.get(index);
      const isCommitted = old !== undefined && old.checksum === committedAt(index)?.checksum;
      const stays = !isCommitted || (index === entry.index && old.checksum === entry.checksum);
      assert(stays, 'a committed entry stays where it is durable', { index });
      this.#entries.delete(index);
    }
    this.#entries.set(entry.index, entry);
    this.#last = entry.index;
  }

  holdsState(index: number): void {
    this.#base = Math.max(this.#base, index);
    this.#last = Math.max(this.#last, index);
  }

  holds({ index, checksum }: Entry): boolean {
    return index <= this.#base || this.#entries.get(index)?.checksum === checksum;
  }
}
