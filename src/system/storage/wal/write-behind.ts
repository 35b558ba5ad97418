/**
 * Flushes of a log that nobody has asked for. What is written without a sync would otherwise wait in the page cache until the segment is
 * full, and then go to the disk at once: everything that is flushed on this disk at that moment would wait behind it.
 *
 * A failure is kept, and thrown to whoever writes or syncs next: the system tells of it only once (see fsyncgate).
 */
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';

/** A disk takes so much in about a millisecond. */
const writeBehindBytesDefault = 1024 * 1024;

export class WriteBehind {
  readonly #dueBytes: number;
  #underWay: Promise<void> | undefined;
  #failure: CairnError | undefined;

  /** @param dueBytes with so much unsynced a flush is due. */
  constructor(dueBytes: number = writeBehindBytesDefault) {
    this.#dueBytes = dueBytes;
  }

  /** @param unsyncedBytes written, and not known to be durable. */
  isDue(unsyncedBytes: number): boolean {
    return unsyncedBytes >= this.#dueBytes && this.#underWay === undefined && this.#failure === undefined;
  }

  /** Begins a flush. @param flushed called when it has succeeded. */
  flush(sync: () => Promise<void>, flushed: () => void): void {
    this.#underWay = sync()
      .then(flushed, (thrown: unknown) => {
        this.#failure = toCairnError(thrown);
      })
      .finally(() => {
        this.#underWay = undefined;
      });
  }

  /** Waits for the one under way. @throws CairnError what one has failed with */
  async quiet(): Promise<void> {
    if (this.#underWay !== undefined) await this.#underWay;
    this.mustHaveSucceeded();
  }

  /** @throws CairnError what one has failed with */
  mustHaveSucceeded(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
