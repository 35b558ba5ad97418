/**
 * An open file on a raw descriptor. Descriptors are used without FileHandle, whose bookkeeping costs more than a small
 * call; in its place `close` waits for the operations under way, so that none meets a descriptor that was given anew.
 */
import * as fs from 'node:fs';
import { assert } from '../../core/base/assert.ts';
import type { DiskFile } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { diskError } from './disk-errors.ts';

/** The kernel's bound on the parts of one writev (IOV_MAX). */
const writevMaxParts = 1024;

export class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;
  readonly #extraFlushMs: number;
  #underWay = 0;
  #closing = false;
  #whenIdle: (() => void) | undefined;

  constructor(path: string, fd: number, extraFlushMs: number) {
    this.path = path;
    this.#fd = fd;
    this.#extraFlushMs = extraFlushMs;
  }

  size(): number {
    return this.#now('size of', () => fs.fstatSync(this.#fd).size);
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const got = await this.#run<number>('read of', (fd, settle) =>
        fs.read(fd, into, done, into.length - done, offset + done, settle),
      );
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  readNow(offset: number, into: Uint8Array): number {
    return this.#now('read of', () => {
      let done = 0;
      while (done < into.length) {
        const got = fs.readSync(this.#fd, into, done, into.length - done, offset + done);
        if (got === 0) break;
        done += got;
      }
      return done;
    });
  }

  async write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    let rest = parts;
    while (rest.length > 0) {
      const batch = rest.length > writevMaxParts ? rest.slice(0, writevMaxParts) : rest;
      const wrote = await this.#run<number>('write of', (fd, settle) => writeParts(fd, batch, at, settle));
      at += wrote;
      rest = this.#without(rest, wrote);
    }
  }

  writeNow(offset: number, parts: readonly Uint8Array[]): void {
    let at = offset;
    let rest = parts;
    while (rest.length > 0) {
      const batch = rest.length > writevMaxParts ? rest.slice(0, writevMaxParts) : rest;
      const wrote = this.#now('write of', () => writePartsNow(this.#fd, batch, at));
      at += wrote;
      rest = this.#without(rest, wrote);
    }
  }

  async sync(): Promise<void> {
    await this.#run<void>('sync of', (fd, settle) => fs.fdatasync(fd, settle));
    if (this.#extraFlushMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#extraFlushMs));
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#run<void>('truncate of', (fd, settle) => fs.ftruncate(fd, sizeBytes, settle));
  }

  async close(): Promise<void> {
    assert(!this.#closing, 'a file is closed once', { path: this.path });
    this.#closing = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await new Promise<void>((resolve, reject) => {
      fs.close(this.#fd, (error) => (error ? reject(diskError(`close of ${this.path}`, error)) : resolve()));
    });
  }

  /** What of `parts` is still to be written after `wrote` bytes of them. */
  #without(parts: readonly Uint8Array[], wrote: number): readonly Uint8Array[] {
    let left = wrote;
    let first = 0;
    while (first < parts.length && parts[first]!.length <= left) left -= parts[first++]!.length;
    if (first === parts.length) return [];
    if (wrote === 0) throw new CairnError('DISK_FAILED', `write of ${this.path} failed: the disk takes no more bytes`);
    const rest = parts.slice(first);
    rest[0] = rest[0]!.subarray(left);
    return rest;
  }

  #run<T>(action: string, start: (fd: number, settle: (error: Error | null, value: T) => void) => void): Promise<T> {
    assert(!this.#closing, 'a closed file is not used', { path: this.path });
    this.#underWay++;
    return new Promise((resolve, reject) => {
      start(this.#fd, (error, value) => {
        this.#underWay--;
        if (this.#underWay === 0) this.#whenIdle?.();
        if (error) reject(diskError(`${action} ${this.path}`, error));
        else resolve(value);
      });
    });
  }

  #now<T>(action: string, run: () => T): T {
    assert(!this.#closing, 'a closed file is not used', { path: this.path });
    try {
      return run();
    } catch (thrown) {
      throw diskError(`${action} ${this.path}`, thrown);
    }
  }
}

function writeParts(
  fd: number,
  parts: readonly Uint8Array[],
  offset: number,
  settle: (error: Error | null, wrote: number) => void,
): void {
  if (parts.length === 1) fs.write(fd, parts[0]!, 0, parts[0]!.length, offset, settle);
  else fs.writev(fd, parts, offset, settle);
}

function writePartsNow(fd: number, parts: readonly Uint8Array[], offset: number): number {
  if (parts.length === 1) return fs.writeSync(fd, parts[0]!, 0, parts[0]!.length, offset);
  return fs.writevSync(fd, parts, offset);
}
