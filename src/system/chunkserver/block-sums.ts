/**
 * CRC-32 of bytes as they arrive, kept block by block: the whole is joined from the blocks, and the store takes the blocks' as they
 * are, so that each byte is summed once on its way from the socket to the disk.
 */
import { joinCrc32 } from '../../core/base/crc32.ts';
import type { Crc32 } from '../../core/base/env.ts';
import { blockBytes } from '../storage/chunk-store.ts';

export class BlockSums {
  readonly #crc32: Crc32;
  readonly #blocks: number[] = [];
  /** Of the block that is arriving. */
  #crc = 0;
  #bytes = 0;

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const take = Math.min(blockBytes - this.#bytes, bytes.length - at);
      this.#crc = this.#crc32(take === bytes.length ? bytes : bytes.subarray(at, at + take), this.#crc);
      this.#bytes += take;
      at += take;
      if (this.#bytes === blockBytes) this.#endBlock();
    }
  }

  /** After the last byte. */
  finish(): ArrivedSums {
    const lastBytes = this.#bytes;
    if (lastBytes > 0) this.#endBlock();
    const last = this.#blocks.length - 1;
    let whole = 0;
    for (const [i, crc] of this.#blocks.entries()) {
      whole = joinCrc32(whole, crc, i === last && lastBytes > 0 ? lastBytes : blockBytes);
    }
    return { whole, blocks: this.#blocks };
  }

  #endBlock(): void {
    this.#blocks.push(this.#crc);
    this.#crc = 0;
    this.#bytes = 0;
  }
}

export interface ArrivedSums {
  readonly whole: number;
  /** From the first byte on; the last block may be shorter. */
  readonly blocks: readonly number[];
}
