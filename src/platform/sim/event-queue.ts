/**
 * What is still to happen, by (time, sequence): a binary heap. Of two events at one time the one that was put in first
 * comes first. A cancelled event stays until its time or until cancelled ones are half of the queue.
 */
import { assert } from '../../core/base/assert.ts';

export interface Timed {
  /** Virtual time in whole microseconds. */
  readonly atUs: number;
  /** Unique in its queue. */
  readonly sequence: number;
  /** Kept by the queue: whether the event is in it. */
  isQueued: boolean;
  isCancelled: boolean;
}

/** Below this size a queue is not worth a clean-up. */
const compactMinSize = 1024;

export class EventQueue<T extends Timed> {
  #heap: T[] = [];
  #cancelled = 0;

  /** Events that are still to happen. */
  get size(): number {
    return this.#heap.length - this.#cancelled;
  }

  push(event: T): void {
    assert(!event.isQueued && !event.isCancelled, 'an event is queued once, and not after it was cancelled');
    event.isQueued = true;
    this.#heap.push(event);
    this.#rise(this.#heap.length - 1);
  }

  /** The earliest event at or before `untilUs`, taken out; undefined if there is none. */
  popUntil(untilUs: number): T | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.atUs <= untilUs) {
      const event = this.#popFirst();
      event.isQueued = false;
      if (!event.isCancelled) return event;
      this.#cancelled -= 1;
    }
    return undefined;
  }

  /** Harmless for an event that has happened or was cancelled before. */
  cancel(event: T): void {
    if (event.isCancelled) return;
    event.isCancelled = true;
    if (!event.isQueued) return;
    this.#cancelled += 1;
    if (this.#heap.length >= compactMinSize && this.#cancelled * 2 > this.#heap.length) this.#compact();
  }

  #compact(): void {
    this.#heap = this.#heap.filter((event) => !event.isCancelled);
    this.#cancelled = 0;
    for (let i = (this.#heap.length >> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  #popFirst(): T {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink(0);
    }
    return first;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const event = heap[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const event = heap[from]!;
    const size = heap.length;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, event)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Timed, b: Timed): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.sequence < b.sequence);
}
