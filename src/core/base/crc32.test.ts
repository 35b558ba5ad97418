import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32, joinCrc32 } from './crc32.ts';

describe('crc32', () => {
  it('is the one of zlib', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 0xffff_ffff }), (bytes, seed) => {
        expect(crc32(bytes, seed)).toBe(zlibCrc32(bytes, seed));
      }),
    );
  });

  it('continues from a seed: parts one after another are the whole', () => {
    const bytes = new Uint8Array(1000).map((_, i) => i * 31);
    expect(crc32(bytes.subarray(333), crc32(bytes.subarray(0, 333)))).toBe(crc32(bytes));
  });
});

describe('joinCrc32', () => {
  it('gives the checksum of two stretches from theirs', () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(bytes, bytes, (first, second) => {
        const whole = zlibCrc32(second, zlibCrc32(first));
        expect(joinCrc32(zlibCrc32(first), zlibCrc32(second), second.length)).toBe(whole);
      }),
    );
  });

  it('holds for long stretches', () => {
    const bytes = new Uint8Array(3_000_001).map((_, i) => i * 31);
    for (const at of [0, 1, 65_536, 2_999_999, 3_000_001]) {
      const [first, second] = [bytes.subarray(0, at), bytes.subarray(at)];
      expect(joinCrc32(zlibCrc32(first), zlibCrc32(second), second.length)).toBe(zlibCrc32(bytes));
    }
  });
});
