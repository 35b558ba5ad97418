/**
 * A file as it grows. What it has is read; then the follower waits where the next change will be known first: at the primary while the
 * last chunk is open, else at the leading master. Nobody is asked again before something has changed, or a bound in time has gone by.
 *
 * A file that was cut shorter than what was read of it is read from its beginning, as tail(1) does. That some member has less of it is no cut: who
 * has the lease must say so, and it must be less than was certain before: what others tell may not be acknowledged yet. A file that is not as long
 * yet as where the follower is to begin has that awaited.
 */
import { CairnError, toCairnError } from '../../core/base/errors.ts';
import type { ResponseOf } from '../../core/protocol/call.ts';
import { type chunkCalls, growthWaitMaxMs } from '../../core/protocol/chunk-calls.ts';
import { changeWaitMaxMs } from '../../core/protocol/master-calls.ts';
import type { Attributes, Location } from '../../core/protocol/types.ts';
import { type AbortSignalLike, abortable, throwIfAborted } from './abort.ts';
import type { Attempts } from './attempts.ts';
import { attemptsOf } from './core.ts';
import { leaseSettlesMs, waitAnswerMs } from './limits.ts';
import type { OpenFile } from './open-file.ts';
import { readBetween } from './read-range.ts';

export interface FollowedPiece {
  /** In the file. */
  readonly position: number;
  readonly bytes: Uint8Array;
}

type Present = ResponseOf<(typeof chunkCalls)['awaitGrowth']>;

/**
 * What the file has from `start` on, and what comes. Ends only by its caller, or by an error: when the file is gone, or nobody of the
 * cluster has answered within the deadline of a call.
 * @throws CairnError STALE_HANDLE, ABORTED, UNAVAILABLE, NO_QUORUM
 */
export async function* followFile(
  file: OpenFile,
  start: number,
  signal?: AbortSignalLike,
): AsyncGenerator<FollowedPiece, void, void> {
  const follower = new Follower(file, start, signal);
  for (;;) {
    yield* follower.readOn();
    yield* follower.waitForMore();
  }
}

class Follower {
  readonly #file: OpenFile;
  readonly #signal: AbortSignalLike | undefined;
  #position: number;
  /** The file was as long as the position once: if it is shorter now, it was cut. */
  #isReached = false;
  /** How long the file was when this was last certain. */
  #certainSize: number | undefined;
  #attributes: Attributes | undefined;
  /** Since the last wait that has succeeded. */
  #attempts: Attempts | undefined;

  constructor(file: OpenFile, start: number, signal: AbortSignalLike | undefined) {
    this.#file = file;
    this.#position = start;
    this.#signal = signal;
  }

  /** To the end that the file has now. */
  async *readOn(): AsyncGenerator<FollowedPiece, void, void> {
    throwIfAborted(this.#signal);
    const since = this.#file.core.env.clock.now();
    const { attributes, size, isCertain } = await abortable(this.#signal, this.#file.settled(since));
    this.#attributes = attributes;
    if (isCertain) this.#heardCertain(size);
    yield* this.#readTo(size);
  }

  /** Where nothing was certain yet, what was read is taken for it. */
  #heardCertain(size: number): void {
    const isCut = size < this.#position && size < (this.#certainSize ?? this.#position);
    if (isCut && this.#isReached) this.#position = 0;
    this.#certainSize = size;
  }

  /** @returns whether there was so much. */
  async *#readTo(end: number): AsyncGenerator<FollowedPiece, boolean, void> {
    if (this.#position <= end) this.#isReached = true;
    const since = this.#file.core.env.clock.now();
    for await (const bytes of readBetween(this.#file, this.#position, end, since, { signal: this.#signal })) {
      const position = this.#position;
      this.#position += bytes.length;
      this.#attempts = undefined;
      yield { position, bytes };
    }
    return this.#position >= end;
  }

  /** Returns when the end of the file has to be looked up anew. */
  async *waitForMore(): AsyncGenerator<FollowedPiece, void, void> {
    const { tail } = this.#attributes!;
    if (tail !== undefined && this.#position < (tail.index + 1) * this.#file.chunkBytes) yield* this.#growthOf(tail);
    else await this.#awaitChange();
  }

  async #awaitChange(): Promise<void> {
    const { inode, size, chunkCount, tail } = this.#attributes!;
    const request = { inode, known: { size, chunkCount, tailVersion: tail?.version }, waitMs: changeWaitMaxMs };
    const { masters, settings } = this.#file.core;
    const change = masters.read('awaitChange', request, {
      deadlineMs: changeWaitMaxMs + settings.deadlineMs,
      attemptMs: changeWaitMaxMs + waitAnswerMs,
      signal: this.#signal,
    });
    await abortable(this.#signal, change);
    this.#attempts = undefined;
  }

  async *#growthOf({ index, handle, replicas }: Location): AsyncGenerator<FollowedPiece, void, void> {
    const chunkStart = index * this.#file.chunkBytes;
    let failure: CairnError | undefined;
    for (const { address, server } of replicas) {
      let known: Present | undefined;
      try {
        for (;;) {
          const present = await this.#present(address, handle, known);
          const before = this.#position;
          const end = chunkStart + present.length;
          // Behind the end, which was reached: the file was cut since that was looked up, or this replica lacks what others have.
          const isRead = before <= end ? yield* this.#readTo(end) : !this.#isReached;
          if (isRead && present.isOpen) this.#certainSize = Math.max(end, this.#certainSize ?? 0);
          if (isRead) this.#attempts = undefined;
          else if (this.#position === before) await this.#pause(lagging(handle));
          if (!isRead || isElsewhere(present, known, this.#file.chunkBytes)) return;
          known = present;
        }
      } catch (thrown) {
        failure = toCairnError(thrown);
        if (failure.retry === 'never') throw failure;
        this.#file.core.env.events.emit('debug', 'client.growthNotTold', { handle, server, code: failure.code });
      }
    }
    if (failure !== undefined) await this.#pause(failure);
  }

  async #present(address: Location['replicas'][0]['address'], handle: Location['handle'], known: Present | undefined) {
    const waitMs = known?.isOpen === false ? leaseSettlesMs : growthWaitMaxMs;
    const options = { timeoutMs: waitMs + waitAnswerMs };
    const call = this.#file.core.pool.call(address, 'awaitGrowth', { handle, known, waitMs }, options);
    return (await abortable(this.#signal, call.catch(throwOfOne))).response;
  }

  async #pause(error: CairnError): Promise<void> {
    this.#attempts ??= attemptsOf(this.#file.core);
    this.#attempts.failed('waiting for more', error, false);
    await this.#attempts.pause();
  }
}

/** What no other try would change at this replica another one may do. */
function throwOfOne(thrown: unknown): never {
  const error = toCairnError(thrown);
  if (error.retry !== 'never' || error.code === 'ABORTED') throw error; // ABORTED: by the caller
  throw new CairnError('UNAVAILABLE', `${error.code}: ${error.message}`, { cause: error });
}

function lagging(handle: number): CairnError {
  return new CairnError('UNAVAILABLE', `no replica of chunk ${handle} has yet what its primary says there is`);
}

/** Whether what comes next may be told by somebody else. */
function isElsewhere(present: Present, known: Present | undefined, chunkBytes: number): boolean {
  if (present.length >= chunkBytes) return true;
  if (known === undefined) return false;
  // Nothing for so long, or another state than growth alone leads to.
  return present.version !== known.version || present.length <= known.length || !present.isOpen;
}
