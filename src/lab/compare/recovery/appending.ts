/** Appends that go on through faults, each noted as it is acknowledged; and a reader that looks for what was acknowledged last. */
import type { CairnClient } from '../../../system/client/client.ts';
import { until } from '../groups/group.ts';

export const appenders = 8;
const flowDeadlineMs = 60_000;
/** Between two reads: so that the reader does not take the processor from those who are measured. */
const readPauseMs = 2;

export interface Acknowledged {
  readonly record: string;
  /** Where it begins in the file. */
  readonly offset: number;
  readonly at: number;
}

export class Appending {
  readonly acknowledged: Acknowledged[] = [];
  readonly #client: CairnClient;
  readonly #path: string;
  #appenders: Promise<void>[] = [];
  #stopped = false;

  constructor(client: CairnClient, path: string) {
    this.#client = client;
    this.#path = path;
  }

  async start(): Promise<void> {
    await this.#append('begin');
    this.#appenders = Array.from({ length: appenders }, (_, who) => this.#run(who));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#appenders);
  }

  /** Resolves when every appender has gone on after that time. */
  async flowing(after: number): Promise<void> {
    await until('appends flow again', flowDeadlineMs, async () => {
      const since = this.acknowledged.filter(({ at }) => at > after).length;
      return since > appenders * 3 ? true : undefined;
    });
  }

  largestGap(from: number): number {
    const times = this.acknowledged.map(({ at }) => at).filter((at) => at > from);
    return Math.max(...times.map((at, i) => at - (times[i - 1] ?? from)));
  }

  /** Reads the whole file. @returns what was acknowledged and is not in it */
  async lost(): Promise<readonly string[]> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#client.readStream(this.#path)) pieces.push(piece.slice());
    const there = new Set(Buffer.concat(pieces).toString('latin1').split('\n'));
    return this.acknowledged.map(({ record }) => record).filter((record) => !there.has(record));
  }

  async #run(who: number): Promise<void> {
    for (let number = 0; !this.#stopped; number++) await this.#append(`appender ${who} record ${number}`);
  }

  async #append(record: string): Promise<void> {
    const offset = await this.#client.recordAppend(this.#path, bytesOf(record));
    this.acknowledged.push({ record, offset, at: performance.now() });
  }
}

function bytesOf(record: string): Buffer {
  return Buffer.from(`\n${record}\n`);
}

export interface Seen {
  readonly reads: number;
  /** Reads that did not find what had been acknowledged before they began. */
  readonly stale: number;
  /** Longest time from an acknowledgement until a read began that saw the record, after one that had not; 0: there was none. */
  readonly windowMs: number;
  readonly longestReadMs: number;
}

/** Reads, again and again, the record that was acknowledged last when the read begins; after a stale read, the same again. */
export class Reading {
  readonly #client: CairnClient;
  readonly #path: string;
  readonly #acknowledged: readonly Acknowledged[];
  #seen: Seen = { reads: 0, stale: 0, windowMs: 0, longestReadMs: 0 };
  #missing: Acknowledged | undefined;
  #stopped = false;
  #running: Promise<void> | undefined;

  /** @param acknowledged grows while this reads */
  constructor(client: CairnClient, path: string, acknowledged: readonly Acknowledged[]) {
    this.#client = client;
    this.#path = path;
    this.#acknowledged = acknowledged;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<Seen> {
    this.#stopped = true;
    await this.#running;
    return this.#seen;
  }

  async #run(): Promise<void> {
    const file = await this.#client.open(this.#path, 'r');
    while (!this.#stopped) {
      const target = this.#missing ?? this.#acknowledged.at(-1)!;
      const expected = bytesOf(target.record);
      const into = new Uint8Array(expected.length);
      const beganAt = performance.now();
      const { bytesRead } = await file.read(into, { position: target.offset });
      this.#note(target, beganAt, sightOf(expected, into.subarray(0, bytesRead)));
      await new Promise((resolve) => setTimeout(resolve, readPauseMs));
    }
    await file.close();
  }

  #note(target: Acknowledged, beganAt: number, sight: Sight): void {
    const { reads, stale, windowMs, longestReadMs } = this.#seen;
    const sinceMs = beganAt - target.at;
    const isBack = sight === 'there' && this.#missing !== undefined;
    this.#seen = {
      reads: reads + 1,
      stale: stale + (sight === 'there' ? 0 : 1),
      windowMs: isBack ? Math.max(windowMs, sinceMs) : windowMs,
      longestReadMs: Math.max(longestReadMs, performance.now() - beganAt),
    };
    // What another record has taken the place of will not come back.
    this.#missing = sight === 'not there' ? target : undefined;
  }
}

type Sight = 'there' | 'not there' | 'replaced';

/** @param found fewer bytes, or zeros: the record is not there yet */
export function sightOf(expected: Uint8Array, found: Uint8Array): Sight {
  if (Buffer.compare(expected, found) === 0) return 'there';
  const isPrefix = found.every((byte, i) => byte === 0 || byte === expected[i]);
  return isPrefix ? 'not there' : 'replaced';
}
