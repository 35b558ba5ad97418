/** What clients did to one file, and what became of it: all that the checker goes by, besides the bytes of the replicas. */
import type { Mode } from '../../core/protocol/types.ts';

export interface Operation {
  readonly id: string;
  readonly kind: 'write' | 'append';
  readonly bytes: Uint8Array;
  /** In the file: of a write where it was to go, of an append where it was answered to be; undefined while that is not known. */
  readonly position: number | undefined;
  readonly outcome: 'acknowledged' | 'unknown';
  /** By one clock, for all clients. */
  readonly begunAt: number;
  readonly endedAt: number | undefined;
}

/** The bytes of each replica of one chunk, as that server serves them. */
export interface ChunkReplicas {
  /** Of the chunk's first byte, in the file. */
  readonly start: number;
  readonly replicas: readonly Uint8Array[];
}

/** A file at rest. */
export interface FileHistory {
  readonly mode: Mode;
  readonly chunkBytes: number;
  readonly operations: readonly Operation[];
  readonly chunks: readonly ChunkReplicas[];
}

export type Acknowledged = Operation & { readonly position: number; readonly outcome: 'acknowledged' };

export function isAcknowledged(operation: Operation): operation is Acknowledged {
  return operation.outcome === 'acknowledged' && operation.position !== undefined;
}

/** Whether the operation's bytes lie at this place, whole. */
export function liesAt(content: Uint8Array, at: number, bytes: Uint8Array): boolean {
  if (at < 0 || at + bytes.length > content.length) return false;
  for (let i = 0; i < bytes.length; i++) if (content[at + i] !== bytes[i]) return false;
  return true;
}
