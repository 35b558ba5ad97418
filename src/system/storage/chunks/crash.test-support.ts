/**
 * A model of chunks under crashes: random changes run against a store in a simulated world, the machine dies somewhere in the
 * middle, and what is found after the restart must be what some moment since the last acknowledgement would have left.
 */
import { crc32 } from 'node:zlib';
import type { ChunkHandle } from '../../../core/base/brand.ts';
import { CairnError } from '../../../core/base/errors.ts';
import type { SimRandom } from '../../../platform/sim/random.ts';
import {
  type BadBlocksReport,
  blockBytes,
  type ChunkCut,
  type ChunkImage,
  type ChunkMutation,
  type ChunkStore,
  forgottenMark,
  forgottenWriter,
  GroupError,
  type WindowEntry,
} from '../chunk-store.ts';
import { h, mutation, pattern, smallOptions, v } from './chunk-store.test-support.ts';

const chunkBytes = smallOptions.chunkBytes!;
/** What a store may answer when its disk fails; the last one to a repair of what an earlier failure has left otherwise. */
const failures: ReadonlySet<string> = new Set(['DISK_FULL', 'DISK_FAILED', 'DISK_CORRUPT', 'CHECKSUM_MISMATCH']);
const smallBytes = 64 * 1024;

/** What a chunk was, or would be, after one of its changes. */
interface Moment {
  /** undefined: the chunk is not there. */
  readonly chunk: ModelChunk | undefined;
  /** Blocks whose data only the page cache may have had. */
  readonly fragile: ReadonlySet<number>;
}

interface ModelChunk {
  readonly version: number;
  readonly serial: number;
  readonly content: Uint8Array;
  readonly window: readonly WindowEntry[];
}

const absent: Moment = { chunk: undefined, fragile: new Set() };

class History {
  moments: Moment[] = [absent];
  /** A removal or an adoption is under way: its outcome says what may come next. */
  isBusy = false;
  /** A change has failed: what it was to write over is bad until a repair. */
  hasFailed = false;
  /** The earliest moment that a kill of the process, or a loss of power, may go back to. */
  floorAfterKill = 0;
  floorAfterPowerLoss = 0;

  copy(): History {
    const copy = new History();
    copy.moments = [...this.moments];
    copy.hasFailed = this.hasFailed;
    copy.floorAfterKill = this.floorAfterKill;
    copy.floorAfterPowerLoss = this.floorAfterPowerLoss;
    return copy;
  }

  get last(): Moment {
    return this.moments[this.moments.length - 1]!;
  }

  restartAt(index: number): void {
    this.isBusy = false;
    this.hasFailed = false;
    this.moments = [this.moments[index]!];
    this.floorAfterKill = 0;
    this.floorAfterPowerLoss = 0;
  }
}

/** How a life ended, and what the disk was like in it. */
export interface Ending {
  readonly lostPower: boolean;
  /** Writes were torn, lost or misdirected: any block may be bad, none wrong. */
  readonly mayRot: boolean;
}

/** Chunks of one group, where there are many. */
const groupMean = 10;
const sizes = [0, 1, 100, 1000, 4096, 30_000, smallBytes, 70_000, 131_072, 300_000];
/** Chunks that stay in slots mostly, and now and then outgrow them. */
const smallSizes = [0, 1, 100, 1000, 4096, 4096, 9000, 20_000, 50_000];

export class Model {
  readonly #random: SimRandom;
  readonly #isSmall: boolean;
  readonly #histories = new Map<number, History>();
  readonly #handles: readonly number[];
  #serial = 0;
  changes = 0;
  badBlocks = 0;
  rolledBack = 0;
  refused = 0;

  constructor(random: SimRandom, chunks: number, isSmall = false) {
    this.#random = random;
    this.#isSmall = isSmall;
    this.#handles = Array.from({ length: chunks }, (_, i) => 1 + i * 4097);
    for (const handle of this.#handles) this.#histories.set(handle, new History());
  }

  /** What would have to be found after a crash now; checking it changes nothing here. */
  copy(): Model {
    const copy = new Model(this.#random.fork(`copy ${this.changes}`), this.#handles.length, this.#isSmall);
    for (const [handle, history] of this.#histories) copy.#histories.set(handle, history.copy());
    copy.#serial = this.#serial;
    return copy;
  }

  /** One change, of one chunk or a group; resolves when it is acknowledged, or refused for what the disk did. */
  change(store: ChunkStore): Promise<void> {
    const free = this.#handles.filter((handle) => !this.#history(handle).isBusy);
    if (free.length === 0) return Promise.resolve();
    this.changes++;
    const handle = this.#random.pick(free);
    const { chunk } = this.#history(handle).last;
    if (chunk === undefined)
      return this.#random.chance(0.2) ? this.#clone(store, handle) : this.#group(store, [handle]);
    if (this.#random.chance(chunk.content.length === chunkBytes ? 0.3 : this.#isSmall ? 0.15 : 0.03))
      return this.#remove(store, handle);
    if (this.#random.chance(0.06)) return this.#repair(store, handle, chunk);
    if (this.#random.chance(0.08)) return this.#shorten(store, handle, chunk);
    const others = free.filter(() => this.#random.chance(Math.min(0.3, groupMean / free.length)));
    return this.#group(store, [...new Set([handle, ...others])]);
  }

  /** Compares a store that was opened after a crash. */
  async check(store: ChunkStore, life: Ending, reports: readonly BadBlocksReport[]): Promise<void> {
    for (const [handle, history] of this.#histories) await this.#checkChunk(store, handle, history, life, reports);
    const listed = store.list(undefined, 1000).map((info) => info.handle);
    const there = this.#handles.filter((handle) => this.#history(handle).last.chunk !== undefined);
    if (listed.join() !== there.join()) throw new Error(`the inventory is ${listed.join()}, not ${there.join()}`);
    if (store.chunkCount !== there.length) throw new Error(`chunkCount is ${store.chunkCount}, not ${there.length}`);
    let used = 0;
    for (const handle of there) used += this.#history(handle).last.chunk!.content.length;
    if (store.usedBytes !== used) throw new Error(`usedBytes is ${store.usedBytes}, not ${used}`);
  }

  // ---------------------------------------------------------------- changes

  async #group(store: ChunkStore, handles: readonly number[]): Promise<void> {
    const marks = new Map<number, (() => void)[]>();
    const failed = await this.#failedOf(this.#applyGroup(store, handles, marks), handles);
    for (const [handle, own] of marks) if (!failed.has(handle)) for (const mark of own) mark();
  }

  async #applyGroup(store: ChunkStore, handles: readonly number[], marks: Map<number, (() => void)[]>): Promise<void> {
    const mutations: ChunkMutation[] = [];
    for (const handle of handles) {
      const history = this.#history(handle);
      if (history.last.chunk === undefined) {
        store.create(h(handle), v(1));
        history.moments.push(momentOf({ version: 1, serial: 0, content: new Uint8Array(0), window: [] }));
      }
      const count = 1 + this.#random.below(3);
      const own: (() => void)[] = [];
      marks.set(handle, own);
      for (let i = 0; i < count; i++) mutations.push(this.#mutate(handle, history, own, i > 0, count > 1));
    }
    await store.apply(mutations);
  }

  /** The chunks that a change has failed for: no more of them until the next life says what they are. */
  async #failedOf(change: Promise<void>, handles: readonly number[]): Promise<ReadonlySet<number>> {
    try {
      await change;
      return new Set();
    } catch (thrown) {
      if (!(thrown instanceof CairnError) || !failures.has(thrown.code)) throw thrown;
      this.refused++;
      const failed = new Set<number>(thrown instanceof GroupError ? thrown.failures.keys() : handles);
      for (const handle of failed) {
        const history = this.#history(handle);
        history.isBusy = true;
        history.hasFailed = true;
      }
      return failed;
    }
  }

  #mutate(
    handle: number,
    history: History,
    marks: (() => void)[],
    continues: boolean,
    mayJoin: boolean,
  ): ChunkMutation {
    const { chunk, fragile } = history.last;
    const { content, window, version } = chunk!;
    const data = this.#data(chunkBytes - content.length);
    const offset = this.#offset(content.length, data.length);
    const padded = this.#random.chance(0.05)
      ? Math.min(chunkBytes, offset + data.length + this.#random.below(150_000))
      : 0;
    const lengthBytes = Math.max(offset + data.length, padded);
    const sync = this.#random.chance(0.3);
    const serial = ++this.#serial;
    const entry = { writer: 1 + this.#random.below(5), sequence: serial, offset, lengthBytes: data.length };
    const after = new Uint8Array(Math.max(content.length, lengthBytes));
    after.set(content);
    after.set(data, offset);
    // Neighbours of one group are one write: together they may be bulk data.
    const isFragile = (mayJoin || data.length > smallBytes) && offset >= content.length && !sync;
    const nowFragile = sync ? new Set<number>() : new Set(fragile);
    // The block that the chunk ended in before is in the journal, unless the mutation only goes on with another one's write.
    const from = continues ? content.length : Math.ceil(content.length / blockBytes) * blockBytes;
    if (isFragile) for (const block of blocksOf(from, after.length)) nowFragile.add(block);
    const next = { version, serial, content: after, window: windowAfter(window, entry, version) };
    history.moments.push({ chunk: next, fragile: nowFragile });
    const index = history.moments.length - 1;
    marks.push(() => acknowledged(history, index, sync));
    return mutation(handle, offset, this.#cut(data), { version, serial, lengthBytes, window: [entry], sync });
  }

  #data(room: number): Uint8Array {
    const size = this.#random.pick(this.#isSmall ? smallSizes : sizes);
    return pattern(Math.min(size, room), this.#random.below(2 ** 31));
  }

  #offset(length: number, bytes: number): number {
    const room = chunkBytes - bytes;
    if (this.#random.chance(0.2)) return this.#random.below(Math.min(length + 1, room + 1));
    if (this.#random.chance(0.1)) return Math.min(room, length + this.#random.below(100_000));
    return Math.min(length, room);
  }

  #cut(data: Uint8Array): Uint8Array[] {
    if (data.length < 2 || this.#random.chance(0.5)) return [data];
    const at = this.#random.below(data.length);
    return [data.subarray(0, at), data.subarray(at)];
  }

  async #remove(store: ChunkStore, handle: number): Promise<void> {
    const history = this.#history(handle);
    history.moments.push(absent);
    const index = history.moments.length - 1;
    history.isBusy = true;
    if ((await this.#failedOf(store.remove(h(handle)), [handle])).size > 0) return;
    history.isBusy = false;
    acknowledged(history, index, true);
  }

  /** Other changes of the chunk may be under way before it and behind it. */
  async #shorten(store: ChunkStore, handle: number, { version, content, window }: ModelChunk): Promise<void> {
    const history = this.#history(handle);
    const lengthBytes = this.#random.below(content.length + 1);
    const serial = ++this.#serial;
    const entry = { writer: 1 + this.#random.below(5), sequence: serial, offset: lengthBytes, lengthBytes: 0 };
    const after = {
      version,
      serial,
      content: content.slice(0, lengthBytes),
      window: windowAfter(window, entry, version),
    };
    history.moments.push(momentOf(after));
    const index = history.moments.length - 1;
    const cut = {
      handle: h(handle),
      version: v(version),
      serial: serial as ChunkCut['serial'],
      lengthBytes,
      window: [entry],
    };
    if ((await this.#failedOf(store.cut(cut), [handle])).size > 0) return;
    acknowledged(history, index, true);
  }

  #clone(store: ChunkStore, handle: number): Promise<void> {
    const content = pattern(this.#random.below(this.#isSmall ? 80_000 : 400_000), this.#random.below(2 ** 31));
    return this.#adopt(store, handle, { version: 2, serial: ++this.#serial, content, window: [] }, undefined);
  }

  #repair(store: ChunkStore, handle: number, before: ModelChunk): Promise<void> {
    const length = this.#random.chance(0.5)
      ? before.content.length
      : this.#random.below(this.#isSmall ? 80_000 : chunkBytes);
    const content = new Uint8Array(length);
    content.set(before.content.subarray(0, length));
    for (let i = this.#random.below(4); i > 0; i--) {
      const at = this.#random.below(length + 1);
      content.set(pattern(Math.min(10_000, length - at), this.#random.below(2 ** 31)), at);
    }
    const window = before.window.slice(0, 2);
    return this.#adopt(store, handle, { version: before.version + 1, serial: ++this.#serial, content, window }, before);
  }

  async #adopt(store: ChunkStore, handle: number, chunk: ModelChunk, before: ModelChunk | undefined): Promise<void> {
    const history = this.#history(handle);
    const image = imageOf(handle, chunk);
    // Fragile blocks of the present content may be bad: a repair brings them all.
    const blocks: { block: number; bytes: Uint8Array }[] = blocksOf(0, chunk.content.length)
      .filter(
        (block) => before === undefined || differs(block, before.content, chunk.content) || this.#random.chance(0.1),
      )
      .map((block) => ({ block, bytes: chunk.content.slice(block * blockBytes, (block + 1) * blockBytes) }));
    const bad = new Set(store.badBlocksOf(h(handle)));
    for (const block of bad)
      if (!blocks.some((one) => one.block === block)) blocks.push(...blockOf(block, chunk.content));
    history.moments.push(momentOf(chunk));
    const index = history.moments.length - 1;
    history.isBusy = true;
    if ((await this.#failedOf(store.adopt(image, blocks), [handle])).size > 0) return;
    history.isBusy = false;
    acknowledged(history, index, true);
  }

  // ---------------------------------------------------------------- checks

  async #checkChunk(
    store: ChunkStore,
    handle: number,
    history: History,
    { lostPower, mayRot }: Ending,
    reports: readonly BadBlocksReport[],
  ): Promise<void> {
    const floor = lostPower ? history.floorAfterPowerLoss : history.floorAfterKill;
    const info = store.info(h(handle));
    const index = this.#indexOf(history, floor, info);
    if (index < 0) {
      const wanted = history.moments.slice(floor).map(({ chunk }) => `${chunk?.version}/${chunk?.serial}`);
      throw new Error(`chunk ${handle} is ${info?.version}/${info?.serial}, not one of ${wanted.join(' ')}`);
    }
    const { hasFailed } = history;
    this.rolledBack += history.moments.length - 1 - index;
    history.restartAt(index);
    const { chunk, fragile } = history.last;
    if (chunk === undefined) return;
    if (info?.lengthBytes !== chunk.content.length)
      throw new Error(`chunk ${handle} has the length ${info?.lengthBytes}`);
    expectSame(`the window of ${handle}`, sortedWindow(store.windowOf(h(handle))), sortedWindow(chunk.window));
    const bad = await this.#checkContent(store, handle, chunk.content);
    for (const block of bad) {
      const mayBeBad = mayRot || hasFailed || (lostPower && fragile.has(block));
      if (!mayBeBad) throw new Error(`block ${block} of chunk ${handle} is bad`);
      if (!reports.some((report) => report.handle === handle)) throw new Error(`block ${block} was not reported`);
    }
    this.badBlocks += bad.length;
    if (bad.length > 0) await this.#mend(store, handle, chunk, bad);
  }

  #indexOf(history: History, floor: number, info: { version: number; serial: number } | undefined): number {
    for (let i = history.moments.length - 1; i >= floor; i--) {
      const { chunk } = history.moments[i]!;
      if (chunk === undefined ? info === undefined : info?.version === chunk.version && info.serial === chunk.serial) {
        return i;
      }
    }
    return -1;
  }

  /** Compares block by block; returns those that cannot be read. */
  async #checkContent(store: ChunkStore, handle: number, content: Uint8Array): Promise<number[]> {
    const bad: number[] = [];
    for (const block of blocksOf(0, content.length)) {
      const expected = content.subarray(block * blockBytes, (block + 1) * blockBytes);
      try {
        const [bytes] = await store.read(h(handle), block * blockBytes, expected.length);
        if (Buffer.compare(bytes!, expected) !== 0)
          throw new Error(`block ${block} of chunk ${handle} is served wrong`);
      } catch (thrown) {
        if (!(thrown instanceof CairnError) || thrown.code !== 'DISK_CORRUPT') throw thrown;
        bad.push(block);
      }
    }
    return bad;
  }

  /** What a repair from another replica does. */
  async #mend(store: ChunkStore, handle: number, chunk: ModelChunk, bad: readonly number[]): Promise<void> {
    const mended = { ...chunk, version: chunk.version + 1, serial: ++this.#serial };
    await store.adopt(
      imageOf(handle, mended),
      bad.flatMap((block) => blockOf(block, chunk.content)),
    );
    const history = this.#history(handle);
    history.moments = [momentOf(mended)];
    if ((await this.#checkContent(store, handle, chunk.content)).length > 0) throw new Error('a mended block is bad');
  }

  #history(handle: number): History {
    return this.#histories.get(handle)!;
  }
}

function acknowledged(history: History, index: number, durable: boolean): void {
  history.floorAfterKill = Math.max(history.floorAfterKill, index);
  if (durable) history.floorAfterPowerLoss = Math.max(history.floorAfterPowerLoss, index);
}

function momentOf(chunk: ModelChunk): Moment {
  return { chunk, fragile: new Set() };
}

function blocksOf(from: number, to: number): number[] {
  const first = Math.floor(from / blockBytes);
  return Array.from({ length: Math.max(0, Math.ceil(to / blockBytes) - first) }, (_, i) => first + i);
}

function blockOf(block: number, content: Uint8Array): { block: number; bytes: Uint8Array }[] {
  const bytes = content.slice(block * blockBytes, (block + 1) * blockBytes);
  return bytes.length === 0 ? [] : [{ block, bytes }];
}

function differs(block: number, before: Uint8Array, after: Uint8Array): boolean {
  const a = before.subarray(block * blockBytes, (block + 1) * blockBytes);
  const b = after.subarray(block * blockBytes, (block + 1) * blockBytes);
  return Buffer.compare(a, b) !== 0;
}

function imageOf(handle: number, chunk: ModelChunk): ChunkImage {
  const { version, serial, content, window } = chunk;
  const checksums = blocksOf(0, content.length).map((block) =>
    crc32(content.subarray(block * blockBytes, (block + 1) * blockBytes)),
  );
  return {
    handle: handle as ChunkHandle,
    version: v(version),
    serial: serial as ChunkImage['serial'],
    lengthBytes: content.length,
    blockChecksums: Uint32Array.from(checksums),
    window,
  };
}

/** As the store's bounds have it: the last writers, of each the last entries, and whether one was forgotten. */
function windowAfter(window: readonly WindowEntry[], entry: WindowEntry, version: number): readonly WindowEntry[] {
  const mark = window.filter((one) => one.writer === forgottenWriter);
  const own = [...window.filter((one) => one.writer === entry.writer), entry].slice(
    -smallOptions.windowEntriesPerWriter!,
  );
  const others = window.filter((one) => one.writer !== entry.writer && one.writer !== forgottenWriter);
  const writers = [...new Set(others.map((one) => one.writer))];
  const dropped = writers.length >= smallOptions.windowWriters! ? writers[0] : undefined;
  const markAfter = dropped === undefined ? mark : [forgottenMark(version)];
  return [...markAfter, ...others.filter((one) => one.writer !== dropped), ...own];
}

function sortedWindow(window: readonly WindowEntry[]): string {
  return window
    .map(({ writer, sequence, offset, lengthBytes }) => `${writer}:${sequence}:${offset}:${lengthBytes}`)
    .join(' ');
}

function expectSame(what: string, actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, not ${expected}`);
}
