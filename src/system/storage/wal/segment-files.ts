/**
 * The files of a log. A segment gets its name only when it is written out to its full size, with its header, and durable: a
 * file `….wal` is whole or damaged, never half made. Segments that are released come back as later ones, so that their
 * blocks need not be allocated again; their old records do not pass, for the check of a record covers its segment.
 *
 * All changes of the directory run one after another, each durable before the next: what is found after a crash is
 * always an unbroken run of segments.
 */
import { assert } from '../../../core/base/assert.ts';
import type { DiskFile, Env } from '../../../core/base/env.ts';
import type { LogOptions } from '../write-ahead-log.ts';
import { encodeSegmentHeader, segmentHeaderBytes, segmentName } from './format.ts';

/** Written at a time while preallocating. */
const zeros = new Uint8Array(256 * 1024);
/**
 * Flushed at a time while nobody waits for the segment, with a pause of so many times what it took: whatever else is flushed on this disk
 * waits behind it, and a whole segment at once would hold up the log itself for tens of milliseconds.
 */
const stepBytes = 1024 * 1024;
const pausePerStep = 4;
/** However slow the disk is: changes of the directory wait behind the segment that is being made. */
const pauseMaxMs = 50;
/** There are pauses only while the next segment is further than the present one, by this share of it: who fills it must not wait for it. */
const leadShare = 1 / 16;
const nextName = 'next.tmp';

/** What opening finds of segments that were being made, and of released ones that were kept for that. */
export function isUnfinished(name: string): boolean {
  return name.endsWith('.tmp');
}

type Attempt = { readonly file: DiskFile } | { readonly cause: unknown };

export class SegmentFiles {
  readonly #env: Env;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #logId: number;
  readonly #sparesMax: number;
  /** Names of released segments, to be made the next ones. */
  readonly #spares: string[] = [];
  #next: { readonly segment: number; readonly attempt: Promise<Attempt> } | undefined;
  /** How much of the present segment is used, and of the next one made: 0 … 1, or more. */
  #usedShare = 0;
  #madeShare = 0;
  /** Somebody waits for the segment that is being made. */
  #isAwaited = false;
  #endPause: (() => void) | undefined;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(env: Env, { directory, segmentBytes, sparesMax = 1 }: LogOptions, logId: number) {
    this.#env = env;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    this.#sparesMax = sparesMax;
    this.#logId = logId;
  }

  /** Begins to make `segment` in the background; `take` waits for it. */
  prepare(segment: number): void {
    assert(this.#next === undefined, 'one segment is prepared at a time', { segment });
    this.#isAwaited = false;
    const attempt = this.#afterEarlierChanges(() => this.#make(segment)).then(
      (file): Attempt => ({ file }),
      (cause: unknown): Attempt => {
        this.#env.events.emit('warn', 'log_segment_not_prepared', { segment, cause: String(cause) });
        return { cause };
      },
    );
    this.#next = { segment, attempt };
  }

  /** So much of the present segment is used: 0 … 1, or more. */
  noteUsed(share: number): void {
    this.#usedShare = share;
    if (this.#isBehind) this.#endPause?.();
  }

  get #isBehind(): boolean {
    return this.#madeShare < this.#usedShare + leadShare;
  }

  /** A segment found at opening that was made and never used. */
  adopt(segment: number, file: DiskFile): void {
    assert(this.#next === undefined, 'one segment is prepared at a time', { segment });
    this.#next = { segment, attempt: Promise.resolve({ file }) };
  }

  /** The prepared segment; a preparation that failed is tried once more. @throws CairnError DISK_FULL, DISK_FAILED */
  async take(segment: number): Promise<DiskFile> {
    const next = this.#next;
    assert(next !== undefined && next.segment === segment, 'segments are taken in order', { segment });
    this.#hurry();
    const attempt = await next.attempt;
    this.#next = undefined;
    if ('file' in attempt) return attempt.file;
    return this.#afterEarlierChanges(() => this.#make(segment));
  }

  /** Takes a segment out of the log: kept for a later preparation if there are not too many yet, else removed. */
  retire(segment: number): Promise<void> {
    return this.#afterEarlierChanges(async () => {
      const { disk } = this.#env;
      const path = this.#path(segmentName(segment));
      const spare = `spare-${segment}.tmp`;
      const isKept = this.#spares.length < this.#sparesMax;
      if (isKept) await disk.rename(path, this.#path(spare));
      else await disk.remove(path);
      await disk.syncDirectory(this.#directory);
      // Only now: as long as the old name may come back, it must not be that of another segment.
      if (isKept) this.#spares.push(spare);
    });
  }

  /** Waits for what is under way and closes what was prepared. */
  async close(): Promise<void> {
    const next = this.#next;
    this.#next = undefined;
    this.#hurry();
    const attempt = await next?.attempt;
    if (attempt !== undefined && 'file' in attempt) await attempt.file.close();
    await this.#changes;
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }

  #afterEarlierChanges<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(run);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  async #make(segment: number): Promise<DiskFile> {
    const unfinished = this.#path(this.#spares[0] ?? nextName);
    const path = this.#path(segmentName(segment));
    const file = await this.#env.disk.open(unfinished, 'create');
    try {
      await this.#fill(file);
      await file.write(0, [encodeSegmentHeader(segment, this.#logId, this.#env.crc32)]);
      await file.sync();
    } catch (thrown) {
      if (unfinished.endsWith(nextName)) await this.#giveBack(file);
      throw thrown;
    } finally {
      await file.close();
    }
    await this.#env.disk.rename(unfinished, path);
    // Until here, after a failure, it is made anew from whatever is there.
    this.#spares.shift();
    await this.#env.disk.syncDirectory(this.#directory);
    // Opened anew under its name, which is what its failures will be told of.
    return this.#env.disk.open(path, 'write');
  }

  /** Of a full disk the last bytes are for those who need them now: the records of the present segment, the store beside the log. */
  async #giveBack(file: DiskFile): Promise<void> {
    try {
      await file.truncate(0);
    } catch (cause) {
      this.#env.events.emit('warn', 'log_segment_not_given_back', { cause: String(cause) });
    }
  }

  /** Zeros are written, not merely reserved: only blocks that have been written need no metadata at the next flush. */
  async #fill(file: DiskFile): Promise<void> {
    const { clock } = this.#env;
    const least = Math.max(this.#segmentBytes, segmentHeaderBytes);
    if (file.size() > 2 * least) await file.truncate(least);
    let from = clock.now();
    for (let at = file.size(); at < least; ) {
      const piece = zeros.subarray(0, Math.min(zeros.length, least - at));
      await file.write(at, [piece]);
      at += piece.length;
      if (this.#isAwaited || at % stepBytes !== 0) continue;
      await file.sync();
      this.#madeShare = at / least;
      await this.#pause(Math.min(pausePerStep * (clock.now() - from), pauseMaxMs));
      from = clock.now();
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isAwaited || this.#isBehind) return;
    await new Promise<void>((resolve) => {
      const timer = this.#env.clock.after(ms, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  #hurry(): void {
    this.#isAwaited = true;
    this.#endPause?.();
  }
}
