/**
 * Seeded randomness: sfc32 (C. Doty-Humphrey, PractRand), keyed by a hash of the seed and of the labels on the way to the
 * stream. A fork depends on its label alone, not on how much its parent has been used: so one more draw in one place
 * does not move the draws of all others.
 */
import { assert } from '../../core/base/assert.ts';
import type { Random } from '../../core/base/env.ts';

const two32 = 2 ** 32;
const two53 = 2 ** 53;

export class SimRandom implements Random {
  readonly #key: number;
  readonly #key2: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  private constructor(key: number, key2: number) {
    this.#key = key;
    this.#key2 = key2;
    this.#a = key;
    this.#b = key2;
    this.#c = avalanche(key ^ Math.imul(key2, 0x9e3779b1));
    for (let i = 0; i < 12; i++) this.u32();
  }

  static fromSeed(seed: number | string): SimRandom {
    const text = String(seed);
    return new SimRandom(hashText(text, 0x2545f491), hashText(text, 0x6a09e667));
  }

  /** The stream of this name; the same one each time. */
  fork(label: string): SimRandom {
    return new SimRandom(hashText(label, this.#key), hashText(label, this.#key2 ^ 0x510e527f));
  }

  /** 0 … 2^32−1. */
  u32(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  next(): number {
    return this.#bits53() / two53;
  }

  below(bound: number): number {
    assert(Number.isSafeInteger(bound) && bound >= 1, 'a bound is a safe integer ≥ 1', { bound });
    if (bound <= two32) return Math.floor((this.u32() / two32) * bound);
    return Math.min(bound - 1, Math.floor(this.next() * bound));
  }

  id53(): number {
    return Math.max(1, this.#bits53());
  }

  /** Uniform integer in [min, max], both included. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True with this probability; a probability of 0 draws nothing, so that a fault that is off costs no randomness. */
  chance(probability: number): boolean {
    return probability > 0 && this.u32() < probability * two32;
  }

  pick<T>(among: readonly T[]): T {
    assert(among.length > 0, 'there is something to pick from');
    return among[this.below(among.length)]!;
  }

  /** A new array with the same members in random order (Fisher-Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }

  #bits53(): number {
    const high = this.u32() >>> 11;
    return high * two32 + this.u32();
  }
}

/** MurmurHash3's finaliser: every input bit moves every output bit. */
function avalanche(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** 32 bits of a text; `basis` makes independent ones. */
export function hashText(text: string, basis = 0x811c9dc5): number {
  let h = avalanche(basis + text.length);
  for (let i = 0; i < text.length; i++) h = avalanche(Math.imul(h, 31) ^ text.charCodeAt(i));
  return h;
}
