import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, bytesEqual, concatBytes, fromUtf8, toUtf8, utf8Length } from './bytes.ts';

describe('ByteWriter and ByteReader', () => {
  it('finishes small results next to each other, none touching another, and large ones alone', () => {
    const writer = new ByteWriter(8);
    const results: Uint8Array[] = [];
    for (let i = 0; i < 3000; i++) {
      writer.reset();
      for (let k = 0; k <= i % 40; k++) writer.u8(i % 251);
      results.push(writer.finishAmongOthers());
    }
    results.forEach((result, i) => {
      expect(result).toEqual(new Uint8Array((i % 40) + 1).fill(i % 251));
    });
    expect(new Set(results.map(({ buffer }) => buffer)).size).toBeLessThan(10);
    writer.reset();
    writer.raw(new Uint8Array(5000));
    expect(writer.finishAmongOthers().buffer.byteLength).toBe(5000);
  });

  it('give back every number that was written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: 0xffff_ffff }), fc.double({ noNaN: true }), (big, word, real) => {
        const writer = new ByteWriter(1);
        writer.varint(big);
        writer.u53(big);
        writer.u32(word);
        writer.f64(real);
        const reader = new ByteReader(writer.finish());
        expect([reader.varint(), reader.u53(), reader.u32(), reader.f64()]).toEqual([big, big, word, real]);
        reader.end();
      }),
    );
  });

  it('write 7 bits a byte, at each length and on both sides of 31 and 32 bits', () => {
    const writer = new ByteWriter(1);
    const numbers = [31, 32, ...Array.from({ length: 7 }, (_, n) => 7 * (n + 1))].flatMap((bits) => [
      2 ** bits - 1,
      2 ** bits,
    ]);
    for (const number of [0, ...numbers, Number.MAX_SAFE_INTEGER]) {
      const expected: number[] = [];
      let rest = BigInt(number);
      for (; rest >= 128n; rest >>= 7n) expected.push(Number(rest & 127n) + 128);
      writer.reset();
      writer.varint(number);
      expect([...writer.finish()]).toEqual([...expected, Number(rest)]);
    }
    for (const no of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => writer.varint(no)).toThrow(/safe integer/);
  });

  it('code text as UTF-8 exactly as the platform does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const expected = new TextEncoder().encode(text);
        expect(utf8Length(text)).toBe(expected.length);
        expect(bytesEqual(toUtf8(text), expected)).toBe(true);
        expect(fromUtf8(expected)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(expected));
      }),
    );
  });

  it('refuse what is not UTF-8, exactly where the platform does', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        let expected: string | undefined;
        try {
          expected = strict.decode(bytes);
        } catch {
          expected = undefined;
        }
        expect(fromUtf8(bytes)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('never read beyond the end', () => {
    const short = () => new ByteReader(new Uint8Array([5, 1, 2]));
    expect(() => short().blob()).toThrow(/ends too early/);
    expect(() => short().u32()).toThrow(/ends too early/);
    expect(() => short().text()).toThrow(/ends too early/);
    expect(() => new ByteReader(new Uint8Array(9).fill(0xff)).varint()).toThrow(/2\^53/);
    expect(() => new ByteReader(new Uint8Array(8).fill(0xff)).u53()).toThrow(/2\^53/);
  });

  it('say when bytes are left over', () => {
    const reader = new ByteReader(new Uint8Array(2));
    reader.u8();
    expect(() => reader.end()).toThrow(/1 bytes are left over/);
  });

  it('join parts in order', () => {
    expect(concatBytes([new Uint8Array([1]), new Uint8Array(0), new Uint8Array([2, 3])])).toEqual(
      new Uint8Array([1, 2, 3]),
    );
  });
});
