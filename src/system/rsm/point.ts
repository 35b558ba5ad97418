/** Where the state machine stands in the log, as the store and a snapshot carry it. */

import { toNodeId } from '../../core/base/brand.ts';
import { branded, decode, encode, f64, list, optional, struct, u32, varint } from '../../core/base/codec.ts';
import { type Members, type SnapshotPoint, toLogIndex } from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import { hostKeyPrefix } from './state-machine.ts';

const nodes = list(branded(varint, toNodeId), 64);
const pointCodec = struct({
  index: branded(varint, toLogIndex),
  term: varint,
  checksum: u32,
  voters: nodes,
  votersNext: optional(nodes),
  nonVoters: nodes,
});
const key = `${hostKeyPrefix}p`;
const timeKey = `${hostKeyPrefix}w`;

export function encodePoint(point: SnapshotPoint): Uint8Array {
  const { index, term, checksum, members } = point;
  const { voters, votersNext, nonVoters } = members;
  return encode(pointCodec, { index, term, checksum, voters, votersNext, nonVoters });
}

/** @throws CairnError PROTOCOL */
export function decodePoint(bytes: Uint8Array): SnapshotPoint {
  const { index, term, checksum, voters, votersNext, nonVoters } = decode(pointCodec, bytes);
  const members: Members = votersNext === undefined ? { voters, nonVoters } : { voters, votersNext, nonVoters };
  return { index, term, checksum, members };
}

export function savePoint(store: OrderedStore, point: SnapshotPoint): void {
  store.put(key, encodePoint(point));
}

/** Undefined in a store that no entry has reached. */
export function loadPoint(store: OrderedStore): SnapshotPoint | undefined {
  const bytes = store.get(key);
  return bytes === undefined ? undefined : decodePoint(bytes);
}

/** The time of the last batch that the state contains: no later one has an earlier time, whatever the clocks of leaders say. */
export function saveTime(store: OrderedStore, time: number): void {
  store.put(timeKey, encode(f64, time));
}

/** 0 in a store that has none. */
export function loadTime(store: OrderedStore): number {
  const bytes = store.get(timeKey);
  return bytes === undefined ? 0 : decode(f64, bytes);
}
