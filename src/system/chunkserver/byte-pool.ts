/**
 * Memory for bulk bytes, used again and again, and aligned so that the disk takes it past the page cache. It is never given back to
 * the system, so each pool has a bound. A buffer may be in several hands (the disk writes it, a connection sends it): the last one
 * to release it makes it free.
 */
import { assert } from '../../core/base/assert.ts';
import { smallMutationMaxBytes } from '../../core/protocol/types.ts';

export interface PooledBytes {
  /** As many as were asked for, of whatever content. */
  readonly bytes: Uint8Array;
  /** One more holder. */
  retain(): void;
  /** One holder less: who releases looks at it no more. */
  release(): void;
}

export class BytePool {
  readonly #allocate: (bytes: number) => Uint8Array;
  readonly #bufferBytes: number;
  readonly #buffersMax: number;
  readonly #free: Uint8Array[] = [];
  #made = 0;

  /** @param allocate makes memory: `Disk.allocate` for what is to go past the page cache. */
  constructor(allocate: (bytes: number) => Uint8Array, bufferBytes: number, buffersMax: number) {
    this.#allocate = allocate;
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
      whole = this.#allocate(this.#bufferBytes);
    }
    const taken = whole;
    return new HeldBytes(length === taken.length ? taken : taken.subarray(0, length), () => this.#free.push(taken));
  }
}

/** Memory of its own for each body, so many bytes together: for when a pool has no buffer left. */
export class FreshBytes {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  take(length: number): PooledBytes | undefined {
    if (this.#bytes + length > this.#bytesMax) return undefined;
    this.#bytes += length;
    return new HeldBytes(new Uint8Array(length), () => {
      this.#bytes -= length;
    });
  }
}

/** A body takes a buffer of the smallest of these that it fits into. */
const smallBufferBytes = [8 * 1024, smallMutationMaxBytes] as const;

/**
 * The same for small bodies. Each would be an array of its own otherwise, outside the heap but on its books: what comes and goes there at
 * tens of megabytes a second makes the collector look through the whole heap, which is not where the garbage is.
 */
export class SmallBytePool {
  readonly #pools: readonly { readonly bufferBytes: number; readonly pool: BytePool }[];

  /** @param bytesMax of the buffers of each size. */
  constructor(bytesMax: number) {
    this.#pools = smallBufferBytes.map((bufferBytes) => ({
      bufferBytes,
      pool: new BytePool((bytes) => new Uint8Array(bytes), bufferBytes, Math.floor(bytesMax / bufferBytes)),
    }));
  }

  get inUse(): number {
    return this.#pools.reduce((sum, { pool }) => sum + pool.inUse, 0);
  }

  /** With one holder; undefined when it is too long, or all buffers that it fits into are in use. */
  take(length: number): PooledBytes | undefined {
    for (const { bufferBytes, pool } of this.#pools) {
      const taken = length <= bufferBytes ? pool.take(length) : undefined;
      if (taken !== undefined) return taken;
    }
    return undefined;
  }
}

class HeldBytes implements PooledBytes {
  readonly bytes: Uint8Array;
  readonly #free: () => void;
  #holders = 1;

  constructor(bytes: Uint8Array, free: () => void) {
    this.bytes = bytes;
    this.#free = free;
  }

  retain(): void {
    assert(this.#holders > 0, 'a buffer that is free has no holders');
    this.#holders += 1;
  }

  release(): void {
    assert(this.#holders > 0, 'a buffer is released once by each holder');
    this.#holders -= 1;
    if (this.#holders === 0) this.#free();
  }
}
