/** What the records of an engine mean, for those who judge a group by its disks. */
import { assert } from '../../base/assert.ts';
import type { NodeId } from '../../base/brand.ts';
import type { Entry, Members, QuorumSizes } from '../engine.ts';
import { quorumSystemOf } from '../quorums.ts';

export type CommittedAt = (index: number) => Entry | undefined;

/** What a disk (or a memory) holds, by the records that were written to it. */
export interface Shadow {
  /** @throws AssertionError if the record breaks a promise, or takes away an entry that is committed. */
  write(record: unknown, committedAt: CommittedAt): void;
  /** Everything up to `index` is held as state. */
  holdsState(index: number): void;
  holds(entry: Entry): boolean;
}

/** What the records of an engine mean for the group as a whole. */
export interface Ledger {
  shadow(): Shadow;
  /** A record is in the memory of a node, or (`isDurable`) on its disk. @throws AssertionError if it contradicts another node's. */
  written(node: NodeId, record: unknown, isDurable: boolean): void;
  /** @throws AssertionError if the entry is not committed by what is on disks. `inForce`: the members as the node knew them. */
  committed(entry: Entry, inForce: Members, disks: ReadonlyMap<NodeId, Shadow>): void;
  /** A node leads for the first time in its term; `memory` is what it holds, `committed` everything that is committed. */
  elected(memory: Shadow, committed: readonly Entry[]): void;
}

/** `sizes`: absent for majorities. */
export function assertHeldByQuorum(
  entry: Entry,
  members: Members,
  disks: ReadonlyMap<NodeId, Shadow>,
  sizes?: QuorumSizes,
): void {
  const holders = [...disks.keys()].filter((id) => disks.get(id)!.holds(entry));
  assert(quorumSystemOf(members, sizes).isQuorum('accept', holders), 'what is committed is durable on a quorum', {
    index: entry.index,
    holders: holders.join(' '),
  });
}
