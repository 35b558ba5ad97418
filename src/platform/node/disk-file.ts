/**
 * An open file on a raw descriptor. Descriptors are used without FileHandle, whose bookkeeping costs more than a small
 * call; in its place `close` waits for the operations under way, so that none meets a descriptor that was given anew.
 * Bulk bytes in aligned memory go through a second descriptor, past the page cache (see direct-io.ts).
 */
import * as fs from 'node:fs';
import { assert } from '../../core/base/assert.ts';
import { type DiskFile, diskBlockBytes } from '../../core/base/env.ts';
import { CairnError } from '../../core/base/errors.ts';
import { onlyFirst, withoutFirst } from './byte-parts.ts';
import { canReadDirectly, type DirectGate, directPrefixBytes, openDirect } from './direct-io.ts';
import { diskError, errnoOf } from './disk-errors.ts';

/** The kernel's bound on the parts of one writev (IOV_MAX). */
const writevMaxParts = 1024;

/** Nobody wakes it: what waits on it waits for its time to go by. */
const sleeper = new Int32Array(new SharedArrayBuffer(4));

type Settle<T> = (error: Error | null, value: T) => void;

export interface DiskFileOptions {
  readonly writable: boolean;
  readonly extraFlushMs: number;
  readonly directGate: DirectGate;
}

export class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #fd: number;
  readonly #options: DiskFileOptions;
  #directFd: number | undefined;
  #underWay = 0;
  #closing = false;
  #whenIdle: (() => void) | undefined;

  constructor(path: string, fd: number, options: DiskFileOptions) {
    this.path = path;
    this.#fd = fd;
    this.#options = options;
  }

  size(): number {
    return this.#now('size of', () => fs.fstatSync(this.#fd).size);
  }

  read(offset: number, into: Uint8Array, isHot = false): Promise<number> {
    return this.#operation(async () => {
      const direct = !isHot && canReadDirectly(offset, into) ? this.#direct() : undefined;
      if (direct !== undefined) {
        const got = await this.#unlessRefused(this.#readFrom(direct, offset, into));
        if (got !== undefined) return got;
      }
      return this.#readFrom(this.#fd, offset, into);
    });
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

  write(offset: number, parts: readonly Uint8Array[]): Promise<number> {
    return this.#operation(async () => {
      const directBytes = directPrefixBytes(offset, parts);
      const direct = directBytes > 0 ? this.#direct() : undefined;
      if (direct === undefined) return this.#writeTo(this.#fd, offset, parts);
      const bulk = this.#writeTo(direct, offset, onlyFirst(parts, directBytes)).then(() => true);
      if ((await this.#unlessRefused(bulk)) !== true) return this.#writeTo(this.#fd, offset, parts);
      return this.#writeTo(this.#fd, offset + directBytes, withoutFirst(parts, directBytes));
    });
  }

  writeNow(offset: number, parts: readonly Uint8Array[]): void {
    let at = offset;
    let rest = parts;
    while (rest.length > 0) {
      const wrote = this.#now('write of', () => writePartsNow(this.#fd, firstBatch(rest), at));
      at += wrote;
      rest = this.#without(rest, wrote);
    }
  }

  sync(): Promise<void> {
    return this.#operation(async () => {
      await this.#call<void>('sync of', (settle) => fs.fdatasync(this.#fd, settle));
      const { extraFlushMs } = this.#options;
      if (extraFlushMs > 0) await new Promise((resolve) => setTimeout(resolve, extraFlushMs));
    });
  }

  syncNow(): void {
    this.#now('sync of', () => fs.fdatasyncSync(this.#fd));
    const { extraFlushMs } = this.#options;
    if (extraFlushMs > 0) Atomics.wait(sleeper, 0, 0, extraFlushMs);
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#operation(() =>
      this.#call<void>('truncate of', (settle) => fs.ftruncate(this.#fd, sizeBytes, settle)),
    );
  }

  async close(): Promise<void> {
    assert(!this.#closing, 'a file is closed once', { path: this.path });
    this.#closing = true;
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    if (this.#directFd !== undefined) await this.#closeDescriptor(this.#directFd);
    await this.#closeDescriptor(this.#fd);
  }

  async #readFrom(fd: number, offset: number, into: Uint8Array): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const got = await this.#call<number>('read of', (settle) =>
        fs.read(fd, into, done, into.length - done, offset + done, settle),
      );
      done += got;
      // A direct read stops within a block only where the file ends; to go on from there would not be aligned.
      if (got === 0 || (fd === this.#directFd && done % diskBlockBytes !== 0)) break;
    }
    return done;
  }

  /** @returns the bytes it has written */
  async #writeTo(fd: number, offset: number, parts: readonly Uint8Array[]): Promise<number> {
    let at = offset;
    let rest = parts;
    while (rest.length > 0) {
      const wrote = await this.#call<number>('write of', (settle) => writeParts(fd, firstBatch(rest), at, settle));
      at += wrote;
      rest = this.#without(rest, wrote);
    }
    return at - offset;
  }

  #direct(): number | undefined {
    const { writable, directGate } = this.#options;
    if (!directGate.open) return undefined;
    this.#directFd ??= openDirect(this.#fd, writable, directGate);
    return this.#directFd;
  }

  /** What `attempt` gives; undefined, and the gate closed, where the disk answers that it does not do direct I/O. */
  async #unlessRefused<T>(attempt: Promise<T>): Promise<T | undefined> {
    try {
      return await attempt;
    } catch (thrown) {
      if (!(thrown instanceof CairnError) || errnoOf(thrown.cause) !== 'EINVAL') throw thrown;
      this.#options.directGate.open = false;
      return undefined;
    }
  }

  #without(parts: readonly Uint8Array[], wrote: number): readonly Uint8Array[] {
    const rest = withoutFirst(parts, wrote);
    if (wrote === 0 && rest.some((part) => part.length > 0)) {
      throw new CairnError('DISK_FAILED', `write of ${this.path} failed: the disk takes no more bytes`);
    }
    return rest;
  }

  /** Everything between a first and a last use of the descriptors, which `close` must not come between. */
  async #operation<T>(run: () => Promise<T>): Promise<T> {
    assert(!this.#closing, 'a closed file is not used', { path: this.path });
    this.#underWay++;
    try {
      return await run();
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) this.#whenIdle?.();
    }
  }

  #call<T>(action: string, start: (settle: Settle<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(diskError(`${action} ${this.path}`, error)) : resolve(value)));
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

  #closeDescriptor(fd: number): Promise<void> {
    return this.#call<void>('close of', (settle) => fs.close(fd, (error) => settle(error ?? null)));
  }
}

function firstBatch(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  return parts.length > writevMaxParts ? parts.slice(0, writevMaxParts) : parts;
}

function writeParts(fd: number, parts: readonly Uint8Array[], offset: number, settle: Settle<number>): void {
  if (parts.length === 1) fs.write(fd, parts[0]!, 0, parts[0]!.length, offset, settle);
  else fs.writev(fd, parts, offset, settle);
}

function writePartsNow(fd: number, parts: readonly Uint8Array[], offset: number): number {
  if (parts.length === 1) return fs.writeSync(fd, parts[0]!, 0, parts[0]!.length, offset);
  return fs.writevSync(fd, parts, offset);
}
