/**
 * Writes bytes one after another from a position on. They gather in packets that end at multiples of packetMaxBytes; some packets are
 * under way at a time, also across the border of two chunks; beyond that callers wait. A packet that failed is repeated by itself, at
 * the same place.
 *
 * Bytes are taken without a copy and summed up at once: whoever changes them before they are written gets an error, not wrong data.
 * Invariant: a packet is in exactly one of: gathering, under way, acknowledged, failed (and then #error is set).
 */
import { assert } from '../../core/base/assert.ts';
import { type CairnError, toCairnError } from '../../core/base/errors.ts';
import { packetMaxBytes } from '../../core/protocol/types.ts';
import { type AbortSignalLike, abortedBy } from './abort.ts';
import { attemptsOf } from './core.ts';
import { isClosed } from './failures.ts';
import { copyBelowBytes, packetsIn } from './limits.ts';
import { mutate } from './mutate.ts';
import type { OpenFile } from './open-file.ts';
import { Window } from './window.ts';

const blockBytes = 64 * 1024;

interface Gathering {
  /** In the file. */
  readonly position: number;
  readonly end: number;
  readonly parts: Uint8Array[];
  bytes: number;
  crc: number;
}

export interface PacketWriterOptions {
  readonly position: number;
  /** How many bytes will come, if that is known: the next chunk is then prepared before this one is full. */
  readonly expectedBytes?: number | undefined;
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignalLike | undefined;
}

export class PacketWriter {
  readonly #file: OpenFile;
  readonly #windowBytes: number;
  readonly #window: Window;
  readonly #end: number;
  readonly #signal: AbortSignalLike | undefined;
  #position: number;
  #gathering: Gathering | undefined;
  /** Where short pieces are copied together, and how much of it is taken. */
  #block: Uint8Array = new Uint8Array(0);
  #blockTaken = 0;
  #error: CairnError | undefined;
  #isEnded = false;
  #isFlushPlanned = false;
  #waiting: (() => void)[] = [];
  readonly #abort = () => this.#fail(abortedBy(this.#signal!));

  constructor(file: OpenFile, options: PacketWriterOptions) {
    this.#file = file;
    this.#position = options.position;
    this.#end = options.position + (options.expectedBytes ?? 0);
    this.#windowBytes = options.windowBytes ?? file.core.settings.writeWindowBytes;
    this.#window = new Window(packetsIn(this.#windowBytes));
    this.#signal = options.signal;
    if (this.#signal?.aborted === true) this.#abort();
    else this.#signal?.addEventListener('abort', this.#abort);
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#position;
  }

  /**
   * Takes the bytes; resolves when more may come. They must not change until `flush` has resolved.
   * @throws CairnError why an earlier packet was not written
   */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      while (!this.#window.hasRoom && this.#error === undefined) await this.#change();
      this.#mustBeGood();
      at += this.#take(bytes, at);
    }
    this.#mustBeGood();
    this.#planFlush();
  }

  /** Resolves when all that was taken is acknowledged. @throws CairnError */
  async flush(): Promise<void> {
    this.#send();
    while (this.#window.underWay > 0 && this.#error === undefined) await this.#change();
    if (this.#error !== undefined) throw this.#error;
  }

  /** The last flush. */
  async end(): Promise<void> {
    try {
      await this.flush();
    } finally {
      this.stop();
    }
  }

  /**
   * Writes nothing that is not under way already, and tries nothing again: whoever gives up may write the same bytes anew. Who flushes
   * afterwards is told if something was left.
   */
  stop(): void {
    this.#isEnded = true;
    if (this.#gathering !== undefined || this.#window.underWay > 0) this.#fail(isClosed('the writer'));
    this.#signal?.removeEventListener('abort', this.#abort);
  }

  // ---------------------------------------------------------------- gathering

  #take(bytes: Uint8Array, from: number): number {
    this.#gathering ??= {
      position: this.#position,
      end: this.#file.packetEnd(this.#position),
      parts: [],
      bytes: 0,
      crc: 0,
    };
    const packet = this.#gathering;
    const take = Math.min(bytes.length - from, packet.end - this.#position);
    const piece = take === bytes.length ? bytes : bytes.subarray(from, from + take);
    packet.crc = this.#file.core.env.crc32(piece, packet.crc);
    if (take < copyBelowBytes && packet.bytes > 0) this.#copy(packet, piece);
    else packet.parts.push(piece);
    packet.bytes += take;
    this.#position += take;
    if (this.#position === packet.end) this.#send();
    return take;
  }

  /** Puts a short piece behind the one before it. */
  #copy(packet: Gathering, piece: Uint8Array): void {
    if (this.#block.length - this.#blockTaken < piece.length) {
      this.#block = new Uint8Array(blockBytes);
      this.#blockTaken = 0;
    }
    const from = this.#blockTaken;
    this.#block.set(piece, from);
    this.#blockTaken += piece.length;
    const last = packet.parts.at(-1);
    const isBehindLast =
      last !== undefined && last.buffer === this.#block.buffer && last.byteOffset + last.length === from;
    const start = isBehindLast ? last.byteOffset : from;
    const part = this.#block.subarray(start, this.#blockTaken);
    if (isBehindLast) packet.parts[packet.parts.length - 1] = part;
    else packet.parts.push(part);
  }

  /** With nothing under way there is nothing to wait for: what has gathered leaves at the end of the turn. */
  #planFlush(): void {
    if (this.#isFlushPlanned || this.#window.underWay > 0 || this.#gathering === undefined) return;
    this.#isFlushPlanned = true;
    this.#file.core.env.clock.soon(() => {
      this.#isFlushPlanned = false;
      if (this.#window.underWay === 0) this.#send();
    });
  }

  // ---------------------------------------------------------------- sending

  #send(): void {
    const packet = this.#gathering;
    if (packet === undefined || this.#error !== undefined) return;
    this.#gathering = undefined;
    const { clock } = this.#file.core.env;
    const leftAt = clock.now();
    this.#window.leave();
    void this.#write(packet).finally(() => {
      this.#window.back(leftAt, clock.now());
      this.#planFlush();
      this.#wake();
    });
  }

  async #write({ position, parts, bytes, crc }: Gathering): Promise<void> {
    const { core, chunkBytes } = this.#file;
    const offset = position % chunkBytes;
    assert(bytes > 0 && offset + bytes <= chunkBytes, 'a packet lies within its chunk', { position, bytes });
    const index = (position - offset) / chunkBytes;
    this.#prepareNext(position, index);
    const attempts = attemptsOf(core, undefined, () => this.#error);
    try {
      await mutate(core, this.#file, index, { kind: { kind: 'write', offset }, parts, crc }, attempts);
    } catch (thrown) {
      this.#fail(toCairnError(thrown));
    }
  }

  /** Asks for the next chunk when this one is nearly full. It must be certain that bytes will go there: the file ends where its last chunk does. */
  #prepareNext(position: number, index: number): void {
    const border = (index + 1) * this.#file.chunkBytes;
    if (this.#end <= border || border - position > Math.max(this.#windowBytes, packetMaxBytes)) return;
    const { deadlineMs } = this.#file.core.settings;
    this.#file.grants.get(index + 1, deadlineMs).catch(() => undefined); // asked for again when it is needed
  }

  #fail(error: CairnError): void {
    this.#error ??= error;
    this.#gathering = undefined;
    this.#wake();
  }

  #mustBeGood(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#isEnded) throw isClosed('the writer');
  }

  #change(): Promise<void> {
    return new Promise((go) => this.#waiting.push(go));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }
}
