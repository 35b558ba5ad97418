/**
 * The handles of a server in ascending order, for inventories by page. New handles mostly come ascending and go to the end;
 * the few others wait in a small sorted list that is merged when it is full. Removed ones stay until they are half of all: the
 * reader asks whether a handle still lives.
 */

const strayMax = 4096;

export class OrderedHandles {
  #sorted: Float64Array;
  #count: number;
  #stray: number[] = [];
  #removed = 0;

  constructor(handles: Float64Array = new Float64Array(0)) {
    this.#sorted = handles.slice().sort();
    this.#count = handles.length;
  }

  add(handle: number): void {
    if (this.#count === 0 || handle > this.#sorted[this.#count - 1]!) {
      this.#push(handle);
      return;
    }
    const at = lowerBound(this.#stray, this.#stray.length, handle);
    if (this.#stray[at] === handle || this.#sorted[lowerBound(this.#sorted, this.#count, handle)] === handle) return;
    this.#stray.splice(at, 0, handle);
    if (this.#stray.length > strayMax) this.#merge();
  }

  /** Says that one more of the handles may be dead. `isLive` is asked when it is time to sweep. */
  removed(isLive: (handle: number) => boolean): void {
    this.#removed++;
    if (this.#removed > strayMax && this.#removed > this.#count / 2) this.#sweep(isLive);
  }

  /** The live handles above `after`, ascending, at most `limit`. */
  after(after: number, limit: number, isLive: (handle: number) => boolean): number[] {
    const found: number[] = [];
    let i = lowerBound(this.#sorted, this.#count, after + 1);
    let k = lowerBound(this.#stray, this.#stray.length, after + 1);
    while (found.length < limit && (i < this.#count || k < this.#stray.length)) {
      const fromSorted = i < this.#count ? this.#sorted[i]! : Number.POSITIVE_INFINITY;
      const fromStray = k < this.#stray.length ? this.#stray[k]! : Number.POSITIVE_INFINITY;
      const next = Math.min(fromSorted, fromStray);
      if (fromSorted === next) i++;
      if (fromStray === next) k++;
      if (isLive(next)) found.push(next);
    }
    return found;
  }

  #push(handle: number): void {
    if (this.#count === this.#sorted.length) {
      const larger = new Float64Array(Math.max(1024, this.#count * 2));
      larger.set(this.#sorted);
      this.#sorted = larger;
    }
    this.#sorted[this.#count++] = handle;
  }

  /** What lies between two of the few is copied at once: a million must not be looked at one by one whenever some are cloned. */
  #merge(): void {
    const merged = new Float64Array(this.#count + this.#stray.length + 1024);
    let count = 0;
    let from = 0;
    for (const handle of this.#stray) {
      const to = lowerBound(this.#sorted, this.#count, handle);
      merged.set(this.#sorted.subarray(from, to), count);
      count += to - from;
      merged[count++] = handle;
      from = to;
    }
    merged.set(this.#sorted.subarray(from, this.#count), count);
    this.#count = count + this.#count - from;
    this.#sorted = merged;
    this.#stray = [];
  }

  #sweep(isLive: (handle: number) => boolean): void {
    this.#merge();
    let count = 0;
    for (const handle of this.#sorted.subarray(0, this.#count)) if (isLive(handle)) this.#sorted[count++] = handle;
    this.#count = count;
    this.#removed = 0;
  }
}

/** The first place in the ascending list that does not lie below `value`. */
function lowerBound(ascending: ArrayLike<number>, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
