/**
 * Memory for bulk bytes, used again and again, and aligned so that the disk takes it past the page cache. It is never given back to
 * the system, so each pool has a bound. A buffer may be in several hands (the disk writes it, a connection sends it): the last one
 * to release it makes it free.
 */
import { assert } from '../../core/base/assert.ts';
import type { Disk } from '../../core/base/env.ts';

export interface PooledBytes {
  /** As many as were asked for, of whatever content. */
  readonly bytes: Uint8Array;
  /** One more holder. */
  retain(): void;
  /** One holder less: who releases looks at it no more. */
  release(): void;
}

export class BytePool {
  readonly #disk: Disk;
  readonly #bufferBytes: number;
  readonly #buffersMax: number;
  readonly #free: Uint8Array[] = [];
  #made = 0;

  constructor(disk: Disk, bufferBytes: number, buffersMax: number) {
    this.#disk = disk;
    this.#bufferBytes = bufferBytes;
    this.#buffersMax = buffersMax;
  }

  get inUse(): number {
    return this.#made - this.#free.length;
  }

  /** With one holder; undefined when all buffers are in use. */
  take(length: number): PooledBytes | undefined {
    assert(length <= this.#bufferBytes, 'a pooled buffer is within its bound', { length });
    let whole = this.#free.pop();
    if (whole === undefined) {
      if (this.#made >= this.#buffersMax) return undefined;
      this.#made += 1;
      whole = this.#disk.allocate(this.#bufferBytes);
    }
    return new PooledBuffer(whole, length, this.#free);
  }
}

class PooledBuffer implements PooledBytes {
  readonly bytes: Uint8Array;
  readonly #whole: Uint8Array;
  readonly #free: Uint8Array[];
  #holders = 1;

  constructor(whole: Uint8Array, length: number, free: Uint8Array[]) {
    this.#whole = whole;
    this.#free = free;
    this.bytes = length === whole.length ? whole : whole.subarray(0, length);
  }

  retain(): void {
    assert(this.#holders > 0, 'a buffer that is free has no holders');
    this.#holders += 1;
  }

  release(): void {
    assert(this.#holders > 0, 'a buffer is released once by each holder');
    this.#holders -= 1;
    if (this.#holders === 0) this.#free.push(this.#whole);
  }
}
