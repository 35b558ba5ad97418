/** A directory tree on a real file system, as `Disk`. Paths cannot leave the root by their text. */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Disk, DiskFile, DiskUsage, OpenMode } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { allocateAligned } from './aligned-memory.ts';
import type { DirectGate } from './direct-io.ts';
import { diskError, errnoOf } from './disk-errors.ts';
import { NodeDiskFile } from './disk-file.ts';

export interface DiskOptions {
  /** Added to every `sync`, so that a fast disk can stand for a slow one in experiments. */
  readonly extraFlushMs?: number;
  /** False keeps all input and output in the page cache. Default: past it where `Disk.allocate` says so. */
  readonly direct?: boolean;
}

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY } = fs.constants;

const openFlags: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT,
  createNew: O_RDWR | O_CREAT | O_EXCL,
};

/** @param root the directory that paths start from; it must exist. */
export function nodeDisk(root: string, options: DiskOptions = {}): Disk {
  return new NodeDisk(root, options);
}

class NodeDisk implements Disk {
  readonly #root: string;
  readonly #extraFlushMs: number;
  readonly #directGate: DirectGate;

  constructor(root: string, options: DiskOptions) {
    this.#root = root;
    this.#extraFlushMs = options.extraFlushMs ?? 0;
    this.#directGate = { open: options.direct ?? true };
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const fd = await this.#attempt('open of', path, (full) => openDescriptor(full, openFlags[mode]));
    return this.#file(path, fd, mode);
  }

  openNow(path: string, mode: OpenMode): DiskFile {
    const full = this.#resolve(path);
    try {
      return this.#file(path, fs.openSync(full, openFlags[mode]), mode);
    } catch (thrown) {
      throw diskError(`open of ${path}`, thrown);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#attempt('making of', path, (full) => fs.promises.mkdir(full, { recursive: true }));
  }

  async list(path: string): Promise<readonly string[]> {
    const names = await this.#attempt('listing of', path, (full) => fs.promises.readdir(full));
    return names.sort();
  }

  async exists(path: string): Promise<boolean> {
    const full = this.#resolve(path);
    try {
      await fs.promises.access(full);
      return true;
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return false;
      throw diskError(`look at ${path}`, thrown);
    }
  }

  async remove(path: string): Promise<void> {
    await this.#attempt('removal of', path, removeEntry);
  }

  async rename(from: string, to: string): Promise<void> {
    const target = this.#resolve(to);
    await this.#attempt('rename of', from, (full) => fs.promises.rename(full, target));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#attempt('sync of', path, async (full) => {
      const directory = await fs.promises.open(full, O_RDONLY | O_DIRECTORY);
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    });
    if (this.#extraFlushMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#extraFlushMs));
  }

  async usage(): Promise<DiskUsage> {
    const stat = await this.#attempt('usage of', '', (full) => fs.promises.statfs(full));
    return { totalBytes: stat.blocks * stat.bsize, freeBytes: stat.bavail * stat.bsize };
  }

  allocate(bytes: number): Uint8Array {
    return allocateAligned(bytes);
  }

  #file(path: string, fd: number, mode: OpenMode): NodeDiskFile {
    const writable = mode !== 'read';
    return new NodeDiskFile(path, fd, { writable, extraFlushMs: this.#extraFlushMs, directGate: this.#directGate });
  }

  async #attempt<T>(action: string, path: string, run: (full: string) => Promise<T>): Promise<T> {
    const full = this.#resolve(path);
    try {
      return await run(full);
    } catch (thrown) {
      throw diskError(`${action} ${path === '' ? 'the root' : path}`, thrown);
    }
  }

  #resolve(path: string): string {
    if (path === '' || path === '.') return this.#root;
    if (path.includes('\0') || path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
      throw new CairnError('INVALID_ARGUMENT', `${JSON.stringify(path)} is not a path below the disk's root`);
    }
    return join(this.#root, path);
  }
}

function openDescriptor(full: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(full, flags, 0o644, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

/** Linux answers EISDIR to unlink of a directory, other systems EPERM. */
async function removeEntry(full: string): Promise<void> {
  try {
    await fs.promises.unlink(full);
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno !== 'EISDIR' && errno !== 'EPERM') throw thrown;
    await fs.promises.rmdir(full);
  }
}
