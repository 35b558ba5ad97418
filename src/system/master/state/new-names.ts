/**
 * What is certainly not in a directory that is young. Before a file is made the store is asked for its name, and has it almost never; to
 * search the whole map for that costs as much as the rest of a create. So the names that are put into directories made since this
 * object was are marked in Bloom filters, each four times as large as the one before it; what is not marked is not there. A name that has
 * gone stays marked: the store is asked then. When the last filter is full it begins anew, with the directories that are made from then on.
 */
import type { InodeId } from '../../../core/base/brand.ts';

/** Names of the first filter, and of the last. */
const firstNames = 1024;
const lastNames = 4 * 1024 * 1024;
const growth = 4;
/** With three marks a name, one search of 200 in a full filter asks the store in vain. */
const bitsPerName = 16;

interface Filter {
  readonly bits: Uint32Array;
  /** That it still takes. */
  room: number;
}

export class NewNames {
  readonly #lastNames: number;
  #firstDirectory: number;
  #filters: Filter[] = [];
  // Of the name that was hashed last: two numbers, of which the places of its marks are made.
  #hash = 0;
  #step = 0;

  /** @param nextInode directories from this one on are made while this watches. @param most names of the last filter. */
  constructor(nextInode: number, most = lastNames) {
    this.#firstDirectory = nextInode;
    this.#lastNames = most;
  }

  /** True: nothing of this name was ever put there. */
  lacks(directory: InodeId, name: string): boolean {
    if (directory < this.#firstDirectory) return false;
    this.#hashOf(directory, name);
    for (const { bits } of this.#filters) if (this.#isMarked(bits)) return false;
    return true;
  }

  /** @param nextInode of the next directory that will be made. */
  put(directory: InodeId, name: string, nextInode: number): void {
    if (directory < this.#firstDirectory) return;
    let filter = this.#filters.at(-1);
    if (filter === undefined || filter.room === 0) {
      const names = filter === undefined ? firstNames : (filter.bits.length * 32 * growth) / bitsPerName;
      if (names > this.#lastNames) {
        this.#filters = [];
        this.#firstDirectory = nextInode;
        return;
      }
      filter = { bits: new Uint32Array((names * bitsPerName) / 32), room: names };
      this.#filters.push(filter);
    }
    filter.room -= 1;
    this.#hashOf(directory, name);
    const { bits } = filter;
    for (let i = 0, at = this.#hash; i < 3; i++, at = (at + this.#step) | 0) {
      const bit = at & (bits.length * 32 - 1);
      bits[bit >>> 5]! |= 1 << (bit & 31);
    }
  }

  #isMarked(bits: Uint32Array): boolean {
    for (let i = 0, at = this.#hash; i < 3; i++, at = (at + this.#step) | 0) {
      const bit = at & (bits.length * 32 - 1);
      if ((bits[bit >>> 5]! & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }

  #hashOf(directory: InodeId, name: string): void {
    let hash = Math.imul((directory | 0) ^ 0x9e3779b9, 0x85ebca6b) ^ Math.floor(directory / 0x1_0000_0000);
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
    hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
    this.#hash = hash ^ (hash >>> 16);
    this.#step = Math.imul(hash, 0x9e3779b1) | 1;
  }
}
