/**
 * A simulated disk as one incarnation of a process uses it. An operation takes effect when it completes, some virtual time
 * after it was asked for; operations of one file that run at the same time may complete in any order, as in a pool of
 * threads. The bytes of a write are taken at its completion: who changes them before writes what he changed.
 */
import { assert } from '../../core/base/assert.ts';
import { type Disk, type DiskFile, type DiskUsage, diskBlockBytes, type OpenMode } from '../../core/base/env.ts';
import { diskError } from './disk-errors.ts';
import type { DiskImage, DiskOperation } from './disk-image.ts';
import { digestBytes } from './event-hash.ts';
import type { Incarnation } from './incarnation.ts';
import type { SimKernel } from './kernel.ts';
import { type PagedFile, pageBytes, type SyncToken } from './paged-file.ts';
import { hashText } from './random.ts';

interface WriteUnderWay {
  readonly file: PagedFile;
  readonly offset: number;
  readonly parts: readonly Uint8Array[];
}

export class SimDisk implements Disk {
  readonly image: DiskImage;
  readonly owner: Incarnation;
  readonly #kernel: SimKernel;
  readonly #open = new Set<PagedFileHandle>();
  readonly #writes = new Set<WriteUnderWay>();
  readonly #syncs = new Map<SyncToken, PagedFile>();

  constructor(kernel: SimKernel, image: DiskImage, owner: Incarnation) {
    this.#kernel = kernel;
    this.image = image;
    this.owner = owner;
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.later('metadata', path, 0, () => this.#openFile(path, mode));
  }

  openNow(path: string, mode: OpenMode): DiskFile {
    this.now();
    return this.#openFile(path, mode);
  }

  makeDirectory(path: string): Promise<void> {
    return this.later('metadata', path, 0, () => this.image.tree.makeDirectory(path));
  }

  list(path: string): Promise<readonly string[]> {
    return this.later('metadata', path, 0, () => [...this.image.tree.directory(path).entries.keys()].sort());
  }

  exists(path: string): Promise<boolean> {
    return this.later('metadata', path, 0, () => this.image.tree.find(path) !== undefined);
  }

  remove(path: string): Promise<void> {
    return this.later('metadata', path, 0, () => this.image.remove(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.later('metadata', from, 0, () => this.image.rename(from, to));
  }

  syncDirectory(path: string): Promise<void> {
    const { position } = this.image.tree;
    return this.later('sync', path, 0, () => {
      const directory = this.image.tree.directory(path);
      if (this.image.strikes('syncError', path)) throw diskError('EIO', 'sync of', path);
      this.image.tree.sync(directory, position);
    });
  }

  usage(): Promise<DiskUsage> {
    return this.later('metadata', '', 0, () => {
      const totalBytes = this.image.capacityBytes;
      return { totalBytes, freeBytes: Math.max(0, totalBytes - this.image.usedBytes) };
    });
  }

  allocate(bytes: number): Uint8Array {
    return new Uint8Array(Math.ceil(bytes / diskBlockBytes) * diskBlockBytes).subarray(0, bytes);
  }

  /** The process is gone: what it had under way is done in part, its files are closed. */
  abandon(): void {
    for (const { file, offset, parts } of this.#writes) this.image.abandonWrite(file, offset, parts);
    for (const [token, file] of this.#syncs) {
      if (this.image.random.chance(0.5)) file.finishSync(token);
      else file.dropSync(token);
    }
    for (const handle of this.#open) this.image.closed(handle.file);
    this.#open.clear();
  }

  // -------------------------------------------------------------- for PagedFileHandle

  /** Does `act` when the disk has come to it; never, if the process dies before. */
  later<T>(operation: DiskOperation, path: string, bytes: number, act: () => T): Promise<T> {
    if (!this.owner.isAlive) return never();
    const mark = hashText(path, bytes);
    return new Promise<T>((resolve, reject) => {
      const complete = () => {
        if (this.image.isStalled) {
          this.image.whenMoving(() => this.#schedule(operation, 0, complete));
          return;
        }
        this.#kernel.hash.mix(mark);
        try {
          resolve(act());
        } catch (thrown) {
          reject(thrown);
        }
      };
      this.#schedule(operation, bytes, complete);
    });
  }

  /** An operation within the turn begins: a stalled disk holds the whole process up from here on. */
  now(): void {
    this.owner.mustLive();
    if (!this.image.isStalled || this.owner.isHeld) return;
    this.owner.hold('disk');
    this.image.whenMoving(() => this.owner.release('disk'));
  }

  async write(handle: PagedFileHandle, offset: number, parts: readonly Uint8Array[]): Promise<number> {
    const write = { file: handle.file, offset, parts };
    this.#writes.add(write);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    await this.later('write', handle.path, bytes, () => {
      this.#writes.delete(write);
      this.writeAtOnce(handle, offset, parts);
    });
    return bytes;
  }

  writeAtOnce(handle: PagedFileHandle, offset: number, parts: readonly Uint8Array[]): void {
    this.#kernel.hash.mixNumber(offset);
    for (const part of parts) this.#kernel.hash.mix(digestBytes(part));
    this.image.write(handle.file, handle.path, offset, parts);
  }

  async sync(handle: PagedFileHandle): Promise<void> {
    const { file, path } = handle;
    if (!this.owner.isAlive) return never();
    const token = file.beginSync();
    this.#syncs.set(token, file);
    await this.later('sync', path, token.pages.size * pageBytes, () => {
      this.#syncs.delete(token);
      if (!this.image.strikes('syncError', path)) {
        file.finishSync(token);
        return;
      }
      file.failSync(token);
      throw diskError('EIO', 'sync of', path);
    });
  }

  close(handle: PagedFileHandle): Promise<void> {
    return this.later('metadata', handle.path, 0, () => {
      this.#open.delete(handle);
      this.image.closed(handle.file);
    });
  }

  #schedule(operation: DiskOperation, bytes: number, complete: () => void): void {
    if (!this.owner.isAlive) return;
    const atUs = this.#kernel.nowUs + this.image.latencyUs(operation, bytes);
    this.#kernel.schedule(this.owner, atUs, 'disk', complete);
  }

  #openFile(path: string, mode: OpenMode): DiskFile {
    const handle = new PagedFileHandle(this, path, this.#fileFor(path, mode), mode !== 'read');
    handle.file.openCount += 1;
    this.#open.add(handle);
    return handle;
  }

  #fileFor(path: string, mode: OpenMode): PagedFile {
    const exists = this.image.tree.find(path) !== undefined;
    if (exists && mode === 'createNew') throw diskError('EEXIST', 'open of', path);
    if (exists || mode === 'read' || mode === 'write') return this.image.file(path);
    return this.image.createFile(path);
  }
}

/** What the dead wait for. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

class PagedFileHandle implements DiskFile {
  readonly path: string;
  readonly file: PagedFile;
  readonly #disk: SimDisk;
  readonly #isWritable: boolean;
  #underWay = 0;
  #isClosing = false;
  #whenIdle: (() => void) | undefined;

  constructor(disk: SimDisk, path: string, file: PagedFile, isWritable: boolean) {
    this.#disk = disk;
    this.path = path;
    this.file = file;
    this.#isWritable = isWritable;
  }

  size(): number {
    this.#disk.now();
    this.#mustBeOpen();
    return this.file.sizeBytes;
  }

  read(offset: number, into: Uint8Array): Promise<number> {
    return this.#run(() => this.#disk.later('read', this.path, into.length, () => this.#read(offset, into)));
  }

  readNow(offset: number, into: Uint8Array): number {
    this.#disk.now();
    this.#mustBeOpen();
    return this.#read(offset, into);
  }

  write(offset: number, parts: readonly Uint8Array[]): Promise<number> {
    return this.#run(() => {
      this.#mustBeWritable('write of');
      return this.#disk.write(this, offset, parts);
    });
  }

  writeNow(offset: number, parts: readonly Uint8Array[]): void {
    this.#disk.now();
    this.#mustBeOpen();
    this.#mustBeWritable('write of');
    this.#disk.writeAtOnce(this, offset, parts);
  }

  sync(): Promise<void> {
    return this.#run(() => this.#disk.sync(this));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#run(() => {
      this.#mustBeWritable('truncate of');
      return this.#disk.later('metadata', this.path, 0, () => this.file.truncate(sizeBytes));
    });
  }

  /** Waits for the operations under way. */
  async close(): Promise<void> {
    this.#mustBeOpen();
    this.#isClosing = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#disk.close(this);
  }

  async #run<T>(start: () => Promise<T>): Promise<T> {
    this.#mustBeOpen();
    this.#underWay += 1;
    try {
      return await start();
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#whenIdle?.();
    }
  }

  #read(offset: number, into: Uint8Array): number {
    if (this.#disk.image.strikes('readError', this.path)) throw diskError('EIO', 'read of', this.path);
    return this.file.read(offset, into);
  }

  #mustBeOpen(): void {
    assert(!this.#isClosing, 'a closed file is not used', { path: this.path });
  }

  #mustBeWritable(action: string): void {
    if (!this.#isWritable) throw diskError('EBADF', action, this.path);
  }
}
