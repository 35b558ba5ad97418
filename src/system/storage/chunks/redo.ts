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
  /** By block, each in the order of the journal; a piece is in each block that it reaches into. There may be a million, and each block is looked at. */
  readonly #pieces = new Map<number, Piece[]>();
  /** By block what was written, and is not in the journal: from the first byte of that to behind the last. */
  readonly #bulk = new Map<number, Range>();
  readonly #touched = new Set<number>();

  mutated(record: MutatedRecord): void {
    const { offset, dataBytes, lengthBefore, lengthAfter, redoBytes, firstBlock } = record;
    const end = offset + dataBytes;
    this.#zeros(lengthBefore, offset);
    const [data] = record.redo;
    if (data !== undefined) this.#add({ from: offset, to: offset + redoBytes, bytes: data });
    if (redoBytes < dataBytes) this.#addBulk({ from: offset + redoBytes, to: end });
    this.#zeros(Math.max(end, lengthBefore), lengthAfter);
    for (let i = 0; i < record.checksums.length; i++) this.#touched.add(firstBlock + i);
  }

  replaced(record: ReplacedRecord, lengthBefore: number): void {
    const { lengthBytes, redo } = record;
    this.#cut(Math.min(lengthBytes, lengthBefore));
    for (const { block, bytes } of redo) {
      const from = block * blockBytes;
      this.#add({ from, to: from + bytes.length, bytes });
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
    return this.#pieces.has(block);
  }

  /** What of the block was written, whether the journal has it or not, from the first byte of that to behind the last; undefined: nothing. */
  writtenIn(block: number): Range | undefined {
    const start = block * blockBytes;
    const bulk = this.#bulk.get(block);
    let from = blockBytes;
    let to = 0;
    for (const range of bulk === undefined ? this.#piecesIn(block) : [bulk, ...this.#piecesIn(block)]) {
      from = Math.min(from, Math.max(range.from - start, 0));
      to = Math.max(to, Math.min(range.to - start, blockBytes));
    }
    return from < to ? { from, to } : undefined;
  }

  /** Does the block again, in the order of the journal, on what the file holds. @returns whether there was anything to do. */
  applyTo(block: number, bytes: Uint8Array): boolean {
    const start = block * blockBytes;
    const stop = start + bytes.length;
    let hasApplied = false;
    for (const piece of this.#piecesIn(block)) {
      const from = Math.max(piece.from, start);
      const to = Math.min(piece.to, stop);
      if (from >= to) continue;
      if (piece.bytes === undefined) bytes.fill(0, from - start, to - start);
      else bytes.set(piece.bytes.subarray(from - piece.from, to - piece.from), from - start);
      hasApplied = true;
    }
    return hasApplied;
  }

  #piecesIn(block: number): readonly Piece[] {
    return this.#pieces.get(block) ?? [];
  }

  #zeros(from: number, to: number): void {
    if (from < to) this.#add({ from, to, bytes: undefined });
  }

  #add(piece: Piece): void {
    if (piece.from === piece.to) return;
    for (let block = blockOf(piece.from); block * blockBytes < piece.to; block++) {
      const known = this.#pieces.get(block);
      if (known === undefined) this.#pieces.set(block, [piece]);
      else known.push(piece);
    }
  }

  #addBulk({ from, to }: Range): void {
    for (let block = blockOf(from); block * blockBytes < to; block++) {
      const known = this.#bulk.get(block);
      this.#bulk.set(block, { from: Math.min(from, known?.from ?? from), to: Math.max(to, known?.to ?? to) });
    }
  }

  /** What is behind it is gone; of a piece that reaches beyond it, the blocks before have theirs still. */
  #cut(lengthBytes: number): void {
    const count = blockCount(lengthBytes);
    for (const block of this.#pieces.keys()) if (block >= count) this.#pieces.delete(block);
    for (const block of this.#bulk.keys()) if (block >= count) this.#bulk.delete(block);
    const last = count - 1;
    const pieces = this.#piecesIn(last).filter(({ from }) => from < lengthBytes);
    const cut = pieces.map((piece) => (piece.to <= lengthBytes ? piece : cutPiece(piece, lengthBytes)));
    if (cut.length > 0) this.#pieces.set(last, cut);
    else this.#pieces.delete(last);
    const bulk = this.#bulk.get(last);
    if (bulk === undefined) return;
    if (bulk.from < lengthBytes) this.#bulk.set(last, { from: bulk.from, to: Math.min(bulk.to, lengthBytes) });
    else this.#bulk.delete(last);
  }
}

function cutPiece(piece: Piece, to: number): Piece {
  return { from: piece.from, to, bytes: piece.bytes?.subarray(0, to - piece.from) };
}
