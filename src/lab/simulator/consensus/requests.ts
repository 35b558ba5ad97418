/** What clients and operators ask of a node, and what they are told. */
import type { NodeId } from '../../../core/base/brand.ts';
import type { DropReason, ReadLevel } from '../../../core/consensus/engine.ts';

export type Request =
  | {
      readonly kind: 'command';
      /** Names the command across retries; see system/rsm/batch.ts. */
      readonly client: number;
      readonly sequence: number;
      readonly ackBelow: number;
      readonly command: Uint8Array;
    }
  | { readonly kind: 'read'; readonly key: number; readonly level: ReadLevel };

export type Answer =
  | { readonly kind: 'done'; readonly seen: number }
  /** Nothing happened, for certain. */
  | { readonly kind: 'refused'; readonly why: DropReason; readonly leader: NodeId | undefined }
  /** The session is not known any more: whether it happened cannot be told. */
  | { readonly kind: 'expired' }
  /** It may have happened, or may yet. */
  | { readonly kind: 'unknown' };
