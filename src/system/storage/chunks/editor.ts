/** What happens to whole replicas: creation, adoption of another replica's content, removal. */

import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle, ChunkVersion, MutationSerial } from '../../../core/base/brand.ts';
import { CairnError, toCairnError } from '../../../core/base/errors.ts';
import { blockBytes, type ChunkCut, type ChunkImage } from '../chunk-store.ts';
import { checkImage, wholeBlock, zeroRanges } from './adoption.ts';
import { blockCount, blockOf, type ChunkState, missing, mustAccept } from './chunk-state.ts';
import { flushFile } from './file-flushes.ts';
import type { BlockData } from './journal-record.ts';
import type { Mutator } from './mutator.ts';
import { reportBadBlocks, reportIfBad, reportLost, type StoreParts } from './parts.ts';
import { readVerified, zeroParts } from './plan.ts';
import { slotMaxBytes } from './slabs.ts';
import { settled, Turn } from './turns.ts';

/** Blocks that one journal batch of an adoption carries. */
const blocksPerBatch = 16;

export class Editor {
  readonly #parts: StoreParts;
  readonly #mutator: Mutator;
  /** Chunks that are being made by an adoption: nobody else knows them until they are whole. */
  readonly #arriving = new Map<ChunkHandle, ChunkState>();
  /** Replicas that are off the books, and whose file has its name still: the changes of one that is made anew come behind that. */
  readonly #leaving = new Map<ChunkHandle, Promise<void>>();

  constructor(parts: StoreParts, mutator: Mutator) {
    this.#parts = parts;
    this.#mutator = mutator;
  }

  create(handle: ChunkHandle, version: ChunkVersion): void {
    this.#parts.journal.mustTake();
    if (this.#parts.cache.info(handle) !== undefined || this.#arriving.has(handle)) {
      throw new CairnError('EXISTS', `chunk ${handle} is on this server already`);
    }
    const state = this.#parts.cache.add({ handle, version, serial: 0 as MutationSerial, lengthBytes: 0 });
    state.tail = this.#leaving.get(handle);
  }

  /** Durable when it resolves: a removed replica never comes back. */
  async remove(handle: ChunkHandle): Promise<void> {
    const { cache, journal } = this.#parts;
    journal.mustTake();
    let state: ChunkState | undefined;
    try {
      state = cache.get(handle) ?? this.#arriving.get(handle);
    } catch (thrown) {
      if (toCairnError(thrown).code !== 'DISK_CORRUPT') throw thrown;
      return this.#removeUnread(handle);
    }
    if (state === undefined) return;
    await this.#removeAlone(state);
  }

  /** Its metadata cannot be read: nobody can do anything with it but this. */
  async #removeUnread(handle: ChunkHandle): Promise<void> {
    const { cache, journal, metadata, removed } = this.#parts;
    const state = cache.prepare(metadata.table.info(handle)!);
    state.slot = metadata.table.slot(handle);
    state.hasFile = state.slot === undefined;
    const { written, done } = await journal.append([{ kind: 'removed', handle }], true);
    try {
      await written;
      if (!metadata.table.has(handle)) return; // somebody else was faster
      cache.forget(handle);
      removed.add(handle);
    } finally {
      done();
    }
    await this.#retire(state);
  }

  /** @returns false if somebody else was faster */
  async #removeAlone(state: ChunkState): Promise<boolean> {
    const { cache, journal } = this.#parts;
    const { handle } = state;
    return this.#alone(state, async () => {
      if (state.isRemoved) return false;
      const { written, done } = await journal.append([{ kind: 'removed', handle }], true);
      try {
        await written;
        cache.remove(state);
        this.#parts.removed.add(handle);
      } finally {
        done();
      }
      await this.#retire(state);
      return true;
    });
  }

  async #retire(state: ChunkState): Promise<void> {
    const { handle } = state;
    const retired = this.#parts.files.retire(state);
    const left = settled(retired);
    this.#leaving.set(handle, left);
    await left;
    if (this.#leaving.get(handle) === left) this.#leaving.delete(handle);
    await retired;
  }

  /** The file is not there any more: takes the chunk off the books, durably, and says so. Another one of this handle has its own file. */
  async lose(state: ChunkState): Promise<void> {
    if (await this.#removeAlone(state)) reportLost(this.#parts, state.handle, 'its file is missing');
  }

  /**
   * Blocks beyond the present end are written and synced first, where nothing is believed; then one journal record makes
   * the chunk what the image says, with redo for the blocks that are written over. When those are many, whole blocks are replaced
   * in batches before, so that each crash leaves every block either as it was or as it will be.
   */
  async adopt(image: ChunkImage, blocks: readonly BlockData[], mayStayBad = false): Promise<void> {
    const { cache, journal } = this.#parts;
    journal.mustTake();
    const known = cache.get(image.handle) ?? this.#arriving.get(image.handle);
    const state = known ?? this.#arrive(image);
    await this.#alone(state, async () => {
      if (state.isRemoved) {
        throw new CairnError('CHUNK_MISSING', `chunk ${image.handle} was removed while it was to be repaired`);
      }
      try {
        await this.#adoptAlone(state, image, blocks, mayStayBad);
      } catch (thrown) {
        reportIfBad(this.#parts, state, thrown);
        if (this.#arriving.has(image.handle)) await this.#discard(state);
        throw thrown;
      }
    });
  }

  async cut({ handle, version, serial, lengthBytes, window }: ChunkCut): Promise<void> {
    const { cache, journal } = this.#parts;
    journal.mustTake();
    const state = cache.get(handle);
    if (state === undefined) throw missing(handle);
    await this.#alone(state, async () => {
      journal.mustTake(); // what came before it may have failed, and then the chunk is not as long as it was to be
      mustAccept(state, version);
      assert(lengthBytes <= state.lengthBytes, 'a cut does not make a chunk longer', { handle, lengthBytes });
      try {
        const blockChecksums = this.#checksumsAt(state, lengthBytes);
        const before = state.window.entries();
        await this.#adoptAlone(
          state,
          { handle, version, serial, lengthBytes, blockChecksums, window: [...before, ...window] },
          [],
          false,
        );
      } catch (thrown) {
        reportIfBad(this.#parts, state, thrown);
        state.fence ??= { version, cause: toCairnError(thrown) };
        throw thrown;
      }
    });
  }

  /** Of the content up to there. @throws CairnError DISK_CORRUPT when the last block cannot be believed */
  #checksumsAt(state: ChunkState, lengthBytes: number): Uint32Array<ArrayBuffer> {
    const checksums = state.committedChecksums().slice(0, blockCount(lengthBytes));
    const last = blockOf(lengthBytes);
    const bytes = lengthBytes - last * blockBytes;
    if (bytes > 0 && bytes < state.bytesIn(last)) {
      const { env, files } = this.#parts;
      checksums[last] = env.crc32(readVerified(state, last, files.existing(state), env.crc32).subarray(0, bytes));
    }
    return checksums;
  }

  #arrive({ handle, version, serial }: ChunkImage): ChunkState {
    const state = this.#parts.cache.prepare({ handle, version, serial, lengthBytes: 0 });
    state.tail = this.#leaving.get(handle);
    this.#arriving.set(handle, state);
    return state;
  }

  async #adoptAlone(
    state: ChunkState,
    image: ChunkImage,
    blocks: readonly BlockData[],
    mayStayBad: boolean,
  ): Promise<void> {
    const { space, env, files } = this.#parts;
    const lengthBefore = state.lengthBytes;
    checkImage(state, image, blocks, () => files.existing(state), env.crc32, mayStayBad);
    const bytes = 2 * blocks.length * blockBytes + Math.max(0, image.lengthBytes - lengthBefore);
    if (!space.take(bytes)) await space.ask(bytes);
    if (!state.hasFile && image.lengthBytes <= slotMaxBytes) return this.#adoptSmall(state, image, blocks);
    const beyond = blocks.filter(({ block }) => block * blockBytes >= lengthBefore);
    let over = blocks.filter(({ block }) => block * blockBytes < lengthBefore);
    await this.#writeBeyond(state, image.lengthBytes, beyond);
    await this.#syncFile(state);
    if (over.length > blocksPerBatch) over = await this.#replaceWholeBlocks(state, over);
    await this.#replace(state, image, blocks, over);
  }

  /** A small chunk is in the journal as a whole: nobody could find it in a slot that no checkpoint knows. */
  async #adoptSmall(state: ChunkState, image: ChunkImage, blocks: readonly BlockData[]): Promise<void> {
    const { files, env } = this.#parts;
    const { lengthBytes } = image;
    if (lengthBytes > 0) files.obtain(state, lengthBytes);
    const whole =
      lengthBytes === 0
        ? []
        : [{ block: 0, bytes: wholeBlock(state, lengthBytes, blocks, () => files.existing(state), env.crc32) }];
    await this.#replace(state, image, blocks, whole);
  }

  /** The step that counts: from the journal's record on the chunk is what the image says. */
  async #replace(
    state: ChunkState,
    image: ChunkImage,
    blocks: readonly BlockData[],
    redo: readonly BlockData[],
  ): Promise<void> {
    const { handle, version, serial, lengthBytes, blockChecksums: checksums, window } = image;
    const record = { kind: 'replaced', handle, version, serial, lengthBytes, checksums, window, redo } as const;
    const { change, written, done } = await this.#parts.journal.append([record], true);
    try {
      await written;
      const failure = await this.#writeOver(state, redo);
      state.change = change;
      this.#become(state, image, blocks);
      if (failure === undefined) return;
      // The journal has them, so this is what the chunk is; the file will have them after a repair, or a restart before the next checkpoint.
      reportBadBlocks(
        this.#parts,
        state,
        redo.map(({ block }) => block),
      );
      throw failure;
    } finally {
      done();
    }
  }

  /** A chunk that was made for an image that it could not take over. */
  async #discard(state: ChunkState): Promise<void> {
    this.#arriving.delete(state.handle);
    state.isRemoved = true;
    await this.#retire(state);
  }

  async #writeBeyond(state: ChunkState, lengthBytes: number, blocks: readonly BlockData[]): Promise<void> {
    const { files } = this.#parts;
    if (lengthBytes <= state.lengthBytes) return;
    await files.obtainRecycled(state);
    files.obtain(state, lengthBytes);
    noteWrite(state);
    state.hasUnjournalledData = true;
    await files.hold(state, async (file) => {
      for (const { from, to } of zeroRanges(state.lengthBytes, lengthBytes, blocks)) {
        await file.write(from, zeroParts(to - from));
      }
      for (const { offset, parts } of runsOf(blocks)) await file.write(offset, parts);
    });
    noteWrite(state);
    state.hasUnjournalledData = true;
  }

  /** What stays must be as durable as what comes. */
  async #syncFile(state: ChunkState): Promise<void> {
    if (!state.hasFile || !state.hasUnjournalledData) return;
    const { files, journal } = this.#parts;
    try {
      await flushFile(this.#parts, state);
      await files.place(state);
    } catch (thrown) {
      journal.fail(toCairnError(thrown));
      throw thrown;
    }
    state.hasUnjournalledData = false;
  }

  /** Replaces those of the blocks that are whole before and after; returns the others. */
  async #replaceWholeBlocks(state: ChunkState, blocks: readonly BlockData[]): Promise<BlockData[]> {
    const isWhole = ({ block, bytes }: BlockData) => bytes.length === blockBytes && state.bytesIn(block) === blockBytes;
    const whole = blocks.filter(isWhole);
    for (let i = 0; i < whole.length; i += blocksPerBatch) {
      await this.#mutator.overwriteBlocks(state, whole.slice(i, i + blocksPerBatch));
    }
    return blocks.filter((block) => !isWhole(block));
  }

  async #writeOver(state: ChunkState, blocks: readonly BlockData[]): Promise<CairnError | undefined> {
    if (blocks.length === 0) return undefined;
    state.overwrites++;
    noteWrite(state);
    try {
      await this.#writeBlocks(state, blocks);
      noteWrite(state);
      return undefined;
    } catch (thrown) {
      return toCairnError(thrown);
    } finally {
      state.overwrites++;
    }
  }

  async #writeBlocks(state: ChunkState, blocks: readonly BlockData[]): Promise<void> {
    const { files } = this.#parts;
    if (!state.hasFile) {
      for (const { block, bytes } of blocks) files.existing(state).writeNow(block * blockBytes, [bytes]);
      return;
    }
    await files.hold(state, async (file) => {
      for (const { block, bytes } of blocks) await file.write(block * blockBytes, [bytes]);
    });
  }

  #become(state: ChunkState, image: ChunkImage, blocks: readonly BlockData[]): void {
    const lengthBefore = state.lengthBytes;
    state.overwrites++; // what it cuts off may be written over at once
    state.version = image.version;
    state.serial = image.serial;
    state.window.replace(image.window, image.version);
    state.settle(image.lengthBytes, image.blockChecksums.slice());
    state.fence = undefined;
    for (const { block } of blocks) state.badBlocks.delete(block);
    for (const block of state.badBlocks) if (block >= blockCount(image.lengthBytes)) state.badBlocks.delete(block);
    if (this.#arriving.delete(state.handle)) this.#parts.cache.admit(state);
    else this.#parts.cache.changed(state, image.lengthBytes - lengthBefore);
  }

  async #alone<T>(state: ChunkState, run: () => Promise<T>): Promise<T> {
    const turn = new Turn([state]);
    try {
      await turn.wait();
      if (state.lastCommit !== undefined) await state.lastCommit;
      return await run();
    } finally {
      turn.pass();
      turn.unpin();
    }
  }
}

/** Neighbours are written together. */
function runsOf(blocks: readonly BlockData[]): readonly { readonly offset: number; readonly parts: Uint8Array[] }[] {
  const runs: { offset: number; parts: Uint8Array[] }[] = [];
  let next = -1;
  for (const { block, bytes } of [...blocks].sort((a, b) => a.block - b.block)) {
    if (block === next) runs.at(-1)!.parts.push(bytes);
    else runs.push({ offset: block * blockBytes, parts: [bytes] });
    next = block + 1;
  }
  return runs;
}

function noteWrite(state: ChunkState): void {
  state.isUnsynced = true;
  state.writes++;
}
