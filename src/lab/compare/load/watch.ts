/**
 * Load that goes on through faults: closed-loop writers that note when each write was acknowledged, and what; so that gaps can be measured,
 * and what was acknowledged can be looked for afterwards. Each writer goes round in keys of its own, writing higher and higher numbers.
 */
import { monotonicMs } from '../process/monotonic.ts';
import type { Target } from './target.ts';

const keysPerWriter = 250;
const readers = 64;
const flowDeadlineMs = 60_000;

export interface Gap {
  /** Nothing was acknowledged between these two times of the machine's clock. */
  readonly from: number;
  readonly to: number;
}

export interface Verified {
  readonly checked: number;
  /** Acknowledged, and not there: none, if the group keeps its promise. */
  readonly lost: readonly string[];
}

export class Watch {
  readonly #target: Target;
  readonly #writers: Promise<void>[];
  readonly #acknowledgedAt: number[] = [];
  /** Highest number acknowledged under each key since the last look. */
  #acknowledged = new Map<string, { readonly number: number; readonly client: number }>();
  #waiting: { readonly after: number; left: number; readonly resolve: () => void } | undefined;
  #stopped = false;
  failure: unknown;

  constructor(target: Target, writers: number, valueBytes: number) {
    this.#target = target;
    this.#writers = Array.from({ length: writers }, (_, client) => this.#write(client, valueBytes));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#writers);
  }

  /** Resolves when so many writes were acknowledged after that time. */
  flowing(after: number, acknowledgements: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('writes do not flow again')), flowDeadlineMs);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting = { after, left: acknowledgements, resolve: done };
    });
  }

  /** The longest time without an acknowledgement that ended after `from`. */
  largestGap(from: number): Gap {
    let largest: Gap = { from, to: from };
    const times = this.#acknowledgedAt;
    for (let i = 1; i < times.length; i++) {
      if (times[i]! < from || times[i]! - times[i - 1]! <= largest.to - largest.from) continue;
      largest = { from: times[i - 1]!, to: times[i]! };
    }
    return largest;
  }

  /** The longest time without an acknowledgement between two times; its edges count as if something had been acknowledged there. */
  silence(from: number, to: number): number {
    let longest = 0;
    let last = from;
    for (const at of this.#acknowledgedAt) {
      if (at < from) continue;
      if (at > to) break;
      longest = Math.max(longest, at - last);
      last = at;
    }
    return Math.max(longest, to - last);
  }

  /** Writes acknowledged per second in each span of `spanMs` from `from` on. */
  rates(from: number, to: number, spanMs: number): number[] {
    const counts = Array.from({ length: Math.ceil((to - from) / spanMs) }, () => 0);
    for (const at of this.#acknowledgedAt) if (at >= from && at < to) counts[Math.floor((at - from) / spanMs)]! += 1;
    return counts.map((count) => (count * 1000) / spanMs);
  }

  /** Reads what was acknowledged since the last look: each key must hold the number acknowledged, or a later one. */
  async verify(): Promise<Verified> {
    const due = [...this.#acknowledged];
    this.#acknowledged = new Map();
    this.#acknowledgedAt.splice(0, Math.max(0, this.#acknowledgedAt.length - 1));
    const lost: string[] = [];
    let next = 0;
    const reader = async (): Promise<void> => {
      for (let i = next++; i < due.length; i = next++) {
        const [key, { number, client }] = due[i]!;
        const found = await this.#target.get(client, key, 'linearizable');
        const there = found === undefined ? -1 : Buffer.from(found).readUInt32LE(0);
        if (there < number) lost.push(`${key}: ${number} was acknowledged, ${there} is there`);
      }
    };
    await Promise.all(Array.from({ length: readers }, reader));
    return { checked: due.length, lost };
  }

  async #write(client: number, valueBytes: number): Promise<void> {
    for (let number = 0; !this.#stopped; number++) {
      const key = `w${client}-${number % keysPerWriter}`;
      const value = Buffer.alloc(valueBytes, client);
      value.writeUInt32LE(number);
      try {
        await this.#target.put(client, key, value);
      } catch (thrown) {
        this.failure ??= thrown;
        return;
      }
      this.#note(key, number, client);
    }
  }

  #note(key: string, number: number, client: number): void {
    const now = monotonicMs();
    this.#acknowledgedAt.push(now);
    this.#acknowledged.set(key, { number, client });
    const waiting = this.#waiting;
    if (waiting === undefined || now <= waiting.after) return;
    waiting.left -= 1;
    if (waiting.left > 0) return;
    this.#waiting = undefined;
    waiting.resolve();
  }
}
