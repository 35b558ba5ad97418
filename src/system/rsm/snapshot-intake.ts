/** One state that arrives in parts, and goes into the store all at once at the end. At most a few parts wait in memory. */
import type { NodeId } from '../../core/base/brand.ts';
import type { Crc32 } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import type { SnapshotPoint } from '../../core/consensus/engine.ts';
import type { OrderedStore, Pair } from '../storage/ordered-store.ts';
import { decodePairs, pointOf, type SnapshotPart } from './snapshot-transfer.ts';

/** Parts that wait for the store to take them in. */
const partsWaitingMax = 4;

export class SnapshotIntake {
  readonly from: NodeId;
  readonly term: number;
  readonly point: SnapshotPoint;
  /** Rejects when it is given up, or when the store fails. */
  readonly done: Promise<void>;
  #nextPart = 0;
  #checksum = 0;
  #failed: unknown;
  readonly #queue: (readonly Pair[])[] = [];
  #ended: 'no' | 'whole' | 'broken' = 'no';
  #wakeStore: (() => void) | undefined;
  readonly #wakeSenders: (() => void)[] = [];

  constructor(from: NodeId, part: SnapshotPart, store: OrderedStore) {
    this.from = from;
    this.term = part.term;
    this.point = pointOf(part);
    this.done = store.replace(this.#batches(), this.point.index);
    this.done.catch((error: unknown) => {
      this.#failed = error;
      this.#wake();
    });
  }

  /** All of it has arrived: the store takes it, whatever happens. */
  get isWhole(): boolean {
    return this.#ended === 'whole';
  }

  /** Whether the part is of the same state, whoever sends it. */
  isOf(part: SnapshotPart): boolean {
    const { index, term, checksum } = pointOf(part);
    return index === this.point.index && term === this.point.term && checksum === this.point.checksum;
  }

  /**
   * Takes a part if it is the one that is wanted, and returns the number of the next. Resolves for the last one when the state is in place.
   * @throws CairnError CHECKSUM_MISMATCH, PROTOCOL, and whatever the store fails with
   */
  async take(part: SnapshotPart, bytes: Uint8Array, crc32: Crc32): Promise<number> {
    if (part.part === this.#nextPart && this.#ended === 'no') this.#add(part, bytes, crc32);
    while (this.#queue.length > partsWaitingMax && this.#failed === undefined)
      await new Promise<void>((resolve) => void this.#wakeSenders.push(resolve));
    if (this.#ended === 'whole') await this.done;
    if (this.#failed !== undefined) throw this.#failed;
    return this.#nextPart;
  }

  #add(part: SnapshotPart, bytes: Uint8Array, crc32: Crc32): void {
    const checksum = crc32(bytes, this.#checksum);
    if (checksum !== part.checksum)
      throw new CairnError(
        'CHECKSUM_MISMATCH',
        `part ${part.part} of a snapshot does not continue what came before it`,
      );
    const pairs = decodePairs(bytes);
    this.#checksum = checksum;
    this.#nextPart += 1;
    if (pairs.length > 0) this.#queue.push(pairs);
    if (part.last) this.#ended = 'whole';
    this.#wakeStore?.();
  }

  /** The store stays as it was: `done` rejects, unless all has arrived already. */
  abandon(): void {
    if (this.#ended === 'no') this.#ended = 'broken';
    this.#wakeStore?.();
  }

  #wake(): void {
    for (const wake of this.#wakeSenders.splice(0)) wake();
  }

  async *#batches(): AsyncIterable<readonly Pair[]> {
    for (;;) {
      const next = this.#ended === 'broken' ? undefined : this.#queue.shift();
      if (next !== undefined) {
        this.#wake();
        yield next;
      } else if (this.#ended === 'whole') return;
      else if (this.#ended === 'broken')
        throw new CairnError('ABORTED', 'the snapshot was given up before it was whole');
      else
        await new Promise<void>((resolve) => {
          this.#wakeStore = resolve;
        });
    }
  }
}
