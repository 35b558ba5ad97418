/**
 * Reads whole blocks and believes none that fails its checksum. A read may overlap anything: appends never change what it looks
 * at, after an overwrite it looks again, and if the chunk went away meanwhile it says so.
 */
import { assert } from '../../../core/base/assert.ts';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { joinCrc32 } from '../../../core/base/crc32.ts';
import { type Crc32, diskBlockBytes } from '../../../core/base/env.ts';
import { blockBytes, blockSpanBytes, type SummedBytes } from '../chunk-store.ts';
import { blockCount, blockOf, type ChunkState, missing } from './chunk-state.ts';
import { reportBadBlocks, type StoreParts } from './parts.ts';
import { BadBlock } from './plan.ts';
import { ReadHistory } from './read-history.ts';

/** Reads up to here do not leave the turn: they are likely cached, and the thread pool would cost more than they do. */
const readNowMaxBytes = 128 * 1024;
/** The unit of verification. */
const verifyBytes = 1024 * 1024;
/** A block that fails is read once more before it is called bad: the memory it was read into may have been at fault. */
const looks = 2;
/** Looks that changes may disturb; the next one is done in one turn, which nothing comes between. */
const disturbedMax = 4;

/** Committed content of whole blocks: [from, to) with the checksums that were true at one moment. */
interface Span {
  readonly from: number;
  readonly to: number;
  readonly tailChecksum: number;
  readonly overwrites: number;
}

/** What a look at some blocks has shown. */
interface Verdict {
  /** Those that fail. */
  readonly bad: readonly number[];
  /** Of all that was looked at, when none fails. */
  readonly crc: { readonly value: number; readonly bytes: number };
}

const noPace = async (): Promise<void> => {};
const nothingRead: Verdict = { bad: [], crc: { value: 0, bytes: 0 } };

export class Reader {
  readonly #parts: StoreParts;
  /** For verification: its reads go past the page cache, which is for readers. All that there ever were: such memory is never given back. */
  readonly #buffers: Uint8Array[] = [];

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  async read(
    handle: ChunkHandle,
    offset: number,
    lengthBytes: number,
    memory: Uint8Array | undefined,
    isSummed: boolean,
  ): Promise<SummedBytes> {
    assert(offset >= 0 && lengthBytes >= 0, 'a read has a place and a length', { offset, lengthBytes });
    const state = this.#find(handle);
    state.pins++;
    try {
      const end = Math.min(offset + lengthBytes, state.lengthBytes);
      if (offset >= end) return { parts: [], crc: 0 };
      const from = blockOf(offset) * blockBytes;
      const into = memory ?? new Uint8Array(blockSpanBytes(offset, end - offset));
      assert(into.length >= blockSpanBytes(offset, end - offset), 'there is memory for whole blocks', { offset, end });
      const { bad, crc } = await this.#readBlocks(state, from, end, into, this.#isReadAgain(state, offset, end));
      if (bad.length > 0) {
        reportBadBlocks(this.#parts, state, bad);
        throw new BadBlock(handle, bad[0]!);
      }
      // It may have been cut meanwhile: then there are no more than were looked at.
      const bytes = into.subarray(offset - from, Math.max(offset - from, Math.min(end - from, crc.bytes)));
      const isWhole = offset === from && crc.bytes === bytes.length;
      return { parts: [bytes], crc: isWhole ? crc.value : isSummed ? this.#parts.env.crc32(bytes) : 0 };
    } finally {
      state.pins--;
    }
  }

  /** All blocks of the chunk that fail. What is written anew or cut off behind the look at it does not count. */
  async verify(handle: ChunkHandle, pace: (bytes: number) => Promise<void> = noPace): Promise<readonly number[]> {
    const state = this.#find(handle);
    // What is open may be a file that has another name by now, or none.
    if (state.lengthBytes > 0) this.#parts.files.reopen(state);
    const into = this.#buffers.pop() ?? this.#parts.env.disk.allocate(verifyBytes);
    state.pins++;
    try {
      const found: number[] = [];
      for (let from = 0; from < state.lengthBytes; from += verifyBytes) {
        const end = Math.min(from + verifyBytes, state.lengthBytes);
        await pace(end - from);
        const { bad } = await this.#readBlocks(state, from, end, into, false);
        reportBadBlocks(this.#parts, state, bad);
        found.push(...bad);
      }
      return found.filter((block) => state.badBlocks.has(block));
    } finally {
      state.pins--;
      this.#buffers.push(into);
    }
  }

  #find(handle: ChunkHandle): ChunkState {
    const state = this.#parts.cache.get(handle);
    if (state === undefined) throw missing(handle);
    return state;
  }

  #isReadAgain(state: ChunkState, offset: number, end: number): boolean {
    if (end - offset <= readNowMaxBytes) return false; // through the cache in any case
    state.readHistory ??= new ReadHistory();
    return state.readHistory.note(offset, end, this.#parts.env.clock.now());
  }

  /**
   * Reads the blocks from `from` up to the one that `end` lies in.
   * @param isHot through the page cache; but the second look at what failed is at the disk.
   */
  async #readBlocks(state: ChunkState, from: number, end: number, into: Uint8Array, isHot: boolean): Promise<Verdict> {
    let verdict = nothingRead;
    let disturbed = 0;
    for (let look = 0; look < looks; look++) {
      // An overwrite or a removal under way ends first; then the checksums and the file agree.
      if (look > 0) await state.tail;
      if (state.isRemoved) throw missing(state.handle);
      const span = spanOf(state, from, end);
      if (span.to <= from) return nothingRead;
      const known = blocksOf(span).filter((block) => state.badBlocks.has(block));
      if (known.length > 0) return { ...nothingRead, bad: known };
      verdict = await this.#lookAt(state, span, into, isHot && look === 0, disturbed === disturbedMax);
      if (verdict.bad.length === 0) return verdict;
      // What failed because it was being changed does not count as a look.
      if (state.overwrites !== span.overwrites && disturbed++ < disturbedMax) look = 0;
    }
    if (state.isRemoved) throw missing(state.handle);
    return verdict;
  }

  async #lookAt(
    state: ChunkState,
    span: Span,
    into: Uint8Array,
    isHot: boolean,
    isInOneTurn: boolean,
  ): Promise<Verdict> {
    // Whole disk blocks, also behind the chunk's end: a read of less could not go past the page cache.
    const wanted = Math.ceil((span.to - span.from) / diskBlockBytes) * diskBlockBytes;
    const target = into.subarray(0, wanted);
    const got =
      isInOneTurn || wanted <= readNowMaxBytes
        ? this.#fillNow(state, span.from, target)
        : await this.#fill(state, span.from, target, isHot);
    return verify(state, span, into.subarray(0, got), this.#parts.env.crc32);
  }

  #fillNow(state: ChunkState, from: number, target: Uint8Array): number {
    return this.#parts.files.existing(state).readNow(from, target);
  }

  async #fill(state: ChunkState, from: number, target: Uint8Array, isHot: boolean): Promise<number> {
    try {
      return await this.#parts.files.hold(state, (file) => file.read(from, target, isHot));
    } catch (thrown) {
      if (state.isRemoved) throw missing(state.handle);
      throw thrown;
    }
  }
}

function spanOf(state: ChunkState, from: number, end: number): Span {
  const { lengthBytes, tailChecksum, overwrites } = state;
  return { from, to: Math.min(blockCount(end) * blockBytes, lengthBytes), tailChecksum, overwrites };
}

function blocksOf(span: Span): number[] {
  const first = blockOf(span.from);
  return Array.from({ length: blockCount(span.to) - first }, (_, i) => first + i);
}

function verify(state: ChunkState, span: Span, bytes: Uint8Array, crc32: Crc32): Verdict {
  const bad: number[] = [];
  let whole = 0;
  for (let at = span.from; at < span.to; at += blockBytes) {
    const stop = Math.min(at + blockBytes, span.to);
    const block = blockOf(at);
    const expected = stop - at < blockBytes ? span.tailChecksum : state.checksums[block]!;
    const content = bytes.subarray(at - span.from, stop - span.from);
    if (content.length < stop - at || crc32(content) !== expected) bad.push(block);
    whole = joinCrc32(whole, expected, stop - at);
  }
  return { bad, crc: { value: whole, bytes: span.to - span.from } };
}
