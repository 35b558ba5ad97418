/**
 * The disk of a simulated machine: it outlives the processes that use it. Scenarios and checkers hold this; processes hold
 * a `SimDisk` on it. What fails, and how, is set here; when it happens is drawn from the disk's own random stream.
 */
import { assert } from '../../core/base/assert.ts';
import { diskError } from './disk-errors.ts';
import { Directory, DiskTree } from './disk-tree.ts';
import { PagedFile, type PageMeter, pageBytes } from './paged-file.ts';
import type { SimRandom } from './random.ts';

export interface DiskSettings {
  /** Least and most time that an operation takes, besides its bytes. */
  readonly readUs: readonly [number, number];
  readonly writeUs: readonly [number, number];
  readonly syncUs: readonly [number, number];
  readonly metadataUs: readonly [number, number];
  readonly bytesPerMs: number;
  readonly capacityBytes: number;
}

export const defaultDisk: DiskSettings = {
  readUs: [20, 200],
  writeUs: [10, 100],
  syncUs: [200, 2_000],
  metadataUs: [20, 200],
  bytesPerMs: 1_000_000,
  capacityBytes: 2 ** 40,
};

export type DiskOperation = 'read' | 'write' | 'sync' | 'metadata';

/**
 * `…Error`: EIO. A torn write is acknowledged with some of its sectors only, a misdirected one lands some blocks away, a
 * lost one nowhere.
 */
export const diskFaults = [
  'readError',
  'writeError',
  'syncError',
  'tornWrite',
  'misdirectedWrite',
  'lostWrite',
] as const;
export type DiskFault = (typeof diskFaults)[number];

type PathFilter = (path: string) => boolean;

const sectorBytes = 512;
const blockBytes = 4096;
/** How many blocks away a misdirected write may land. */
const misdirectionMaxBlocks = 8;

export class DiskImage {
  readonly random: SimRandom;
  readonly tree = new DiskTree();
  /** Probability per operation. */
  readonly faultRates: Record<DiskFault, number> = {
    readError: 0,
    writeError: 0,
    syncError: 0,
    tornWrite: 0,
    misdirectedWrite: 0,
    lostWrite: 0,
  };
  /** On which files `faultRates` work. */
  mayStrike: PathFilter = () => true;
  /** Factor on all latencies: a slow disk. */
  slowness = 1;
  capacityBytes: number;
  readonly #settings: DiskSettings;
  readonly #meter: PageMeter = { pages: 0 };
  readonly #armed: { readonly fault: DiskFault; readonly matches: PathFilter }[] = [];
  #isStalled = false;
  #waiting: (() => void)[] = [];

  constructor(random: SimRandom, settings: DiskSettings) {
    this.random = random;
    this.#settings = settings;
    this.capacityBytes = settings.capacityBytes;
  }

  get usedBytes(): number {
    return this.#meter.pages * pageBytes;
  }

  get isStalled(): boolean {
    return this.#isStalled;
  }

  // -------------------------------------------------------------- for scenarios and checkers

  /** From now on no operation completes, until `unstall`. */
  stall(): void {
    this.#isStalled = true;
  }

  unstall(): void {
    this.#isStalled = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  /** The next operation that this fault fits, on a path that matches, has it. */
  arm(fault: DiskFault, matches: PathFilter = () => true): void {
    this.#armed.push({ fault, matches });
  }

  /** Ends all faults that were set; what they have damaged stays. */
  healFaults(): void {
    for (const fault of diskFaults) this.healFault(fault);
    this.#armed.length = 0;
    this.healSpeed();
    this.healCapacity();
    this.unstall();
  }

  healFault(fault: DiskFault): void {
    this.faultRates[fault] = 0;
  }

  healSpeed(): void {
    this.slowness = 1;
  }

  healCapacity(): void {
    this.capacityBytes = this.#settings.capacityBytes;
  }

  /** Paths of all files that processes can see. */
  paths(): string[] {
    return [...this.tree.files()].map(([path]) => path);
  }

  /** What processes see. @throws CairnError NOT_FOUND */
  read(path: string): Uint8Array {
    const file = this.file(path);
    const out = new Uint8Array(file.sizeBytes);
    file.read(0, out);
    return out;
  }

  /** What of this file is surely on the platter, if its name is; unsynced directories are not looked at. */
  readDurable(path: string): Uint8Array {
    const file = this.file(path);
    const out = new Uint8Array(file.durableBytes);
    file.readDurable(0, out);
    return out;
  }

  /** Bit rot. @param bit 0 … 7 */
  flipBit(path: string, offset: number, bit = 0): void {
    const file = this.file(path);
    assert(offset < file.sizeBytes, 'a bit that decays is inside the file', { path, offset });
    file.flipBit(offset, bit);
  }

  /** Called when no process of the machine is left. */
  losePower(): void {
    for (const [, file] of this.tree.files()) file.detach();
    this.tree.losePower(this.random);
    assert(this.#meter.pages === 0, 'files without a name take no room when no process is left', { ...this.#meter });
    for (const [, file] of this.tree.files()) {
      file.attach(this.#meter);
      file.isUnlinked = false;
      file.losePower();
    }
  }

  /** An empty disk in the place of this one. Called when no process of the machine is left. */
  replace(): void {
    for (const [, file] of this.tree.files()) file.detach();
    this.tree.replace();
  }

  // -------------------------------------------------------------- for SimDisk

  latencyUs(operation: DiskOperation, bytes: number): number {
    const [least, most] = this.#settings[`${operation}Us`];
    const transferUs = (bytes / this.#settings.bytesPerMs) * 1000;
    return Math.ceil((this.random.between(least, most) + transferUs) * this.slowness);
  }

  /** Calls `go` when the stall ends. */
  whenMoving(go: () => void): void {
    this.#waiting.push(go);
  }

  /** @throws CairnError NOT_FOUND; DISK_FAILED for a directory */
  file(path: string): PagedFile {
    const entry = this.tree.find(path);
    if (entry === undefined) throw diskError('ENOENT', 'open of', path);
    if (entry instanceof Directory) throw diskError('EISDIR', 'open of', path);
    return entry;
  }

  createFile(path: string): PagedFile {
    const file = new PagedFile(this.random);
    this.tree.link(path, file);
    file.attach(this.#meter);
    return file;
  }

  remove(path: string): void {
    this.#unlinked(this.tree.unlink(path));
  }

  rename(from: string, to: string): void {
    this.#unlinked(this.tree.rename(from, to));
  }

  closed(file: PagedFile): void {
    file.openCount -= 1;
    if (file.isUnlinked && file.openCount === 0) file.detach();
  }

  /** Whether this fault happens now; an armed one is used up. */
  strikes(fault: DiskFault, path: string): boolean {
    const armed = this.#armed.findIndex((one) => one.fault === fault && one.matches(path));
    if (armed >= 0) this.#armed.splice(armed, 1);
    if (armed >= 0) return true;
    return this.random.chance(this.faultRates[fault]) && this.mayStrike(path);
  }

  /** One write as the disk does it. @throws CairnError DISK_FULL with what still fitted written, DISK_FAILED */
  write(file: PagedFile, path: string, offset: number, parts: readonly Uint8Array[]): void {
    if (this.strikes('writeError', path)) throw diskError('EIO', 'write of', path);
    if (this.strikes('lostWrite', path)) return;
    const isTorn = this.strikes('tornWrite', path);
    let at = this.strikes('misdirectedWrite', path) ? this.#misdirected(offset) : offset;
    for (const part of parts) {
      if (isTorn) this.#writeTorn(file, path, at, part);
      else this.#writeBounded(file, path, at, part);
      at += part.length;
    }
  }

  /** What a write that was under way at the end of its process had done: nothing, some, or all. */
  abandonWrite(file: PagedFile, offset: number, parts: readonly Uint8Array[]): void {
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    let left = this.random.pick([0, total, this.random.between(0, total)]);
    let at = offset;
    for (const part of parts) {
      const done = part.subarray(0, left);
      if (done.length > 0 && file.newPages(at, done.length) <= this.#freePages()) file.write(at, done);
      at += part.length;
      left -= done.length;
    }
  }

  #freePages(): number {
    return Math.max(0, Math.floor(this.capacityBytes / pageBytes) - this.#meter.pages);
  }

  #writeBounded(file: PagedFile, path: string, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (file.newPages(offset, bytes.length) <= this.#freePages()) {
      file.write(offset, bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + pageBytes - ((offset + at) % pageBytes));
      if (file.newPages(offset + at, piece.length) > this.#freePages()) throw diskError('ENOSPC', 'write of', path);
      file.write(offset + at, piece);
      at += piece.length;
    }
  }

  #writeTorn(file: PagedFile, path: string, offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + sectorBytes - ((offset + at) % sectorBytes));
      if (this.random.chance(0.5)) this.#writeBounded(file, path, offset + at, piece);
      at += piece.length;
    }
  }

  #misdirected(offset: number): number {
    const byBytes = this.random.between(1, misdirectionMaxBlocks) * blockBytes;
    return offset >= byBytes && this.random.chance(0.5) ? offset - byBytes : offset + byBytes;
  }

  #unlinked(entry: Directory | PagedFile | undefined): void {
    if (!(entry instanceof PagedFile)) return;
    entry.isUnlinked = true;
    if (entry.openCount === 0) entry.detach();
  }
}
