/**
 * What is found when a log is opened. Each head says up to where the log had been durable when it was written; so a bad
 * record is told apart: either something later proves that it had been durable, then it is damaged (LOG_CORRUPT, nothing
 * is cut), or nothing does, then it belongs to the last flush, that a crash has torn, and is cut.
 */
import type { DiskFile, Env } from '../../../core/base/env.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { LogOptions } from '../write-ahead-log.ts';
import {
  decodeSegmentHeader,
  firstRecordOffset,
  formatVersion,
  linkPayloadBytes,
  recordBytes,
  SegmentImage,
  segmentHeaderBytes,
  segmentName,
  segmentOfName,
} from './format.ts';
import { unfinishedNames } from './segment-files.ts';

export interface RecoveredLog {
  readonly logId: number;
  /** Whole segments before the tail, ascending, with where they end. */
  readonly sealed: readonly { readonly segment: number; readonly endOffset: number }[];
  readonly tail: RecoveredTail;
  /** The segment after the tail, made and never used. */
  readonly prepared: { readonly segment: number; readonly file: DiskFile } | undefined;
}

export interface RecoveredTail {
  readonly segment: number;
  readonly file: DiskFile;
  readonly endOffset: number;
  /** False for a segment without its link: the log is empty. */
  readonly opened: boolean;
}

interface Tail {
  readonly image: SegmentImage;
  readonly endOffset: number;
  readonly leftoverEnd: number;
  readonly opened: boolean;
}

/** Reads, checks and replays the log; undefined when there is none. @throws CairnError LOG_CORRUPT, WRONG_FORMAT, DISK_FAILED */
export async function recover(env: Env, options: LogOptions): Promise<RecoveredLog | undefined> {
  return new Recovery(env, options).run();
}

class Recovery {
  readonly #env: Env;
  readonly #options: LogOptions;
  #logId: number | undefined;

  constructor(env: Env, options: LogOptions) {
    this.#env = env;
    this.#options = options;
  }

  async run(): Promise<RecoveredLog | undefined> {
    const segments = await this.#segments();
    if (segments.length === 0) return undefined;
    for (const segment of segments) await this.#checkHeader(segment);
    const { tail, unused } = await this.#findTail(segments);
    const sealed = await this.#replayAll(
      segments.filter((segment) => segment < tail.image.segment),
      tail,
    );
    const prepared = await this.#clear(tail, unused);
    const file = await this.#openTail(tail);
    const { endOffset, opened } = tail;
    return { logId: this.#logId!, sealed, tail: { segment: tail.image.segment, file, endOffset, opened }, prepared };
  }

  /** The numbers of the segments, ascending and without a gap; leaves of unfinished work are removed. */
  async #segments(): Promise<number[]> {
    const { directory } = this.#options;
    const segments: number[] = [];
    for (const name of await this.#env.disk.list(directory)) {
      const segment = segmentOfName(name);
      if (segment !== undefined) segments.push(segment);
      else if (unfinishedNames.includes(name)) await this.#env.disk.remove(`${directory}/${name}`);
    }
    segments.sort((a, b) => a - b);
    for (let i = 1; i < segments.length; i++) {
      const expected = segments[i - 1]! + 1;
      if (segments[i] !== expected) throw this.#corrupt(expected, 0, 'the segment is missing, later ones are there');
    }
    return segments;
  }

  async #checkHeader(segment: number): Promise<void> {
    const bytes = await this.#read(segment, segmentHeaderBytes);
    const header = decodeSegmentHeader(bytes, this.#env.crc32);
    if (header === undefined) throw this.#corrupt(segment, 0, 'the header of the segment is damaged');
    if (header.formatVersion !== formatVersion) {
      throw new CairnError(
        'WRONG_FORMAT',
        `${this.#path(segment)} has format version ${header.formatVersion}, this program reads ${formatVersion}; ` +
          'start the version that wrote it, or start with an empty directory to fetch everything from the peers',
      );
    }
    this.#logId ??= header.logId;
    if (header.segment !== segment) throw this.#corrupt(segment, 16, `it says that it is segment ${header.segment}`);
    if (header.logId !== this.#logId) throw this.#corrupt(segment, 24, 'the segment belongs to another log');
  }

  /** The last segment that was opened for good, and those after it. */
  async #findTail(segments: readonly number[]): Promise<{ tail: Tail; unused: readonly Tail[] }> {
    const unused: Tail[] = [];
    for (let i = segments.length - 1; ; i--) {
      const tail = this.#judge(await this.#image(segments[i]!));
      const follower = unused.at(-1)?.image.link();
      if (follower !== undefined && tail.opened && follower.previousEnd !== tail.endOffset) {
        throw this.#corrupt(segments[i]!, tail.endOffset, `the segment should end at ${follower.previousEnd}`);
      }
      if (tail.opened || i === 0) return { tail, unused };
      unused.push(tail);
    }
  }

  /** Where a segment ends that nothing is known to follow. */
  #judge(image: SegmentImage): Tail {
    const endOffset = image.soundEnd();
    const { proof, leftoverEnd } = image.behind(endOffset);
    if (proof !== undefined) {
      throw this.#corrupt(image.segment, endOffset, `the record is damaged: the one at ${proof} was written after it`);
    }
    const link = image.link();
    // Without its whole preamble a segment must not become the first one: it counts as never opened.
    if (link !== undefined && endOffset >= link.preambleEnd) return { image, endOffset, leftoverEnd, opened: true };
    return {
      image,
      endOffset: segmentHeaderBytes,
      leftoverEnd: Math.max(leftoverEnd, endOffset),
      opened: false,
    };
  }

  async #replayAll(sealed: readonly number[], tail: Tail): Promise<{ segment: number; endOffset: number }[]> {
    const ends: { segment: number; endOffset: number }[] = [];
    let image = sealed.length > 0 ? await this.#image(sealed[0]!) : tail.image;
    for (const segment of sealed) {
      const next = segment + 1 === tail.image.segment ? tail.image : await this.#image(segment + 1);
      // A sealed segment's successor was opened, or it would be the tail itself.
      const link = next.link();
      if (next !== tail.image && link === undefined) {
        throw this.#corrupt(segment + 1, segmentHeaderBytes, 'the first record of the segment is damaged');
      }
      const endOffset = link?.previousEnd ?? image.soundEnd();
      this.#replay(image, endOffset);
      ends.push({ segment, endOffset });
      image = next;
    }
    if (tail.opened) this.#replay(tail.image, tail.endOffset);
    return ends;
  }

  #replay(image: SegmentImage, endOffset: number): void {
    const { segment } = image;
    if (endOffset < firstRecordOffset || image.recordAt(segmentHeaderBytes) !== linkPayloadBytes) {
      throw this.#corrupt(segment, segmentHeaderBytes, 'the first record of the segment is damaged');
    }
    let offset = firstRecordOffset;
    while (offset < endOffset) {
      const length = image.recordAt(offset);
      if (length === undefined) throw this.#corrupt(segment, offset, 'the record is damaged, later ones are there');
      if (length > 0) this.#options.replay(image.payloadAt(offset, length).slice(), { segment, offset });
      offset += recordBytes(length);
    }
    if (offset !== endOffset) throw this.#corrupt(segment, offset, `the segment should end at ${endOffset}`);
  }

  /** Removes what a torn opening left, last segment first; keeps a clean prepared one. */
  async #clear(tail: Tail, unused: readonly Tail[]): Promise<RecoveredLog['prepared']> {
    const { disk } = this.#env;
    for (const { image, leftoverEnd } of unused) {
      const { segment } = image;
      const clean = leftoverEnd === segmentHeaderBytes && image.bytes.length >= this.#options.segmentBytes;
      if (clean && segment === tail.image.segment + 1) {
        return { segment, file: await disk.open(this.#path(segment), 'write') };
      }
      await disk.remove(this.#path(segment));
      await disk.syncDirectory(this.#options.directory);
    }
    return undefined;
  }

  /**
   * Wipes what the torn flush left behind the end: records written there from now on could lead up to one of its records.
   * Then flushes, for what was read may not have been durable yet, and the next records will say that it is.
   */
  async #openTail(tail: Tail): Promise<DiskFile> {
    const { segment } = tail.image;
    const file = await this.#env.disk.open(this.#path(segment), 'write');
    const leftoverBytes = tail.leftoverEnd - tail.endOffset;
    if (leftoverBytes > 0) {
      await file.write(tail.endOffset, [new Uint8Array(leftoverBytes)]);
      this.#env.events.emit('warn', 'log_tail_cut', {
        file: this.#path(segment),
        offset: tail.endOffset,
        bytes: leftoverBytes,
      });
    }
    await file.sync();
    return file;
  }

  async #image(segment: number): Promise<SegmentImage> {
    return new SegmentImage(await this.#read(segment), segment, this.#logId!, this.#env.crc32);
  }

  /** At most `lengthBytes` from the beginning of a segment; all of it by default. */
  async #read(segment: number, lengthBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    const file = await this.#env.disk.open(this.#path(segment), 'read');
    try {
      const bytes = new Uint8Array(Math.min(file.size(), lengthBytes));
      const got = await file.read(0, bytes);
      return got === bytes.length ? bytes : bytes.subarray(0, got);
    } finally {
      await file.close();
    }
  }

  #path(segment: number): string {
    return `${this.#options.directory}/${segmentName(segment)}`;
  }

  #corrupt(segment: number, offset: number, why: string): CairnError {
    return new CairnError(
      'LOG_CORRUPT',
      `${this.#path(segment)} at offset ${offset}: ${why}; nothing was changed. ` +
        'Move the whole directory of this node aside and start it empty: it then fetches everything from its peers',
    );
  }
}
