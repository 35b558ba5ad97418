/**
 * How the state of one replica travels to a peer that is behind what the log still holds: a frozen view of the store in parts. The
 * checksum of a part continues that of the part before, so it stands for all of the state up to there; the receiver says which part
 * it wants next, and so a transfer goes on after a broken connection where it ended, whoever sends the rest of the same state.
 */
import type { NodeId } from '../../core/base/brand.ts';
import { blob, decode, encode, list, struct, text } from '../../core/base/codec.ts';
import type { SnapshotPoint } from '../../core/consensus/engine.ts';
import type { Pair } from '../storage/ordered-store.ts';
import { decodePoint } from './point.ts';

export interface SnapshotPart {
  readonly term: number;
  readonly index: number;
  readonly point: Uint8Array;
  /** From 0. */
  readonly part: number;
  readonly last: boolean;
  /** CRC-32 of the bytes of all parts up to this one. */
  readonly checksum: number;
}

/** Resolves with the number of the next part that the receiver wants. */
export type SendPart = (to: NodeId, part: SnapshotPart, bytes: Uint8Array) => Promise<number>;

/** Key bytes travel as text of characters 0 … 255, which the codec carries as UTF-8. */
const pairsCodec = list(struct({ key: text, value: blob }));

export function encodePairs(pairs: readonly Pair[]): Uint8Array {
  return encode(
    pairsCodec,
    pairs.map(([key, value]) => ({ key, value })),
  );
}

/** @throws CairnError PROTOCOL */
export function decodePairs(bytes: Uint8Array): readonly Pair[] {
  return decode(pairsCodec, bytes).map(({ key, value }): Pair => [key, value.slice()]);
}

/** @throws CairnError PROTOCOL */
export function pointOf(part: SnapshotPart): SnapshotPoint {
  return decodePoint(part.point);
}
