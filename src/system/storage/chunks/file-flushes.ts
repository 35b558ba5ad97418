/**
 * Flushes of chunk files and slabs: for a checkpoint, which needs them, and before it while they are written. Else the checkpoint would bring a
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
  state.unflushedBytes = 0;
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

/** The same for all slabs: many chunks share one. @throws CairnError what has ended the changes of the store */
export async function syncSlabs({ files, journal }: StoreParts): Promise<void> {
  try {
    await files.slabs.sync();
  } catch (thrown) {
    const error = toCairnError(thrown);
    journal.fail(error);
    throw error;
  }
}

/** At most one flush at a time: threads of the disk are left for those that somebody waits for. */
export class FlushesBehind {
  readonly #parts: StoreParts;
  #isBusy = false;
  /** Written to slabs since the last flush of them began. */
  #slabBytes = 0;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** So much was written to the chunk through the page cache. */
  written(state: ChunkState, bytes: number): void {
    const { flushBehindBytes } = this.#parts.options;
    if (state.hasFile) state.unflushedBytes += bytes;
    else this.#slabBytes += bytes;
    if (this.#isBusy) return;
    if (this.#slabBytes >= flushBehindBytes) void this.#flush(() => this.#flushSlabs());
    else if (state.hasFile && state.unflushedBytes >= flushBehindBytes) void this.#flush(() => this.#flushFile(state));
  }

  async #flush(flush: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    try {
      await flush();
    } catch {
      // The journal has failed with it, and tells; nobody waits for this flush itself.
    } finally {
      this.#isBusy = false;
    }
  }

  #flushSlabs(): Promise<void> {
    this.#slabBytes = 0;
    return syncSlabs(this.#parts);
  }

  async #flushFile(state: ChunkState): Promise<void> {
    state.pins++;
    try {
      await syncChunkFile(this.#parts, state);
    } finally {
      state.pins--;
    }
  }
}
