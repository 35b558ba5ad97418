/** Virtual time: events in the order of their time, then of their making. */

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  now = 0;
  readonly #heap: Event[] = [];
  #made = 0;

  after(delay: number, run: () => void): void {
    const event = { at: this.now + delay, order: this.#made++, run };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs what is due up to `until`. */
  runUntil(until: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#takeFirst();
      this.now = next.at;
      next.run();
    }
    this.now = until;
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
