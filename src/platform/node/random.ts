/** Randomness from the operating system, drawn in blocks so that a number costs no call of its own. */
import { randomFillSync } from 'node:crypto';
import { assert } from '../../core/base/assert.ts';
import type { Random } from '../../core/base/env.ts';

const blockWords = 1024;
const two53 = 2 ** 53;

export function nodeRandom(): Random {
  const block = new Uint32Array(blockWords);
  let used = blockWords;

  function bits53(): number {
    if (used === blockWords) {
      randomFillSync(block);
      used = 0;
    }
    const high = block[used]! >>> 11;
    const low = block[used + 1]!;
    used += 2;
    return high * 2 ** 32 + low;
  }

  return {
    next: () => bits53() / two53,
    below: (bound) => {
      assert(Number.isSafeInteger(bound) && bound >= 1, 'a bound is a safe integer ≥ 1', { bound });
      return Math.min(bound - 1, Math.floor((bits53() / two53) * bound));
    },
    id53: () => Math.max(1, bits53()),
  };
}
