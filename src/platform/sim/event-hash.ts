/** A running hash of what happened, in order: two runs with the same value saw the same events. Not cryptographic. */

export class EventHash {
  #a = 0x243f6a88;
  #b = 0x13198a2e;

  /** Takes in 32 bits. */
  mix(word: number): void {
    const k = Math.imul(word ^ this.#b, 0xcc9e2d51);
    this.#a = (Math.imul(rotateLeft(this.#a ^ k, 13), 5) + 0xe6546b64) | 0;
    this.#b = Math.imul(rotateLeft(this.#b + word, 17) ^ this.#a, 0x1b873593);
  }

  /** Takes in any number, bit by bit. */
  mixNumber(n: number): void {
    float[0] = n;
    this.mix(floatWords[0]!);
    this.mix(floatWords[1]!);
  }

  /** 16 hexadecimal digits. */
  get value(): string {
    return hex(this.#a) + hex(this.#b);
  }
}

const float = new Float64Array(1);
const floatWords = new Int32Array(float.buffer);

/** 32 bits of `bytes`, the same wherever they lie in memory. */
export function digestBytes(bytes: Uint8Array, seed = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const wide = bytes.length & ~3;
  let h = (seed ^ bytes.length) | 0;
  let i = 0;
  for (; i < wide; i += 4) h = (Math.imul(rotateLeft(h ^ view.getInt32(i, true), 15), 0x2c1b3c6d) + 0x165667b1) | 0;
  for (; i < bytes.length; i++) h = (Math.imul(rotateLeft(h ^ bytes[i]!, 15), 0x2c1b3c6d) + 0x165667b1) | 0;
  return h ^ (h >>> 15);
}

function rotateLeft(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
