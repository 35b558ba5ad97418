/** What a node remembers of the reads that it confirms without the leader; see quorum-reads.ts. */
import type { Millis, NodeId } from '../../base/brand.ts';
import type { LogIndex, ReadId } from '../engine.ts';
import type { Configuration } from './configuration.ts';

export interface QuorumReads {
  /** Of the round under way or last done. */
  token: number;
  waiting: ReadId[];
  round: ReadRound | undefined;
}

/** Reads that are being confirmed together. */
export interface ReadRound {
  readonly reads: readonly ReadId[];
  /** Who decides, as far as was delivered when the round began. */
  readonly configuration: Configuration;
  /** The last slot that each voter knows of. */
  readonly answers: Map<NodeId, LogIndex>;
  /** What must be delivered here; undefined until a quorum has answered. */
  index: LogIndex | undefined;
  askAgainAt: Millis;
  readonly giveUpAt: Millis;
}

export function cloneQuorumReads({ token, waiting, round }: QuorumReads): QuorumReads {
  return { token, waiting: waiting.slice(), round: round && { ...round, answers: new Map(round.answers) } };
}
