/**
 * Applies groups of mutations. The order of the steps is what makes a crash harmless:
 *
 * - An append writes the file first, beyond the chunk's end, where nothing is believed; then the journal says that it is there.
 *   Small data is in the journal too; bulk data that must be durable is synced in the file before the journal speaks of it.
 * - An overwrite is journalled with its data, and the journal synced, before the file is touched: what was acknowledged before
 *   is either still there or can be written again.
 *
 * The next group of a chunk goes on as soon as the journal has been given this one's record: if the log fails, it fails for
 * all that follows too, and the store takes nothing more.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { type CairnError, toCairnError } from '../../../core/base/errors.ts';
import { blockBytes, type ChunkMutation, GroupError } from '../chunk-store.ts';
import { blockCount, blockOf, type ChunkState, missing, mustAccept } from './chunk-state.ts';
import { FlushesBehind, flushFile } from './file-flushes.ts';
import type { BlockData } from './journal-record.ts';
import { reportBadBlocks, reportIfBad, type StoreParts } from './parts.ts';
import {
  BadBlock,
  commitPlan,
  lengthAfterOverwrite,
  type Plan,
  planAppend,
  planOverwrite,
  toRecord,
  undoAppend,
  writesOf,
  writtenBytes,
} from './plan.ts';
import { type Run, type Stage, toStages } from './run.ts';
import { settled, Turn } from './turns.ts';

/** Merged small appends up to here are written without leaving the turn. */
const writeNowMaxBytes = 256 * 1024;

type Failures = Map<ChunkHandle, CairnError>;

export class Mutator {
  readonly #parts: StoreParts;
  /** Resolves when the journal has room; undefined while it has. */
  readonly #backlog: () => Promise<unknown> | undefined;
  readonly #behind: FlushesBehind;

  constructor(parts: StoreParts, backlog: () => Promise<unknown> | undefined) {
    this.#parts = parts;
    this.#backlog = backlog;
    this.#behind = new FlushesBehind(parts);
  }

  async apply(mutations: readonly ChunkMutation[]): Promise<void> {
    this.#parts.journal.mustTake();
    for (const mutation of mutations) this.#mustFit(mutation);
    const failures: Failures = new Map();
    const under = toStages(mutations).map((stage) => this.#start(stage, failures));
    if (under.length === 1) await under[0];
    else await settleAll(under);
    if (failures.size > 0) throw asOne(failures, mutations);
  }

  /**
   * Writes over whole blocks of a chunk that the caller has to itself, each of them atomically; version and serial stay.
   * @param blocks as many as one journal batch should carry.
   */
  async overwriteBlocks(state: ChunkState, blocks: readonly BlockData[]): Promise<void> {
    const group: Group = { runs: [], plans: [], failures: new Map() };
    const file = this.#parts.files.existing(state);
    for (const { block, bytes } of blocks) {
      const run = runOfBlock(state, block, bytes);
      group.plans.push(planOverwrite(state, run, file, this.#parts.env.crc32));
    }
    const { change, written, done } = await this.#parts.journal.append(group.plans.map(toRecord), true);
    try {
      await written;
      await this.#writeOverwrites(group);
      for (const plan of group.plans) this.#commit(plan, change);
    } finally {
      done();
    }
    for (const failure of group.failures.values()) throw failure;
  }

  #mustFit(mutation: ChunkMutation): void {
    const { offset, lengthBytes } = mutation;
    let end = offset;
    for (const part of mutation.parts) end += part.length;
    const { chunkBytes } = this.#parts.options;
    assert(offset >= 0 && end <= chunkBytes && lengthBytes <= chunkBytes, 'a mutation lies within its chunk', {
      offset,
      end,
      lengthBytes,
    });
  }

  /** Takes the stage's place in the order of its chunks before it returns. */
  #start(stage: Stage, failures: Failures): Promise<void> {
    const group: Group = { runs: [], plans: [], failures };
    for (const run of stage.values()) {
      const state = this.#find(run, failures);
      if (state === undefined) continue;
      state.pins++; // what brings the next one into memory must not take this one out of it
      group.runs.push({ state, run });
    }
    const turn = new Turn(group.runs.map(({ state }) => state));
    for (const { state } of group.runs) state.pins--;
    return this.#perform(group, turn);
  }

  #find(run: Run, failures: Failures): ChunkState | undefined {
    try {
      const state = this.#parts.cache.get(run.handle);
      if (state === undefined) throw missing(run.handle);
      return state;
    } catch (thrown) {
      failures.set(run.handle, toCairnError(thrown));
      return undefined;
    }
  }

  async #perform(group: Group, turn: Turn): Promise<void> {
    try {
      if (turn.mustWait) await turn.wait();
      for (let room = this.#makeRoom(group); room !== undefined; room = this.#moreRoom(group)) await room;
      for (const { state, run } of group.runs) {
        if (isOverwrite(state, run) && state.lastCommit !== undefined) await settled(state.lastCommit);
        this.#plan(group, state, run);
      }
      const writing = this.#writeAppends(group);
      if (writing !== undefined) await writing;
      const syncing = this.#syncFiles(group);
      if (syncing !== undefined) await syncing;
      await this.#journal(group, turn);
    } finally {
      turn.pass();
      turn.unpin();
    }
  }

  /** Room in the journal and on the disk; undefined when there surely is. */
  #makeRoom(group: Group): Promise<void> | undefined {
    let bytes = 0;
    for (const { state, run } of group.runs) {
      bytes += 2 * run.dataBytes + Math.max(0, run.lengthBytes - state.plannedLength);
    }
    const backlog = this.#backlog();
    if (backlog === undefined && this.#parts.space.take(bytes)) return undefined;
    return this.#waitForRoom(group, bytes, backlog);
  }

  /** All that waited for the journal go on at once: the first ones may have filled it again. */
  #moreRoom(group: Group): Promise<void> | undefined {
    const backlog = group.runs.length > 0 ? this.#backlog() : undefined;
    return backlog === undefined ? undefined : this.#waitForRoom(group, 0, backlog);
  }

  async #waitForRoom(group: Group, bytes: number, backlog: Promise<unknown> | undefined): Promise<void> {
    try {
      await backlog;
      await this.#parts.space.ask(bytes);
    } catch (thrown) {
      for (const { state, run } of group.runs) this.#fail(group, state, run, toCairnError(thrown));
      group.runs.length = 0;
    }
  }

  #plan(group: Group, state: ChunkState, run: Run): void {
    try {
      this.#mustAccept(state, run);
      const { crc32 } = this.#parts.env;
      if (isOverwrite(state, run)) {
        // It may grow: what can fail of that must have failed before the journal has it.
        const bytes = this.#parts.files.obtain(state, lengthAfterOverwrite(state, run));
        group.plans.push(planOverwrite(state, run, bytes, crc32));
      } else group.plans.push(planAppend(state, run, crc32));
    } catch (thrown) {
      const error = toCairnError(thrown);
      if (error.code === 'INTERNAL') throw thrown;
      reportIfBad(this.#parts, state, thrown);
      this.#fail(group, state, run, error);
    }
  }

  #mustAccept(state: ChunkState, run: Run): void {
    this.#parts.journal.mustTake();
    mustAccept(state, run.version);
    const tail = blockOf(state.plannedLength);
    if (!isOverwrite(state, run) && state.badBlocks.has(tail)) throw new BadBlock(state.handle, tail);
  }

  /** The mutation has not happened, and none follows it under this version. */
  #fail(group: Group, state: ChunkState, run: Run, error: CairnError): void {
    if (!state.isRemoved && error.code !== 'STALE_VERSION') state.fence ??= { version: run.version, cause: error };
    if (!group.failures.has(state.handle)) group.failures.set(state.handle, error);
  }

  #writeAppends(group: Group): Promise<unknown> | undefined {
    let pending: Promise<void>[] | undefined;
    for (const plan of group.plans) {
      if (plan.isOverwrite) continue;
      const bytes = writtenBytes(plan);
      if (bytes === 0) continue;
      noteWrite(plan);
      if (bytes <= writeNowMaxBytes && plan.run.dataBytes === plan.redoBytes) {
        try {
          this.#writeNow(plan);
        } catch (thrown) {
          this.#undo(group, plan, thrown);
        }
      } else {
        pending ??= [];
        pending.push(this.#writeLater(plan).catch((thrown: unknown) => this.#undo(group, plan, thrown)));
      }
    }
    return pending === undefined ? undefined : Promise.all(pending);
  }

  #undo(group: Group, plan: Plan, thrown: unknown): void {
    undoAppend(plan);
    group.plans = group.plans.filter((one) => one !== plan);
    this.#fail(group, plan.state, plan.run, toCairnError(thrown));
  }

  #writeNow(plan: Plan): void {
    const file = this.#parts.files.obtain(plan.state, plan.lengthAfter);
    for (const { offset, parts } of writesOf(plan)) file.writeNow(offset, parts);
    this.#behind.written(plan.state, writtenBytes(plan));
  }

  async #writeLater(plan: Plan): Promise<void> {
    const { files } = this.#parts;
    await files.obtainRecycled(plan.state);
    files.obtain(plan.state, plan.lengthAfter);
    let cachedBytes = 0;
    await files.hold(plan.state, async (file) => {
      for (const { offset, parts } of writesOf(plan)) cachedBytes += await file.write(offset, parts);
    });
    // A sync that began while the write was under way did not cover it.
    noteWrite(plan);
    this.#behind.written(plan.state, cachedBytes);
  }

  /** What must last and is not in the journal: in the file, before the journal speaks of it. */
  #syncFiles(group: Group): Promise<unknown> | undefined {
    const toSync = group.plans.filter((plan) => plan.run.sync && plan.state.hasFile && plan.state.hasUnjournalledData);
    if (toSync.length === 0) return undefined;
    return Promise.all(
      toSync.map((plan) =>
        this.#syncFile(plan.state).catch((thrown: unknown) => {
          // Nobody knows what of the file is on the disk now; see fsyncgate.
          this.#parts.journal.fail(toCairnError(thrown));
          this.#undo(group, plan, thrown);
        }),
      ),
    );
  }

  async #syncFile(state: ChunkState): Promise<void> {
    await flushFile(this.#parts, state);
    await this.#parts.files.place(state);
    state.hasUnjournalledData = false;
  }

  async #journal(group: Group, turn: Turn): Promise<void> {
    const { plans } = group;
    if (plans.length === 0) return;
    const overwrites = plans.some((plan) => plan.isOverwrite);
    const sync = overwrites || plans.some((plan) => plan.run.sync);
    const { change, written, done } = await this.#parts.journal.append(plans.map(toRecord), sync);
    try {
      if (overwrites) {
        await written;
        await this.#writeOverwrites(group);
        for (const plan of plans) this.#commit(plan, change);
        return;
      }
      const committed = written.then(() => {
        for (const plan of plans) this.#commit(plan, change);
      });
      for (const { state } of plans) state.lastCommit = committed;
      turn.pass();
      await committed;
      for (const { state } of plans) if (state.lastCommit === committed) state.lastCommit = undefined;
    } finally {
      done();
    }
  }

  /** The journal holds these: whether or not the file takes them, this is what the chunk is. */
  async #writeOverwrites(group: Group): Promise<void> {
    for (const plan of group.plans) {
      if (!plan.isOverwrite) continue;
      const { state } = plan;
      state.overwrites++;
      noteWrite(plan);
      try {
        if (writtenBytes(plan) <= writeNowMaxBytes) this.#writeNow(plan);
        else await this.#writeLater(plan);
        for (const block of touched(plan)) state.badBlocks.delete(block);
      } catch (thrown) {
        this.#fail(group, state, plan.run, toCairnError(thrown));
        reportBadBlocks(this.#parts, state, touched(plan));
      }
    }
  }

  #commit(plan: Plan, change: number): void {
    const { state } = plan;
    const before = state.lengthBytes;
    commitPlan(plan);
    state.change = change;
    if (plan.isOverwrite) state.overwrites++;
    this.#parts.journal.bulkBytesSinceCheckpoint += plan.run.dataBytes - plan.redoBytes;
    this.#parts.cache.changed(state, state.lengthBytes - before);
  }
}

interface Group {
  readonly runs: { readonly state: ChunkState; readonly run: Run }[];
  /** Those that have not failed. */
  plans: Plan[];
  readonly failures: Failures;
}

function runOfBlock(state: ChunkState, block: number, bytes: Uint8Array): Run {
  const { handle, version, serial } = state;
  const offset = block * blockBytes;
  return {
    handle,
    version,
    serial,
    offset,
    dataBytes: bytes.length,
    lengthBytes: 0,
    parts: [bytes],
    partChecksums: [],
    window: [],
    sync: true,
  };
}

function isOverwrite(state: ChunkState, run: Run): boolean {
  return run.dataBytes > 0 && run.offset < state.plannedLength;
}

function noteWrite(plan: Plan): void {
  plan.state.isUnsynced = true;
  plan.state.writes++;
  if (plan.redoBytes < plan.run.dataBytes) plan.state.hasUnjournalledData = true;
}

function touched(plan: Plan): number[] {
  return Array.from(plan.checksums, (_, i) => plan.firstBlock + i).filter((n) => n < blockCount(plan.lengthAfter));
}

/** Waits for all, then throws the first failure: none goes on unseen. */
async function settleAll(all: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(all);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function asOne(failures: Failures, mutations: readonly ChunkMutation[]): CairnError {
  const [first] = failures.values();
  assert(first !== undefined, 'a failed group has a failure');
  const isOnlyChunk = mutations.every((mutation) => failures.has(mutation.handle)) && failures.size === 1;
  return isOnlyChunk ? first : new GroupError(first, failures);
}
