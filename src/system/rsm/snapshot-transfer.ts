/**
 * Moves the state of one replica to a peer that is behind what the log still holds: a frozen view of the store, in parts, each with
 * its checksum. The sender resumes where the receiver says; the receiver puts the parts in place all at once at the end.
 */

import type { NodeId } from '../../core/base/brand.ts';
import { blob, decode, encode, list, struct, text } from '../../core/base/codec.ts';
import type { Crc32 } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { SnapshotPoint } from '../../core/consensus/engine.ts';
import type { FrozenStore, OrderedStore, Pair } from '../storage/ordered-store.ts';
import { decodePoint, encodePoint } from './point.ts';

const partBytes = 512 * 1024;
/** Parts that wait for the store to take them in. */
const partsWaitingMax = 4;

export interface SnapshotPart {
  readonly term: number;
  readonly index: number;
  readonly point: Uint8Array;
  readonly part: number;
  readonly last: boolean;
  readonly checksum: number;
}

export type SendPart = (to: NodeId, part: SnapshotPart, bytes: Uint8Array) => Promise<number>;

/** Key bytes travel as text of characters 0 … 255, which the codec carries as UTF-8. */
const pairsCodec = list(struct({ key: text, value: blob }));

/** Streams the frozen store; closes it in any case. Rejects when the peer cannot take it. */
export async function sendSnapshot(
  to: NodeId,
  term: number,
  point: SnapshotPoint,
  frozen: FrozenStore,
  crc32: Crc32,
  send: SendPart,
): Promise<void> {
  try {
    let part = 0;
    const deliver = async (pairs: readonly Pair[], last: boolean): Promise<void> => {
      const bytes = encode(
        pairsCodec,
        pairs.map(([key, value]) => ({ key, value })),
      );
      const head = { term, index: point.index, point: encodePoint(point), part, last, checksum: crc32(bytes) };
      const next = await send(to, head, bytes);
      part += 1;
      if (next !== part)
        throw new CairnError(
          'ABORTED',
          `node ${to} wants snapshot part ${next} after ${part - 1}: it has started over`,
        );
    };
    for await (const pairs of frozen.batches(partBytes)) await deliver(pairs, false);
    await deliver([], true);
  } finally {
    frozen.close();
  }
}

/** Receives one snapshot. A newer one, or one that starts over, displaces it. */
export class SnapshotIntake {
  readonly point: SnapshotPoint;
  readonly from: NodeId;
  readonly done: Promise<void>;
  #nextPart = 0;
  #failed: unknown;
  readonly #queue: (readonly Pair[])[] = [];
  #ended: 'no' | 'whole' | 'broken' = 'no';
  #wakeStore: (() => void) | undefined;
  #wakeSender: (() => void) | undefined;

  constructor(from: NodeId, point: SnapshotPoint, store: OrderedStore) {
    this.from = from;
    this.point = point;
    this.done = store.replace(this.#batches(), point.index);
    this.done.catch((error: unknown) => {
      this.#failed = error;
      this.#wakeSender?.();
    });
  }

  /** Takes a part and returns the number of the next one wanted. @throws CHECKSUM_MISMATCH, DISK_FULL … */
  async take(part: SnapshotPart, bytes: Uint8Array, crc32: Crc32): Promise<number> {
    if (part.part !== this.#nextPart || this.#ended !== 'no') return this.#nextPart;
    if (crc32(bytes) !== part.checksum)
      throw new CairnError(
        'CHECKSUM_MISMATCH',
        `part ${part.part} of a snapshot arrived damaged; it will be sent again`,
      );
    const pairs = decode(pairsCodec, bytes).map(({ key, value }): Pair => [key, value.slice()]);
    this.#nextPart += 1;
    if (pairs.length > 0) this.#queue.push(pairs);
    if (part.last) this.#ended = 'whole';
    this.#wakeStore?.();
    while (this.#queue.length > partsWaitingMax && this.#failed === undefined)
      await new Promise<void>((resolve) => {
        this.#wakeSender = resolve;
      });
    if (part.last) await this.done;
    if (this.#failed !== undefined) throw this.#failed;
    return this.#nextPart;
  }

  /** Gives it up: the store stays as it was. */
  abandon(): void {
    if (this.#ended === 'no') this.#ended = 'broken';
    this.#wakeStore?.();
  }

  async *#batches(): AsyncIterable<readonly Pair[]> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.#wakeSender?.();
        yield next;
      } else if (this.#ended === 'whole') return;
      else if (this.#ended === 'broken') throw new CairnError('ABORTED', 'the snapshot was given up by its sender');
      else
        await new Promise<void>((resolve) => {
          this.#wakeStore = resolve;
        });
    }
  }
}

export function pointOf(part: SnapshotPart): SnapshotPoint {
  return decodePoint(part.point);
}
