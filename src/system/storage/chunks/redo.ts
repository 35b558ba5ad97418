/** The redo of one chunk as the journal is replayed: pieces in order, and the blocks that have to be looked at. */
import { blockBytes } from '../chunk-store.ts';
import { blockCount, blockOf } from './chunk-state.ts';
import type { MutatedRecord, ReplacedRecord } from './journal-record.ts';

interface Piece {
  readonly from: number;
  readonly to: number;
  /** undefined: zeros. */
  readonly bytes: Uint8Array | undefined;
}

type Range = Pick<Piece, 'from' | 'to'>;

export class Redo {
  #pieces: Piece[] = [];
  /** Written, and not in the journal. */
  #bulk: Range[] = [];
  readonly #touched = new Set<number>();

  mutated(record: MutatedRecord): void {
    const { offset, dataBytes, lengthBefore, lengthAfter, redoBytes, firstBlock } = record;
    const end = offset + dataBytes;
    this.#zeros(lengthBefore, offset);
    const [data] = record.redo;
    if (data !== undefined) this.#pieces.push({ from: offset, to: offset + redoBytes, bytes: data });
    if (redoBytes < dataBytes) this.#bulk.push({ from: offset + redoBytes, to: end });
    this.#zeros(Math.max(end, lengthBefore), lengthAfter);
    for (let i = 0; i < record.checksums.length; i++) this.#touched.add(firstBlock + i);
  }

  replaced(record: ReplacedRecord, lengthBefore: number): void {
    const { lengthBytes, redo } = record;
    this.#cut(Math.min(lengthBytes, lengthBefore));
    for (const { block, bytes } of redo) {
      const from = block * blockBytes;
      this.#pieces.push({ from, to: from + bytes.length, bytes });
      this.#touched.add(block);
    }
    // What was written beyond the end before was synced, but a look costs little.
    for (let block = blockOf(lengthBefore); block < blockCount(lengthBytes); block++) this.#touched.add(block);
    if (lengthBytes % blockBytes !== 0) this.#touched.add(blockOf(lengthBytes));
  }

  /** Blocks of a chunk of this length that the journal speaks of, ascending. */
  touched(lengthBytes: number): readonly number[] {
    return [...this.#touched].filter((block) => block < blockCount(lengthBytes)).sort((a, b) => a - b);
  }

  /** Whether there is anything to do again in the block. */
  has(block: number): boolean {
    return hullIn(block, this.#pieces) !== undefined;
  }

  /** What of the block was written, whether the journal has it or not, from the first byte of that to behind the last; undefined: nothing. */
  writtenIn(block: number): Range | undefined {
    return hullIn(block, this.#pieces, this.#bulk);
  }

  /** Does the block again, in the order of the journal, on what the file holds. @returns whether there was anything to do. */
  applyTo(block: number, bytes: Uint8Array): boolean {
    const start = block * blockBytes;
    const stop = start + bytes.length;
    let hasApplied = false;
    for (const piece of this.#pieces) {
      const from = Math.max(piece.from, start);
      const to = Math.min(piece.to, stop);
      if (from >= to) continue;
      if (piece.bytes === undefined) bytes.fill(0, from - start, to - start);
      else bytes.set(piece.bytes.subarray(from - piece.from, to - piece.from), from - start);
      hasApplied = true;
    }
    return hasApplied;
  }

  #zeros(from: number, to: number): void {
    if (from < to) this.#pieces.push({ from, to, bytes: undefined });
  }

  #cut(lengthBytes: number): void {
    this.#pieces = this.#pieces
      .filter((piece) => piece.from < lengthBytes)
      .map((piece) => (piece.to <= lengthBytes ? piece : cutPiece(piece, lengthBytes)));
    this.#bulk = this.#bulk
      .filter(({ from }) => from < lengthBytes)
      .map(({ from, to }) => ({ from, to: Math.min(to, lengthBytes) }));
  }
}

/** From the first byte of the block that is in one of the ranges to behind the last. */
function hullIn(block: number, ...lists: readonly (readonly Range[])[]): Range | undefined {
  const start = block * blockBytes;
  let from = blockBytes;
  let to = 0;
  for (const ranges of lists) {
    for (const range of ranges) {
      if (range.from >= start + blockBytes || range.to <= start) continue;
      from = Math.min(from, Math.max(range.from - start, 0));
      to = Math.max(to, Math.min(range.to - start, blockBytes));
    }
  }
  return from < to ? { from, to } : undefined;
}

function cutPiece(piece: Piece, to: number): Piece {
  return { from: piece.from, to, bytes: piece.bytes?.subarray(0, to - piece.from) };
}
