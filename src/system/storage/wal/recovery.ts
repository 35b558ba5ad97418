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
import { isUnfinished } from './segment-files.ts';

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
  /** Surely on the disk up to here. */
  readonly durableEnd: number;
  readonly leftoverEnd: number;
  readonly opened: boolean;
}

/** A segment behind the tail. */
interface Unused {
  readonly segment: number;
  /** Made to its full size, and never written to. */
  readonly clean: boolean;
}

/** Reads, checks and replays the log; undefined when there is none. @throws CairnError LOG_CORRUPT, WRONG_FORMAT, DISK_FAILED */
export async function recover(env: Env, options: LogOptions): Promise<RecoveredLog | undefined> {
  return new Recovery(env, options).run();
}

type Link = ReturnType<SegmentImage['link']>;

class Recovery {
  readonly #env: Env;
  readonly #options: LogOptions;
  #logId: number | undefined;
  /** Of each segment; undefined where no sound link is. */
  readonly #links = new Map<number, Link>();
  /** Segments are read into it, one after another. */
  #buffer = new Uint8Array(0);

  constructor(env: Env, options: LogOptions) {
    this.#env = env;
    this.#options = options;
  }

  async run(): Promise<RecoveredLog | undefined> {
    const segments = await this.#segments();
    if (segments.length === 0) return undefined;
    for (const segment of segments) await this.#readStart(segment);
    const { tail, unused } = await this.#findTail(segments);
    // The tail keeps its image while the others are read.
    this.#buffer = new Uint8Array(0);
    const sealed: { segment: number; endOffset: number }[] = [];
    for (const segment of segments) {
      if (segment < tail.image.segment) sealed.push({ segment, endOffset: await this.#replaySealed(segment) });
    }
    if (tail.opened) this.#replay(tail.image, tail.endOffset);
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
      else if (isUnfinished(name)) await this.#env.disk.remove(`${directory}/${name}`);
    }
    segments.sort((a, b) => a - b);
    for (let i = 1; i < segments.length; i++) {
      const expected = segments[i - 1]! + 1;
      if (segments[i] !== expected) throw this.#corrupt(expected, 0, 'the segment is missing, later ones are there');
    }
    return segments;
  }

  /** Checks the header and notes the link. */
  async #readStart(segment: number): Promise<void> {
    const bytes = (await this.#read(segment, firstRecordOffset)).slice();
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
    this.#links.set(segment, new SegmentImage(bytes, segment, header.logId, this.#env.crc32).link());
  }

  /** The last segment that was opened for good, and those after it. */
  async #findTail(segments: readonly number[]): Promise<{ tail: Tail; unused: readonly Unused[] }> {
    const unused: Unused[] = [];
    for (let i = segments.length - 1; ; i--) {
      const segment = segments[i]!;
      const tail = this.#judge(await this.#image(segment));
      if (tail.opened) this.#checkEnd(segment, tail.endOffset);
      if (tail.opened || i === 0) return { tail, unused };
      const { leftoverEnd, image } = tail;
      unused.push({
        segment,
        clean: leftoverEnd === segmentHeaderBytes && image.bytes.length >= this.#options.segmentBytes,
      });
    }
  }

  /** The link of the next segment, if there is one, says where this one ends. */
  #checkEnd(segment: number, endOffset: number): void {
    const expected = this.#links.get(segment + 1)?.previousEnd ?? endOffset;
    if (endOffset !== expected) throw this.#corrupt(segment, endOffset, `the segment should end at ${expected}`);
  }

  /** Where a segment ends that nothing is known to follow. */
  #judge(image: SegmentImage): Tail {
    const { end: endOffset, durableEnd } = image.soundPart();
    const { proof, leftoverEnd } = image.behind(endOffset);
    if (proof !== undefined) {
      throw this.#corrupt(image.segment, endOffset, `the record is damaged: the one at ${proof} was written after it`);
    }
    const link = image.link();
    // Without its whole preamble a segment must not become the first one: it counts as never opened.
    if (link !== undefined && endOffset >= link.preambleEnd) {
      return { image, endOffset, durableEnd, leftoverEnd, opened: true };
    }
    return {
      image,
      endOffset: segmentHeaderBytes,
      durableEnd: segmentHeaderBytes,
      leftoverEnd: Math.max(leftoverEnd, endOffset),
      opened: false,
    };
  }

  /** A segment before the tail: the next one was opened, so its link says where this one ends. */
  async #replaySealed(segment: number): Promise<number> {
    const next = this.#links.get(segment + 1);
    if (next === undefined) {
      throw this.#corrupt(segment + 1, segmentHeaderBytes, 'the first record of the segment is damaged');
    }
    this.#replay(await this.#image(segment), next.previousEnd);
    return next.previousEnd;
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
  async #clear(tail: Tail, unused: readonly Unused[]): Promise<RecoveredLog['prepared']> {
    const { disk } = this.#env;
    for (const { segment, clean } of unused) {
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
   * Then flushes, for what was read may not have been durable yet, and the next records will say that it is; the names of the segments
   * neither, if their maker was killed. What is not surely on the disk is written again before: if a flush of it has failed, the system holds
   * it for clean, and would not flush it.
   */
  async #openTail({ image, endOffset, durableEnd, leftoverEnd }: Tail): Promise<DiskFile> {
    const { segment, bytes } = image;
    const file = await this.#env.disk.open(this.#path(segment), 'write');
    const leftoverBytes = leftoverEnd - endOffset;
    await file.write(durableEnd, [bytes.subarray(durableEnd, endOffset), new Uint8Array(leftoverBytes)]);
    if (leftoverBytes > 0) {
      this.#env.events.emit('warn', 'log_tail_cut', {
        file: this.#path(segment),
        offset: endOffset,
        bytes: leftoverBytes,
      });
    }
    await file.sync();
    await this.#env.disk.syncDirectory(this.#options.directory);
    return file;
  }

  /** Good until the next one is read. */
  async #image(segment: number): Promise<SegmentImage> {
    return new SegmentImage(
      await this.#read(segment, Number.POSITIVE_INFINITY),
      segment,
      this.#logId!,
      this.#env.crc32,
    );
  }

  /** At most `lengthBytes` from the beginning of a segment, good until the next read. */
  async #read(segment: number, lengthBytes: number): Promise<Uint8Array> {
    const file = await this.#env.disk.open(this.#path(segment), 'read');
    try {
      const wanted = Math.min(file.size(), lengthBytes);
      if (this.#buffer.length < wanted) this.#buffer = new Uint8Array(wanted);
      return this.#buffer.subarray(0, await file.read(0, this.#buffer.subarray(0, wanted)));
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
