/**
 * A short ascending run of keys that is searched fast. What a search in a large tree costs is to fetch strings from all over
 * memory in order to compare them; so beside the keys lie their *heads*: four bytes of each as one number. Which four follows from
 * the *range* that the run covers: all keys in it agree in as many first bytes as its two ends do. Most searches look at
 * numbers in one small array and then at one string.
 */
import type { Key } from './ordered-store.ts';

const headBytes = 4;

export class KeyRun {
  readonly keys: Key[];
  readonly #heads: Uint32Array;
  /** All keys of the range agree in this many first bytes. */
  #prefix = 0;

  /** Room for `most` keys; those that are given ascend. */
  constructor(most: number, keys: Key[]) {
    this.keys = keys;
    this.#heads = new Uint32Array(most);
    this.#fill();
  }

  copy(): KeyRun {
    const copy = new KeyRun(this.#heads.length, []);
    copy.keys.push(...this.keys);
    copy.#heads.set(this.#heads);
    copy.#prefix = this.#prefix;
    return copy;
  }

  /** It holds keys with from ≤ key < to, and is searched for no others; undefined: without a bound. */
  cover(from: Key | undefined, to: Key | undefined): void {
    const prefix = from === undefined || to === undefined ? 0 : commonPrefix(from, to);
    if (prefix === this.#prefix) return;
    this.#prefix = prefix;
    this.#fill();
  }

  /** How many keys are < `key`. */
  countBelow(key: Key): number {
    return this.#search(key, headOf(key, this.#prefix));
  }

  /** How many keys are ≤ `key`. */
  countUpTo(key: Key): number {
    const head = headOf(key, this.#prefix);
    const at = this.#search(key, head);
    return at < this.keys.length && this.#heads[at] === head && this.keys[at] === key ? at + 1 : at;
  }

  /** Where `key` is, or −1. */
  indexOf(key: Key): number {
    const head = headOf(key, this.#prefix);
    const at = this.#search(key, head);
    return at < this.keys.length && this.#heads[at] === head && this.keys[at] === key ? at : -1;
  }

  #search(key: Key, head: number): number {
    const heads = this.#heads;
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = heads[middle]!;
      if (other < head || (other === head && this.keys[middle]! < key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(at: number, key: Key): void {
    const { length } = this.keys;
    if (at === length) this.keys.push(key);
    else {
      this.keys.splice(at, 0, key);
      this.#heads.copyWithin(at + 1, at, length);
    }
    this.#heads[at] = headOf(key, this.#prefix);
  }

  remove(at: number): void {
    this.#heads.copyWithin(at, at + 1, this.keys.length);
    this.keys.splice(at, 1);
  }

  /** Keeps the keys before `at` and returns the others; both are to be told what they cover. */
  splitOff(at: number): KeyRun {
    return new KeyRun(this.#heads.length, this.keys.splice(at));
  }

  append(keys: readonly Key[]): void {
    this.keys.push(...keys);
    this.#fill();
  }

  #fill(): void {
    for (let i = 0; i < this.keys.length; i++) this.#heads[i] = headOf(this.keys[i]!, this.#prefix);
  }
}

function commonPrefix(a: Key, b: Key): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** Four bytes from `start`, the first the most significant; zeros behind the end. */
function headOf(key: Key, start: number): number {
  const end = Math.min(key.length, start + headBytes);
  let head = 0;
  let i = start;
  for (; i < end; i++) head = (head << 8) | key.charCodeAt(i);
  for (; i < start + headBytes; i++) head <<= 8;
  return head >>> 0;
}
