/**
 * Where the records of one writer lie, by sequence: of each its offset and its bytes. All of them in one array of numbers: a window that is
 * remembered for thousands of records must not be thousands of objects, which the collector of garbage would copy again and again.
 *
 * Invariant: sequences rise strictly from row to row.
 */
import { assert } from '../../core/base/assert.ts';

const columns = 3;
const firstRows = 2;
const growBy = 4;

export class SequenceRows {
  readonly #kept: number;
  #rows = new Float64Array(columns * firstRows);
  #count = 0;

  /** @param kept so many rows with the highest sequences are there at least; at twice as many the others are dropped. */
  constructor(kept: number) {
    assert(kept > 0, 'a window keeps at least one record', { kept });
    this.#kept = kept;
  }

  get count(): number {
    return this.#count;
  }
  get memoryBytes(): number {
    return this.#rows.byteLength;
  }
  /** Infinity while there are none. */
  get lowest(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#rows[0]!;
  }

  /** At which row this sequence is; undefined: at none. */
  find(sequence: number): number | undefined {
    const at = this.#lowerBound(sequence);
    return at < this.#count && this.sequenceAt(at) === sequence ? at : undefined;
  }

  sequenceAt(row: number): number {
    return this.#rows[row * columns]!;
  }
  offsetAt(row: number): number {
    return this.#rows[row * columns + 1]!;
  }
  bytesAt(row: number): number {
    return this.#rows[row * columns + 2]!;
  }

  /**
   * A row of the same sequence is replaced.
   * @returns the highest sequence that was dropped for it; undefined: none was.
   */
  put(sequence: number, offset: number, bytes: number): number | undefined {
    const at = this.#lowerBound(sequence);
    const isThere = at < this.#count && this.sequenceAt(at) === sequence;
    if (!isThere) this.#makeRoomAt(at);
    const from = at * columns;
    this.#rows[from] = sequence;
    this.#rows[from + 1] = offset;
    this.#rows[from + 2] = bytes;
    return this.#count >= 2 * this.#kept ? this.#dropLowest(this.#count - this.#kept) : undefined;
  }

  /** The first row whose sequence is not below this one; nearly always it is behind the last. */
  #lowerBound(sequence: number): number {
    let to = this.#count;
    if (to === 0 || this.sequenceAt(to - 1) < sequence) return to;
    let from = 0;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.sequenceAt(middle) < sequence) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #makeRoomAt(row: number): void {
    const used = this.#count * columns;
    if (used === this.#rows.length) {
      const larger = new Float64Array(this.#rows.length * growBy);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    if (row < this.#count) this.#rows.copyWithin((row + 1) * columns, row * columns, used);
    this.#count += 1;
  }

  #dropLowest(rows: number): number {
    const highest = this.sequenceAt(rows - 1);
    this.#rows.copyWithin(0, rows * columns, this.#count * columns);
    this.#count -= rows;
    return highest;
  }
}
