/**
 * Checkpoints: makes the chunk files and their metadata durable up to a place in the journal, so that what lies before it can go.
 *
 * The capture is fuzzy: changes go on meanwhile. That is sound because replay from the place sets every record's outcome
 * absolutely and in order, so a state that already has some of them ends the same.
 */
import { toCairnError } from '../../../core/base/errors.ts';
import type { LogPlace } from '../write-ahead-log.ts';
import type { ChunkState } from './chunk-state.ts';
import { syncChunkFile, syncSlabs } from './file-flushes.ts';
import type { StoreParts } from './parts.ts';
import { RecordBatch } from './record-batch.ts';
import { Slices } from './slices.ts';
import { settled } from './turns.ts';

/**
 * Files synced at the same time. A sync may take long, and a process has few threads for its disk (four, with Node): one is left for the
 * journal, which the mutations that come meanwhile wait for, and one for reads.
 */
const syncsAtOnce = 2;
/**
 * What is captured in one turn: bytes of records, of which those of small chunks are the few that take more time than their bytes say. A request
 * needs some ten turns of several servers, which all may be at their checkpoints at once.
 */
const bytesPerTurn = 64 * 1024;
const bytesPerRecord = 4096;
/** Chunks that become clean in one turn. */
const chunksPerTurn = 64;
/** After one that failed the next is not begun at once: what failed it is hardly over yet. */
const retryAfterMs = 1000;
/** The journal, and the memory of what has changed, may grow to so many times the size that a checkpoint is begun at; then changes wait. */
const backlogFactor = 4;

export class Checkpointer {
  readonly #parts: StoreParts;
  #running: Promise<void> | undefined;
  #failure: { readonly until: number; readonly cause: unknown } | undefined;
  /**
   * Where one that failed had begun: the next begins there too, and only has more behind it that its records contain. Each new place takes a
   * segment of the journal, and as long as all of them fail nothing gives one back.
   */
  #place: LogPlace | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Begins a checkpoint if it is time for one, and another behind it if that has become so meanwhile. */
  consider(): void {
    const { env, journal } = this.#parts;
    if (this.#running !== undefined || journal.hasFailed || this.#hasJustFailed || !this.#isDue()) return;
    this.run().then(
      () => this.consider(),
      (thrown: unknown) => {
        const { code, message } = toCairnError(thrown);
        env.events.emit('error', 'chunk-checkpoint-failed', { code, message });
      },
    );
  }

  /** What changes must wait for before the journal, or what is to be kept in memory, grows further; undefined: nothing. */
  readonly backlog = (): Promise<unknown> | undefined => {
    const { cache, journal, options } = this.#parts;
    const journalMax = backlogFactor * options.checkpointJournalBytes + options.journalSegmentBytes;
    const isWithin = cache.dirtyBytes <= backlogFactor * options.checkpointMemoryBytes;
    if (isWithin && journal.bytes <= journalMax) return undefined;
    return this.#hasJustFailed ? Promise.reject(this.#failure?.cause) : this.run();
  };

  /** Frees what small chunks have left in slabs, as far as that can be done now. */
  async makeRoom(): Promise<void> {
    if (this.#parts.files.slabs.leftBytes > 0 && !this.#hasJustFailed) await this.run();
  }

  /** One checkpoint; joins the one under way. */
  run(): Promise<void> {
    this.#running ??= this.#noted(this.#checkpoint()).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #noted(checkpoint: Promise<void>): Promise<void> {
    try {
      await checkpoint;
      this.#failure = undefined;
    } catch (cause) {
      this.#failure = { until: this.#parts.env.clock.now() + retryAfterMs, cause };
      throw cause;
    }
  }

  get #hasJustFailed(): boolean {
    return this.#failure !== undefined && this.#parts.env.clock.now() < this.#failure.until;
  }

  /** Waits for the one under way, if any, whatever becomes of it. */
  async quiet(): Promise<void> {
    if (this.#running !== undefined) await settled(this.#running);
  }

  #isDue(): boolean {
    const { journal, options, cache, files, removed } = this.#parts;
    return (
      journal.bytesSinceCheckpoint >= options.checkpointJournalBytes ||
      files.slabs.leftBytes >= options.checkpointJournalBytes ||
      journal.bulkBytesSinceCheckpoint >= options.checkpointBulkBytes ||
      files.slabs.taken >= options.checkpointSlots ||
      cache.dirtyCount + removed.size >= options.checkpointChunks ||
      cache.dirtyBytes >= options.checkpointMemoryBytes
    );
  }

  async #checkpoint(): Promise<void> {
    const { cache, env, journal, metadata, removed } = this.#parts;
    const { slabs } = this.#parts.files;
    this.#place ??= await journal.begin();
    const place = this.#place;
    const gone = [...removed];
    removed.clear();
    let left = slabs.takeLeft();
    let succeeded = false;
    try {
      const records = await this.#capture(cache.capture());
      // Somebody else's sync may have failed meanwhile: what it has lost, a later one of the same file did not make durable.
      journal.mustTake();
      const dropOld = await metadata.commit(records, gone, place, journal.change);
      succeeded = true;
      this.#place = undefined;
      await cache.captureDone(new Slices(env.clock, chunksPerTurn));
      await this.#lasting(() => journal.release(place));
      const free = left;
      left = [];
      await slabs.release(free);
      await dropOld();
    } finally {
      slabs.giveBack(left);
      if (!succeeded) {
        cache.captureFailed();
        for (const handle of gone) removed.add(handle);
      }
    }
  }

  /** Captures the states and makes sure that their files hold, durably, what was captured. */
  async #capture(states: readonly ChunkState[]): Promise<RecordBatch> {
    const { env, files } = this.#parts;
    const records = new RecordBatch(env.crc32);
    const inFiles: InFile[] = [];
    const slices = new Slices(env.clock, bytesPerTurn);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < states.length) {
        const state = states[next++]!;
        if (state.isRemoved) continue;
        const bytes = records.add(state);
        if (state.hasFile) {
          inFiles.push({ state, writes: state.writes });
          // Without a file yet, what is unsynced is not captured either: its write is still to come.
          if (state.isUnsynced) await syncChunkFile(this.#parts, state);
        }
        const pause = slices.done(bytesPerRecord + bytes);
        if (pause !== undefined) await pause;
      }
    };
    await settleWorkers(Array.from({ length: syncsAtOnce }, worker));
    await syncSlabs(this.#parts);
    await this.#lasting(() => files.syncDirectories());
    for (const one of inFiles) placed(one);
    return records;
  }

  /**
   * What nothing is built on any more once it has failed. Syncs of the names of files: a failure is told once
   * only, and the same sync tried again may succeed without what it lost. And letting go of the journal: it is not let go of ever after.
   */
  async #lasting(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#parts.journal.fail(toCairnError(thrown));
      throw thrown;
    }
  }
}

/** A chunk with a file of its own, when it was captured. */
interface InFile {
  readonly state: ChunkState;
  readonly writes: number;
}

/**
 * The file's name lasts. Only now are its bytes as good as journalled: who relied on them when they were synced would lose them with the
 * name.
 */
function placed({ state, writes }: InFile): void {
  state.isPlaced = state.hasFile;
  if (state.writes === writes && !state.isUnsynced) state.hasUnjournalledData = false;
}

/** All workers end before a failure is thrown: none goes on behind the caller's back. */
async function settleWorkers(workers: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(workers)) if (outcome.status === 'rejected') throw outcome.reason;
}
