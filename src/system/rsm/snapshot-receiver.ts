/**
 * The receiving end of snapshots: at most one arrives at a time. One that ends halfway is kept for a while, and goes on with the part that it
 * lacks, also from another sender of the same state; then it is given up, so that a replica which can do with entries again is not held
 * up by it.
 */
import type { NodeId } from '../../core/base/brand.ts';
import type { Env, Timer } from '../../core/base/env.ts';
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { SnapshotPoint } from '../../core/consensus/engine.ts';
import type { OrderedStore } from '../storage/ordered-store.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import type { SnapshotPart } from './snapshot-transfer.ts';

/** How long the next part may take to come: longer than a sender tries one, so that the attempt after it finds what has arrived. */
export const partAwaitedMs = 25_000;
/**
 * Who has sent no part for so long, longer than a sender ever pauses, keeps no other away: it may be gone, and the other be the leader that
 * waits for this node to commit anything at all.
 */
export const silentSenderMs = 5_000;
/** A part that does not fit twice is of another state, or of one that is damaged: all is wanted anew. */
const mismatchesMax = 2;

export interface ReceivingHost {
  readonly env: Env;
  readonly store: OrderedStore;
  /** Entries up to here are applied, or will be as soon as that goes on. */
  readonly heldIndex: number;
  /** The store is being written just now. */
  readonly isFlushing: boolean;
  /** Nothing is applied until `resume`. */
  pause(): void;
  resume(): void;
  /** The store holds the state of `point`, durably. */
  installed(from: NodeId, point: SnapshotPoint): void;
}

export class SnapshotReceiver {
  readonly #host: ReceivingHost;
  #intake: SnapshotIntake | undefined;
  #mismatches = 0;
  #awaited: Timer | undefined;
  /** When the last part came. */
  #heardAt = 0;
  /** Parts that are being taken in right now. */
  #taking = 0;
  #ending: Promise<void> | undefined;
  #closed = false;

  constructor(host: ReceivingHost) {
    this.#host = host;
  }

  /** A state is arriving, or one that was given up is being cleared away. */
  get isBusy(): boolean {
    return this.#intake !== undefined || this.#ending !== undefined;
  }

  /**
   * Resolves with the number of the next part wanted. The term that it was sent in does not matter: what is committed stays so, and a peer
   * that tells of it need not lead, nor know of every term.
   * @throws CairnError ABORTED (not needed), BUSY, CHECKSUM_MISMATCH, DISK_FULL …
   */
  async take(from: NodeId, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    if (part.index <= this.#host.heldIndex) {
      if (part.last) return part.part + 1;
      throw this.#notNeeded(part);
    }
    if (this.#intake?.isOf(part) !== true) {
      if (part.part !== 0) return 0;
      await this.#begin(from, part);
    }
    return this.#take(this.#intake!, part, bytes);
  }

  #notNeeded({ index }: SnapshotPart): CairnError {
    const { heldIndex } = this.#host;
    return new CairnError('ABORTED', `this node has entries up to ${heldIndex}: it needs no snapshot of ${index}`);
  }

  /** To be called when entries have come: a state that leads no further is not waited for, whoever was to send the rest of it. */
  outrun(): void {
    const intake = this.#intake;
    if (intake === undefined || intake.isWhole || intake.point.index > this.#host.heldIndex) return;
    this.#host.env.events.emit('info', 'snapshot_outrun', { from: intake.from, index: intake.point.index });
    void this.#end(intake);
  }

  async #begin(from: NodeId, part: SnapshotPart): Promise<void> {
    const { env, store } = this.#host;
    const old = this.#intake;
    if (old?.isWhole === true)
      throw new CairnError('BUSY', 'a state that has arrived here is being put in place; try again later');
    const isSilent = this.#taking === 0 && env.clock.now() - this.#heardAt >= silentSenderMs;
    if (old !== undefined && old.from !== from && old.term >= part.term && !isSilent)
      throw new CairnError('BUSY', `the state of node ${old.from} is arriving here; try again later`);
    if (old !== undefined) await this.#end(old);
    // what had waited for that has been applied since
    if (part.index <= this.#host.heldIndex) throw this.#notNeeded(part);
    if (this.isBusy || this.#closed || this.#host.isFlushing)
      throw new CairnError('BUSY', 'this node is writing its state just now; the snapshot will be sent again');
    this.#host.pause();
    this.#mismatches = 0;
    this.#intake = new SnapshotIntake(from, part, store);
    env.events.emit('info', 'snapshot_arriving', { from, index: part.index });
  }

  async #take(intake: SnapshotIntake, part: SnapshotPart, bytes: Uint8Array): Promise<number> {
    this.#taking += 1;
    this.#awaited?.cancel();
    try {
      const next = await intake.take(part, bytes, this.#host.env.crc32);
      this.#mismatches = 0;
      if (part.last && next > part.part) this.#installed(intake);
      return next;
    } catch (thrown) {
      const isMismatch = toCairnError(thrown).code === 'CHECKSUM_MISMATCH';
      this.#mismatches += 1;
      if (!isMismatch || this.#mismatches >= mismatchesMax) await this.#end(intake);
      throw thrown;
    } finally {
      this.#taking -= 1;
      this.#heardAt = this.#host.env.clock.now();
      if (this.#intake === intake && this.#taking === 0) this.#await(intake);
    }
  }

  #await(intake: SnapshotIntake): void {
    this.#awaited = this.#host.env.clock.after(partAwaitedMs, () => {
      this.#host.env.events.emit('warn', 'snapshot_given_up', { from: intake.from, index: intake.point.index });
      void this.#end(intake);
    });
  }

  #installed(intake: SnapshotIntake): void {
    if (this.#intake !== intake) return;
    this.#intake = undefined;
    const { from, point } = intake;
    this.#host.env.events.emit('info', 'snapshot_installed', { from, index: point.index });
    this.#host.installed(from, point);
  }

  /** Resolves when the store may be written again. */
  #end(intake: SnapshotIntake): Promise<void> {
    if (this.#intake !== intake) return this.#ending ?? Promise.resolve();
    this.#intake = undefined;
    this.#awaited?.cancel();
    intake.abandon();
    const cleared = () => {
      this.#ending = undefined;
      if (!this.#closed) this.#host.resume();
    };
    // Whatever it fails with was told to the sender of the part; that it was given up is what we want.
    this.#ending = intake.done.then(cleared, cleared);
    return this.#ending;
  }

  close(): void {
    this.#closed = true;
    if (this.#intake !== undefined) void this.#end(this.#intake);
  }
}
