/** What can be judged from outside only with some knowledge of the protocol: its records and messages. One for each engine. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineStatus, Entry, Members, SnapshotPoint } from '../../../core/consensus/engine.ts';

/** All throw BrokenRule. */
export interface ProtocolWatch<Message, LogRecord> {
  /** An engine has handed records to the disk of its node: in its mind they are written. */
  handedOut(node: NodeId, records: readonly LogRecord[]): void;
  /** The disk of a node holds records, behind all that it held before. */
  durable(node: NodeId, records: readonly LogRecord[]): void;
  /** A node began anew with what its disk held. */
  restarted(
    node: NodeId,
    records: readonly LogRecord[],
    applied: SnapshotPoint | undefined,
    status: EngineStatus,
  ): void;
  /** The state of a node up to `point` is durable in its store. */
  stateDurable(node: NodeId, point: SnapshotPoint): void;
  /** The state of a node was replaced by a peer's, durably. */
  stateInstalled(node: NodeId, point: SnapshotPoint): void;
  left(from: NodeId, to: NodeId, message: Message): void;
  stepped(status: EngineStatus): void;
  /** `node` is the first to commit this. */
  committed(node: NodeId, entry: Entry): void;
  /**
   * Whether those for whom `has` holds could elect and commit, by every configuration that any node may act by, now or after a restart; and
   * by those that are `sought`. Configurations in which one of the `retired` votes are past: a later one was done before these left.
   */
  canDecide(has: (node: NodeId) => boolean, sought: readonly Members[], retired: ReadonlySet<NodeId>): boolean;
  /** Those behind `index` that were committed, or that anybody holds and that may be. */
  configurationsBehind(index: number): readonly Members[];
}
