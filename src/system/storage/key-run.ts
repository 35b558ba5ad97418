/**
 * A short ascending run of keys that is searched fast. Comparing strings all over memory is what a search in a large tree costs; so
 * beside the keys lie their heads: what follows the prefix that all of them share, six bytes as one number. Most searches
 * compare numbers in one array and look at one or two strings.
 */
import type { Key } from './ordered-store.ts';

const headBytes = 6;

export class KeyRun {
  readonly keys: Key[];
  #heads: number[];
  /** All keys agree in this many first bytes. */
  #prefix: number;

  constructor(keys: Key[], heads?: number[], prefix = 0) {
    this.keys = keys;
    this.#heads = heads ?? [];
    this.#prefix = prefix;
    if (heads === undefined) this.#measure();
  }

  get length(): number {
    return this.keys.length;
  }

  copy(): KeyRun {
    return new KeyRun(this.keys.slice(), this.#heads.slice(), this.#prefix);
  }

  /** How many keys are < `key`. */
  countBelow(key: Key): number {
    const { keys } = this;
    if (!this.#sharesPrefix(key)) return keys.length > 0 && keys[0]! < key ? keys.length : 0;
    const heads = this.#heads;
    const head = headOf(key, this.#prefix);
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = heads[middle]!;
      if (other < head || (other === head && keys[middle]! < key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many keys are ≤ `key`. */
  countUpTo(key: Key): number {
    const at = this.countBelow(key);
    return at < this.keys.length && this.keys[at] === key ? at + 1 : at;
  }

  insert(at: number, key: Key): void {
    if (this.keys.length === 0 || !this.#sharesPrefix(key)) {
      this.keys.splice(at, 0, key);
      this.#measure();
    } else if (at === this.keys.length) {
      this.keys.push(key);
      this.#heads.push(headOf(key, this.#prefix));
    } else {
      this.keys.splice(at, 0, key);
      this.#heads.splice(at, 0, headOf(key, this.#prefix));
    }
  }

  remove(at: number): void {
    this.keys.splice(at, 1);
    this.#heads.splice(at, 1);
  }

  /** Keeps the keys before `at` and returns the others. */
  splitOff(at: number): KeyRun {
    const rest = new KeyRun(this.keys.splice(at));
    this.#measure();
    return rest;
  }

  append(keys: readonly Key[]): void {
    this.keys.push(...keys);
    this.#measure();
  }

  #sharesPrefix(key: Key): boolean {
    return commonPrefix(this.keys[0] ?? '', key, this.#prefix) === this.#prefix;
  }

  /** The keys ascend: what the first and the last share, all share. */
  #measure(): void {
    const { keys } = this;
    const first = keys[0] ?? '';
    this.#prefix = commonPrefix(first, keys.at(-1) ?? '', first.length);
    this.#heads = keys.map((key) => headOf(key, this.#prefix));
  }
}

function commonPrefix(a: Key, b: Key, most: number): number {
  const end = Math.min(a.length, b.length, most);
  let i = 0;
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

/** Six bytes from `start`, the first the most significant; zeros behind the end. */
function headOf(key: Key, start: number): number {
  const end = Math.min(key.length, start + headBytes);
  let head = 0;
  let i = start;
  for (; i < end; i++) head = head * 256 + key.charCodeAt(i);
  for (; i < start + headBytes; i++) head *= 256;
  return head;
}
