/**
 * Flushes of chunk files: for a checkpoint, which needs them, and before it while they are written. Else the checkpoint would bring a
 * hundred megabytes to the disk at once, and everything that is flushed on it meanwhile, the masters' logs too, would wait behind them.
 */
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import { blockCount, type ChunkState } from './chunk-state.ts';
import { reportBadBlocks, type StoreParts } from './parts.ts';

/**
 * One flush of a file after another: the system tells of a failure only once, so whoever waits for one that fails fails with it.
 * @throws CairnError DISK_FAILED, CHUNK_MISSING, or what has ended the changes of the store meanwhile
 */
export async function flushFile({ files, journal }: StoreParts, state: ChunkState): Promise<void> {
  while (state.flush !== undefined) await state.flush;
  journal.mustTake();
  const flush = files.hold(state, (file) => file.sync());
  state.flush = flush;
  try {
    await flush;
  } finally {
    state.flush = undefined;
  }
}

/** For a checkpoint, or before one. @throws CairnError what has ended the changes of the store: nobody knows what of the file is on the disk then */
export async function syncChunkFile(parts: StoreParts, state: ChunkState): Promise<void> {
  const { writes } = state;
  try {
    await flushFile(parts, state);
    if (state.writes === writes) state.isUnsynced = false;
  } catch (thrown) {
    failed(parts, state, toCairnError(thrown));
  }
}

function failed(parts: StoreParts, state: ChunkState, error: CairnError): void {
  if (state.isRemoved) return;
  if (error.code === 'CHUNK_MISSING') {
    // Somebody took the file away: the metadata says what was there, and no block of it is.
    reportBadBlocks(parts, state, [...Array(blockCount(state.lengthBytes)).keys()]);
    return;
  }
  // The journal must not be released, nor anything be built on it.
  parts.journal.fail(error);
  throw error;
}

/** At most one flush at a time: threads of the disk are left for those that somebody waits for. */
export class FlushesBehind {
  readonly #parts: StoreParts;
  #isBusy = false;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** So much was written to the chunk through the page cache. */
  written(state: ChunkState, bytes: number): void {
    state.unflushedBytes += bytes;
    if (this.#isBusy || state.unflushedBytes < this.#parts.options.flushBehindBytes || !state.hasFile) return;
    void this.#flush(state);
  }

  async #flush(state: ChunkState): Promise<void> {
    this.#isBusy = true;
    state.pins++;
    state.unflushedBytes = 0;
    try {
      await syncChunkFile(this.#parts, state);
    } catch {
      // The journal has failed with it, and tells; nobody waits for this flush itself.
    } finally {
      state.pins--;
      this.#isBusy = false;
    }
  }
}
