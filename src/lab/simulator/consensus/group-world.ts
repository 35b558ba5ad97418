/** What surrounds the nodes of a group: time, links, checks, and whoever decides what goes wrong. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { EngineConfig, EngineKind, EngineStatus, SnapshotPoint } from '../../../core/consensus/engine.ts';
import type { Agenda } from './agenda.ts';
import type { GroupChecker } from './group-checker.ts';
import type { GroupNetwork } from './group-network.ts';
import type { StoreImage } from './group-store.ts';

/** Where a crash may be made to happen. */
export const moments = ['writing', 'sent', 'durable', 'elected', 'committed', 'streaming', 'installing'] as const;
export type Moment = (typeof moments)[number];

export interface HostSettings {
  /** Batches that may be on their way at once. */
  readonly batchesInFlight: number;
  /** From commit until it is applied; 0: at once. */
  readonly applyMs: number;
  /** The state is made durable, and the log shorter, so often; undefined: only when the plan says so. */
  readonly flushEveryMs: number | undefined;
  /** Entries that then stay in the log. */
  readonly keepEntries: number;
  /** Receiving a snapshot takes so long, with a disk that is well. */
  readonly installMs: number;
  /** Before that it may be on its way for so long; absent: as long as two messages. */
  readonly streamMs?: number;
  /** Messages and records go through their bytes. */
  readonly isCoded: boolean;
}

export interface SnapshotOnItsWay {
  readonly from: NodeId;
  readonly point: SnapshotPoint;
  readonly image: StoreImage;
}

/** A node as others see it. */
export interface Peer<Message> {
  receive(from: NodeId, message: Message): void;
  /** A state arrives whole. False if it is not wanted; else `installed` is told when it is in place. */
  takeSnapshot(snapshot: SnapshotOnItsWay, installed: () => void): boolean;
}

export interface GroupWorld<Message, LogRecord> {
  readonly kind: EngineKind<Message, LogRecord>;
  readonly agenda: Agenda;
  readonly network: GroupNetwork;
  readonly checker: GroupChecker<Message, LogRecord>;
  readonly host: HostSettings;
  configOf(node: NodeId): EngineConfig;
  node(id: NodeId): Peer<Message>;
  /** Streams a state to a peer; `ended` is told once whether it is known to be in place there. */
  carrySnapshot(to: NodeId, snapshot: SnapshotOnItsWay, ended: (delivered: boolean) => void): void;
  /** How long the next write of this disk takes; undefined: it fails. */
  writeMs(node: NodeId): number | undefined;
  /** How long it takes this node to put a peer's state in place of its own. */
  installMs(node: NodeId): number;
  /** A node is at a moment where it may be made to crash. */
  at(moment: Moment, node: NodeId): void;
  /** What a node knows after a step. */
  stepped(status: EngineStatus): void;
  /** A node ended by itself: its disk failed, or its log is damaged. */
  ended(node: NodeId, why: string): void;
  /** For people; without it nothing is written down, which is quicker. */
  readonly note: ((who: string, text: string) => void) | undefined;
}
